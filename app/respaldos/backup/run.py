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
from app.dump.encryption import ClinicKey, Encryptor
from app.dump.whose import whose
from app.errors import KeyDestroyed, ObjectMismatch, ObjectNotFound
from app.respaldos import notices
from app.respaldos.audit import COMMAND_LINE, SERVICE, Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.backup.cleanup import clean_up_after
from app.respaldos.backup.object_key import content_type_of
from app.respaldos.backup.outcome import completed_metadata, suspicion
from app.respaldos.backup.request import create_pending
from app.respaldos.backup.stream import ClinicDump, Unchanged
from app.respaldos.contract import MIB
from app.respaldos.copies import queries as copy_queries
from app.respaldos.databases import transaction
from app.respaldos.jobs.heartbeat import lost
from app.respaldos.jobs.kinds import Handlers
from app.respaldos.jobs.run import Attempt
from app.respaldos.keys import queries as key_queries
from app.respaldos.keys.keys import key_for_new_file
from app.respaldos.models import Estado, Profundidad, Respaldo, TipoAviso, TipoRespaldo, Trabajo
from app.respaldos.progress import Etapa, Expected, Progress
from app.respaldos.resources import Resources
from app.respaldos.verified import Verification, record_verification
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
    encryption_key = await key_for_new_file(resources, clinica_id=job.clinica_id)
    async with transaction(resources) as session:
        respaldo = await backup_queries.get(session, job.respaldo_id, clinica_id=job.clinica_id)
        key = await backup_queries.add_attempt(
            session,
            respaldo.id,
            job.intento,
            clinica_id=job.clinica_id,
            started=datetime.now(UTC),
            time_zone=resources.time_zone,
            encrypted=encryption_key is not None,
        )
        attempt.progress.expected = await _expected(session, job.clinica_id)
        # Each night has an object of its own, and so has what a person asks for: no more than a day's points hang on
        # one, and a history does not.
        like = (
            await backup_queries.last_good(session, clinica_id=job.clinica_id)
            if respaldo.tipo_respaldo == TipoRespaldo.PUNTO
            else None
        )
        if like is not None and (like.solo_en_copia or (encryption_key is not None and not like.encrypted)):
            # Its object is gone; and where new files are to be encrypted, none shares one that is not.
            like = None
    origin = Origin(respaldo.id, job.intento, respaldo.tipo_respaldo, respaldo.usuario, respaldo.descripcion)
    async with attempt.leased():
        made = await _make(resources, job.clinica_id, key, origin, attempt.progress, like, encryption_key)
    return await _complete(attempt, made)


async def _expected(session: AsyncSession, clinica_id: int | None) -> Expected:
    """As much as the clinic's last completed backup."""
    last = await backup_queries.last_completed(session, clinica_id=clinica_id)
    if last is None:
        return Expected(None, None)
    return Expected(last.numero_registros, last.metadata_.get("tamaño_original_bytes"))


@dataclass(frozen=True, slots=True)
class _Made:
    """A file that is in S3 and has been read back; `seconds` by stage.

    Where the file would say what that of `base` says, a good backup, its object is that one, which was looked at.
    `key_id` is the clinic's key that the object is encrypted with, if it is.
    """

    stored: StoredObject
    base: Respaldo | None
    key_id: str | None
    dump: ClinicDump
    snapshot: ClinicSnapshot
    counted: list[str]
    seconds: dict[str, float]


async def _make(
    resources: Resources,
    clinica_id: int | None,
    key: str,
    origin: Origin,
    progress: Progress,
    like: Respaldo | None,
    encryption_key: ClinicKey | None,
) -> _Made:
    began = time.perf_counter()

    def step() -> None:
        progress.advance(bytes_=0)

    def dump_of(snapshot: ClinicSnapshot, unless: str | None = None) -> ClinicDump:
        encryption = None
        if encryption_key is not None:
            encryption = Encryptor(
                encryption_key, clinica_id=clinica_id, respaldo_id=origin.id, attempt=origin.attempt
            )
        return ClinicDump(
            *(snapshot, origin, progress, resources.compression, resources.seals),
            unless=unless,
            encryption=encryption,
        )

    async with resources.clinic.snapshot(clinica_id, on_step=step) as snapshot:
        opened = time.perf_counter()
        progress.enter(Etapa.LEYENDO)
        unless = like.huella if like is not None else None
        dump = dump_of(snapshot, unless)
        base = None
        try:
            stored = await _send(resources, key, dump, snapshot)
        except Unchanged:
            assert like is not None  # noqa: S101 (it is unlike nothing)
            stored = StoredObject(like.archivo_s3 or "", like.tamaño_bytes or 0, like.hash_md5 or "")
            if await _still_there(resources, like, stored):
                base = like
            else:
                # The rows are those of a moment ago: it is the same snapshot.
                dump = dump_of(snapshot)
                stored = await _send(resources, key, dump, snapshot)
        sent = time.perf_counter()
        progress.enter(Etapa.RELEYENDO)
        # PostgreSQL has nothing to do while the object is read back.
        counting = asyncio.create_task(_counted(snapshot, step))
        try:
            if base is None:
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
    key_id = base.key_id if base is not None else encryption_key.id if encryption_key is not None else None
    return _Made(stored, base, key_id, dump, snapshot, counted, seconds)


async def _send(resources: Resources, key: str, dump: ClinicDump, snapshot: ClinicSnapshot) -> StoredObject:
    """Upload the file. Raises Unchanged, and nothing of it is in S3 then."""
    async with aclosing(dump.chunks()) as chunks:
        stored = await resources.storage.upload(
            key, chunks, part_size=_part_size(snapshot.tables_size), content_type=content_type_of(key)
        )
    if stored.md5 != dump.md5:
        raise ObjectMismatch(f"se enviaron a S3 otros bytes que los producidos, en «{key}»")
    return stored


async def _still_there(resources: Resources, like: Respaldo, stored: StoredObject) -> bool:
    """Whether the good backup's object is what it was, at a glance; where it is not, that is written down."""
    try:
        await resources.storage.glance(stored)
    except (ObjectNotFound, ObjectMismatch) as exc:
        found = Verification(like.id, like.clinica_id, Profundidad.RAPIDA, SERVICE)
        async with transaction(resources) as session:
            await record_verification(session, found, False, str(exc))
        return False
    return True


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
    job, dump, snapshot, base = attempt.job, made.dump, made.snapshot, made.base
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
        if made.key_id is not None and not await key_queries.hold(session, made.key_id, clinica_id=job.clinica_id):
            raise KeyDestroyed(
                f"la clave «{made.key_id}» de {whose(job.clinica_id)} se destruyó mientras se hacía el respaldo"
            )
        of_base: dict[str, Any] = {}
        metadata = completed_metadata(
            dump.totals,
            original_size=dump.original_size if base is None else base.metadata_["tamaño_original_bytes"],
            size=made.stored.size,
            seconds=made.seconds,
            avisos=warnings,
            sha256=dump.sha256 if base is None else base.metadata_.get("hash_sha256"),
            seal=attempt.resources.seals.signing_id if base is None else base.metadata_.get("sello"),
            key=made.key_id,
        )
        if base is not None:
            if not await backup_queries.hold_good(session, base.id, clinica_id=job.clinica_id):
                raise ObjectMismatch(f"el respaldo {base.id}, que decía lo mismo, dejó de ser bueno mientras tanto")
            of_base = _of_base(base)
            metadata["id_original"] = base.made_as
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
            huella=dump.fingerprint,
            metadata_=metadata,
            **of_base,
        )
        if respaldo is None:
            raise lost(job)
        if base is not None and dump.compressed_size >= _part_size(snapshot.tables_size):
            # Parts of the file went up before it was known to say nothing new.
            await backup_queries.reopen_cleaning(session, job.respaldo_id, job.intento, clinica_id=job.clinica_id)
        if base is None:
            for bucket in attempt.resources.copies:
                await copy_queries.ask(session, respaldo.id, bucket.name, clinica_id=job.clinica_id)
        await _tell_completed(session, respaldo, doubt, last, attempt.seconds)
    return respaldo


def _of_base(base: Respaldo) -> dict[str, Any]:
    """The columns of a point that has the object of `base`, or the object that that one has."""
    return {
        "respaldo_base_id": base.respaldo_base_id or base.id,
        "sin_cambios_desde": base.sin_cambios_desde or base.fecha_respaldo,
        "verificado": base.verificado,
        "verificado_profundidad": base.verificado_profundidad,
        # Of now, when the base is held: one may have been made since it was read.
        "copias": backup_queries.copies_of(base.id, clinica_id=base.clinica_id),
    }


async def _tell_completed(
    session: AsyncSession, respaldo: Respaldo, doubt: str | None, last: Respaldo | None, seconds: float
) -> None:
    """Put down what people are to be told; of a point nothing that they have been told of the one before."""
    point = respaldo.tipo_respaldo == TipoRespaldo.PUNTO
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
        if point and await backup_queries.doubted_since(
            session, last, clinica_id=respaldo.clinica_id, but=respaldo.id
        ):
            return
        tipo, datos = TipoAviso.SOSPECHOSO, {"motivo": doubt}
    elif await backup_queries.failed_since(session, last, clinica_id=respaldo.clinica_id):
        tipo, datos = TipoAviso.RECUPERACION, {}
    elif point:
        return
    await notices.record(session, tipo, clinica_id=respaldo.clinica_id, respaldo_id=respaldo.id, **datos)


async def _told_before(session: AsyncSession, job: Trabajo) -> bool:
    """Whether it is a point, and people know already that backups fail."""
    respaldo = await backup_queries.get(session, job.respaldo_id, clinica_id=job.clinica_id, deleted=True)
    if respaldo.tipo_respaldo != TipoRespaldo.PUNTO:
        return False
    last = await backup_queries.last_good(session, clinica_id=job.clinica_id)
    return await backup_queries.failed_since(session, last, clinica_id=job.clinica_id, but=job.respaldo_id)


async def _ended(session: AsyncSession, job: Trabajo, seconds: float | None) -> None:
    await backup_queries.end_attempt(session, job, clinica_id=job.clinica_id, seconds=seconds)
    if job.estado == Estado.FALLIDO and not await _told_before(session, job):
        await notices.record(
            session,
            TipoAviso.FALLO,
            clinica_id=job.clinica_id,
            respaldo_id=job.respaldo_id,
            error=job.error,
            error_type=job.error_type,
        )


HANDLERS = Handlers(run, _ended, clean_up_after)
