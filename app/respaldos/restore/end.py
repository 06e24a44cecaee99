"""How a restore ends, whoever ends it, and how one of a dead process is ended."""

import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.clinic.restore.session import Outcome
from app.errors import DatabaseError, RespaldosError, RestoreUncertain
from app.record_names import without_names
from app.respaldos import audit, notices
from app.respaldos.audit import Actor
from app.respaldos.databases import transaction
from app.respaldos.jobs import fleet as job_fleet
from app.respaldos.jobs.kinds import KINDS, the, those
from app.respaldos.jobs.run import end, logging_failure
from app.respaldos.models import Accion, Clase, Estado, TipoAviso, Trabajo
from app.respaldos.reading import queries as reading_queries
from app.respaldos.resources import Resources
from app.respaldos.restore.request import audited_records

log = logging.getLogger(__name__)

UNKNOWN = (
    "la restauración se interrumpió al final, y la base de datos ya no sabe si llegó a cumplirse;"
    " compárela con «respaldos comparar»"
)


async def record_end(session: AsyncSession, job: Trabajo, _seconds: float | None) -> None:
    """Write down, in the transaction that ends the job, what became of it."""
    ended = await reading_queries.for_job(session, job, clinica_id=job.clinica_id)
    error = {"error": job.error, "error_type": job.error_type} if job.error is not None else {}
    records = audited_records(ended.registros)
    labels = {"etiquetas": ended.etiquetas} if ended.etiquetas else {}
    reason = {"motivo": ended.motivo} if ended.motivo is not None else {}
    await audit.record(
        session,
        Accion.RESTAURACION,
        Actor.of(job),
        clinica_id=job.clinica_id,
        respaldo_id=job.respaldo_id,
        restauracion_id=ended.id,
        estado=job.estado,
        simulada=ended.simulada,
        **records,
        **labels,
        **reason,
        **error,
    )
    if not ended.simulada:
        completed = job.estado == Estado.COMPLETADO
        if job.error is not None:
            # Mails and webhooks pass through others' hands: whose record it is, the panel says.
            error["error"] = without_names(job.error)
        await notices.record(
            session,
            TipoAviso.RESTAURACION if completed else TipoAviso.RESTAURACION_FALLIDA,
            clinica_id=job.clinica_id,
            respaldo_id=job.respaldo_id,
            restauracion_id=ended.id,
            **records,
            **reason,
            **(_totals(ended.resultado) if completed else error),
        )


def _totals(resultado: Mapping[str, Mapping[str, Any]] | None) -> dict[str, int]:
    counted = ("insertados", "actualizados", "eliminados")
    return {name: sum(int(model[name]) for model in (resultado or {}).values()) for name in counted}


async def end_expired_restores(resources: Resources) -> None:
    """End every restore whose lease ran out, as completed where its transaction was committed.

    What cannot be found out or ended now is tried again at the next call, and keeps no other from it. Raises
    DatabaseError where none can be found out.
    """
    async with transaction(resources) as session:
        expired = await job_fleet.expired(session, kinds=those(lambda kind: kind.asks_outcome))
    for job in expired:
        with logging_failure(job):
            await _end_expired(resources, job)


async def _end_expired(resources: Resources, job: Trabajo) -> None:
    # Another worker may have ended it since, and the clinic have begun another; or its process is back.
    async with transaction(resources) as session:
        if not await job_fleet.expired(session, kinds=[Clase(job.clase)], job_id=job.id):
            return
    try:
        outcome = await _outcome(resources, job)
    except DatabaseError as exc:
        log.warning("no se sabe cómo terminó %s: %s", the(job), exc.for_log)
        return
    if outcome is Outcome.IN_PROGRESS:
        return
    problem: RespaldosError | None = None
    if outcome is not Outcome.COMMITTED:
        undone = outcome is Outcome.ABORTED
        problem = KINDS[Clase(job.clase)].interrupted if undone else RestoreUncertain(UNKNOWN)
    async with transaction(resources) as session:
        ended = await end(session, job, problem, lease=resources.lease, seconds=None)
    if ended is not None:
        log.warning("%s: se venció su arriendo; se dio por terminada", the(job))


async def _outcome(resources: Resources, job: Trabajo) -> Outcome | None:
    """What became of its transaction; None where nobody can say any more."""
    if job.exclusiva:
        # A process that is frozen, and not dead, commits nothing after this has looked.
        await resources.restore.end_restoring(job.clinica_id)
    async with transaction(resources) as session:
        transaccion = (await reading_queries.for_job(session, job, clinica_id=job.clinica_id)).transaccion
    if transaccion is None:
        return Outcome.ABORTED
    # Into another database, whose address is not kept: it knows, and nobody here.
    return await resources.restore.outcome(transaccion) if job.exclusiva else None
