"""Numbers over all clinics, for whoever watches the service. Each function takes part in its caller's transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import CTE, BigInteger, ColumnElement, Float, Select, and_, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.respaldos.models import Aviso, Clase, Estado, Intento, Profundidad, Programacion, Respaldo, Trabajo
from app.respaldos.status.health import BackupHealth, HealthSummary
from app.respaldos.status.queries import as_health, as_summary, health_rows_of


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

    def newest(which: ColumnElement[bool]) -> Select[Any]:
        return (
            select(
                Respaldo.clinica_id,
                func.extract("epoch", func.clock_timestamp() - Respaldo.fecha_respaldo).cast(Float).label("edad"),
                Respaldo.tiempo_ejecucion,
                Respaldo.tamaño_bytes,
            )
            .where(which, Respaldo.good)
            .order_by(Respaldo.clinica_id.desc(), Respaldo.fecha_respaldo.desc(), Respaldo.id.desc())
            .limit(1)
        )

    of_each = _of_each(
        newest(Respaldo.clinica_id.is_not(None)), lambda last: newest(Respaldo.clinica_id < last.c.clinica_id)
    )
    found = await session.execute(of_each.union_all(newest(Respaldo.clinica_id.is_(None))))
    return [Newest(clinic, max(age, 0.0), _seconds(took), size) for clinic, age, took, size in found]


async def backlog(session: AsyncSession) -> Backlog:
    """Bytes in the bucket, work that waits, leases that have run out so far, and notices that wait to be sent."""
    # What has a size has an object, its own or another's, which is there for as long.
    stored = select(func.coalesce(func.sum(Respaldo.tamaño_bytes), 0).cast(BigInteger)).where(
        Respaldo.purgado.is_(None), Respaldo.respaldo_base_id.is_(None)
    )
    waiting = (
        select(func.count())
        .select_from(Trabajo)
        # Copies that wait for their store to come back have numbers of their own.
        .where(Trabajo.estado == Estado.PENDIENTE, Trabajo.clase != Clase.COPIA)
    )
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

    def first(which: ColumnElement[bool]) -> Select[Any]:
        age = func.extract("epoch", func.clock_timestamp() - Programacion.previsto).cast(Float)
        return (
            select(Programacion.clinica_id, age.label("edad"))
            .where(which)
            .order_by(Programacion.clinica_id, Programacion.dia)
            .limit(1)
        )

    night = _of_each(
        first(Programacion.clinica_id.is_not(None)), lambda last: first(Programacion.clinica_id > last.c.clinica_id)
    ).subquery()
    good = select(Respaldo.id).where(Respaldo.clinica_id == night.c.clinica_id, Respaldo.good)
    platforms = select(Respaldo.id).where(Respaldo.clinica_id.is_(None), Respaldo.good)
    found = await session.execute(
        select(night)
        .where(~good.exists())
        .union_all(first(and_(Programacion.clinica_id.is_(None), ~platforms.exists())))
    )
    return [(clinic, max(seconds, 0.0)) for clinic, seconds in found]


async def unproven(session: AsyncSession) -> Sequence[tuple[int | None, float]]:
    """Each clinic that has a good backup, and for how long no trial of its has ended well (seconds).

    Where none has, of the backups that there are, since its oldest good one. None is the platform.
    """

    def since(which: ColumnElement[bool], *, platform: bool = False) -> Select[Any]:
        proven = aliased(Respaldo)
        trial = (
            select(proven.verificado)
            .where(
                proven.clinica_id.is_(None) if platform else proven.clinica_id == Respaldo.clinica_id,
                proven.fecha_eliminacion.is_(None),
                proven.verificado.is_not(None),
                proven.verificado_profundidad == Profundidad.ENSAYO,
                proven.verificado_error.is_(None),
            )
            .order_by(proven.verificado.desc())
            .limit(1)
            .scalar_subquery()
        )
        age = func.extract("epoch", func.clock_timestamp() - func.coalesce(trial, Respaldo.fecha_respaldo))
        return (
            select(Respaldo.clinica_id, age.cast(Float).label("edad"))
            .where(which, Respaldo.good)
            .order_by(Respaldo.clinica_id, Respaldo.fecha_respaldo)
            .limit(1)
        )

    of_each = _of_each(
        since(Respaldo.clinica_id.is_not(None)), lambda last: since(Respaldo.clinica_id > last.c.clinica_id)
    )
    found = await session.execute(of_each.union_all(since(Respaldo.clinica_id.is_(None), platform=True)))
    return [(clinic, max(seconds, 0.0)) for clinic, seconds in found]


def _of_each(first: Select[Any], following: Callable[[CTE], Select[Any]]) -> Select[Any]:
    """One row of each clinic: the first clinic's, and what `following` finds for the clinic after the last one.

    Where an index has their order, each costs one look into it. DISTINCT ON would read all of it: of a million
    backups, a hundred times as much.
    """
    row = select(first.subquery()).cte("fila", recursive=True)
    after = following(row).lateral("siguiente")
    return select(row.union_all(select(after).select_from(row.join(after, true()))))


def _seconds(took: timedelta | None) -> float | None:
    return took.total_seconds() if took is not None else None


async def health_of_each(session: AsyncSession, *, among: Sequence[int]) -> list[BackupHealth]:
    """One for each of these clinics, by one statement."""
    return [as_health(row) for row in await session.execute(health_rows_of(among))]


async def summaries(session: AsyncSession, *, among: Sequence[int]) -> list[HealthSummary]:
    """The same in short, which takes a third of the time."""
    return [as_summary(row) for row in await session.execute(health_rows_of(among, summary=True))]
