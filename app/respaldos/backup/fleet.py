"""What crosses clinics: for the command line, the worker and the superadmin's routes, and nobody else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import case, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Cancelled
from app.respaldos.lease import MAX_ATTEMPTS
from app.respaldos.models import (
    Estado,
    Intento,
    Operacion,
    Respaldo,
    TipoRespaldo,
)

# What S3 was asked for before an attempt ended, it may still carry out when the attempt has been cleaned up after:
# a connection that broke or a machine that slept. So cleaning is done again until this long after (seconds).
LATE_SECONDS = 600

# What is stored as `error_type` where a lease ran out.
PROCESS_DIED = "proceso_muerto"


@dataclass(frozen=True, slots=True)
class Leftover:
    """An ended attempt that may have left an object or an unfinished upload under its key."""

    respaldo_id: int
    numero: int
    archivo_s3: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pending backup or `restauracion`, of which `intento` attempts have ended."""

    id: int
    intento: int


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


async def end_expired_leases(session: AsyncSession) -> Sequence[Respaldo]:
    """Take the work from processes that gave no sign of life; return the backups.

    They go back to pendiente, or to fallido past MAX_ATTEMPTS (without the interrupted ones); to cancelado where a
    person had asked for that. One made at the command line goes to fallido at once: whoever waited for it is gone,
    and no worker was asked.
    """
    cancelled = Respaldo.cancelacion.is_not(None)
    failed = or_(
        Respaldo.tipo_respaldo == TipoRespaldo.MANUAL, Respaldo.intento - Respaldo.interrupciones >= MAX_ATTEMPTS
    )
    # A row that somebody else is just ending is left to them: two who wait for each other's rows would deadlock.
    expired = (
        select(Respaldo.id)
        .where(Respaldo.estado == Estado.PROCESANDO, Respaldo.lease_until < func.clock_timestamp())
        .with_for_update(skip_locked=True)
    )
    died = {
        "error": "el proceso que hacía el respaldo murió sin terminarlo",
        "error_type": PROCESS_DIED,
        "avisos": [],
    }
    stopped = {"error": "se canceló a pedido de una persona", "error_type": Cancelled.code, "avisos": []}
    ended = await session.scalars(
        update(Respaldo)
        .where(Respaldo.id.in_(expired))
        .values(
            estado=case((cancelled, Estado.CANCELADO), (failed, Estado.FALLIDO), else_=Estado.PENDIENTE),
            metadata_=Respaldo.metadata_.op("||")(
                case((cancelled, literal(stopped, JSONB)), else_=literal(died, JSONB))
            ),
            lease_until=None,
            progreso=None,
        )
        .returning(Respaldo)
    )
    found = ended.all()
    ids = [respaldo.id for respaldo in found]
    await session.execute(delete(Operacion).where(Operacion.respaldo_id.in_(ids)))
    await session.execute(
        update(Intento)
        .where(Intento.respaldo_id.in_(ids), Intento.fin.is_(None))
        .values(fin=func.now(), vencido=True)
    )
    return found


async def waiting_backups(session: AsyncSession) -> list[Waiting]:
    """The pending backups, oldest first."""
    found = await session.execute(
        select(Respaldo.id, Respaldo.intento).where(Respaldo.estado == Estado.PENDIENTE).order_by(Respaldo.id)
    )
    return [Waiting(*row) for row in found]


async def leftovers(session: AsyncSession, *, respaldo_id: int | None = None) -> list[Leftover]:
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
    return [Leftover(*row) for row in found]


async def mark_clean(session: AsyncSession, leftover: Leftover) -> None:
    """Record that nothing is left under the attempt's key, where nothing can come late any more."""
    await session.execute(
        update(Intento)
        .where(
            Intento.respaldo_id == leftover.respaldo_id,
            Intento.numero == leftover.numero,
            Intento.fin < func.clock_timestamp() - timedelta(seconds=LATE_SECONDS),
        )
        .values(limpiado=func.now())
    )
