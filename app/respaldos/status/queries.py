"""How a clinic's backups stand, or the platform's. Each function takes part in its caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Row,
    Select,
    case,
    func,
    literal,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from app.respaldos.models import Clase, Estado, Profundidad, Respaldo, TipoOperacion, Trabajo, in_words
from app.respaldos.status.health import BackupHealth, GoodBackup, HealthSummary, LastProof
from app.storage.options import StoragePrice

_LIVE = Respaldo.fecha_eliminacion.is_(None)
_COMPLETED = Respaldo.estado == Estado.COMPLETADO


async def health_of(session: AsyncSession, *, clinica_id: int | None) -> BackupHealth:
    """Of one clinic, known here or not, or of the platform."""
    found = await session.execute(health_rows_of([clinica_id] if clinica_id is not None else None))
    return as_health(found.one())


def health_rows_of(clinics: Sequence[int] | None, *, summary: bool = False) -> Select[Any]:
    """A row for each of these clinics, in one statement; each of its parts is found by an index on the clinic.

    None is the platform, which is one row. With `summary`, only what `as_summary` takes.
    """
    ids = literal(list(clinics) if clinics is not None else [None], ARRAY(BigInteger))
    clinic: FromClause = func.unnest(ids).table_valued("id", name="clinica").render_derived()

    def of(column: InstrumentedAttribute[int | None]) -> ColumnElement[bool]:
        return column == clinic.c.id if clinics is not None else column.is_(None)

    mine = of(Respaldo.clinica_id)
    good = (
        select(Respaldo.id, Respaldo.fecha_respaldo, func.coalesce(Respaldo.tamaño_bytes, 0).label("bytes"))
        .where(mine, Respaldo.good)
        .order_by(Respaldo.fecha_respaldo.desc(), Respaldo.id.desc())
        .limit(1)
        .lateral("bueno")
    )
    proof = (
        select(Respaldo.id, Respaldo.verificado, Respaldo.verificado_profundidad, Respaldo.verificado_error)
        .where(
            mine,
            _LIVE,
            Respaldo.verificado.is_not(None),
            Respaldo.verificado_profundidad.in_([Profundidad.COMPLETA, Profundidad.ENSAYO]),
        )
        .order_by(Respaldo.verificado.desc())
        .limit(1)
        .lateral("prueba")
    )
    each = clinic.outerjoin(good, true()).outerjoin(proof, true())
    later = aliased(Respaldo)
    made_up_for = (
        select(later.id)
        .where(
            of(later.clinica_id),
            later.estado == in_words(Estado.COMPLETADO),
            later.fecha_respaldo > Respaldo.fecha_respaldo,
        )
        # The clinic comes from further out than the failed backup.
        .correlate_except(later)
        .exists()
    )
    # What the newest good one has followed need not be looked at one by one: most often that is all of them.
    since = func.coalesce(good.c.fecha_respaldo, text("'-infinity'"))
    failed = (mine, Respaldo.failed, Respaldo.fecha_respaldo >= since, ~made_up_for)
    if summary:
        failing = select(Respaldo.id).where(*failed).exists()
        return select(
            clinic.c.id, good.c.fecha_respaldo, proof.c.verificado, proof.c.verificado_error, failing
        ).select_from(each)
    last_error = (
        select(Respaldo.metadata_["error"].astext)
        .where(*failed)
        .order_by(Respaldo.fecha_respaldo.desc(), Respaldo.id.desc())
        .limit(1)
    )
    exclusive = (of(Trabajo.clinica_id), Trabajo.exclusiva)
    under_way = Trabajo.estado.in_([in_words(Estado.PENDIENTE), in_words(Estado.PROCESANDO)])
    waiting = select(Trabajo.id).where(*exclusive, Trabajo.clase == in_words(Clase.RESPALDO), under_way).exists()
    operation = (
        select(case((Trabajo.clase == Clase.RESPALDO, TipoOperacion.RESPALDO), else_=TipoOperacion.RESTAURACION))
        .where(*exclusive, Trabajo.estado == in_words(Estado.PROCESANDO))
        .scalar_subquery()
    )
    return select(
        clinic.c.id,
        good.c.id,
        good.c.fecha_respaldo,
        good.c.bytes,
        proof.c.id,
        proof.c.verificado,
        proof.c.verificado_profundidad,
        proof.c.verificado_error,
        func.coalesce(operation, case((waiting, TipoOperacion.RESPALDO))),
        select(func.count()).where(*failed).scalar_subquery(),
        last_error.scalar_subquery(),
    ).select_from(each)


def as_health(row: Row[Any]) -> BackupHealth:
    """What a row of `health_rows_of` says."""
    clinica_id, good_id, taken_at, size, proven_id, proven, depth, error, running, failures, last_error = tuple(row)
    return BackupHealth(
        clinica_id,
        GoodBackup(good_id, taken_at, size) if good_id is not None else None,
        LastProof(proven_id, proven, Profundidad(depth), error) if proven_id is not None else None,
        TipoOperacion(running) if running is not None else None,
        failures,
        last_error,
    )


def as_summary(row: Row[Any]) -> HealthSummary:
    """What a row of the summary of `health_rows_of` says."""
    clinica_id, taken_at, proven, error, failing = tuple(row)
    return HealthSummary(clinica_id, taken_at, proven if error is None else None, failing)


@dataclass(frozen=True, slots=True)
class Totals:
    """Numbers of a clinic's backups that are not deleted, the bytes of the completed ones, and the newest of these.

    An object that several have is counted once. `stored_bytes` is what is in S3: also what is deleted and not purged
    yet; `billed_bytes` what is paid for.
    """

    all: int
    completed: int
    failed: int
    bytes: int
    stored_bytes: int
    billed_bytes: int
    last_id: int | None
    last_moment: datetime | None
    last_bytes: int | None


async def totals(session: AsyncSession, *, clinica_id: int | None, price: StoragePrice, now: datetime) -> Totals:
    """Count the clinic's backups; `now` is aware."""

    def bytes_of(condition: ColumnElement[bool], each: Any = Respaldo.tamaño_bytes) -> ColumnElement[int]:
        own = Respaldo.respaldo_base_id.is_(None)
        return func.coalesce(func.sum(each).filter(_COMPLETED, own, condition), 0).cast(BigInteger)

    mine = Respaldo.clinica_id == clinica_id
    point = aliased(Respaldo)
    wanted = or_(
        _LIVE,
        Respaldo.id.in_(
            select(point.respaldo_base_id).where(
                point.clinica_id == clinica_id,
                point.respaldo_base_id.is_not(None),
                point.fecha_eliminacion.is_(None),
            )
        ),
    )
    # What is removed sooner is paid for as long all the same.
    paid = or_(Respaldo.purgado.is_(None), Respaldo.fecha_respaldo > now - timedelta(days=price.least_days))
    counted = (
        select(
            func.count().filter(_LIVE).label("all"),
            func.count().filter(_LIVE, _COMPLETED).label("completed"),
            func.count().filter(_LIVE, Respaldo.estado == Estado.FALLIDO).label("failed"),
            bytes_of(wanted).label("bytes"),
            bytes_of(Respaldo.purgado.is_(None)).label("stored"),
            bytes_of(paid, func.greatest(Respaldo.tamaño_bytes, price.least_bytes)).label("billed"),
        )
        .where(mine)
        .subquery()
    )
    last = (
        select(Respaldo.id, Respaldo.fecha_respaldo, Respaldo.tamaño_bytes)
        .where(mine, _LIVE, _COMPLETED)
        .order_by(Respaldo.fecha_respaldo.desc(), Respaldo.id.desc())
        .limit(1)
        .subquery()
    )
    row = await session.execute(select(counted, last).select_from(counted.outerjoin(last, true())))
    return Totals(*row.one())


@dataclass(frozen=True, slots=True)
class Ended:
    """A backup that was completed or failed, also one that has been deleted since."""

    taken_at: datetime
    estado: Estado
    bytes: int | None
    elapsed: timedelta | None


async def ended_since(session: AsyncSession, *, clinica_id: int | None, since: datetime) -> list[Ended]:
    """The clinic's backups from then on that have come to an end by themselves, oldest first."""
    found = await session.execute(
        select(Respaldo.fecha_respaldo, Respaldo.estado, Respaldo.tamaño_bytes, Respaldo.tiempo_ejecucion)
        .where(
            Respaldo.clinica_id == clinica_id,
            Respaldo.fecha_respaldo >= since,
            Respaldo.estado.in_([Estado.COMPLETADO, Estado.FALLIDO]),
        )
        .order_by(Respaldo.fecha_respaldo, Respaldo.id)
    )
    return [Ended(*row) for row in found]
