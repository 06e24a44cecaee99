"""The `exportacion` rows of one clinic, or of the platform where `clinica_id` is None.

Each function takes part in its caller's transaction.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import RespaldoNotFound
from app.export.format import Formato
from app.respaldos.audit import Actor
from app.respaldos.jobs import queries as job_queries
from app.respaldos.jobs.fleet import serialize
from app.respaldos.jobs.kinds import job_values
from app.respaldos.models import Clase, Estado, Exportacion, Respaldo, Trabajo

# Those of a deleted backup are hidden as it is, and go before it does.
_LIVE = Exportacion.respaldo.has(Respaldo.fecha_eliminacion.is_(None))


def _in(*estados: Estado) -> ColumnElement[bool]:
    return Exportacion.trabajo.has(Trabajo.estado.in_(estados))


async def add(
    session: AsyncSession,
    respaldo_id: int,
    *,
    clinica_id: int | None,
    formato: Formato,
    horas: int,
    actor: Actor,
) -> tuple[Exportacion, bool]:
    """A new pending export of the clinic's backup, and True; or one of that format that is to be had, and False.

    That one is under way, or waits to be downloaded. Raises TooManyReadings.
    """
    # Whoever else asks at the same moment waits here, and then finds what this adds.
    await serialize(session)
    there = and_(
        _in(Estado.COMPLETADO),
        Exportacion.limpiado.is_(None),
        Exportacion.descargado.is_(None),
        Exportacion.vence > func.now(),
    )
    present = await session.scalar(
        select(Exportacion)
        .where(
            Exportacion.respaldo_id == respaldo_id,
            Exportacion.clinica_id == clinica_id,
            Exportacion.formato == formato,
            or_(_in(Estado.PENDIENTE, Estado.PROCESANDO), there),
        )
        .order_by(Exportacion.id.desc())
        .limit(1)
    )
    if present is not None:
        return present, False
    await job_queries.refuse_if_many_readings_wait(session, clinica_id=clinica_id)
    added = Exportacion(respaldo_id=respaldo_id, clinica_id=clinica_id, formato=formato, horas=horas)
    added.trabajo = Trabajo(
        **job_values(Clase.EXPORTACION, clinica_id=clinica_id, actor=actor, respaldo_id=respaldo_id)
    )
    session.add(added)
    await session.flush()
    await session.refresh(added, ["respaldo"])
    return added, True


async def for_job(session: AsyncSession, job: Trabajo, *, clinica_id: int | None) -> Exportacion:
    """What the job is to make, as it is now; of a deleted backup, too."""
    found = await session.scalar(
        select(Exportacion)
        .where(Exportacion.id == job.exportacion_id, Exportacion.clinica_id == clinica_id)
        .execution_options(populate_existing=True)
    )
    assert found is not None  # noqa: S101 (they were added together)
    return found


async def get(session: AsyncSession, exportacion_id: int, *, clinica_id: int | None) -> Exportacion:
    """Raises RespaldoNotFound, in the same words where it is another clinic's, or a deleted backup's."""
    found = await session.scalar(
        select(Exportacion)
        .where(Exportacion.id == exportacion_id, Exportacion.clinica_id == clinica_id, _LIVE)
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise RespaldoNotFound(f"no existe la exportación {exportacion_id}")
    return found


async def page(
    session: AsyncSession, *, clinica_id: int | None, respaldo_id: int | None = None, limit: int, offset: int
) -> tuple[Sequence[Exportacion], int]:
    """The clinic's, or those of one of its backups, newest first, and how many there are in all."""
    wanted = select(Exportacion).where(Exportacion.clinica_id == clinica_id, _LIVE)
    if respaldo_id is not None:
        wanted = wanted.where(Exportacion.respaldo_id == respaldo_id)
    total = await session.scalar(wanted.with_only_columns(func.count()))
    found = await session.scalars(wanted.order_by(Exportacion.id.desc()).limit(limit).offset(offset))
    return found.all(), total or 0


async def made(session: AsyncSession, job: Trabajo, *, clinica_id: int | None, **values: Any) -> None:
    """Write down what the job has made; it can be had from now on, for as long as was said when it was asked for."""
    await session.execute(
        update(Exportacion)
        .where(Exportacion.id == job.exportacion_id, Exportacion.clinica_id == clinica_id)
        .values(vence=func.now() + func.make_interval(0, 0, 0, 0, Exportacion.horas), **values)
        .execution_options(synchronize_session=False)
    )


async def put_link(
    session: AsyncSession, exportacion_id: int, *, clinica_id: int | None, enlace: str, usuario: str | None
) -> bool:
    """Make this the export's one good link; False where its time is over."""
    put = await session.scalar(
        update(Exportacion)
        .where(
            Exportacion.id == exportacion_id,
            Exportacion.clinica_id == clinica_id,
            Exportacion.limpiado.is_(None),
            Exportacion.vence > func.now(),
        )
        .values(enlace=enlace, enlace_usuario=usuario, descarga=None)
        .returning(Exportacion.id)
    )
    return put is not None


async def use_link(
    session: AsyncSession, exportacion: Exportacion, *, clinica_id: int | None, descarga: str, kept: timedelta
) -> bool:
    """Have this download use up the link, of which the export is as it was read; False where another one has.

    False, too, where there is another link by now. The export goes after `kept`, if not before.
    """
    used = await session.scalar(
        update(Exportacion)
        .where(
            Exportacion.id == exportacion.id,
            Exportacion.clinica_id == clinica_id,
            Exportacion.enlace == exportacion.enlace,
            or_(Exportacion.descarga.is_(None), Exportacion.descarga == descarga),
        )
        .values(
            descarga=descarga,
            descargado=func.now(),
            vence=func.least(Exportacion.vence, func.now() + kept),
        )
        .returning(Exportacion.id)
        .execution_options(synchronize_session=False)
    )
    return used is not None
