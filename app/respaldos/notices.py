"""What people are to be told, put down in the transaction in which it happened; app/notify sends it later."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.models import Aviso, TipoAviso


async def record(
    session: AsyncSession,
    tipo: TipoAviso,
    *,
    clinica_id: int | None,
    respaldo_id: int | None = None,
    **datos: Any,
) -> None:
    """Put it down."""
    session.add(Aviso(clinica_id=clinica_id, tipo=tipo, respaldo_id=respaldo_id, datos=datos))
    await session.flush()
