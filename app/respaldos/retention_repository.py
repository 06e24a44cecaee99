"""What deleting, keeping and counting a clinic's backups asks of the database, in its caller's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, ColumnElement, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from app.errors import RespaldoNotFound
from app.respaldos.models import Accion, Estado, Evento, Respaldo
from app.respaldos.retention import FOR_EVER_DAYS

_LIVE = Respaldo.fecha_eliminacion.is_(None)
_COMPLETED = Respaldo.estado == Estado.COMPLETADO
_AT_REST = Respaldo.estado.not_in([Estado.PENDIENTE, Estado.PROCESANDO])


async def live(session: AsyncSession, *, clinica_id: int | None, locked: bool) -> Sequence[Respaldo]:
    """The clinic's backups that are not deleted, without their metadata.

    `locked`: nobody else deletes, accepts or verifies one of them until the transaction ends. Whoever waited for
    the lock sees what the other one did.
    """
    wanted = (
        select(Respaldo)
        .where(Respaldo.clinica_id == clinica_id, _LIVE)
        # In one order, so that two that lock the same rows do not wait for each other.
        .order_by(Respaldo.id)
        .options(defer(Respaldo.metadata_, raiseload=True))
        .execution_options(populate_existing=True)
    )
    if locked:
        # What runs gives signs of life, which must not wait; it is not deleted anyway.
        at_rest = select(Respaldo.id).where(Respaldo.clinica_id == clinica_id, _LIVE, _AT_REST)
        await session.execute(at_rest.order_by(Respaldo.id).with_for_update(key_share=True))
    return (await session.scalars(wanted)).all()


async def recoveries(session: AsyncSession, *, clinica_id: int | None, since: datetime) -> Mapping[int, datetime]:
    """Which backups a person has taken back since then, and when last."""
    found = await session.execute(
        select(Evento.respaldo_id, func.max(Evento.fecha))
        .where(
            Evento.clinica_id == clinica_id,
            Evento.accion == Accion.RECUPERACION,
            Evento.fecha > since,
            Evento.respaldo_id.is_not(None),
        )
        .group_by(Evento.respaldo_id)
    )
    return {respaldo_id: fecha for respaldo_id, fecha in found if respaldo_id is not None}


async def locked(session: AsyncSession, respaldo_id: int, *, clinica_id: int | None) -> Respaldo:
    """The clinic's backup of that id, deleted or not, which nobody else changes until the transaction ends.

    Raises RespaldoNotFound, in the same words where the backup is another clinic's.
    """
    found = await session.scalar(
        select(Respaldo)
        .where(Respaldo.id == respaldo_id, Respaldo.clinica_id == clinica_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise RespaldoNotFound(f"no existe el respaldo {respaldo_id}")
    return found


async def mark_deleted(session: AsyncSession, respaldo_id: int, *, clinica_id: int | None) -> bool:
    """Hide the backup; False where it is deleted already, or is pending or running."""
    marked = await session.scalar(
        update(Respaldo)
        .where(
            Respaldo.id == respaldo_id,
            Respaldo.clinica_id == clinica_id,
            _LIVE,
            _AT_REST,
        )
        .values(fecha_eliminacion=func.now())
        .returning(Respaldo.id)
    )
    return marked is not None


def being_purged(respaldo: Respaldo) -> bool:
    """Whether the deleted backup's object is gone, or may be: its removal has begun."""
    # Nothing else is under way for a deleted backup.
    return respaldo.purgado is not None or respaldo.progreso is not None


def deleted_for(days: int) -> ColumnElement[bool]:
    """Whether the backup was deleted at least so many days ago, by the database's clock."""
    return Respaldo.fecha_eliminacion <= func.clock_timestamp() - timedelta(days=min(days, FOR_EVER_DAYS))


async def begin_purge(session: AsyncSession, respaldo_id: int, *, clinica_id: int | None, days: int) -> bool:
    """Give up a deleted backup's object, so that nobody takes it back while S3 removes it.

    False where somebody just has, or where it was deleted less than `days` ago.
    """
    begun = await session.scalar(
        update(Respaldo)
        .where(
            Respaldo.id == respaldo_id,
            Respaldo.clinica_id == clinica_id,
            deleted_for(days),
            Respaldo.purgado.is_(None),
        )
        .values(progreso={"etapa": "purgando"})
        .returning(Respaldo.id)
    )
    return begun is not None


async def mark_purged(session: AsyncSession, respaldo_id: int, *, clinica_id: int | None) -> None:
    """Record that the deleted backup has no object any more."""
    await session.execute(
        update(Respaldo)
        .where(
            Respaldo.id == respaldo_id,
            Respaldo.clinica_id == clinica_id,
            Respaldo.fecha_eliminacion.is_not(None),
        )
        .values(purgado=func.now(), progreso=None)
    )


async def good_before(session: AsyncSession, *, clinica_id: int | None, moment: datetime) -> Respaldo | None:
    """The clinic's newest good backup of before then."""
    return await session.scalar(
        select(Respaldo)
        .where(
            Respaldo.clinica_id == clinica_id,
            Respaldo.fecha_respaldo < moment,
            Respaldo.good,
        )
        .order_by(Respaldo.fecha_respaldo.desc(), Respaldo.id.desc())
        .limit(1)
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

    moment: datetime
    estado: Estado
    bytes: int | None
    elapsed: timedelta | None


async def ended_since(session: AsyncSession, *, clinica_id: int | None, moment: datetime) -> list[Ended]:
    """The clinic's backups from then on that have come to an end by themselves, oldest first."""
    found = await session.execute(
        select(Respaldo.fecha_respaldo, Respaldo.estado, Respaldo.tamaño_bytes, Respaldo.tiempo_ejecucion)
        .where(
            Respaldo.clinica_id == clinica_id,
            Respaldo.fecha_respaldo >= moment,
            Respaldo.estado.in_([Estado.COMPLETADO, Estado.FALLIDO]),
        )
        .order_by(Respaldo.fecha_respaldo, Respaldo.id)
    )
    return [Ended(*row) for row in found]
