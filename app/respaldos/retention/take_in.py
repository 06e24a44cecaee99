"""Makes a backup of what lies elsewhere: a file on this machine, or an object of the bucket that no row has."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

from app.dump.document import fingerprint
from app.dump.encryption import MAX_ENVELOPE_BYTES, Encryptor, envelope_of
from app.dump.verifier import FileVerifier, VerifiedFile
from app.errors import FormatError, LocalFileError, ObjectMismatch, ObjectNotFound, RespaldoNotFound
from app.respaldos.audit import COMMAND_LINE, Actor
from app.respaldos.backup.object_key import content_type_of, generar_ruta_s3, owner_in
from app.respaldos.cancellation import uninterrupted
from app.respaldos.contract import MIB
from app.respaldos.databases import transaction
from app.respaldos.keys.keys import decryption_by, key_for_new_file
from app.respaldos.models import Estado, Respaldo
from app.respaldos.progress import Etapa, Progress
from app.respaldos.resources import Resources
from app.respaldos.retention import fleet as retention_fleet
from app.respaldos.retention.reindex import index_object, refuse_future
from app.storage.s3 import PART_SIZE, StoredObject

# What is read of the file at a time (bytes).
_CHUNK = MIB


async def take_object(
    resources: Resources,
    key: str,
    *,
    unsealed: bool = False,
    progress: Progress | None = None,
    actor: Actor = COMMAND_LINE,
) -> Respaldo:
    """The backup whose object has that key: that of the database, or one that is made of the object.

    `unsealed` is as for `reindexar`. Raises FormatError for a key that is no backup's, or for what is wrong with the
    object; RespaldoNotFound where its backup was deleted or never completed; EncryptionError, StorageError and
    DatabaseError.
    """
    try:
        owner_in(key)
    except ValueError as exc:
        raise FormatError(f"«{key}» no es el nombre de un respaldo en el bucket") from exc
    async with transaction(resources) as session:
        known = await retention_fleet.with_key(session, key)
    if known is not None:
        return _usable(known, key)
    item = await resources.storage.head(key)
    if item is None:
        raise ObjectNotFound(f"el bucket «{resources.storage.options.bucket}» no tiene «{key}»")
    progress = progress or Progress()
    progress.enter(Etapa.VERIFICANDO)
    added = await index_object(resources, item, unsealed=unsealed, progress=progress, actor=actor)
    # Where somebody else has added it meanwhile.
    return added or await take_object(resources, key, unsealed=unsealed, progress=progress, actor=actor)


def _usable(known: Respaldo, key: str) -> Respaldo:
    if known.archivo_s3 != key or known.estado != Estado.COMPLETADO:
        raise RespaldoNotFound(f"«{key}» es de un intento del respaldo {known.id}, que no se completó con él")
    if known.fecha_eliminacion is not None:
        raise RespaldoNotFound(
            f"«{key}» es del respaldo {known.id}, que se eliminó; «respaldos recuperar {known.id}» lo trae de vuelta"
        )
    return known


async def take_file(
    resources: Resources,
    path: Path,
    *,
    unsealed: bool = False,
    progress: Progress | None = None,
    actor: Actor = COMMAND_LINE,
) -> Respaldo:
    """The backup that the file says it is, where its object is whole, or a new one whose object is the file.

    So what is done with it is done as with any backup, and it stays. The file is verified first, and its object is
    read from beginning to end before there is a row; where backups are encrypted, so is the object. `unsealed` is as
    for `reindexar`. Raises LocalFileError, FormatError, EncryptionError, StorageError, DatabaseError: nothing is left
    in the bucket then.
    """
    progress = progress or Progress()
    progress.enter(Etapa.VERIFICANDO)
    file = await _verify(resources, path, progress, unsealed=unsealed)
    refuse_future(file.header)
    if (known := await _known(resources, file)) is not None:
        return known
    progress.enter(Etapa.SUBIENDO)
    key = await _upload(resources, path, file, progress)
    try:
        progress.enter(Etapa.RELEYENDO)
        item = await resources.storage.head(key)
        if item is None:
            raise ObjectNotFound(f"el bucket no tiene «{key}», que se acaba de subir")
        added = await index_object(resources, item, unsealed=unsealed, progress=progress, actor=actor, misdated=True)
    except BaseException:
        await uninterrupted(resources.storage.discard(key))
        raise
    return added or await take_object(resources, key, unsealed=unsealed, progress=progress, actor=actor)


async def _verify(resources: Resources, path: Path, progress: Progress, *, unsealed: bool) -> VerifiedFile:
    async with aclosing(_chunks(path)) as chunks:
        head = await anext(chunks, b"")
        envelope = envelope_of(head[:MAX_ENVELOPE_BYTES])
        decryption = await decryption_by(resources, envelope) if envelope is not None else None
        verifier = FileVerifier(resources.seals, sealed=not unsealed, decryption=decryption)
        await asyncio.to_thread(verifier.feed, head)
        async for chunk in chunks:
            await asyncio.to_thread(verifier.feed, chunk)
            progress.advance(bytes_=len(chunk))
    return await asyncio.to_thread(verifier.finish)


async def _chunks(path: Path) -> AsyncGenerator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk
    except OSError as exc:
        raise LocalFileError(f"no se puede leer «{path}»: {exc.strerror}") from exc


async def _known(resources: Resources, file: VerifiedFile) -> Respaldo | None:
    header = file.header
    async with transaction(resources) as session:
        same = await retention_fleet.saying_the_same(
            session,
            clinica_id=header.clinica_id,
            huella=fingerprint(header, file.totals, file.reference_totals),
            fecha_respaldo=header.taken_at,
        )
    for respaldo in same:
        if respaldo.made_as == header.origin.id:
            try:
                await resources.storage.glance(
                    StoredObject(respaldo.archivo_s3 or "", respaldo.tamaño_bytes or 0, respaldo.hash_md5 or "")
                )
            except (ObjectNotFound, ObjectMismatch):
                # That is why somebody has the file at hand.
                continue
            return respaldo
    return None


async def _upload(resources: Resources, path: Path, file: VerifiedFile, progress: Progress) -> str:
    """Return the key of its object, which nothing had."""
    header, encryption = file.header, None
    if file.key is None and (secret := await key_for_new_file(resources, clinica_id=header.clinica_id)) is not None:
        origin = header.origin
        encryption = Encryptor(secret, clinica_id=header.clinica_id, respaldo_id=origin.id, attempt=origin.attempt)
    encrypted = file.key is not None or encryption is not None
    key = await _free_key(resources, file, encrypted=encrypted)

    async def content() -> AsyncGenerator[bytes]:
        async with aclosing(_chunks(path)) as chunks:
            async for chunk in chunks:
                progress.advance(bytes_=len(chunk))
                if encryption is None:
                    yield chunk
                elif sent := await asyncio.to_thread(encryption.feed, chunk):
                    yield sent
        if encryption is not None:
            yield encryption.finish()

    # Parts of which ten thousand hold it, with room for what encryption adds.
    part_size = max(PART_SIZE, -(-file.compressed_size // 9_000 // MIB) * MIB)
    async with aclosing(content()) as chunks:
        stored = await resources.storage.upload(key, chunks, part_size=part_size, content_type=content_type_of(key))
    if encryption is None and stored.md5 != file.md5:
        await resources.storage.discard(key)
        raise LocalFileError(f"«{path}» cambió mientras se leía")
    return key


async def _free_key(resources: Resources, file: VerifiedFile, *, encrypted: bool) -> str:
    moment = file.header.taken_at
    while True:
        key = generar_ruta_s3(file.header.clinica_id, moment, resources.time_zone, encrypted=encrypted)
        async with transaction(resources) as session:
            known = await retention_fleet.with_key(session, key)
        if known is None and await resources.storage.head(key) is None:
            return key
        moment += timedelta(seconds=1)
