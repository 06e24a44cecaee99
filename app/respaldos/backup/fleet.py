"""What crosses clinics: for the command line and the worker, and nobody else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.models import Intento, Respaldo

# What S3 was asked for before an attempt ended, it may still carry out when the attempt has been cleaned up after:
# a connection that broke or a machine that slept. So cleaning is done again until this long after (seconds).
LATE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class DanglingAttempt:
    """An ended attempt that may have left an object or an unfinished upload under its key."""

    respaldo_id: int
    numero: int
    archivo_s3: str


async def get(session: AsyncSession, respaldo_id: int) -> Respaldo | None:
    """The backup of that id, whichever clinic it is of."""
    return await session.get(Respaldo, respaldo_id)


async def newest_of_all(session: AsyncSession, *, limit: int) -> Sequence[Respaldo]:
    """All clinics' backups that are not deleted, newest first."""
    found = await session.scalars(
        select(Respaldo)
        .where(Respaldo.fecha_eliminacion.is_(None))
        .order_by(Respaldo.fecha_respaldo.desc(), Respaldo.id.desc())
        .limit(limit)
    )
    return found.all()


async def dangling_attempts(session: AsyncSession, *, respaldo_id: int | None = None) -> list[DanglingAttempt]:
    """Ended attempts, or those of one backup, whose key has not been cleaned yet.

    A completed backup's own attempt is never among them.
    """
    wanted = (
        select(Intento.respaldo_id, Intento.numero, Intento.archivo_s3)
        .join(Respaldo)
        .where(
            Intento.limpiado.is_(None),
            Intento.fin.is_not(None),
            Respaldo.archivo_s3.is_distinct_from(Intento.archivo_s3),
        )
        .order_by(Intento.fin)
    )
    found = await session.execute(wanted if respaldo_id is None else wanted.where(Intento.respaldo_id == respaldo_id))
    return [DanglingAttempt(*row) for row in found]


async def mark_clean(session: AsyncSession, attempt: DanglingAttempt) -> None:
    """Record that nothing is left under the attempt's key, where nothing can come late any more."""
    await session.execute(
        update(Intento)
        .where(
            Intento.respaldo_id == attempt.respaldo_id,
            Intento.numero == attempt.numero,
            Intento.fin < func.clock_timestamp() - timedelta(seconds=LATE_SECONDS),
        )
        .values(limpiado=func.now())
    )
