"""Verifications: asked for, made, and what is written down of what they found."""

from collections.abc import Awaitable
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.dump.verifier import VerifiedFile
from app.errors import NotCompleted
from app.respaldos.audit import COMMAND_LINE, Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.copies.sources import DAMAGED, Source, Sources, read_from
from app.respaldos.databases import Databases, transaction
from app.respaldos.jobs import queries as job_queries
from app.respaldos.jobs.kinds import BAD, Handlers
from app.respaldos.jobs.request import Announcer, requesting
from app.respaldos.jobs.run import Attempt
from app.respaldos.keys.keys import refuse_destroyed
from app.respaldos.models import Estado, Profundidad, Respaldo, Restauracion, Trabajo
from app.respaldos.progress import Expected, Progress
from app.respaldos.reading import queries as reading_queries
from app.respaldos.reading.check import check_by_trial, check_quickly, check_thoroughly
from app.respaldos.resources import Resources
from app.respaldos.verified import Verification, record_verification

T = TypeVar("T")

_BAD_CODES = {error.code for error in BAD}


async def verificar_respaldo(
    resources: Resources,
    respaldo: Respaldo,
    *,
    profundidad: Profundidad = Profundidad.COMPLETA,
    actor: Actor = COMMAND_LINE,
    progress: Progress | None = None,
) -> VerifiedFile | None:
    """Check the object in S3 as deep as that, and record in the backup's row what was found.

    Where it is lost and a copy is whole, the backup is as good as that, and `progress` says which.

    Returns what the file says where it was read, and so None of a quick look. Raises NotCompleted, AlreadyPurged,
    ObjectNotFound, ObjectMismatch, RestoreDiffers, or FormatError that says what is wrong; a StorageError, a
    DatabaseError or a RestoreRefused says nothing about the object.
    """
    progress = progress or Progress()

    async def check(source: Source) -> VerifiedFile | None:
        return (await _check(resources, respaldo, profundidad, progress, source))[0]

    sources = Sources(resources, respaldo, progress, original_first=True)
    return await recorded(
        resources, respaldo, sources.read(check, over=DAMAGED), profundidad=profundidad, actor=actor
    )


async def recorded(
    resources: Resources, respaldo: Respaldo, reading: Awaitable[T], *, profundidad: Profundidad, actor: Actor
) -> T:
    """What the reading of the backup returns; that it was a verification, and what it found, is written down.

    What it raises says nothing of the object, unless it is one of `BAD`.
    """
    verification = Verification(respaldo.id, respaldo.clinica_id, profundidad, actor)
    try:
        found = await reading
    except BAD as exc:
        async with transaction(resources) as session:
            await record_verification(session, verification, False, str(exc))
        raise
    async with transaction(resources) as session:
        await record_verification(session, verification, True, None)
    return found


async def _check(
    resources: Resources, respaldo: Respaldo, profundidad: Profundidad, progress: Progress, source: Source
) -> tuple[VerifiedFile | None, list[str]]:
    """What the file says where it was read, and what a trial has to say besides."""
    match profundidad:
        case Profundidad.RAPIDA:
            await check_quickly(respaldo, progress, source)
            return None, []
        case Profundidad.COMPLETA:
            return await check_thoroughly(resources, respaldo, progress, source), []
        case Profundidad.ENSAYO:
            return await check_by_trial(resources, respaldo, progress, source)


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

    async def check(source: Source) -> tuple[VerifiedFile | None, list[str]]:
        return await _check(attempt.resources, respaldo, asked.profundidad, attempt.progress, source)

    async with attempt.leased():
        sources = Sources(attempt.resources, respaldo, attempt.progress, original_first=True)
        verified, said = await sources.read(check, over=DAMAGED)
    found: dict[str, Any] = {"correcto": True, "tamaño_bytes": respaldo.tamaño_bytes}
    if verified is not None:
        found |= {"tamaño_bytes": verified.compressed_size, "numero_registros": verified.records}
    copy = sources.current.copy
    if copy is not None:
        said = [read_from(copy), *said]
    if said:
        found["avisos"] = said
    async with transaction(attempt.resources) as session:
        await reading_queries.note(session, job, clinica_id=job.clinica_id, resultado=found, copia=copy)
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

    Raises RespaldoNotFound, NotCompleted where there is no file to look at, KeyDestroyed, TooManyReadings, and
    what `requesting` raises.
    """
    async with requesting(databases, queue) as session:
        respaldo = await backup_queries.get(session, respaldo_id, clinica_id=clinica_id)
        if respaldo.estado != Estado.COMPLETADO:
            raise NotCompleted(
                f"el respaldo {respaldo_id} está {respaldo.estado}; solo se verifica uno completado", respaldo.estado
            )
        refuse_destroyed(respaldo)
        restauracion = await reading_queries.add_verification(
            session, respaldo_id, clinica_id=clinica_id, profundidad=profundidad, actor=actor
        )
        await job_queries.note_asked(session, actor, clinica_id=clinica_id, restauracion_id=restauracion.id)
        return restauracion
