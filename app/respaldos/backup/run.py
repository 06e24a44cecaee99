"""Makes a backup: stream it to S3, read it back, and only then call it `completado`."""

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.clinic.reading.checks import OnStep, unclassified
from app.clinic.reading.named_files import absent_files
from app.clinic.reading.snapshot import ClinicSnapshot
from app.dump.document import Origin
from app.dump.whose import whose
from app.errors import ObjectMismatch
from app.respaldos import notices
from app.respaldos.audit import COMMAND_LINE, Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.backup.cleanup import clean_up_after
from app.respaldos.backup.outcome import completed_metadata, suspicion
from app.respaldos.backup.request import create_pending
from app.respaldos.backup.stream import ClinicDump
from app.respaldos.contract import MIB
from app.respaldos.databases import transaction
from app.respaldos.jobs.heartbeat import lost
from app.respaldos.jobs.kinds import Handlers
from app.respaldos.jobs.run import Attempt
from app.respaldos.models import Estado, Respaldo, TipoAviso, TipoRespaldo, Trabajo
from app.respaldos.progress import Etapa, Expected, Progress
from app.respaldos.resources import Resources
from app.storage.s3 import PART_SIZE, StoredObject


async def crear_respaldo(
    resources: Resources,
    *,
    clinica_id: int | None,
    tipo: TipoRespaldo,
    descripcion: str = "",
    actor: Actor = COMMAND_LINE,
    progress: Progress | None = None,
    under_restore: bool = False,
) -> Respaldo:
    """Back up the clinic now, in this process; return the completed backup.

    `under_restore`: it is the safety backup of the restore that is under way for the clinic.

    Raises OperationInProgress where one is under way already, and Cancelled where a person had it stopped, which
    leaves it `cancelado`. Any other error (RespaldosError), any cancellation of the task and the death of the process
    leave the backup `fallido` with the reason: whoever waited for it is gone. Nothing of it stays in S3.
    """
    async with Attempt(resources, progress) as attempt:
        async with attempt.claiming() as session:
            _, job = await create_pending(
                session,
                clinica_id=clinica_id,
                tipo=tipo,
                descripcion=descripcion,
                actor=actor,
                reintentable=False,
                exclusiva=not under_restore,
            )
            await attempt.claim(session, job)
        return await run(attempt)
    # The answer to its COMMIT got lost.
    async with transaction(resources) as session:
        return await backup_queries.get(session, attempt.job.respaldo_id, clinica_id=clinica_id)


async def run(attempt: Attempt) -> Respaldo:
    """Make the backup of the claimed job, and complete both; return its row."""
    job, resources = attempt.job, attempt.resources
    async with transaction(resources) as session:
        respaldo = await backup_queries.get(session, job.respaldo_id, clinica_id=job.clinica_id)
        key = await backup_queries.add_attempt(
            session,
            respaldo.id,
            job.intento,
            clinica_id=job.clinica_id,
            started=datetime.now(UTC),
            time_zone=resources.time_zone,
        )
        attempt.progress.expected = await _expected(session, job.clinica_id)
    origin = Origin(respaldo.id, job.intento, respaldo.tipo_respaldo, respaldo.usuario, respaldo.descripcion)
    async with attempt.leased():
        made = await _make(resources, job.clinica_id, key, origin, attempt.progress)
    return await _complete(attempt, made)


async def _expected(session: AsyncSession, clinica_id: int | None) -> Expected:
    """As much as the clinic's last completed backup."""
    last = await backup_queries.last_completed(session, clinica_id=clinica_id)
    if last is None:
        return Expected(None, None)
    return Expected(last.numero_registros, last.metadata_.get("tamaño_original_bytes"))


@dataclass(frozen=True, slots=True)
class _Made:
    """A file that is in S3 and has been read back; `seconds` by stage."""

    stored: StoredObject
    dump: ClinicDump
    snapshot: ClinicSnapshot
    counted: list[str]
    seconds: dict[str, float]


async def _make(resources: Resources, clinica_id: int | None, key: str, origin: Origin, progress: Progress) -> _Made:
    began = time.perf_counter()

    def step() -> None:
        progress.advance(bytes_=0)

    async with resources.clinic.snapshot(clinica_id, on_step=step) as snapshot:
        opened = time.perf_counter()
        progress.enter(Etapa.LEYENDO)
        dump = ClinicDump(snapshot, origin, progress, resources.compression, resources.seals)
        async with aclosing(dump.chunks()) as chunks:
            stored = await resources.storage.upload(key, chunks, part_size=_part_size(snapshot.tables_size))
        sent = time.perf_counter()
        if stored.md5 != dump.md5:
            raise ObjectMismatch(f"se enviaron a S3 otros bytes que los producidos, en «{key}»")
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


async def _complete(attempt: Attempt, made: _Made) -> Respaldo:
    job, dump, snapshot = attempt.job, made.dump, made.snapshot
    records = sum(total.records for total in dump.totals.values())
    async with transaction(attempt.resources) as session:
        last = await backup_queries.last_good(session, clinica_id=job.clinica_id)
        doubt = suspicion(records, made.stored.size, last)
        warnings = [
            *([doubt] if doubt else []),
            *([f"{whose(job.clinica_id)} no tiene ningún registro"] if records == 0 else []),
            *unclassified(snapshot.catalogue, platform=job.clinica_id is None),
            *map(str, snapshot.unowned),
            *made.counted,
        ]
        await attempt.complete(session)
        respaldo = await backup_queries.set_values(
            session,
            job.respaldo_id,
            clinica_id=job.clinica_id,
            archivo_s3=made.stored.key,
            fecha_respaldo=snapshot.taken_at,
            tamaño_bytes=made.stored.size,
            hash_md5=made.stored.md5,
            numero_registros=records,
            tiempo_ejecucion=timedelta(seconds=attempt.seconds),
            sospechoso=doubt is not None,
            metadata_=completed_metadata(
                dump.totals,
                original_size=dump.original_size,
                size=made.stored.size,
                seconds=made.seconds,
                avisos=warnings,
                sha256=dump.sha256,
                seal=attempt.resources.seals.signing_id,
            ),
        )
        if respaldo is None:
            raise lost(job)
        await _tell_completed(session, respaldo, doubt, last, attempt.seconds)
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


async def _ended(session: AsyncSession, job: Trabajo, seconds: float | None) -> None:
    await backup_queries.end_attempt(session, job, clinica_id=job.clinica_id, seconds=seconds)
    if job.estado == Estado.FALLIDO:
        await notices.record(
            session,
            TipoAviso.FALLO,
            clinica_id=job.clinica_id,
            respaldo_id=job.respaldo_id,
            error=job.error,
            error_type=job.error_type,
        )


HANDLERS = Handlers(run, _ended, clean_up_after)
