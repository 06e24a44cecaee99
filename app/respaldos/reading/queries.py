"""The `restauracion` rows of one clinic, or of the platform where `clinica_id` is None.

Each function takes part in its caller's transaction.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, not_, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.dump.whose import whose
from app.errors import OperationInProgress, RespaldoNotFound
from app.respaldos.audit import Actor
from app.respaldos.lease import Beat, lease_end
from app.respaldos.models import (
    Accion,
    Estado,
    Evento,
    Operacion,
    Profundidad,
    Respaldo,
    Restauracion,
    TipoOperacion,
    TipoRestauracion,
)
from app.respaldos.progress import Progreso


async def add_verification(
    session: AsyncSession, respaldo_id: int, *, clinica_id: int | None, profundidad: Profundidad, actor: Actor
) -> Restauracion:
    """A new pending verification of the clinic's backup, or the one of that depth that is pending or running."""
    added, _ = await _add_unless(
        session,
        (Estado.PENDIENTE, Estado.PROCESANDO),
        actor,
        clinica_id=clinica_id,
        respaldo_id=respaldo_id,
        tipo=TipoRestauracion.VERIFICACION,
        profundidad=profundidad,
    )
    return added


async def add_comparison(
    session: AsyncSession, respaldo_id: int, *, clinica_id: int | None, desde: int, actor: Actor
) -> tuple[Restauracion, bool]:
    """A new pending comparison of the clinic's backup with `desde`, and True; or the same one from before, and False.

    One that failed does not count.
    """
    return await _add_unless(
        session,
        (Estado.PENDIENTE, Estado.PROCESANDO, Estado.COMPLETADO),
        actor,
        clinica_id=clinica_id,
        respaldo_id=respaldo_id,
        tipo=TipoRestauracion.COMPARACION,
        comparado_con=desde,
    )


async def _add_unless(
    session: AsyncSession,
    estados: Collection[Estado],
    actor: Actor,
    *,
    clinica_id: int | None,
    respaldo_id: int,
    **values: Any,
) -> tuple[Restauracion, bool]:
    """A new row with these values, unless there is one like it in one of the states: then that one, and False."""
    # Whoever else asks at the same moment waits here, and then finds what this adds.
    await session.execute(
        select(Respaldo.id).where(Respaldo.id == respaldo_id, Respaldo.clinica_id == clinica_id).with_for_update()
    )
    present = await session.scalar(
        select(Restauracion)
        .where(
            Restauracion.respaldo_id == respaldo_id,
            Restauracion.clinica_id == clinica_id,
            Restauracion.estado.in_(estados),
        )
        .filter_by(**values)
        .order_by(Restauracion.id.desc())
        .limit(1)
    )
    if present is not None:
        return present, False
    added = Restauracion(
        respaldo_id=respaldo_id,
        clinica_id=clinica_id,
        usuario=actor.usuario,
        direccion=actor.direccion,
        **values,
    )
    session.add(added)
    await session.flush()
    await session.refresh(added)
    return added, True


async def add_restore(
    session: AsyncSession, respaldo_id: int, *, clinica_id: int | None, actor: Actor, **values: Any
) -> Restauracion:
    """A new pending restore of the clinic's backup; `values` are of its row.

    Raises OperationInProgress where the clinic has one pending or running already, of whichever backup.
    """
    added: Restauracion | None = await session.scalar(
        postgresql_insert(Restauracion)
        .values(
            respaldo_id=respaldo_id,
            clinica_id=clinica_id,
            tipo=TipoRestauracion.RESTAURACION,
            usuario=actor.usuario,
            direccion=actor.direccion,
            **values,
        )
        .on_conflict_do_nothing()
        .returning(Restauracion)
    )
    if added is None:
        raise OperationInProgress(f"{whose(clinica_id)} ya tiene una restauración en curso")
    return added


async def take_clinic(session: AsyncSession, restauracion: Restauracion, *, clinica_id: int | None) -> None:
    """Keep everything else that would be done to the clinic away until the restore's `finish`.

    Raises OperationInProgress, upon which the transaction must be rolled back, where something is under way.
    """
    taken = await session.scalar(
        postgresql_insert(Operacion)
        .values(
            clinica_id=clinica_id,
            tipo=TipoOperacion.RESTAURACION,
            respaldo_id=restauracion.respaldo_id,
            restauracion_id=restauracion.id,
        )
        .on_conflict_do_nothing()
        .returning(Operacion.id)
    )
    if taken is None:
        raise OperationInProgress(f"{whose(clinica_id)} tiene un respaldo en curso")


async def is_unbroken(session: AsyncSession, respaldo: Respaldo, *, clinica_id: int | None) -> bool:
    """Whether it is known that no older backup of the clinic has been restored since this one was asked for.

    Of one that was indexed anew, nobody knows.
    """
    restored = (
        exists()
        .where(
            Restauracion.clinica_id == clinica_id,
            Restauracion.tipo == TipoRestauracion.RESTAURACION,
            Restauracion.estado == Estado.COMPLETADO,
            Restauracion.simulada.is_(False),
            Restauracion.destino.is_(None),
            Restauracion.fecha_fin >= respaldo.fecha_creacion,
            Restauracion.respaldo_id == Respaldo.id,
            Respaldo.fecha_creacion < respaldo.fecha_creacion,
        )
        .select_from(Restauracion, Respaldo)
    )
    indexed = exists().where(
        Evento.clinica_id == clinica_id, Evento.accion == Accion.REINDEXACION, Evento.respaldo_id == respaldo.id
    )
    return bool(await session.scalar(select(not_(or_(restored, indexed)))))


async def note(
    session: AsyncSession, restauracion_id: int, intento: int, *, clinica_id: int | None, **values: Any
) -> bool:
    """Write these values into the row while the attempt goes on; False, and none written, where it is another's."""
    noted = await session.scalar(
        update(Restauracion)
        .where(*_mine(restauracion_id, intento, clinica_id))
        .values(**values)
        .returning(Restauracion.id)
    )
    return noted is not None


async def get(session: AsyncSession, restauracion_id: int, *, clinica_id: int | None) -> Restauracion:
    """Raises RespaldoNotFound, in the same words where it is another clinic's."""
    found = await session.scalar(
        select(Restauracion).where(Restauracion.id == restauracion_id, Restauracion.clinica_id == clinica_id)
    )
    if found is None:
        raise RespaldoNotFound(f"no existe la restauración {restauracion_id}")
    return found


async def page(
    session: AsyncSession, *, clinica_id: int | None, respaldo_id: int | None = None, limit: int, offset: int
) -> tuple[Sequence[Restauracion], int]:
    """The clinic's, or those of one of its backups, newest first, and how many there are in all."""
    wanted = select(Restauracion).where(Restauracion.clinica_id == clinica_id)
    if respaldo_id is not None:
        wanted = wanted.where(Restauracion.respaldo_id == respaldo_id)
    total = await session.scalar(wanted.with_only_columns(func.count()))
    found = await session.scalars(
        wanted.order_by(Restauracion.fecha_creacion.desc(), Restauracion.id.desc()).limit(limit).offset(offset)
    )
    return found.all(), total or 0


async def claim(session: AsyncSession, restauracion_id: int, *, clinica_id: int | None) -> Restauracion | None:
    """Take it for a lease, as its next attempt; None where it is not pending any more."""
    return await session.scalar(
        update(Restauracion)
        .where(
            Restauracion.id == restauracion_id,
            Restauracion.clinica_id == clinica_id,
            Restauracion.estado == Estado.PENDIENTE,
        )
        .values(estado=Estado.PROCESANDO, intento=Restauracion.intento + 1, lease_until=lease_end())
        .returning(Restauracion)
    )


async def beat(
    session: AsyncSession,
    restauracion_id: int,
    intento: int,
    *,
    clinica_id: int | None,
    renew: bool,
    progreso: Progreso | None,
) -> Beat:
    """Give a sign of life, as `repository.beat` does for a backup."""
    values: dict[str, Any] = {}
    if renew:
        values["lease_until"] = lease_end()
    if progreso is not None:
        values["progreso"] = progreso
    mine = _mine(restauracion_id, intento, clinica_id)
    statement: Any = (
        update(Restauracion).where(*mine).values(values).returning(Restauracion.id)
        if values
        else select(Restauracion.id).where(*mine)
    )
    return Beat.LOST if await session.scalar(statement) is None else Beat.MINE


async def finish(
    session: AsyncSession,
    restauracion_id: int,
    intento: int,
    *,
    clinica_id: int | None,
    estado: Estado,
    **values: Any,
) -> Restauracion | None:
    """End the attempt with these values of the row; None, and nothing changed, where it is another's by now."""
    if estado != Estado.PENDIENTE:
        values["fecha_fin"] = func.now()
    finished: Restauracion | None = await session.scalar(
        update(Restauracion)
        .where(*_mine(restauracion_id, intento, clinica_id))
        .values(estado=estado, lease_until=None, progreso=None, **values)
        .returning(Restauracion)
    )
    if finished is not None:
        await session.execute(
            delete(Operacion).where(Operacion.clinica_id == clinica_id, Operacion.restauracion_id == restauracion_id)
        )
    return finished


def _mine(restauracion_id: int, intento: int, clinica_id: int | None) -> tuple[ColumnElement[bool], ...]:
    return (
        Restauracion.id == restauracion_id,
        Restauracion.clinica_id == clinica_id,
        Restauracion.intento == intento,
        Restauracion.estado == Estado.PROCESANDO,
    )
