"""The `respaldo` rows of one clinic, or of the platform where `clinica_id` is None: never both.

Each function takes part in its caller's transaction.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    ScalarSelect,
    Text,
    UnaryExpression,
    and_,
    false,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app import tracing
from app.dump.whose import whose
from app.errors import OperationInProgress, RespaldoNotFound
from app.respaldos.audit import Actor
from app.respaldos.backup.object_key import generar_ruta_s3
from app.respaldos.jobs.kinds import job_values
from app.respaldos.models import (
    Clase,
    Estado,
    Intento,
    Profundidad,
    Respaldo,
    TipoRespaldo,
    Trabajo,
)


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
    session: AsyncSession,
    *,
    clinica_id: int | None,
    tipo: TipoRespaldo,
    descripcion: str,
    actor: Actor,
    **of_job: bool,
) -> tuple[Respaldo, Trabajo]:
    """A new pending backup and its job, with `of_job` as its columns.

    Raises OperationInProgress, upon which the transaction must be rolled back, where the job is exclusive and the
    clinic already has such a backup pending or running.
    """
    respaldo = Respaldo(
        clinica_id=clinica_id,
        estado=Estado.PENDIENTE,
        tipo_respaldo=tipo,
        descripcion=descripcion,
        usuario=actor.usuario,
        usuario_nombre=actor.nombre,
        metadata_=tracing.carried(),
    )
    session.add(respaldo)
    await session.flush()
    job: Trabajo | None = await session.scalar(
        postgresql_insert(Trabajo)
        .values(**job_values(Clase.RESPALDO, clinica_id=clinica_id, actor=actor, respaldo_id=respaldo.id, **of_job))
        .on_conflict_do_nothing()
        .returning(Trabajo)
    )
    if job is not None:
        return respaldo, job
    running = await in_progress(session, clinica_id=clinica_id)
    which = f" (número {running.id}, {running.estado})" if running is not None else ""
    raise OperationInProgress(
        f"{whose(clinica_id)} ya tiene un respaldo en curso{which}", running.id if running is not None else None
    )


async def in_progress(session: AsyncSession, *, clinica_id: int | None) -> Respaldo | None:
    """The clinic's backup that is pending or running; no safety backup, which is part of its restore."""
    return await session.scalar(
        select(Respaldo)
        .join(Trabajo, Trabajo.respaldo_id == Respaldo.id)
        .where(
            Respaldo.clinica_id == clinica_id,
            Trabajo.clase == Clase.RESPALDO,
            Trabajo.exclusiva,
            Trabajo.estado.in_([Estado.PENDIENTE, Estado.PROCESANDO]),
        )
    )


async def add_attempt(
    session: AsyncSession,
    respaldo_id: int,
    numero: int,
    *,
    clinica_id: int | None,
    started: datetime,
    time_zone: ZoneInfo,
    encrypted: bool = False,
) -> str:
    """Record the attempt under a key that no other has, nor any backup: that of its second, or of the next free one.

    Attempts that are long over are no longer there, and a clock may be set back to the time of a backup that is.
    """
    while True:
        key = generar_ruta_s3(clinica_id, started, time_zone, encrypted=encrypted)
        taken = select(Respaldo.id).where(Respaldo.archivo_s3 == key, Respaldo.respaldo_base_id.is_(None)).exists()
        added = await session.scalar(
            postgresql_insert(Intento)
            .from_select(
                [Intento.respaldo_id, Intento.numero, Intento.archivo_s3],
                select(literal(respaldo_id, BigInteger), literal(numero, Integer), literal(key, Text)).where(~taken),
            )
            .on_conflict_do_nothing(index_elements=[Intento.archivo_s3])
            .returning(Intento.archivo_s3)
        )
        if added is not None:
            return key
        started += timedelta(seconds=1)


async def end_attempt(session: AsyncSession, job: Trabajo, *, clinica_id: int | None, seconds: float | None) -> None:
    """Record that the attempt has ended, after so many seconds, or, where that is None, because its lease ran out.

    Nothing is to be cleaned up after a completed one, whose row is for its maker to fill in.
    """
    completed = job.estado == Estado.COMPLETADO
    ended = await session.scalar(
        update(Intento)
        .where(
            Intento.respaldo_id == job.respaldo_id,
            Intento.numero == job.intento,
            Respaldo.id == Intento.respaldo_id,
            Respaldo.clinica_id == clinica_id,
        )
        .values(fin=func.now(), vencido=seconds is None, limpiado=func.now() if completed else None)
        .returning(Intento.numero)
    )
    if ended is not None and seconds is not None and not completed:
        await set_values(session, job.respaldo_id, clinica_id=clinica_id, tiempo_ejecucion=timedelta(seconds=seconds))


async def set_values(
    session: AsyncSession, respaldo_id: int, *, clinica_id: int | None, **values: Any
) -> Respaldo | None:
    """Write these values into the backup's row; None where the clinic has no such."""
    return await session.scalar(
        update(Respaldo)
        .where(Respaldo.id == respaldo_id, Respaldo.clinica_id == clinica_id)
        .values(**values)
        .returning(Respaldo)
        .execution_options(populate_existing=True)
    )


async def reopen_cleaning(session: AsyncSession, respaldo_id: int, numero: int, *, clinica_id: int | None) -> None:
    """Have a failed attempt cleaned up after from now on: others may have ended it, and cleaned, while it went on."""
    await session.execute(
        update(Intento)
        .where(
            Intento.respaldo_id == respaldo_id,
            Intento.numero == numero,
            Respaldo.id == Intento.respaldo_id,
            Respaldo.clinica_id == clinica_id,
            Respaldo.archivo_s3.is_distinct_from(Intento.archivo_s3),
        )
        .values(fin=func.clock_timestamp(), limpiado=None)
    )


async def last_good(session: AsyncSession, *, clinica_id: int | None) -> Respaldo | None:
    """The clinic's newest good backup (`Respaldo.good`)."""
    return await session.scalar(
        select(Respaldo).where(Respaldo.clinica_id == clinica_id, Respaldo.good).order_by(*_NEWEST_FIRST).limit(1)
    )


async def hold_good(session: AsyncSession, respaldo_id: int, *, clinica_id: int | None) -> bool:
    """Whether the backup is good; until the transaction ends nobody deletes it, or finds it damaged."""
    held = await session.scalar(
        select(Respaldo.id)
        .where(Respaldo.id == respaldo_id, Respaldo.clinica_id == clinica_id, Respaldo.good)
        .with_for_update(read=True)
    )
    return held is not None


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


async def failed_since(
    session: AsyncSession, respaldo: Respaldo | None, *, clinica_id: int | None, but: int | None = None
) -> bool:
    """Whether a backup of the clinic other than `but` was asked for after that one (or at all) and failed."""
    after = respaldo.id if respaldo is not None else 0
    failed: bool | None = await session.scalar(
        select(
            select(Respaldo.id)
            .where(
                Respaldo.clinica_id == clinica_id,
                Respaldo.estado == Estado.FALLIDO,
                Respaldo.id > after,
                Respaldo.id.is_distinct_from(but),
            )
            .exists()
        )
    )
    return bool(failed)


async def doubted_since(
    session: AsyncSession, respaldo: Respaldo | None, *, clinica_id: int | None, but: int
) -> bool:
    """Whether the clinic has a suspicious backup other than `but` that was asked for after that one, or at all."""
    after = respaldo.id if respaldo is not None else 0
    doubted: bool | None = await session.scalar(
        select(
            select(Respaldo.id)
            .where(Respaldo.clinica_id == clinica_id, Respaldo.sospechoso, Respaldo.id > after, Respaldo.id != but)
            .exists()
        )
    )
    return bool(doubted)


async def mark_verified(
    session: AsyncSession, respaldo_id: int, *, clinica_id: int | None, profundidad: Profundidad, error: str | None
) -> None:
    """Record what a verification found of the object; `error` is why it is not the backup that was made.

    Of every backup that has this object. A less thorough verification says nothing against what a more thorough one
    found, but that it fails where that did not.
    """
    sharing = await lock_sharing(session, respaldo_id, clinica_id=clinica_id)
    found = (
        update(Respaldo)
        .where(sharing)
        .values(verificado=func.now(), verificado_profundidad=profundidad, verificado_error=error)
    )
    depths = list(Profundidad)
    if deeper := depths[depths.index(profundidad) + 1 :]:
        more_thorough = func.coalesce(Respaldo.verificado_profundidad.in_(deeper), false())
        stands = more_thorough if error is None else and_(more_thorough, Respaldo.verificado_error.is_not(None))
        found = found.where(~stands)
    await session.execute(found)


def copies_of(respaldo_id: int, *, clinica_id: int | None) -> ScalarSelect[dict[str, Any]]:
    """What the clinic's backup says of its second copies when the statement that this is part of is made."""
    asked = aliased(Respaldo)
    return select(asked.copias).where(asked.id == respaldo_id, asked.clinica_id == clinica_id).scalar_subquery()


async def lock_sharing(session: AsyncSession, respaldo_id: int, *, clinica_id: int | None) -> ColumnElement[bool]:
    """Every backup that has the object of this one, which nobody else changes until the transaction ends."""
    asked = aliased(Respaldo)
    owner = (
        select(func.coalesce(asked.respaldo_base_id, asked.id))
        .where(asked.id == respaldo_id, asked.clinica_id == clinica_id)
        .scalar_subquery()
    )
    sharing = or_(Respaldo.id == owner, Respaldo.respaldo_base_id == owner)
    # In one order, as retention locks them. An update looks again, at a point that was completed meanwhile, too.
    await session.execute(select(Respaldo.id).where(sharing).order_by(Respaldo.id).with_for_update(key_share=True))
    return sharing


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
        (Respaldo.fecha_eliminacion.is_not(None), Respaldo.purgado.is_(None), Respaldo.purga_iniciada.is_(None))
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
