"""TODO."""

from collections.abc import Sequence

from sqlalchemy import case, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.backup.fleet import PROCESS_DIED, Waiting
from app.respaldos.lease import MAX_ATTEMPTS
from app.respaldos.models import (
    Estado,
    Restauracion,
    TipoRestauracion,
)


async def end_expired_readings(session: AsyncSession) -> Sequence[Restauracion]:
    """The same for verifications and comparisons: back to pendiente, or to fallido past MAX_ATTEMPTS."""
    failed = Restauracion.intento - Restauracion.interrupciones >= MAX_ATTEMPTS
    expired = (
        select(Restauracion.id)
        .where(
            Restauracion.tipo != TipoRestauracion.RESTAURACION,
            Restauracion.estado == Estado.PROCESANDO,
            Restauracion.lease_until < func.clock_timestamp(),
        )
        .with_for_update(skip_locked=True)
    )
    ended = await session.scalars(
        update(Restauracion)
        .where(Restauracion.id.in_(expired))
        .values(
            estado=case((failed, Estado.FALLIDO), else_=Estado.PENDIENTE),
            error="el proceso que lo hacía murió sin terminarlo",
            error_type=PROCESS_DIED,
            fecha_fin=case((failed, func.now())),
            lease_until=None,
            progreso=None,
        )
        .returning(Restauracion)
    )
    return ended.all()


async def expired_restores(session: AsyncSession) -> Sequence[Restauracion]:
    """Restores whose process gave no sign of life in time; what became of them the clinics' database knows."""
    found = await session.scalars(
        select(Restauracion).where(
            Restauracion.tipo == TipoRestauracion.RESTAURACION,
            Restauracion.estado == Estado.PROCESANDO,
            Restauracion.lease_until < func.clock_timestamp(),
        )
    )
    return found.all()


async def waiting_restauraciones(session: AsyncSession) -> list[Waiting]:
    """The pending `restauracion` rows, oldest first."""
    found = await session.execute(
        select(Restauracion.id, Restauracion.intento)
        .where(Restauracion.estado == Estado.PENDIENTE)
        .order_by(Restauracion.id)
    )
    return [Waiting(*row) for row in found]


async def get_restauracion(session: AsyncSession, restauracion_id: int) -> Restauracion | None:
    """The `restauracion` of that id, whichever clinic it is of."""
    return await session.get(Restauracion, restauracion_id)
