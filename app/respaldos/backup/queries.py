"""The `respaldo` rows of one clinic, or of the platform where `clinica_id` is None: never both.

Each function takes part in its caller's transaction.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, UnaryExpression, and_, delete, false, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.dump.whose import whose
from app.errors import Cancelled, OperationInProgress, RespaldoNotFound
from app.respaldos.audit import Actor
from app.respaldos.backup.object_key import generar_ruta_s3
from app.respaldos.lease import Beat, lease_end
from app.respaldos.models import (
    Estado,
    Intento,
    Operacion,
    Profundidad,
    Respaldo,
    TipoOperacion,
    TipoRespaldo,
)
from app.respaldos.progress import Progreso


class Orden(StrEnum):
    """What has no size or count yet comes last, whichever way round."""

    MAS_NUEVO = "-fecha_respaldo"
    MAS_ANTIGUO = "fecha_respaldo"
    MAS_GRANDE = "-tamaño_bytes"
    MAS_PEQUEÑO = "tamaño_bytes"
    MAS_REGISTROS = "-numero_registros"
    MENOS_REGISTROS = "numero_registros"


_NEWEST_FIRST = (Respaldo.fecha_respaldo.desc(), Respaldo.id.desc())

_ORDERS: dict[Orden, UnaryExpression[Any]] = {
    Orden.MAS_NUEVO: Respaldo.fecha_respaldo.desc(),
    Orden.MAS_ANTIGUO: Respaldo.fecha_respaldo.asc(),
    Orden.MAS_GRANDE: Respaldo.tamaño_bytes.desc().nulls_last(),
    Orden.MAS_PEQUEÑO: Respaldo.tamaño_bytes.asc().nulls_last(),
    Orden.MAS_REGISTROS: Respaldo.numero_registros.desc().nulls_last(),
    Orden.MENOS_REGISTROS: Respaldo.numero_registros.asc().nulls_last(),
}


async def add(
    session: AsyncSession, *, clinica_id: int | None, tipo: TipoRespaldo, descripcion: str, actor: Actor
) -> Respaldo:
    """A new pending backup. Raises OperationInProgress where the clinic already has one pending or running."""
    added: Respaldo | None = await session.scalar(
        postgresql_insert(Respaldo)
        .values(
            clinica_id=clinica_id,
            tipo_respaldo=tipo,
            descripcion=descripcion,
            usuario=actor.usuario,
            usuario_nombre=actor.nombre,
        )
        .on_conflict_do_nothing()
        .returning(Respaldo)
    )
    if added is not None:
        return added
    running = await in_progress(session, clinica_id=clinica_id)
    which = f" (número {running.id}, {running.estado})" if running is not None else ""
    raise OperationInProgress(
        f"{whose(clinica_id)} ya tiene un respaldo en curso{which}", running.id if running is not None else None
    )


async def in_progress(session: AsyncSession, *, clinica_id: int | None) -> Respaldo | None:
    """The clinic's backup that is pending or running."""
    return await session.scalar(
        select(Respaldo).where(
            Respaldo.clinica_id == clinica_id, Respaldo.estado.in_([Estado.PENDIENTE, Estado.PROCESANDO])
        )
    )


async def refuse_if_busy(session: AsyncSession, *, clinica_id: int | None) -> None:
    """Raise OperationInProgress where something is under way for the clinic, or a backup waits."""
    running = await in_progress(session, clinica_id=clinica_id)
    if running is not None:
        raise OperationInProgress(
            f"{whose(clinica_id)} tiene un respaldo en curso (número {running.id}, {running.estado})", running.id
        )
    operacion = await session.scalar(select(Operacion).where(Operacion.clinica_id == clinica_id))
    if operacion is not None:
        raise OperationInProgress(f"{whose(clinica_id)} tiene una restauración en curso")


async def claim(
    session: AsyncSession, respaldo_id: int, *, clinica_id: int | None, under: int | None = None
) -> Respaldo:
    """Take the pending backup for a lease, as its next attempt; `under` is the restore whose safety backup it is.

    Raises OperationInProgress, upon which the transaction must be rolled back, where the backup is not pending
    any more or something else is under way for the clinic.
    """
    claimed = await session.scalar(
        update(Respaldo)
        .where(Respaldo.id == respaldo_id, Respaldo.clinica_id == clinica_id, Respaldo.estado == Estado.PENDIENTE)
        .values(estado=Estado.PROCESANDO, intento=Respaldo.intento + 1, lease_until=lease_end())
        .returning(Respaldo)
        .execution_options(populate_existing=True)
    )
    if claimed is None:
        raise OperationInProgress(f"el respaldo {respaldo_id} ya no está pendiente", respaldo_id)
    taken = await session.scalar(
        postgresql_insert(Operacion)
        .values(clinica_id=clinica_id, tipo=TipoOperacion.RESPALDO, respaldo_id=respaldo_id)
        .on_conflict_do_nothing()
        .returning(Operacion.id)
    )
    if taken is None:
        running = await session.scalar(select(Operacion).where(Operacion.clinica_id == clinica_id))
        if under is not None and running is not None and running.restauracion_id == under:
            return claimed
        what = "una restauración" if running and running.tipo == TipoOperacion.RESTAURACION else "un respaldo"
        which = f" (del respaldo número {running.respaldo_id})" if running is not None else ""
        raise OperationInProgress(
            f"{whose(clinica_id)} ya tiene {what} en curso{which}",
            running.respaldo_id if running is not None else None,
        )
    return claimed


async def add_attempt(
    session: AsyncSession,
    respaldo_id: int,
    numero: int,
    *,
    clinica_id: int | None,
    started: datetime,
    time_zone: ZoneInfo,
) -> str:
    """Record the attempt under a key that no other has: that of its second, or of the next free one."""
    while True:
        key = generar_ruta_s3(clinica_id, started, time_zone)
        added = await session.scalar(
            postgresql_insert(Intento)
            .values(respaldo_id=respaldo_id, numero=numero, archivo_s3=key)
            .on_conflict_do_nothing(index_elements=[Intento.archivo_s3])
            .returning(Intento.archivo_s3)
        )
        if added is not None:
            return key
        started += timedelta(seconds=1)


async def beat(
    session: AsyncSession,
    respaldo_id: int,
    intento: int,
    *,
    clinica_id: int | None,
    renew: bool,
    progreso: Progreso | None,
) -> Beat:
    """Give a sign of life: extend the lease where `renew`, tell the progress where there is any news.

    Returns whether the backup is still this attempt's, and whether a person wants it stopped.
    """
    values: dict[str, Any] = {}
    if renew:
        values["lease_until"] = lease_end()
    if progreso is not None:
        values["progreso"] = progreso
    mine = _mine(respaldo_id, intento, clinica_id)
    statement: Any = (
        update(Respaldo).where(*mine).values(values).returning(Respaldo.cancelacion)
        if values
        else select(Respaldo.cancelacion).where(*mine)
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        return Beat.LOST
    return Beat.MINE if row[0] is None else Beat.CANCELLED


async def cancel_pending(
    session: AsyncSession, respaldo_id: int, *, clinica_id: int | None, reason: str
) -> Respaldo | None:
    """End the backup that nobody has begun; None where it is not pending."""
    return await session.scalar(
        update(Respaldo)
        .where(Respaldo.id == respaldo_id, Respaldo.clinica_id == clinica_id, Respaldo.estado == Estado.PENDIENTE)
        .values(
            estado=Estado.CANCELADO,
            cancelacion=func.now(),
            metadata_={"error": reason, "error_type": Cancelled.code, "avisos": []},
        )
        .returning(Respaldo)
    )


async def cancel_running(session: AsyncSession, respaldo_id: int, *, clinica_id: int | None) -> Respaldo | None:
    """Ask whoever makes the backup to stop; None where nobody does, or is asked already."""
    return await session.scalar(
        update(Respaldo)
        .where(
            Respaldo.id == respaldo_id,
            Respaldo.clinica_id == clinica_id,
            Respaldo.estado == Estado.PROCESANDO,
            Respaldo.cancelacion.is_(None),
        )
        .values(cancelacion=func.now())
        .returning(Respaldo)
    )


async def cancellation_wanted(
    session: AsyncSession, respaldo_id: int, intento: int, *, clinica_id: int | None
) -> bool:
    """Whether a person has asked for this attempt to be stopped; nobody can until the transaction has ended."""
    wanted: datetime | None = await session.scalar(
        select(Respaldo.cancelacion).where(*_mine(respaldo_id, intento, clinica_id)).with_for_update()
    )
    return wanted is not None


async def finish(
    session: AsyncSession, respaldo_id: int, intento: int, *, clinica_id: int | None, **values: Any
) -> Respaldo | None:
    """End the attempt with these values of the row; None, and nothing changed, where it is another's by now."""
    finished: Respaldo | None = await session.scalar(
        update(Respaldo)
        .where(*_mine(respaldo_id, intento, clinica_id))
        .values(lease_until=None, progreso=None, **values)
        .returning(Respaldo)
    )
    if finished is None:
        return None
    await session.execute(
        update(Intento)
        .where(Intento.respaldo_id == respaldo_id, Intento.numero == intento)
        .values(fin=func.now(), limpiado=func.now() if values.get("archivo_s3") else None)
    )
    await session.execute(
        delete(Operacion).where(Operacion.clinica_id == clinica_id, Operacion.respaldo_id == respaldo_id)
    )
    return finished


async def completed_by(
    session: AsyncSession, respaldo_id: int, intento: int, *, clinica_id: int | None
) -> Respaldo | None:
    """The backup, where just this attempt completed it."""
    return await session.scalar(
        select(Respaldo).where(
            Respaldo.id == respaldo_id,
            Respaldo.clinica_id == clinica_id,
            Respaldo.intento == intento,
            Respaldo.estado == Estado.COMPLETADO,
        )
    )


async def reopen_cleaning(session: AsyncSession, respaldo_id: int, intento: int, *, clinica_id: int | None) -> None:
    """Have an attempt cleaned up after once more: it went on after others had ended it and cleaned."""
    await session.execute(
        update(Intento)
        .where(
            Intento.respaldo_id == respaldo_id,
            Intento.numero == intento,
            Respaldo.id == Intento.respaldo_id,
            Respaldo.clinica_id == clinica_id,
        )
        .values(fin=func.clock_timestamp(), limpiado=None)
    )


async def last_good(session: AsyncSession, *, clinica_id: int | None) -> Respaldo | None:
    """The clinic's newest good backup (`Respaldo.good`)."""
    return await session.scalar(
        select(Respaldo).where(Respaldo.clinica_id == clinica_id, Respaldo.good).order_by(*_NEWEST_FIRST).limit(1)
    )


async def last_completed(session: AsyncSession, *, clinica_id: int | None) -> Respaldo | None:
    """The clinic's newest completed backup that is not deleted, good or not."""
    return await session.scalar(
        select(Respaldo)
        .where(
            Respaldo.clinica_id == clinica_id,
            Respaldo.estado == Estado.COMPLETADO,
            Respaldo.fecha_eliminacion.is_(None),
        )
        .order_by(*_NEWEST_FIRST)
        .limit(1)
    )


async def failed_since(session: AsyncSession, respaldo: Respaldo | None, *, clinica_id: int | None) -> bool:
    """Whether a backup of the clinic was asked for after that one (or at all) and failed."""
    after = respaldo.id if respaldo is not None else 0
    failed: bool | None = await session.scalar(
        select(
            select(Respaldo.id)
            .where(Respaldo.clinica_id == clinica_id, Respaldo.estado == Estado.FALLIDO, Respaldo.id > after)
            .exists()
        )
    )
    return bool(failed)


async def mark_verified(
    session: AsyncSession, respaldo_id: int, *, clinica_id: int | None, profundidad: Profundidad, error: str | None
) -> None:
    """Record what a verification found of the object; `error` is why it is not the backup that was made.

    A less thorough one says nothing against what a more thorough one found, but that it fails where that did not.
    """
    found = (
        update(Respaldo)
        .where(Respaldo.id == respaldo_id, Respaldo.clinica_id == clinica_id)
        .values(verificado=func.now(), verificado_profundidad=profundidad, verificado_error=error)
    )
    depths = list(Profundidad)
    if deeper := depths[depths.index(profundidad) + 1 :]:
        more_thorough = func.coalesce(Respaldo.verificado_profundidad.in_(deeper), false())
        stands = more_thorough if error is None else and_(more_thorough, Respaldo.verificado_error.is_not(None))
        found = found.where(~stands)
    await session.execute(found)


async def get(session: AsyncSession, respaldo_id: int, *, clinica_id: int | None, deleted: bool = False) -> Respaldo:
    """The clinic's backup of that id; a deleted one only where asked for.

    Raises RespaldoNotFound, in the same words where the backup is another clinic's.
    """
    found = await session.scalar(
        select(Respaldo).where(Respaldo.id == respaldo_id, Respaldo.clinica_id == clinica_id)
    )
    if found is None or (found.fecha_eliminacion is not None and not deleted):
        raise RespaldoNotFound(f"no existe el respaldo {respaldo_id}")
    return found


async def page(
    session: AsyncSession,
    *,
    clinica_id: int | None,
    estado: Estado | None = None,
    tipo: TipoRespaldo | None = None,
    desde: datetime | None = None,
    hasta: datetime | None = None,
    eliminados: bool = False,
    orden: Orden = Orden.MAS_NUEVO,
    limit: int,
    offset: int,
) -> tuple[Sequence[Respaldo], int]:
    """The clinic's backups that are not deleted, and how many there are in all; those alike in `orden`, newest first.

    `desde` is within what is asked for, `hasta` is not. With `eliminados`, those that are deleted and can be taken
    back.
    """
    there = (
        (Respaldo.fecha_eliminacion.is_not(None), Respaldo.purgado.is_(None), Respaldo.progreso.is_(None))
        if eliminados
        else (Respaldo.fecha_eliminacion.is_(None),)
    )
    wanted = select(Respaldo).where(Respaldo.clinica_id == clinica_id, *there)
    if estado is not None:
        wanted = wanted.where(Respaldo.estado == estado)
    if tipo is not None:
        wanted = wanted.where(Respaldo.tipo_respaldo == tipo)
    if desde is not None:
        wanted = wanted.where(Respaldo.fecha_respaldo >= desde)
    if hasta is not None:
        wanted = wanted.where(Respaldo.fecha_respaldo < hasta)
    total = await session.scalar(wanted.with_only_columns(func.count()))
    order = (_ORDERS[orden], *(_NEWEST_FIRST if orden is not Orden.MAS_ANTIGUO else (Respaldo.id.asc(),)))
    found = await session.scalars(wanted.order_by(*order).limit(limit).offset(offset))
    return found.all(), total or 0


def _mine(respaldo_id: int, intento: int, clinica_id: int | None) -> tuple[ColumnElement[bool], ...]:
    return (
        Respaldo.id == respaldo_id,
        Respaldo.clinica_id == clinica_id,
        Respaldo.intento == intento,
        Respaldo.estado == Estado.PROCESANDO,
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
