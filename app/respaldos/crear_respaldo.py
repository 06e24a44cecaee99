"""Makes a backup: claim it, stream it to S3, read it back, and only then call it `completado`."""

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.clinic.checks import Stray, unclassified
from app.clinic.snapshot import ClinicSnapshot
from app.dump.document import Origin
from app.errors import Interrupted, LeaseLost, ObjectMismatch, OperationInProgress, RespaldosError
from app.respaldos import repository
from app.respaldos.attempt import Attempt
from app.respaldos.dump import ClinicDump
from app.respaldos.lease import held_lease
from app.respaldos.models import Estado, Respaldo, TipoRespaldo
from app.respaldos.progress import Progress
from app.respaldos.reconciliar import clean_up, reconciliar
from app.respaldos.resources import Resources
from app.respaldos.transaction import transaction
from app.respaldos.uninterrupted import uninterrupted
from app.storage.s3 import PART_SIZE, StoredObject

log = logging.getLogger(__name__)

MIB = 1 << 20

# A backup of less than this share of the last good one's rows or bytes is suspicious.
SUSPICIOUS_SHARE = 0.5


async def crear_respaldo(
    resources: Resources,
    *,
    clinica_id: int,
    tipo: TipoRespaldo,
    descripcion: str = "",
    usuario: str | None = None,
    progress: Progress | None = None,
) -> Respaldo:
    """Back up the clinic now, in this process; return the completed backup.

    Raises OperationInProgress where one is under way already. Any other error (RespaldosError) and any
    cancellation leaves the backup `fallido` with the reason, and nothing in S3.
    """
    await reconciliar(resources)
    started = time.perf_counter()
    requesting = asyncio.create_task(_request(resources, clinica_id, tipo, descripcion, usuario))
    try:
        respaldo, attempt = await asyncio.shield(requesting)
    except asyncio.CancelledError as exc:
        await uninterrupted(_withdraw(resources, requesting, exc, started))
        raise
    return await _run(resources, respaldo, attempt, progress or Progress(), started)


async def _request(
    resources: Resources, clinica_id: int, tipo: TipoRespaldo, descripcion: str, usuario: str | None
) -> tuple[Respaldo, Attempt]:
    async with transaction(resources) as session:
        respaldo = await repository.add(
            session, clinica_id=clinica_id, tipo=tipo, descripcion=descripcion, usuario=usuario
        )
        if respaldo is None:
            running = await repository.in_progress(session, clinica_id=clinica_id)
            which = f" (número {running.id}, {running.estado})" if running is not None else ""
            raise OperationInProgress(f"la clínica {clinica_id} ya tiene un respaldo en curso{which}")
        numero = await repository.claim(session, respaldo.id, clinica_id=clinica_id)
        key = await repository.add_attempt(
            session,
            respaldo.id,
            numero,
            clinica_id=clinica_id,
            started=datetime.now(UTC),
            time_zone=resources.time_zone,
        )
        return respaldo, Attempt(respaldo.id, numero, clinica_id, key)


async def _withdraw(
    resources: Resources, requesting: asyncio.Task[tuple[Respaldo, Attempt]], exc: BaseException, started: float
) -> None:
    """End what may have been committed after nobody wanted it any more; it would wait for its lease to run out."""
    await asyncio.wait([requesting])
    if requesting.exception() is None:
        _, attempt = requesting.result()
        await _end_failed(resources, attempt, exc, started)


async def _run(
    resources: Resources, respaldo: Respaldo, attempt: Attempt, progress: Progress, started: float
) -> Respaldo:
    origin = Origin(respaldo.id, attempt.numero, respaldo.tipo_respaldo, respaldo.usuario, respaldo.descripcion)
    # Waiting for what came before, such as cleaning after others, was no standstill of this attempt.
    progress.advance(bytes_=0)
    try:
        async with held_lease(resources, attempt, progress):
            made = await _make(resources, attempt, origin, progress)
        return await _complete(resources, attempt, made, started)
    except BaseException as exc:
        completed = await uninterrupted(_end_failed(resources, attempt, exc, started))
        if completed is None or not isinstance(exc, RespaldosError):
            raise
        return completed


@dataclass(frozen=True, slots=True)
class _Made:
    """A file that is in S3 and has been read back; `seconds` by stage."""

    stored: StoredObject
    dump: ClinicDump
    snapshot: ClinicSnapshot
    strays: list[Stray]
    seconds: dict[str, float]


async def _make(resources: Resources, attempt: Attempt, origin: Origin, progress: Progress) -> _Made:
    began = time.perf_counter()
    async with resources.clinic.snapshot(attempt.clinica_id) as snapshot:
        opened = time.perf_counter()
        progress.advance(bytes_=0)
        dump = ClinicDump(snapshot, origin, progress)
        async with aclosing(dump.chunks()) as chunks:
            stored = await resources.storage.upload(
                attempt.archivo_s3, chunks, part_size=_part_size(snapshot.tables_size)
            )
        sent = time.perf_counter()
        if stored.md5 != dump.md5:
            raise ObjectMismatch(f"se enviaron a S3 otros bytes que los producidos, en «{attempt.archivo_s3}»")
        # PostgreSQL has nothing to do while the object is read back.
        counting = asyncio.create_task(snapshot.strays())
        try:
            await resources.storage.read_back(stored, on_bytes=lambda size: progress.advance(bytes_=size))
            read = time.perf_counter()
            strays = await counting
        finally:
            counting.cancel()
    seconds = {
        "apertura": opened - began,
        **dump.seconds,
        "cierre": sent - opened - sum(dump.seconds.values()),
        "relectura": read - sent,
        "controles": time.perf_counter() - read,
    }
    return _Made(stored, dump, snapshot, strays, seconds)


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
        last = await repository.last_completed(session, clinica_id=attempt.clinica_id)
        suspicion = _suspicion(records, made.stored.size, last)
        avisos = [
            *([suspicion] if suspicion else []),
            *(["la clínica no tiene ningún registro"] if records == 0 else []),
            *unclassified(snapshot.catalogue),
            *map(str, snapshot.unowned),
            *map(str, made.strays),
        ]
        respaldo = await repository.finish(
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
            sospechoso=suspicion is not None,
            metadata_={
                "modelos_respaldados": list(dump.totals),
                "detalles_registros": {name: total.records for name, total in dump.totals.items()},
                "tamaño_original_bytes": dump.original_size,
                "tamaño_original_mb": round(dump.original_size / MIB, 2),
                "tamaño_comprimido_mb": round(made.stored.size / MIB, 2),
                "compresion_porcentaje": round(100 * (1 - made.stored.size / dump.original_size), 1),
                "segundos": {stage: round(seconds, 3) for stage, seconds in made.seconds.items()},
                "avisos": avisos,
            },
        )
    if respaldo is None:
        raise LeaseLost(f"otro proceso se hizo cargo del respaldo {attempt.respaldo_id}")
    return respaldo


def _suspicion(records: int, size: int, last: Respaldo | None) -> str | None:
    """Why this backup should not count as good before a person has looked at it, if it should not."""
    if last is None or not last.numero_registros or not last.tamaño_bytes:
        return None
    if records < last.numero_registros * SUSPICIOUS_SHARE:
        return (
            f"sospechoso: tiene {records:,} registros, y el último respaldo bueno (número {last.id})"
            f" {last.numero_registros:,}"
        )
    if size < last.tamaño_bytes * SUSPICIOUS_SHARE:
        return (
            f"sospechoso: tiene {size:,} bytes, y el último respaldo bueno (número {last.id}) {last.tamaño_bytes:,}"
        )
    return None


async def _end_failed(resources: Resources, attempt: Attempt, exc: BaseException, started: float) -> Respaldo | None:
    """Write down why the attempt ended, and remove what it left in S3.

    Whether an object may be removed is asked of the database: where the connection broke during the commit
    that completes the backup, the row may say `completado`. Then the object stays, and the row is returned.
    """
    if isinstance(exc, asyncio.CancelledError | KeyboardInterrupt):
        exc = Interrupted("el respaldo se interrumpió antes de terminar")
    expected = isinstance(exc, RespaldosError)
    try:
        async with transaction(resources) as session:
            failed = await repository.finish(
                session,
                attempt.respaldo_id,
                attempt.numero,
                clinica_id=attempt.clinica_id,
                estado=Estado.FALLIDO,
                tiempo_ejecucion=timedelta(seconds=time.perf_counter() - started),
                metadata_={
                    "error": str(exc) if expected else f"error interno: {exc!r}",
                    "error_type": exc.code if isinstance(exc, RespaldosError) else RespaldosError.code,
                    "avisos": [],
                },
            )
            if failed is None:
                completed = await repository.completed_by(
                    session, attempt.respaldo_id, attempt.numero, clinica_id=attempt.clinica_id
                )
                if completed is not None:
                    return completed
                await repository.reopen_cleaning(
                    session, attempt.respaldo_id, attempt.numero, clinica_id=attempt.clinica_id
                )
        await clean_up(resources)
    except RespaldosError as problem:
        # The reconciler ends the row when its lease runs out, and cleans then.
        log.warning("el respaldo %s falló y no se pudo anotar por qué: %s", attempt.respaldo_id, problem)
    return None
