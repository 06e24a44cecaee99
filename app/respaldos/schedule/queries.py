"""How often a clinic has points of its own. Each function takes part in its caller's transaction."""

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.models import Punto


async def own_points(session: AsyncSession, *, clinica_id: int) -> Punto | None:
    """What has been said of the clinic, or when it had its last point; None where neither."""
    return await session.get(Punto, clinica_id)


async def say_points(session: AsyncSession, *, clinica_id: int, minutos: int | None, horario: str | None) -> None:
    """Write down how often the clinic has its points."""
    said = {"minutos": minutos, "horario": horario}
    added = insert(Punto).values(clinica_id=clinica_id, **said)
    await session.execute(added.on_conflict_do_update(index_elements=["clinica_id"], set_=said))
