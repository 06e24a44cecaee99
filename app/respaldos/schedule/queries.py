"""When a clinic is backed up, where that has been said of it alone. Each takes part in its caller's transaction."""

from datetime import date, datetime, time, timedelta

from sqlalchemy import BigInteger, delete, exists, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.models import Politica, Programacion


async def own_nights(session: AsyncSession, *, clinica_id: int) -> tuple[time | None, list[int] | None]:
    """When the clinic's nights are: `hora` and `dias`, None where they are as for all."""
    found = await session.execute(select(Politica.hora, Politica.dias).where(Politica.clinica_id == clinica_id))
    row = found.one_or_none()
    return (row.hora, row.dias) if row is not None else (None, None)


async def take_night_back(session: AsyncSession, dia: date, *, clinica_id: int) -> None:
    """Have the clinic backed up that night although it has been: its night comes later now."""
    await session.execute(delete(Programacion).where(Programacion.clinica_id == clinica_id, Programacion.dia == dia))


async def skip_night(session: AsyncSession, dia: date, previsto: datetime, *, clinica_id: int) -> None:
    """Have no backup of a night that has not been planned and would have begun by now, if there was one lately."""
    lately = exists().where(Programacion.clinica_id == clinica_id, Programacion.dia >= dia - timedelta(days=1))
    row = select(literal(clinica_id, BigInteger), literal(dia), literal(previsto), literal(1)).where(lately)
    added = insert(Programacion).from_select(["clinica_id", "dia", "previsto", "intentos"], row)
    await session.execute(added.on_conflict_do_nothing())
