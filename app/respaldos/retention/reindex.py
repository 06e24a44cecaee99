"""Rebuilds lost `respaldo` rows from the bucket alone: each object says whose it is and of which attempt."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.dump.document import Header, Origin, fingerprint
from app.dump.verifier import FileVerifier, VerifiedFile
from app.dump.whose import whose
from app.errors import BucketNotFound, EncryptionError, FormatError, ObjectNotFound, StorageError
from app.respaldos import audit
from app.respaldos.audit import COMMAND_LINE, Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.backup.object_key import PREFIX, key_prefix, owner_in
from app.respaldos.backup.outcome import completed_metadata, suspicion
from app.respaldos.copies import queries as copy_queries
from app.respaldos.copies.sources import Source
from app.respaldos.databases import transaction
from app.respaldos.keys.keys import beginning, decryption_by
from app.respaldos.keys.recover import recover_keys
from app.respaldos.models import Accion, EstadoCopia, Respaldo, TipoRespaldo
from app.respaldos.progress import Etapa, Progress
from app.respaldos.resources import Resources
from app.respaldos.retention import fleet as retention_fleet
from app.storage.s3 import ObjectInfo

# Keys that the database is asked about at once.
_BATCH = 1000

# An id that a file says is taken up to here: every later one is still exact in JavaScript (2**53).
_LAST_ID = 2**52

_LAST_INTENTO = 2**31 - 1

# How far this machine's clock and the database's may be apart.
CLOCKS_APART = timedelta(minutes=5)

# A backup's object is as old as the backup is; where the bucket was copied, a person can say so.
DATES_APART = timedelta(days=1)

# So many objects in a row that cannot be read: it is not them, the store is away.
_STORE_AWAY = 3


@dataclass(frozen=True, slots=True)
class Unknown:
    """An object that was left as it is; `reason` is Spanish."""

    archivo_s3: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What became of the objects that no backup had: rebuilt rows, foreign objects, and files of ours left out.

    Those are `damaged`, or cannot be read or believed. `known` counts the objects that a backup or an attempt had.
    `away` says which buckets could not be looked into, where second copies were looked at all the same.
    """

    rebuilt: list[Respaldo] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    damaged: list[Unknown] = field(default_factory=list)
    known: int = 0
    away: list[str] = field(default_factory=list)


async def reindexar(
    resources: Resources,
    *,
    clinica_id: int | None = None,
    unsealed: bool = False,
    progress: Progress | None = None,
    actor: Actor = COMMAND_LINE,
) -> Reindexed:
    """Add a completed backup for every whole object of ours, of all clinics or one, that the database does not know.

    All are the clinics' and the platform's. The clinics' database is not asked: a clinic that it has lost has its
    backups all the same, and one that was deleted long ago, too.

    Nothing in the bucket is changed. Each object is read from beginning to end, and each row is committed by
    itself, so that after an error the next call goes on from there. The object of an attempt, running or ended, is
    never touched. What a file cannot tell is left open: how long the backup took, what it warned of, who verified
    or accepted it; whether it is suspicious is judged again. Of points of the day that had another backup's object
    nothing is left but that one. Where two files say the same id, the second gets a new one, with its old one in
    `metadata.id_original`.

    Where there are keys for seals, a file without one is left out as damaged ones are, unless `unsealed`: whoever may
    write to the bucket may have made it. So is one from the future, which would be the newest for ever, and one that
    S3 does not give. One whose date is more than DATES_APART from its object's is suspicious.

    The clinics' keys are taken from the bucket first; what is encrypted with one that cannot be had is left out.

    Then the same is done with the second copies: what only they have becomes a backup that is read from its copy.
    Where there are any, a bucket that is gone or away ends nothing.

    Raises ClinicNotFound where nothing is the clinic's and there is no such; StorageError where the store is away;
    and EncryptionError where it may pass.
    """
    progress = progress or Progress()
    progress.enter(Etapa.VERIFICANDO)
    prefix = PREFIX if clinica_id is None else key_prefix(clinica_id)
    found = Reindexed()
    known = 0
    sources = [Source(resources.storage), *(Source(bucket.storage, bucket.name) for bucket in resources.copies)]
    # All keys first: what one store has is read with those of another.
    for source in list(sources):
        try:
            for each in await recover_keys(resources, source.storage, clinica_id=clinica_id):
                if source.copy is None:
                    found.unknown.append(Unknown(each.object_key, each.reason))
        except StorageError as exc:
            if not resources.copies:
                raise
            found.away.append(_away(source, exc))
            sources.remove(source)
    for source in sources:
        unread = 0
        try:
            async for batch in _batches(source, prefix):
                async with transaction(resources) as session:
                    taken = await retention_fleet.known_keys(session, [item.key for item in batch])
                known += len(taken) if source.copy is None else 0
                for item in batch:
                    if item.key in taken:
                        continue
                    try:
                        await _index(resources, source, item, found, progress, actor, unsealed=unsealed)
                        unread = 0
                    except BucketNotFound:
                        raise
                    except StorageError as exc:
                        unread += exc.transient
                        if unread == _STORE_AWAY:
                            raise
                        found.damaged.append(Unknown(item.key, str(exc)))
        except StorageError as exc:
            if not resources.copies:
                raise
            found.away.append(_away(source, exc))
    # What one store has damaged and another whole is not left out.
    rebuilt = {respaldo.archivo_s3 for respaldo in found.rebuilt}
    damaged = [each for each in found.damaged if each.archivo_s3 not in rebuilt]
    if clinica_id is not None and not (known or rebuilt or damaged or found.unknown or found.away):
        # A mistyped clinic must not look like one without backups.
        await resources.clinic.clinic(clinica_id)
    return Reindexed(found.rebuilt, found.unknown, damaged, known, found.away)


def _away(source: Source, exc: StorageError) -> str:
    return str(exc) if source.copy is None else f"copia «{source.copy}»: {exc}"


async def _batches(source: Source, prefix: str) -> AsyncIterator[Sequence[ObjectInfo]]:
    batch: list[ObjectInfo] = []
    async for item in source.storage.list(prefix):
        batch.append(item)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _index(
    resources: Resources,
    source: Source,
    item: ObjectInfo,
    found: Reindexed,
    progress: Progress,
    actor: Actor,
    *,
    unsealed: bool,
) -> None:
    try:
        owner_in(item.key)
    except ValueError:
        found.unknown.append(Unknown(item.key, "su nombre no es el de un respaldo"))
        return
    try:
        respaldo = await index_object(
            resources, item, source=source, unsealed=unsealed, progress=progress, actor=actor
        )
    except ObjectNotFound:
        # Removed since it was listed.
        return
    except (FormatError, EncryptionError) as exc:
        found.damaged.append(Unknown(item.key, str(exc)))
        return
    if respaldo is not None:
        found.rebuilt.append(respaldo)


async def index_object(
    resources: Resources,
    item: ObjectInfo,
    *,
    unsealed: bool,
    progress: Progress,
    actor: Actor,
    source: Source | None = None,
    misdated: bool = False,
) -> Respaldo | None:
    """The backup whose object, of a key that `owner_in` knows, this is; None where it has one by now.

    `source` has it, the first bucket where nothing is said. `misdated`: the object need not be as old as the backup.
    Raises FormatError, EncryptionError, StorageError,
    DatabaseError.
    """
    clinica_id, source = owner_in(item.key), source or Source(resources.storage)
    file = await _read(resources, source, item.key, clinica_id, progress, unsealed=unsealed)
    if file.header.clinica_id != clinica_id:
        raise FormatError(
            f"el archivo dice ser de {whose(file.header.clinica_id)}, y está entre los de {whose(clinica_id)}"
        )
    refuse_future(file.header)
    tipo = _checked(file.header.origin)
    modified = file.header.taken_at if misdated else item.modified
    return await _add(resources, source, item.key, modified, file, clinica_id, tipo, actor)


def refuse_future(header: Header) -> None:
    """Raise FormatError for a file of a date that has not come: it would be the newest for ever."""
    if header.taken_at > datetime.now(UTC) + CLOCKS_APART:
        raise FormatError(f"el archivo dice ser del {header.taken_at:%Y-%m-%d %H:%M} UTC, que no ha llegado")


async def _read(
    resources: Resources, source: Source, key: str, clinica_id: int | None, progress: Progress, *, unsealed: bool
) -> VerifiedFile:
    async with source.storage.download(key) as chunks:
        head, envelope = await beginning(chunks)
        if envelope is not None and envelope.clinica_id != clinica_id:
            raise FormatError(
                f"el archivo dice ser de {whose(envelope.clinica_id)}, y está entre los de {whose(clinica_id)}"
            )
        decryption = await decryption_by(resources, envelope) if envelope is not None else None
        verifier = FileVerifier(resources.seals, sealed=not unsealed, decryption=decryption)
        await asyncio.to_thread(verifier.feed, head)
        progress.advance(bytes_=len(head))
        async for chunk in chunks:
            await asyncio.to_thread(verifier.feed, chunk)
            progress.advance(bytes_=len(chunk))
    return await asyncio.to_thread(verifier.finish)


def _checked(origin: Origin) -> TipoRespaldo:
    """The kind of backup. Raises FormatError where the file says of its origin what no row can hold."""
    numbers = ((origin.id, 2**63 - 1), (origin.attempt, _LAST_INTENTO))
    texts = (origin.description, "" if origin.user is None else origin.user)
    if not all(type(number) is int and 0 < number <= last for number, last in numbers) or not all(
        isinstance(text, str) and "\0" not in text for text in texts
    ):
        raise FormatError("la primera línea del archivo no dice bien de qué respaldo es")
    try:
        return TipoRespaldo(origin.kind)
    except ValueError as exc:
        raise FormatError(f"la primera línea del archivo dice un tipo de respaldo desconocido: {exc}") from exc


async def _add(
    resources: Resources,
    source: Source,
    key: str,
    modified: datetime,
    file: VerifiedFile,
    clinica_id: int | None,
    tipo: TipoRespaldo,
    actor: Actor,
) -> Respaldo | None:
    header, origin = file.header, file.header.origin
    async with transaction(resources) as session:
        respaldo = await retention_fleet.add_completed(
            session,
            respaldo_id=origin.id if origin.id <= _LAST_ID else None,
            clinica_id=clinica_id,
            archivo_s3=key,
            intento=origin.attempt,
            fecha_respaldo=header.taken_at,
            fecha_creacion=header.taken_at,
            tamaño_bytes=file.compressed_size,
            hash_md5=file.md5,
            huella=fingerprint(header, file.totals, file.reference_totals),
            numero_registros=file.records,
            tipo_respaldo=tipo,
            descripcion=origin.description,
            usuario=origin.user,
        )
        if respaldo is None:
            return None
        last = await backup_queries.good_before(session, clinica_id=clinica_id, moment=header.taken_at)
        doubt = suspicion(file.records, file.compressed_size, last)
        # A second copy may be made long after; what is sealed says truly when it was taken.
        if doubt is None and not (source.copy is not None and file.seal_checked):
            doubt = _misdated(header.taken_at, modified)
        today = f"{datetime.now(UTC).astimezone(resources.time_zone):%Y-%m-%d}"
        metadata = completed_metadata(
            file.totals,
            original_size=file.original_size,
            size=file.compressed_size,
            seconds={},
            avisos=[
                *([doubt] if doubt else []),
                *([f"{whose(clinica_id)} no tiene ningún registro"] if file.records == 0 else []),
                *([] if file.seal is not None or not resources.seals.public else ["se aceptó sin sello"]),
                f"se reconstruyó el {today} a partir de su archivo, que no dice cuánto tardó ni de qué avisó",
            ],
            sha256=file.sha256,
            seal=file.seal if file.seal_checked else None,
            key=file.key,
        )
        if respaldo.id != origin.id:
            metadata["id_original"] = origin.id
        respaldo.metadata_ = metadata
        respaldo.sospechoso = doubt is not None
        if source.copy is not None:
            await session.flush()
            await copy_queries.note(session, respaldo.id, source.copy, EstadoCopia.COMPLETA, clinica_id=clinica_id)
            await copy_queries.note_only_copy(session, respaldo.id, True, clinica_id=clinica_id)
        await audit.record(
            session,
            Accion.REINDEXACION,
            actor,
            clinica_id=clinica_id,
            respaldo_id=respaldo.id,
            archivo_s3=key,
            **({} if source.copy is None else {"copia": source.copy}),
        )
        await session.refresh(respaldo)
        return respaldo


def _misdated(taken_at: datetime, modified: datetime) -> str | None:
    if abs(modified - taken_at) <= DATES_APART:
        return None
    return (
        f"sospechoso: dice ser del {taken_at:%Y-%m-%d %H:%M} UTC, y su objeto está en S3 desde el"
        f" {modified:%Y-%m-%d %H:%M}"
    )
