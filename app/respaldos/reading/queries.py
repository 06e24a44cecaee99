"""The `restauracion` rows of one clinic, or of the platform where `clinica_id` is None.

Each function takes part in its caller's transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import exists, func, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import RespaldoNotFound
from app.respaldos.audit import SERVICE, Actor
from app.respaldos.jobs import queries as job_queries
from app.respaldos.jobs.fleet import serialize
from app.respaldos.jobs.kinds import job_values
from app.respaldos.models import (
    Accion,
    Clase,
    Estado,
    Evento,
    Profundidad,
    Respaldo,
    Restauracion,
    TipoRestauracion,
    Trabajo,
)


async def add_verification(
    session: AsyncSession, respaldo_id: int, *, clinica_id: int | None, profundidad: Profundidad, actor: Actor
) -> Restauracion:
    """A new pending verification of the clinic's backup, or the one of that depth that is pending or running.

    Raises TooManyReadings where a person asks for one more than may wait.
    """
    added, _ = await _add_unless(
        session,
        (Estado.PENDIENTE, Estado.PROCESANDO),
        Clase.VERIFICACION,
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

    One that failed does not count. Raises TooManyReadings.
    """
    return await _add_unless(
        session,
        (Estado.PENDIENTE, Estado.PROCESANDO, Estado.COMPLETADO),
        Clase.COMPARACION,
        actor,
        clinica_id=clinica_id,
        respaldo_id=respaldo_id,
        tipo=TipoRestauracion.COMPARACION,
        comparado_con=desde,
    )


async def _add_unless(
    session: AsyncSession,
    estados: Collection[Estado],
    clase: Clase,
    actor: Actor,
    *,
    clinica_id: int | None,
    respaldo_id: int,
    **values: Any,
) -> tuple[Restauracion, bool]:
    """A new row with these values, unless there is one like it in one of the states: then that one, and False."""
    # Whoever else asks at the same moment waits here, and then finds what this adds.
    await serialize(session)
    present = await session.scalar(
        select(Restauracion)
        .where(
            Restauracion.respaldo_id == respaldo_id,
            Restauracion.clinica_id == clinica_id,
            Restauracion.trabajo.has(Trabajo.estado.in_(estados)),
        )
        .filter_by(**values)
        .order_by(Restauracion.id.desc())
        .limit(1)
    )
    if present is not None:
        return present, False
    # The weekly trials come one by one.
    if actor != SERVICE:
        await job_queries.refuse_if_many_readings_wait(session, clinica_id=clinica_id)
    return await add(session, clase, respaldo_id, clinica_id=clinica_id, actor=actor, **values), True


async def add(
    session: AsyncSession,
    clase: Clase,
    respaldo_id: int,
    *,
    clinica_id: int | None,
    actor: Actor,
    of_job: Mapping[str, bool] | None = None,
    **values: Any,
) -> Restauracion:
    """A new row with these values, and its pending job; `of_job` are columns of that which its kind does not say."""
    added = Restauracion(respaldo_id=respaldo_id, clinica_id=clinica_id, **values)
    added.trabajo = Trabajo(
        **job_values(clase, clinica_id=clinica_id, actor=actor, respaldo_id=respaldo_id, **(of_job or {}))
    )
    session.add(added)
    await session.flush()
    return added


async def is_unbroken(session: AsyncSession, respaldo: Respaldo, *, clinica_id: int | None) -> bool:
    """Whether it is known that no older backup of the clinic has been restored since this one was asked for.

    Of one that was indexed anew, nobody knows.
    """
    restored = (
        exists()
        .where(
            Trabajo.clinica_id == clinica_id,
            Trabajo.clase == Clase.RESTAURACION,
            # Not into another database.
            Trabajo.exclusiva,
            Trabajo.estado == Estado.COMPLETADO,
            Trabajo.fecha_fin >= respaldo.fecha_creacion,
            Trabajo.respaldo_id == Respaldo.id,
            Respaldo.fecha_creacion < respaldo.fecha_creacion,
        )
        .select_from(Trabajo, Respaldo)
    )
    indexed = exists().where(
        Evento.clinica_id == clinica_id, Evento.accion == Accion.REINDEXACION, Evento.respaldo_id == respaldo.id
    )
    return bool(await session.scalar(select(not_(or_(restored, indexed)))))


async def note(session: AsyncSession, job: Trabajo, *, clinica_id: int | None, **values: Any) -> bool:
    """Write these values into the job's row; False, and none written, where the attempt is another's."""
    if await job_queries.locked(session, job, clinica_id=clinica_id) is None:
        return False
    await session.execute(
        update(Restauracion)
        .where(Restauracion.id == job.restauracion_id, Restauracion.clinica_id == clinica_id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return True


async def for_job(session: AsyncSession, job: Trabajo, *, clinica_id: int | None) -> Restauracion:
    """What the job is to do, as it is now."""
    found = await session.scalar(
        select(Restauracion)
        .where(Restauracion.id == job.restauracion_id, Restauracion.clinica_id == clinica_id)
        .execution_options(populate_existing=True)
    )
    assert found is not None  # noqa: S101 (they were added together)
    return found


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
    found = await session.scalars(wanted.order_by(Restauracion.id.desc()).limit(limit).offset(offset))
    return found.all(), total or 0
