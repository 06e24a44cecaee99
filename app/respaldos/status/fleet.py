"""Numbers over all clinics, for whoever watches the service. Each function takes part in its caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Float, func, literal, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.models import Aviso, Estado, Intento, Programacion, Respaldo, Trabajo
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


def _seconds(took: timedelta | None) -> float | None:
    return took.total_seconds() if took is not None else None


async def health_of_each(session: AsyncSession, *, among: Sequence[int]) -> list[BackupHealth]:
    """One for each of these clinics, by one statement."""
    return [as_health(row) for row in await session.execute(health_rows_of(list(among)))]


@dataclass(frozen=True, slots=True)
class Failure:
    """A clinic's newest failed backup, deleted or not; `error` is why."""

    clinica_id: int
    respaldo_id: int
    taken_at: datetime
    error: str | None


async def last_failures(session: AsyncSession, *, among: Sequence[int]) -> list[Failure]:
    """One for each of these clinics that has a failed backup, by one statement; each is found by an index."""
    clinic = func.unnest(literal(list(among), ARRAY(BigInteger))).table_valued("id", name="clinica").render_derived()
    newest = (
        select(Respaldo.id, Respaldo.fecha_respaldo, Respaldo.metadata_["error"].astext.label("error"))
        .where(Respaldo.clinica_id == clinic.c.id, Respaldo.estado == Estado.FALLIDO)
        .order_by(Respaldo.fecha_respaldo.desc())
        .limit(1)
        .lateral("fallo")
    )
    found = await session.execute(
        select(clinic.c.id, newest.c.id, newest.c.fecha_respaldo, newest.c.error).join(newest, onclause=true())
    )
    return [Failure(*row) for row in found]
