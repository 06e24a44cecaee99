"""Verifications: asked for, made, and what is written down of what they found."""

from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncSession

from app.dump.verifier import VerifiedFile
from app.errors import NotCompleted
from app.respaldos import audit, notices
from app.respaldos.audit import COMMAND_LINE, Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import Databases, transaction
from app.respaldos.jobs import fleet as job_fleet
from app.respaldos.jobs.kinds import BAD, Handlers
from app.respaldos.jobs.request import Announcer, requesting
from app.respaldos.jobs.run import Attempt
from app.respaldos.models import Accion, Estado, Profundidad, Respaldo, Restauracion, TipoAviso, Trabajo
from app.respaldos.progress import Expected, Progress
from app.respaldos.reading import queries as reading_queries
from app.respaldos.reading.check import Take, check_by_trial, check_quickly, check_thoroughly
from app.respaldos.resources import Resources

_BAD_CODES = {error.code for error in BAD}


@dataclass(frozen=True, slots=True)
class Verification:
    """Of which backup, how deep, and for whom; `restauracion_id` where it was asked for through the queue."""

    respaldo_id: int
    clinica_id: int | None
    profundidad: Profundidad
    actor: Actor
    restauracion_id: int | None = None

    @classmethod
    def of(cls, restauracion: Restauracion) -> Self:
        """What the row asks for."""
        return cls(
            restauracion.respaldo_id,
            restauracion.clinica_id,
            Profundidad(restauracion.profundidad or Profundidad.COMPLETA),
            Actor.of(restauracion.trabajo),
            restauracion.id,
        )


async def record_verification(
    session: AsyncSession, verification: Verification, correcto: bool | None, error: str | None
) -> None:
    """Put it in the audit trail, and into the backup's row whether its object is the one that was made.

    `correcto` is None where that could not be found out, as when S3 is down: the backup is as good as before then.
    """
    await audit.record(
        session,
        Accion.VERIFICACION,
        verification.actor,
        clinica_id=verification.clinica_id,
        respaldo_id=verification.respaldo_id,
        restauracion_id=verification.restauracion_id,
        profundidad=verification.profundidad,
        correcto=correcto,
        error=error,
    )
    if correcto is None:
        if verification.profundidad == Profundidad.ENSAYO and error is not None:
            # Nobody looks at a trial that was never made, so nobody would miss it.
            await notices.record(
                session,
                TipoAviso.VERIFICACION_FALLIDA,
                clinica_id=verification.clinica_id,
                respaldo_id=verification.respaldo_id,
                error=error,
                profundidad=verification.profundidad,
                sin_ensayo=True,
            )
        return
    await backup_queries.mark_verified(
        session,
        verification.respaldo_id,
        clinica_id=verification.clinica_id,
        profundidad=verification.profundidad,
        error=error,
    )
    if not correcto:
        await notices.record(
            session,
            TipoAviso.VERIFICACION_FALLIDA,
            clinica_id=verification.clinica_id,
            respaldo_id=verification.respaldo_id,
            error=error,
            profundidad=verification.profundidad,
        )


async def verificar_respaldo(
    resources: Resources,
    respaldo: Respaldo,
    *,
    profundidad: Profundidad = Profundidad.COMPLETA,
    actor: Actor = COMMAND_LINE,
    progress: Progress | None = None,
    take: Take | None = None,
) -> VerifiedFile | None:
    """Check the object in S3 as deep as that, and record in the backup's row what was found.

    `take` is as for check_thoroughly, of a complete reading; what it raises says nothing of the object, unless it is
    a FormatError.

    Returns what the file says where it was read, and so None of a quick look. Raises NotCompleted, AlreadyPurged,
    ObjectNotFound, ObjectMismatch, RestoreDiffers, or FormatError that says what is wrong; a StorageError, a
    DatabaseError or a RestoreRefused says nothing about the object.
    """
    verification = Verification(respaldo.id, respaldo.clinica_id, profundidad, actor)
    try:
        verified, _ = await _check(resources, respaldo, profundidad, progress or Progress(), take)
    except BAD as exc:
        async with transaction(resources) as session:
            await record_verification(session, verification, False, str(exc))
        raise
    async with transaction(resources) as session:
        await record_verification(session, verification, True, None)
    return verified


async def _check(
    resources: Resources, respaldo: Respaldo, profundidad: Profundidad, progress: Progress, take: Take | None = None
) -> tuple[VerifiedFile | None, list[str]]:
    """What the file says where it was read, and what a trial has to say besides."""
    match profundidad:
        case Profundidad.RAPIDA:
            await check_quickly(resources, respaldo, progress)
            return None, []
        case Profundidad.COMPLETA:
            return await check_thoroughly(resources, respaldo, progress, take=take), []
        case Profundidad.ENSAYO:
            return await check_by_trial(resources, respaldo, progress)


async def run(attempt: Attempt) -> None:
    """Verify, and complete the job.

    `completado` is a backup whose object is the one that was made; `fallido` one whose object is not, which its own
    row then says too, or one that could not be looked at.
    """
    job = attempt.job
    async with transaction(attempt.resources) as session:
        asked = Verification.of(await reading_queries.for_job(session, job, clinica_id=job.clinica_id))
        respaldo = await backup_queries.get(session, asked.respaldo_id, clinica_id=asked.clinica_id, deleted=True)
    if respaldo.fecha_eliminacion is not None:
        raise NotCompleted(f"el respaldo {respaldo.id} se eliminó antes de verificarlo")
    attempt.progress.expected = Expected(respaldo.numero_registros, respaldo.tamaño_bytes)
    async with attempt.leased():
        verified, said = await _check(attempt.resources, respaldo, asked.profundidad, attempt.progress)
    found: dict[str, Any] = {"correcto": True, "tamaño_bytes": respaldo.tamaño_bytes}
    if verified is not None:
        found |= {"tamaño_bytes": verified.compressed_size, "numero_registros": verified.records}
    if said:
        found["avisos"] = said
    async with transaction(attempt.resources) as session:
        await reading_queries.note(session, job, clinica_id=job.clinica_id, resultado=found)
        await attempt.complete(session)


async def _ended(session: AsyncSession, job: Trabajo, _seconds: float | None) -> None:
    if job.estado == Estado.PENDIENTE:
        return
    asked = await reading_queries.for_job(session, job, clinica_id=job.clinica_id)
    correcto = True if job.estado == Estado.COMPLETADO else False if job.error_type in _BAD_CODES else None
    if correcto is False:
        asked.resultado = {"correcto": False}
    await record_verification(session, Verification.of(asked), correcto, job.error)


HANDLERS = Handlers(run, _ended)


async def pedir_verificacion(
    databases: Databases,
    queue: Announcer | None,
    respaldo_id: int,
    *,
    clinica_id: int | None,
    profundidad: Profundidad,
    actor: Actor,
) -> Restauracion:
    """A pending verification of the backup; where there is one already, pending or running, that one.

    Raises RespaldoNotFound, NotCompleted where there is no file to look at, TooManyReadings, and what `requesting`
    raises.
    """
    async with requesting(databases, queue) as session:
        respaldo = await backup_queries.get(session, respaldo_id, clinica_id=clinica_id)
        if respaldo.estado != Estado.COMPLETADO:
            raise NotCompleted(
                f"el respaldo {respaldo_id} está {respaldo.estado}; solo se verifica uno completado", respaldo.estado
            )
        restauracion = await reading_queries.add_verification(
            session, respaldo_id, clinica_id=clinica_id, profundidad=profundidad, actor=actor
        )
        await job_fleet.note_asked(session, actor, restauracion_id=restauracion.id)
        return restauracion
