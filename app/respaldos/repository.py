"""The `respaldo` rows of one clinic. Each function takes part in its caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import OperationInProgress, RespaldoNotFound
from app.respaldos.models import Estado, Intento, Operacion, Respaldo, TipoOperacion, TipoRespaldo
from app.respaldos.object_key import generar_ruta_s3

# How long a process may give no sign of life before another takes its work over (seconds, DESIGN §8).
LEASE_SECONDS = 60


def _lease() -> Any:
    # By the database's clock: the clocks of two machines may differ by more than a lease.
    return func.clock_timestamp() + timedelta(seconds=LEASE_SECONDS)


async def add(
    session: AsyncSession, *, clinica_id: int, tipo: TipoRespaldo, descripcion: str, usuario: str | None
) -> Respaldo | None:
    """A new pending backup, or None where the clinic already has one pending or running."""
    return await session.scalar(
        postgresql_insert(Respaldo)
        .values(clinica_id=clinica_id, tipo_respaldo=tipo, descripcion=descripcion, usuario=usuario)
        .on_conflict_do_nothing()
        .returning(Respaldo)
    )


async def in_progress(session: AsyncSession, *, clinica_id: int) -> Respaldo | None:
    """The clinic's backup that is pending or running."""
    return await session.scalar(
        select(Respaldo).where(
            Respaldo.clinica_id == clinica_id, Respaldo.estado.in_([Estado.PENDIENTE, Estado.PROCESANDO])
        )
    )


async def claim(session: AsyncSession, respaldo_id: int, *, clinica_id: int) -> int:
    """Take the pending backup for a lease; return the attempt's number.

    Raises OperationInProgress, upon which the transaction must be rolled back, where the backup is not pending
    any more or something else is under way for the clinic.
    """
    intento: int | None = await session.scalar(
        update(Respaldo)
        .where(Respaldo.id == respaldo_id, Respaldo.clinica_id == clinica_id, Respaldo.estado == Estado.PENDIENTE)
        .values(estado=Estado.PROCESANDO, intento=Respaldo.intento + 1, lease_until=_lease())
        .returning(Respaldo.intento)
    )
    if intento is None:
        raise OperationInProgress(f"el respaldo {respaldo_id} ya no está pendiente")
    taken = await session.scalar(
        postgresql_insert(Operacion)
        .values(clinica_id=clinica_id, tipo=TipoOperacion.RESPALDO, respaldo_id=respaldo_id)
        .on_conflict_do_nothing()
        .returning(Operacion.clinica_id)
    )
    if taken is None:
        running = await session.scalar(select(Operacion).where(Operacion.clinica_id == clinica_id))
        what = "una restauración" if running and running.tipo == TipoOperacion.RESTAURACION else "un respaldo"
        which = f" (del respaldo número {running.respaldo_id})" if running is not None else ""
        raise OperationInProgress(f"la clínica {clinica_id} ya tiene {what} en curso{which}")
    return intento


async def add_attempt(
    session: AsyncSession,
    respaldo_id: int,
    numero: int,
    *,
    clinica_id: int,
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


async def renew(session: AsyncSession, respaldo_id: int, intento: int, *, clinica_id: int) -> bool:
    """Extend the lease; False where the backup is no longer this attempt's."""
    renewed = await session.scalar(
        update(Respaldo)
        .where(*_mine(respaldo_id, intento, clinica_id))
        .values(lease_until=_lease())
        .returning(Respaldo.id)
    )
    return renewed is not None


async def finish(
    session: AsyncSession, respaldo_id: int, intento: int, *, clinica_id: int, **values: Any
) -> Respaldo | None:
    """End the attempt with these values of the row; None, and nothing changed, where it is another's by now."""
    finished: Respaldo | None = await session.scalar(
        update(Respaldo)
        .where(*_mine(respaldo_id, intento, clinica_id))
        .values(lease_until=None, **values)
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


async def completed_by(session: AsyncSession, respaldo_id: int, intento: int, *, clinica_id: int) -> Respaldo | None:
    """The backup, where just this attempt completed it."""
    return await session.scalar(
        select(Respaldo).where(
            Respaldo.id == respaldo_id,
            Respaldo.clinica_id == clinica_id,
            Respaldo.intento == intento,
            Respaldo.estado == Estado.COMPLETADO,
        )
    )


async def reopen_cleaning(session: AsyncSession, respaldo_id: int, intento: int, *, clinica_id: int) -> None:
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


async def last_completed(session: AsyncSession, *, clinica_id: int, suspicious: bool = False) -> Respaldo | None:
    """The clinic's newest completed backup that is not deleted; a suspicious one only where asked for."""
    wanted = (
        select(Respaldo)
        .where(
            Respaldo.clinica_id == clinica_id,
            Respaldo.estado == Estado.COMPLETADO,
            Respaldo.fecha_eliminacion.is_(None),
        )
        .order_by(Respaldo.fecha_respaldo.desc(), Respaldo.id.desc())
        .limit(1)
    )
    return await session.scalar(wanted if suspicious else wanted.where(Respaldo.sospechoso.is_(False)))


@dataclass(frozen=True, slots=True)
class Totals:
    """Numbers of a clinic's backups that are not deleted, and the bytes of the completed ones."""

    all: int
    completed: int
    failed: int
    bytes: int


async def totals(session: AsyncSession, *, clinica_id: int) -> Totals:
    """Count the clinic's backups."""
    completed = Respaldo.estado == Estado.COMPLETADO
    row = await session.execute(
        select(
            func.count(),
            func.count().filter(completed),
            func.count().filter(Respaldo.estado == Estado.FALLIDO),
            func.coalesce(func.sum(Respaldo.tamaño_bytes).filter(completed), 0).cast(BigInteger),
        ).where(Respaldo.clinica_id == clinica_id, Respaldo.fecha_eliminacion.is_(None))
    )
    return Totals(*row.one())


async def get(session: AsyncSession, respaldo_id: int, *, clinica_id: int, deleted: bool = False) -> Respaldo:
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
    clinica_id: int,
    estado: Estado | None = None,
    tipo: TipoRespaldo | None = None,
    desde: datetime | None = None,
    hasta: datetime | None = None,
    limit: int,
    offset: int,
) -> tuple[Sequence[Respaldo], int]:
    """The clinic's backups that are not deleted, newest first, and how many there are in all.

    `desde` is within what is asked for, `hasta` is not.
    """
    wanted = select(Respaldo).where(Respaldo.clinica_id == clinica_id, Respaldo.fecha_eliminacion.is_(None))
    if estado is not None:
        wanted = wanted.where(Respaldo.estado == estado)
    if tipo is not None:
        wanted = wanted.where(Respaldo.tipo_respaldo == tipo)
    if desde is not None:
        wanted = wanted.where(Respaldo.fecha_respaldo >= desde)
    if hasta is not None:
        wanted = wanted.where(Respaldo.fecha_respaldo < hasta)
    total = await session.scalar(wanted.with_only_columns(func.count()))
    found = await session.scalars(
        wanted.order_by(Respaldo.fecha_respaldo.desc(), Respaldo.id.desc()).limit(limit).offset(offset)
    )
    return found.all(), total or 0


async def newest(session: AsyncSession, *, clinica_id: int, limit: int) -> Sequence[Respaldo]:
    """The clinic's backups that are not deleted, newest first."""
    found = await session.scalars(
        select(Respaldo)
        .where(Respaldo.clinica_id == clinica_id, Respaldo.fecha_eliminacion.is_(None))
        .order_by(Respaldo.fecha_respaldo.desc(), Respaldo.id.desc())
        .limit(limit)
    )
    return found.all()


def _mine(respaldo_id: int, intento: int, clinica_id: int) -> tuple[Any, ...]:
    return (
        Respaldo.id == respaldo_id,
        Respaldo.clinica_id == clinica_id,
        Respaldo.intento == intento,
        Respaldo.estado == Estado.PROCESANDO,
    )
