"""How a clinic's backups stand, or the platform's. Each function takes part in its caller's transaction."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, FromClause, Row, Select, case, func, literal, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from app.respaldos.models import Clase, Estado, Profundidad, Respaldo, TipoOperacion, Trabajo
from app.respaldos.status.health import BackupHealth, GoodBackup, LastProof

_LIVE = Respaldo.fecha_eliminacion.is_(None)
_COMPLETED = Respaldo.estado == Estado.COMPLETADO


async def health_of(session: AsyncSession, *, clinica_id: int | None) -> BackupHealth:
    """Of one clinic, known here or not, or of the platform."""
    found = await session.execute(health_rows_of([clinica_id] if clinica_id is not None else None))
    return as_health(found.one())


def health_rows_of(clinics: list[int] | None) -> Select[Any]:
    """A row for each of these clinics, in one statement; each of its parts is found by an index on the clinic.

    None is the platform, which is one row.
    """
    ids = literal(clinics if clinics is not None else [None], ARRAY(BigInteger))
    clinic: FromClause = func.unnest(ids).table_valued("id", name="clinica").render_derived()

    def of(column: InstrumentedAttribute[int | None], other: Any) -> ColumnElement[bool]:
        return column == other if clinics is not None else column.is_(None)

    mine = of(Respaldo.clinica_id, clinic.c.id)
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
    later = aliased(Respaldo)
    made_up_for = (
        select(later.id)
        .where(
            of(later.clinica_id, Respaldo.clinica_id),
            later.estado == Estado.COMPLETADO,
            later.fecha_respaldo > Respaldo.fecha_respaldo,
        )
        .exists()
    )
    failures = (
        select(func.count()).where(mine, _LIVE, Respaldo.estado == Estado.FALLIDO, ~made_up_for).scalar_subquery()
    )
    waiting = select(Respaldo.id).where(mine, Respaldo.estado.in_([Estado.PENDIENTE, Estado.PROCESANDO])).exists()
    operation = (
        select(case((Trabajo.clase == Clase.RESPALDO, TipoOperacion.RESPALDO), else_=TipoOperacion.RESTAURACION))
        .where(of(Trabajo.clinica_id, clinic.c.id), Trabajo.exclusiva, Trabajo.estado == Estado.PROCESANDO)
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
        failures,
    ).select_from(clinic.outerjoin(good, true()).outerjoin(proof, true()))


def as_health(row: Row[Any]) -> BackupHealth:
    """What a row of `health_rows_of` says."""
    clinica_id, good_id, taken_at, size, proven_id, proven, depth, error, running, failures = tuple(row)
    return BackupHealth(
        clinica_id,
        GoodBackup(good_id, taken_at, size) if good_id is not None else None,
        LastProof(proven_id, proven, Profundidad(depth), error) if proven_id is not None else None,
        TipoOperacion(running) if running is not None else None,
        failures,
    )


@dataclass(frozen=True, slots=True)
class Totals:
    """Numbers of a clinic's backups that are not deleted, the bytes of the completed ones, and the newest of these.

    `stored_bytes` is what is in S3: also what is deleted and not purged yet.
    """

    all: int
    completed: int
    failed: int
    bytes: int
    stored_bytes: int
    last_id: int | None
    last_moment: datetime | None
    last_bytes: int | None


async def totals(session: AsyncSession, *, clinica_id: int | None) -> Totals:
    """Count the clinic's backups."""

    def bytes_of(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.coalesce(func.sum(Respaldo.tamaño_bytes).filter(_COMPLETED, condition), 0).cast(BigInteger)

    mine = Respaldo.clinica_id == clinica_id
    counted = (
        select(
            func.count().filter(_LIVE).label("all"),
            func.count().filter(_LIVE, _COMPLETED).label("completed"),
            func.count().filter(_LIVE, Respaldo.estado == Estado.FALLIDO).label("failed"),
            bytes_of(_LIVE).label("bytes"),
            bytes_of(Respaldo.purgado.is_(None)).label("stored"),
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
