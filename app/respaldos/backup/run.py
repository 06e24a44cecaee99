"""Makes one claimed attempt at a backup: stream it to S3, read it back, and only then call it `completado`."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.clinic.reading.checks import OnStep, unclassified
from app.clinic.reading.named_files import absent_files
from app.clinic.reading.snapshot import ClinicSnapshot
from app.dump.whose import whose
from app.errors import (
    Cancelled,
    Interrupted,
    LeaseLost,
    ObjectMismatch,
    OperationInProgress,
    RespaldoNotFound,
    RespaldosError,
)
from app.respaldos import notices
from app.respaldos.audit import COMMAND_LINE, Actor
from app.respaldos.backup import fleet as backup_fleet
from app.respaldos.backup import queries as backup_queries
from app.respaldos.backup.attempt import Attempt, claim_attempt
from app.respaldos.backup.cleanup import clean_up
from app.respaldos.backup.outcome import completed_metadata, suspicion
from app.respaldos.backup.request import put_down
from app.respaldos.backup.stream import ClinicDump
from app.respaldos.cancellation import uninterrupted
from app.respaldos.contract import MIB
from app.respaldos.lease import MAX_ATTEMPTS, cancelled, held_lease
from app.respaldos.models import Estado, Respaldo, TipoAviso, TipoRespaldo
from app.respaldos.progress import Etapa, Progress
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources, transaction
from app.storage.s3 import PART_SIZE, StoredObject

log = logging.getLogger(__name__)


async def claim_and_make(
    resources: Resources,
    claiming: Coroutine[Any, Any, Attempt],
    progress: Progress,
    *,
    started: float,
    again: bool,
) -> Respaldo:
    """Make the attempt that `claiming` claims, and end it; return the completed backup.

    `started` is of `time.perf_counter`. An error that may pass (RespaldosError.transient) and a cancellation of the
    task leave the backup `pendiente` where it may be tried `again`; any other leaves it `fallido`, or `cancelado`
    where a person had it stopped; the error is raised, and nothing of the attempt stays in S3. LeaseLost leaves the
    row as it is, and so does what `claiming` raises.
    """
    claim = asyncio.create_task(claiming)
    try:
        attempt = await asyncio.shield(claim)
    except asyncio.CancelledError as exc:
        await uninterrupted(_withdraw(resources, claim, exc, started, again))
        raise
    return await _run(resources, attempt, progress, started, again)


async def _withdraw(
    resources: Resources, claim: asyncio.Task[Attempt], exc: BaseException, started: float, again: bool
) -> None:
    """End what may have been committed after nobody wanted it any more; it would wait for its lease to run out."""
    await asyncio.wait([claim])
    if claim.exception() is None:
        await _end_failed(resources, claim.result(), exc, started, again)


async def _run(resources: Resources, attempt: Attempt, progress: Progress, started: float, again: bool) -> Respaldo:
    # Waiting for what came before, such as cleaning after others, was no standstill of this attempt.
    progress.advance(bytes_=0)
    try:
        async with held_lease(resources, attempt, progress):
            made = await _make(resources, attempt, progress)
        return await _complete(resources, attempt, made, started)
    except BaseException as exc:
        completed = await uninterrupted(_end_failed(resources, attempt, exc, started, again))
        if completed is None or not isinstance(exc, RespaldosError):
            raise
        return completed


@dataclass(frozen=True, slots=True)
class _Made:
    """A file that is in S3 and has been read back; `seconds` by stage."""

    stored: StoredObject
    dump: ClinicDump
    snapshot: ClinicSnapshot
    counted: list[str]
    seconds: dict[str, float]


async def _make(resources: Resources, attempt: Attempt, progress: Progress) -> _Made:
    began = time.perf_counter()

    def step() -> None:
        progress.advance(bytes_=0)

    async with resources.clinic.snapshot(attempt.clinica_id, on_step=step) as snapshot:
        opened = time.perf_counter()
        progress.enter(Etapa.LEYENDO)
        dump = ClinicDump(snapshot, attempt.origin, progress)
        async with aclosing(dump.chunks()) as chunks:
            stored = await resources.storage.upload(
                attempt.archivo_s3, chunks, part_size=_part_size(snapshot.tables_size)
            )
        sent = time.perf_counter()
        if stored.md5 != dump.md5:
            raise ObjectMismatch(f"se enviaron a S3 otros bytes que los producidos, en «{attempt.archivo_s3}»")
        progress.enter(Etapa.RELEYENDO)
        # PostgreSQL has nothing to do while the object is read back.
        counting = asyncio.create_task(_counted(snapshot, step))
        try:
            await resources.storage.read_back(
                stored, on_bytes=lambda size: progress.read_back(bytes_=size, of=stored.size)
            )
            read = time.perf_counter()
            progress.enter(Etapa.COMPROBANDO)
            counted = await counting
        finally:
            counting.cancel()
    seconds = {
        "apertura": opened - began,
        **dump.seconds,
        "cierre": sent - opened - sum(dump.seconds.values()),
        "relectura": read - sent,
        "controles": time.perf_counter() - read,
    }
    return _Made(stored, dump, snapshot, counted, seconds)


async def _counted(snapshot: ClinicSnapshot, step: OnStep) -> list[str]:
    """What a person should know of the rows, in sentences: which are missing, which point astray, files they name."""
    lost, cross_tenant = await snapshot.lost(step), await snapshot.cross_tenant(step)
    return [*map(str, (*lost, *cross_tenant)), *absent_files(await snapshot.files(step))]


def _part_size(tables_size: int) -> int:
    """Parts large enough that ten thousand of them hold the file, in whole MiB.

    The tables' size on disk bounds it: random bytes are the worst case, as hexadecimal digits at half a byte
    each they compress to some 1.15 times themselves.
    """
    return max(PART_SIZE, -(-tables_size * 5 // 4 // 10_000 // MIB) * MIB)


async def _complete(resources: Resources, attempt: Attempt, made: _Made, started: float) -> Respaldo:
    dump, snapshot = made.dump, made.snapshot
    records = sum(total.records for total in dump.totals.values())
    elapsed = time.perf_counter() - started
    async with transaction(resources) as session:
        last = await backup_queries.last_good(session, clinica_id=attempt.clinica_id)
        doubt = suspicion(records, made.stored.size, last)
        warnings = [
            *([doubt] if doubt else []),
            *([f"{whose(attempt.clinica_id)} no tiene ningún registro"] if records == 0 else []),
            *unclassified(snapshot.catalogue, platform=attempt.clinica_id is None),
            *map(str, snapshot.unowned),
            *made.counted,
        ]
        respaldo = await backup_queries.finish(
            session,
            attempt.respaldo_id,
            attempt.numero,
            clinica_id=attempt.clinica_id,
            estado=Estado.COMPLETADO,
            archivo_s3=attempt.archivo_s3,
            fecha_respaldo=snapshot.taken_at,
            tamaño_bytes=made.stored.size,
            hash_md5=made.stored.md5,
            numero_registros=records,
            tiempo_ejecucion=timedelta(seconds=elapsed),
            sospechoso=doubt is not None,
            metadata_=completed_metadata(
                dump.totals,
                original_size=dump.original_size,
                size=made.stored.size,
                seconds=made.seconds,
                avisos=warnings,
            ),
        )
        if respaldo is None:
            raise LeaseLost(f"{attempt.name}: otro proceso se hizo cargo")
        if respaldo.cancelacion is not None:
            raise cancelled(attempt)
        await _tell_completed(session, respaldo, doubt, last, elapsed)
    return respaldo


async def _tell_completed(
    session: AsyncSession, respaldo: Respaldo, doubt: str | None, last: Respaldo | None, seconds: float
) -> None:
    datos: dict[str, Any]
    tipo, datos = (
        TipoAviso.EXITO,
        {
            "registros": respaldo.numero_registros,
            "bytes": respaldo.tamaño_bytes,
            "segundos": round(seconds, 3),
        },
    )
    if doubt is not None:
        tipo, datos = TipoAviso.SOSPECHOSO, {"motivo": doubt}
    elif await backup_queries.failed_since(session, last, clinica_id=respaldo.clinica_id):
        tipo, datos = TipoAviso.RECUPERACION, {}
    await notices.record(session, tipo, clinica_id=respaldo.clinica_id, respaldo_id=respaldo.id, **datos)


async def _end_failed(
    resources: Resources, attempt: Attempt, exc: BaseException, started: float, again: bool
) -> Respaldo | None:
    """Write down why the attempt ended, as `claim_and_make` says, and remove what it left in S3.

    Whether an object may be removed is asked of the database: where the connection broke during the commit
    that completes the backup, the row may say `completado`. Then the object stays, and the row is returned.
    """
    try:
        async with transaction(resources) as session:
            # Nobody who looks now may be told that the clinic's backup failed, when it is the one they cancelled.
            if await backup_queries.cancellation_wanted(
                session, attempt.respaldo_id, attempt.numero, clinica_id=attempt.clinica_id
            ):
                exc = cancelled(attempt)
            failed = await _finish_failed(session, attempt, exc, started, again)
            if failed is None:
                completed = await backup_queries.completed_by(
                    session, attempt.respaldo_id, attempt.numero, clinica_id=attempt.clinica_id
                )
                if completed is not None:
                    return completed
                await backup_queries.reopen_cleaning(
                    session, attempt.respaldo_id, attempt.numero, clinica_id=attempt.clinica_id
                )
        await clean_up(resources, respaldo_id=attempt.respaldo_id)
    except RespaldosError as problem:
        # The reconciler ends the row when its lease runs out, and cleans then.
        log.warning("el respaldo %s falló y no se pudo anotar por qué: %s", attempt.respaldo_id, problem)
    return None


async def _finish_failed(
    session: AsyncSession, attempt: Attempt, exc: BaseException, started: float, again: bool
) -> Respaldo | None:
    stopped = isinstance(exc, asyncio.CancelledError | KeyboardInterrupt)
    said = Interrupted("el respaldo se interrumpió antes de terminar") if stopped else exc
    error = {
        "error": str(said) if isinstance(said, RespaldosError) else f"error interno: {said!r}",
        "error_type": said.code if isinstance(said, RespaldosError) else RespaldosError.code,
    }
    passing = isinstance(said, RespaldosError) and said.transient and attempt.tries < MAX_ATTEMPTS
    if isinstance(said, Cancelled):
        estado = Estado.CANCELADO
    elif again and (stopped or passing):
        estado = Estado.PENDIENTE
    else:
        estado = Estado.FALLIDO
    interrupted = {"interrupciones": Respaldo.interrupciones + 1} if stopped and again else {}
    failed = await backup_queries.finish(
        session,
        attempt.respaldo_id,
        attempt.numero,
        clinica_id=attempt.clinica_id,
        estado=estado,
        tiempo_ejecucion=timedelta(seconds=time.perf_counter() - started),
        metadata_={**error, "avisos": []},
        **interrupted,
    )
    if failed is not None and estado == Estado.FALLIDO:
        await notices.record(
            session, TipoAviso.FALLO, clinica_id=attempt.clinica_id, respaldo_id=attempt.respaldo_id, **error
        )
    return failed


async def crear_respaldo(
    resources: Resources,
    *,
    clinica_id: int | None,
    tipo: TipoRespaldo,
    descripcion: str = "",
    actor: Actor = COMMAND_LINE,
    progress: Progress | None = None,
    under: int | None = None,
) -> Respaldo:
    """Back up the clinic now, in this process; return the completed backup.

    `under` is the restore whose safety backup it is: what that keeps away from the clinic, it lets in.

    Raises OperationInProgress where one is under way already, and Cancelled where a person had it stopped, which
    leaves it `cancelado`. Any other error (RespaldosError) and any cancellation of the task leaves the backup
    `fallido` with the reason; nothing of it stays in S3.
    """
    await reconciliar(resources)
    started = time.perf_counter()
    claiming = _request(resources, clinica_id, tipo, descripcion, actor, under)
    return await claim_and_make(resources, claiming, progress or Progress(), started=started, again=False)


async def _request(
    resources: Resources,
    clinica_id: int | None,
    tipo: TipoRespaldo,
    descripcion: str,
    actor: Actor,
    under: int | None,
) -> Attempt:
    async with transaction(resources) as session:
        respaldo = await put_down(session, clinica_id=clinica_id, tipo=tipo, descripcion=descripcion, actor=actor)
        return await claim_attempt(
            session, respaldo.id, clinica_id=clinica_id, time_zone=resources.time_zone, under=under
        )


async def ejecutar_respaldo(resources: Resources, respaldo_id: int) -> None:
    """Make the backup where it is still pending, and end it as `claim_and_make` says: the row tells how it went.

    It stays pending where something else is under way for its clinic, or where it cannot even be claimed: the
    reconciler has it tried again. A cancellation of the task does so too, however often that has happened.
    """
    started = time.perf_counter()
    try:
        await claim_and_make(resources, _claim(resources, respaldo_id), Progress(), started=started, again=True)
    except (OperationInProgress, RespaldoNotFound) as exc:
        log.info("el respaldo %s espera, o ya se hizo: %s", respaldo_id, exc)
    except RespaldosError as exc:
        log.warning("el respaldo %s no se completó: %s", respaldo_id, exc)


async def _claim(resources: Resources, respaldo_id: int) -> Attempt:
    async with transaction(resources) as session:
        respaldo = await backup_fleet.get(session, respaldo_id)
        if respaldo is None:
            raise RespaldoNotFound(f"no existe el respaldo {respaldo_id}")
        return await claim_attempt(
            session, respaldo_id, clinica_id=respaldo.clinica_id, time_zone=resources.time_zone
        )
