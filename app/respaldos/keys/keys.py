"""A clinic's key for a file that is to be written, or read."""

import logging
from collections.abc import AsyncIterator

from app.dump.encryption import MAX_ENVELOPE_BYTES, ClinicKey, Decryptor, FileEnvelope, KeyEnvelope, envelope_of
from app.dump.whose import whose
from app.errors import ClinicKeyMissing, FormatError, KeyDestroyed, KeyRefused, ObjectNotFound, StorageError
from app.respaldos.databases import transaction
from app.respaldos.keys import queries as key_queries
from app.respaldos.keys.object_key import object_key_of
from app.respaldos.models import Clave, Respaldo
from app.respaldos.resources import Resources

log = logging.getLogger(__name__)


async def key_for_new_file(resources: Resources, *, clinica_id: int | None) -> ClinicKey | None:
    """What a new file of the clinic is encrypted with, made where there is none; None where files are not encrypted.

    When this returns, the database and the bucket have the key. Raises EncryptionError, StorageError, DatabaseError:
    no file is to be written then.
    """
    if not resources.keyring.encrypting:
        return None
    async with transaction(resources) as session:
        kept = await key_queries.newest(session, clinica_id=clinica_id)
    if kept is not None:
        key = await resources.keyring.open(_text(kept))
        if kept.copiada is None:
            await copy(resources, kept.id, _text(kept), clinica_id=clinica_id)
        return key
    key = ClinicKey.draw()
    envelope = await resources.keyring.masters.wrap(key, clinica_id=clinica_id)
    # That it comes out again is known before anything depends on it.
    await resources.keyring.open(envelope.text())
    async with transaction(resources) as session:
        await key_queries.add(session, envelope, clinica_id=clinica_id)
    await copy(resources, key.id, envelope.text(), clinica_id=clinica_id, first=True)
    return key


async def copy(resources: Resources, key_id: str, text: str, *, clinica_id: int | None, first: bool = False) -> None:
    """Put the key's envelope beside the backups, and leave no earlier one there; note it. `first`: there is none.

    Raises KeyDestroyed where the key was destroyed meanwhile: then nothing stays.
    """
    object_key = object_key_of(key_id, clinica_id=clinica_id)

    async def content() -> AsyncIterator[bytes]:
        yield text.encode()

    # Of some hundred bytes, other classes charge as of 128 KiB.
    stored = await resources.storage.upload(object_key, content(), content_type="text/plain", brief=True)
    await resources.storage.read_back(stored)
    async with transaction(resources) as session:
        copied = await key_queries.mark_copied(session, key_id, clinica_id=clinica_id, envelope=text)
        kept = await key_queries.get(session, key_id, clinica_id=clinica_id)
    if copied and not first:
        await resources.storage.erase(object_key, but_current=True)
    elif not copied and (kept is None or kept.destruida is not None):
        await resources.storage.erase(object_key)
        raise _destroyed(key_id, clinica_id)


async def decryption_of(resources: Resources, respaldo: Respaldo) -> Decryptor | None:
    """What reads the backup's file, which has to be the one that its row says; None where it is not encrypted.

    Raises KeyDestroyed and other EncryptionErrors, which say nothing of the file.
    """
    if respaldo.key_id is None:
        return None
    key = await key_of(resources, respaldo.key_id, clinica_id=respaldo.clinica_id)
    return Decryptor(key, expected=(respaldo.clinica_id, respaldo.made_as))


def refuse_destroyed(respaldo: Respaldo) -> None:
    """Raise KeyDestroyed where nobody can read the backup any more."""
    if respaldo.clave_destruida is not None:
        raise KeyDestroyed(
            f"nadie puede leer el respaldo {respaldo.id}: la clave con que se cifró se destruyó el"
            f" {respaldo.clave_destruida:%Y-%m-%d}"
        )


async def key_of(resources: Resources, key_id: str, *, clinica_id: int | None) -> ClinicKey:
    """The clinic's key of that id, from the database, or where that has never known it, from the bucket.

    Raises EncryptionError, StorageError, DatabaseError.
    """
    async with transaction(resources) as session:
        kept = await key_queries.get(session, key_id, clinica_id=clinica_id)
    if kept is None:
        text = await _text_in_bucket(resources, key_id, clinica_id=clinica_id)
    elif kept.destruida is not None:
        raise _destroyed(key_id, clinica_id)
    else:
        text = _text(kept)
    key = await resources.keyring.open(text)
    envelope = KeyEnvelope.parse(text)
    if (envelope.clinica_id, key.id) != (clinica_id, key_id):
        raise KeyRefused(
            f"lo guardado como la clave «{key_id}» de {whose(clinica_id)} es la «{key.id}» de"
            f" {whose(envelope.clinica_id)}: alguien la cambió de lugar"
        )
    return key


async def beginning(chunks: AsyncIterator[bytes]) -> tuple[bytes, FileEnvelope | None]:
    """The first bytes of a file, and how it says that it is encrypted. Raises FormatError, and what `chunks` does."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= MAX_ENVELOPE_BYTES:
            break
    return head, envelope_of(head[:MAX_ENVELOPE_BYTES])


async def decryption_by(resources: Resources, envelope: FileEnvelope) -> Decryptor:
    """What reads a file of which nothing is known but what it says. Raises EncryptionError, StorageError."""
    return Decryptor(await key_of(resources, envelope.key_id, clinica_id=envelope.clinica_id))


async def _text_in_bucket(resources: Resources, key_id: str, *, clinica_id: int | None) -> str:
    problem: StorageError | None = None
    for storage in (resources.storage, *(bucket.storage for bucket in resources.copies)):
        try:
            async with storage.download(object_key_of(key_id, clinica_id=clinica_id)) as chunks:
                return await read_text(chunks)
        except StorageError as exc:
            problem = problem or exc
    if problem is not None and not isinstance(problem, ObjectNotFound):
        raise problem
    raise ClinicKeyMissing(
        f"ni la base de datos ni el bucket tienen la clave «{key_id}» de {whose(clinica_id)}: sin ella nadie"
        " puede leer lo que se cifró con ella"
    ) from problem


async def read_text(chunks: AsyncIterator[bytes]) -> str:
    """A key's object, no more of it than a key's can have. Raises KeyRefused, and what `chunks` does."""
    text = b""
    async for chunk in chunks:
        text += chunk
        if len(text) > MAX_ENVELOPE_BYTES:
            break
    try:
        return KeyEnvelope.parse(text.decode()).text()
    except (FormatError, UnicodeDecodeError) as exc:
        raise KeyRefused(f"el objeto de la clave no es uno de este servicio ({exc})") from exc


def _text(kept: Clave) -> str:
    assert kept.envoltura is not None  # noqa: S101 (it is not destroyed)
    return kept.envoltura


def _destroyed(key_id: str, clinica_id: int | None) -> KeyDestroyed:
    return KeyDestroyed(
        f"la clave «{key_id}» de {whose(clinica_id)} se destruyó: nadie puede leer lo que se cifró con ella"
    )
