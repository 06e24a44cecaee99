"""Numbers over all clinics, for whoever watches the service. Each function takes part in its caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import BigInteger, Float, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.models import (
    Aviso,
    Estado,
    Intento,
    Profundidad,
    Programacion,
    Respaldo,
    Restauracion,
    Trabajo,
)
from app.respaldos.status.health import BackupHealth
from app.respaldos.status.queries import as_health, health_rows_of


@dataclass(frozen=True, slots=True)
class Group:
    """Backups of one state and kind that are not deleted."""

    estado: str
    tipo_respaldo: str
    backups: int


@dataclass(frozen=True, slots=True)
class Newest:
    """A clinic's newest good backup: its age and how long it took (seconds), and its size (bytes)."""

    clinica_id: int | None
    age: float
    seconds: float | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What there is in all.

    `stored` counts the bytes of all objects that are not purged, deleted backups' too; `waiting` the jobs that
    no worker has claimed.
    """

    stored: int
    waiting: int
    expired_leases: int
    pending_notices: int


async def groups(session: AsyncSession) -> Sequence[Group]:
    """How many backups there are of each state and kind."""
    found = await session.execute(
        select(Respaldo.estado, Respaldo.tipo_respaldo, func.count())
        .where(Respaldo.fecha_eliminacion.is_(None))
        .group_by(Respaldo.estado, Respaldo.tipo_respaldo)
        .order_by(Respaldo.estado, Respaldo.tipo_respaldo)
    )
    return [Group(*row) for row in found]


async def newest_good(session: AsyncSession) -> Sequence[Newest]:
    """Each clinic's newest good backup and the platform's; a clinic without one is not among them."""
    found = await session.execute(
        select(
            Respaldo.clinica_id,
            func.extract("epoch", func.clock_timestamp() - Respaldo.fecha_respaldo).cast(Float),
            Respaldo.tiempo_ejecucion,
            Respaldo.tamaño_bytes,
        )
        .ext(distinct_on(Respaldo.clinica_id))
        .where(Respaldo.good)
        .order_by(Respaldo.clinica_id, Respaldo.fecha_respaldo.desc(), Respaldo.id.desc())
    )
    return [Newest(clinic, max(age, 0.0), _seconds(took), size) for clinic, age, took, size in found]


async def backlog(session: AsyncSession) -> Backlog:
    """Bytes in the bucket, work that waits, leases that have run out so far, and notices that wait to be sent."""
    stored = select(func.coalesce(func.sum(Respaldo.tamaño_bytes), 0).cast(BigInteger)).where(
        Respaldo.archivo_s3.is_not(None), Respaldo.purgado.is_(None)
    )
    waiting = select(func.count()).select_from(Trabajo).where(Trabajo.estado == Estado.PENDIENTE)
    expired = select(func.count()).select_from(Intento).where(Intento.vencido)
    notices = select(func.count()).select_from(Aviso).where(Aviso.terminado.is_(None))
    row = await session.execute(
        select(
            stored.scalar_subquery(),
            waiting.scalar_subquery(),
            expired.scalar_subquery(),
            notices.scalar_subquery(),
        )
    )
    return Backlog(*row.one())


async def without_good(session: AsyncSession) -> Sequence[tuple[int | None, float]]:
    """Each clinic that has nights and no good backup, and how long ago the first of them was (seconds).

    None is the platform. `vigilar` counts so too. A clinic that this service has never had a night for is not among
    them.
    """
    age = func.extract("epoch", func.clock_timestamp() - func.min(Programacion.previsto)).cast(Float)
    good = select(Respaldo.id).where(Respaldo.clinica_id == Programacion.clinica_id, Respaldo.good).exists()
    platforms = select(Respaldo.id).where(Respaldo.clinica_id.is_(None), Respaldo.good).exists()
    found = await session.execute(
        select(Programacion.clinica_id, age)
        .where(~good, or_(Programacion.clinica_id.is_not(None), ~platforms))
        .group_by(Programacion.clinica_id)
        .order_by(Programacion.clinica_id)
    )
    return [(clinic, max(seconds, 0.0)) for clinic, seconds in found]


async def unproven(session: AsyncSession) -> Sequence[tuple[int | None, float]]:
    """Each clinic that has a good backup, and for how long no trial of its has ended well (seconds).

    Where none ever has, since its oldest good backup. None is the platform.
    """
    proven = (
        select(Restauracion.clinica_id, func.max(Trabajo.fecha_fin).label("end"))
        .join(Trabajo, Trabajo.restauracion_id == Restauracion.id)
        .where(Restauracion.profundidad == Profundidad.ENSAYO, Trabajo.estado == Estado.COMPLETADO)
        .group_by(Restauracion.clinica_id)
        .subquery()
    )
    since = func.coalesce(func.max(proven.c.end), func.min(Respaldo.fecha_respaldo))
    found = await session.execute(
        select(Respaldo.clinica_id, func.extract("epoch", func.clock_timestamp() - since).cast(Float))
        .outerjoin(proven, proven.c.clinica_id.is_not_distinct_from(Respaldo.clinica_id))
        .where(Respaldo.good)
        .group_by(Respaldo.clinica_id)
        .order_by(Respaldo.clinica_id)
    )
    return [(clinic, max(seconds, 0.0)) for clinic, seconds in found]


def _seconds(took: timedelta | None) -> float | None:
    return took.total_seconds() if took is not None else None


async def health_of_each(session: AsyncSession, *, among: Sequence[int]) -> list[BackupHealth]:
    """One for each of these clinics, by one statement."""
    return [as_health(row) for row in await session.execute(health_rows_of(list(among)))]
