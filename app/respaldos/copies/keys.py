"""The clinics' keys beside the copies: where only a copy is left, it can be read with the master key alone."""

from collections.abc import AsyncIterator

from app.errors import EncryptionError, ObjectNotFound
from app.respaldos.copies.bucket import CopyBucket
from app.respaldos.databases import transaction
from app.respaldos.keys import queries as key_queries
from app.respaldos.keys.keys import read_text
from app.respaldos.keys.object_key import object_key_of
from app.respaldos.resources import Resources


async def copy_key(resources: Resources, key_id: str, bucket: CopyBucket, *, clinica_id: int | None) -> None:
    """Have the bucket have the key's envelope of today. Raises StorageError, DatabaseError."""
    async with transaction(resources) as session:
        kept = await key_queries.get(session, key_id, clinica_id=clinica_id)
    if kept is None or kept.envoltura is None:
        return
    text = kept.envoltura
    object_key = object_key_of(key_id, clinica_id=clinica_id)

    async def content() -> AsyncIterator[bytes]:
        yield text.encode()

    with bucket.errors():
        if await _text_there(bucket, object_key) == text:
            return
        stored = await bucket.storage.upload(object_key, content(), content_type="text/plain", brief=True)
        await bucket.storage.read_back(stored)


async def _text_there(bucket: CopyBucket, object_key: str) -> str | None:
    try:
        async with bucket.storage.download(object_key) as chunks:
            return await read_text(chunks)
    except (ObjectNotFound, EncryptionError):
        return None
