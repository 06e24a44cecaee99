"""What crosses clinics: for the command line and the worker, and nobody else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import BigInteger, and_, any_, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.jobs import queries as job_queries
from app.respaldos.jobs.kinds import KINDS, POINT_PRIORITY, job_values, those
from app.respaldos.models import Accion, Clase, Estado, Evento, Intento, Respaldo, TipoRespaldo, Trabajo

# What S3 was asked for before an attempt ended, it may still carry out when the attempt has been cleaned up after:
# a connection that broke or a machine that slept. So cleaning is done again until this long after (seconds).
LATE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class DanglingAttempt:
    """An ended attempt that may have left an object or an unfinished upload under its key."""

    respaldo_id: int
    numero: int
    archivo_s3: str


async def get(session: AsyncSession, respaldo_id: int) -> Respaldo | None:
    """The backup of that id, whichever clinic it is of."""
    return await session.get(Respaldo, respaldo_id)


async def newest_of_all(session: AsyncSession, *, limit: int) -> Sequence[Respaldo]:
    """All clinics' backups that are not deleted, newest first."""
    found = await session.scalars(
        select(Respaldo)
        .where(Respaldo.fecha_eliminacion.is_(None))
        .order_by(Respaldo.fecha_respaldo.desc(), Respaldo.id.desc())
        .limit(limit)
    )
    return found.all()


async def busy(session: AsyncSession, *, among: Sequence[int]) -> set[int]:
    """Those of the clinics that have a backup or a restore pending or running: no preview, no point that waits."""
    found = await session.scalars(
        select(Trabajo.clinica_id).where(
            Trabajo.clinica_id == any_(literal(list(among), ARRAY(BigInteger))),
            Trabajo.exclusiva,
            Trabajo.clase.in_(those(lambda kind: not kind.reading)),
            or_(
                Trabajo.estado == Estado.PROCESANDO,
                and_(Trabajo.estado == Estado.PENDIENTE, Trabajo.prioridad != POINT_PRIORITY),
            ),
        )
    )
    return {clinica_id for clinica_id in found if clinica_id is not None}


async def add_pending(
    session: AsyncSession,
    clinics: Sequence[int | None],
    *,
    tipo: TipoRespaldo,
    descripcion: str,
    actor: Actor,
) -> list[Respaldo]:
    """A pending backup with its job, and its line in the audit trail, for each of them that has no such.

    Whoever asks for so many at once comes after a person who asks for one. Points of the day that wait make way, but
    for others.
    """
    # In one order, so that two who do this at once wait for each other in the same one.
    ordered = sorted(clinics, key=lambda id_: (id_ is not None, id_))
    if tipo != TipoRespaldo.PUNTO:
        for waiting in await _points_that_wait(session, ordered):
            await job_queries.make_way(session, clinica_id=waiting)
    added = await session.scalars(
        insert(Respaldo)
        .values([{"clinica_id": id_, "tipo_respaldo": tipo, "descripcion": descripcion} for id_ in ordered])
        .returning(Respaldo)
    )
    respaldos = added.all()
    priority = POINT_PRIORITY if tipo == TipoRespaldo.PUNTO else KINDS[Clase.RESPALDO].unattended
    with_job = await session.scalars(
        insert(Trabajo)
        .values(
            [
                job_values(
                    Clase.RESPALDO,
                    clinica_id=respaldo.clinica_id,
                    actor=actor,
                    respaldo_id=respaldo.id,
                    prioridad=priority,
                )
                for respaldo in respaldos
            ]
        )
        # Somebody may have asked for one just now.
        .on_conflict_do_nothing()
        .returning(Trabajo.respaldo_id)
    )
    kept = set(with_job)
    refused = [respaldo.id for respaldo in respaldos if respaldo.id not in kept]
    if refused:
        await session.execute(
            delete(Respaldo).where(Respaldo.id.in_(refused)).execution_options(synchronize_session=False)
        )
    pending = [respaldo for respaldo in respaldos if respaldo.id in kept]
    audit.record_all(
        session,
        [
            Evento(
                clinica_id=respaldo.clinica_id,
                accion=Accion.CREACION,
                respaldo_id=respaldo.id,
                usuario=actor.usuario,
                direccion=actor.direccion,
                detalle={"tipo_respaldo": respaldo.tipo_respaldo},
            )
            for respaldo in pending
        ],
    )
    await session.flush()
    return pending


async def _points_that_wait(session: AsyncSession, clinics: Sequence[int | None]) -> Sequence[int | None]:
    """Those of the clinics that have a point which nobody has begun."""
    found = await session.scalars(
        select(Trabajo.clinica_id)
        .where(
            Trabajo.estado == Estado.PENDIENTE,
            Trabajo.prioridad == POINT_PRIORITY,
            Trabajo.clinica_id == any_(literal([id_ for id_ in clinics if id_ is not None], ARRAY(BigInteger))),
        )
        .order_by(Trabajo.clinica_id)
    )
    return found.all()


async def count_states(session: AsyncSession, ids: Sequence[int]) -> dict[Estado, int]:
    """How many of these backups are in each state, by one statement."""
    found = await session.execute(
        select(Respaldo.estado, func.count())
        .where(Respaldo.id == any_(literal(list(ids), ARRAY(BigInteger))))
        .group_by(Respaldo.estado)
    )
    return {Estado(estado): count for estado, count in found}


@dataclass(frozen=True, slots=True)
class Unmade:
    """A backup that came to an end and is not there; `error` says why, where somebody knows."""

    clinica_id: int | None
    respaldo_id: int
    estado: Estado
    error: str | None


async def unmade(session: AsyncSession, ids: Sequence[int]) -> list[Unmade]:
    """Those of these backups that failed or were cancelled, by clinic."""
    found = await session.execute(
        select(Respaldo.clinica_id, Respaldo.id, Respaldo.estado, Respaldo.metadata_["error"].astext)
        .where(
            Respaldo.id == any_(literal(list(ids), ARRAY(BigInteger))),
            Respaldo.estado.in_([Estado.FALLIDO, Estado.CANCELADO]),
        )
        .order_by(Respaldo.clinica_id)
    )
    return [Unmade(clinica_id, id_, Estado(estado), error) for clinica_id, id_, estado, error in found]


async def dangling_attempts(session: AsyncSession, *, respaldo_id: int | None = None) -> list[DanglingAttempt]:
    """Ended attempts, or those of one backup, whose key has not been cleaned yet.

    A completed backup's own attempt is never among them.
    """
    wanted = (
        select(Intento.respaldo_id, Intento.numero, Intento.archivo_s3)
        .join(Respaldo)
        .where(
            Intento.limpiado.is_(None),
            Intento.fin.is_not(None),
            Respaldo.archivo_s3.is_distinct_from(Intento.archivo_s3),
        )
        .order_by(Intento.fin)
    )
    found = await session.execute(wanted if respaldo_id is None else wanted.where(Intento.respaldo_id == respaldo_id))
    return [DanglingAttempt(*row) for row in found]


async def mark_clean(session: AsyncSession, attempt: DanglingAttempt) -> None:
    """Record that nothing is left under the attempt's key, where nothing can come late any more."""
    await session.execute(
        update(Intento)
        .where(
            Intento.respaldo_id == attempt.respaldo_id,
            Intento.numero == attempt.numero,
            Intento.fin < func.clock_timestamp() - timedelta(seconds=LATE_SECONDS),
        )
        .values(limpiado=func.now())
    )
