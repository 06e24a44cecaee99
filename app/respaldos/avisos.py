"""What people are to be told, put down in the transaction in which it happened; app/notify sends it later."""

from typing import Any

from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.models import Aviso, TipoAviso


async def record(
    session: AsyncSession,
    tipo: TipoAviso,
    *,
    clinica_id: int,
    respaldo_id: int | None = None,
    clave: str | None = None,
    **datos: Any,
) -> None:
    """Put it down; where one with the same `clave` has been, do nothing."""
    await session.execute(
        postgresql_insert(Aviso)
        .values(clinica_id=clinica_id, tipo=tipo, respaldo_id=respaldo_id, clave=clave, datos=datos)
        .on_conflict_do_nothing(index_elements=[Aviso.clave])
    )
