"""Removes from S3 what is left there of destroyed keys."""

import asyncio
import logging
from collections.abc import AsyncIterator

from app.errors import StorageCredentialsRefused, StorageError
from app.respaldos.copies.bucket import CopyBucket
from app.respaldos.databases import transaction
from app.respaldos.keys import fleet as key_fleet
from app.respaldos.keys import queries as key_queries
from app.respaldos.keys.object_key import object_key_of
from app.respaldos.models import Clave
from app.respaldos.resources import Resources

log = logging.getLogger(__name__)

# For each; what is not removed in it is tried again at the next call.
ERASE_SECONDS = 20


async def clean_up_keys(resources: Resources) -> None:
    """Erase the objects of destroyed keys with all their versions; what S3 keeps is tried again at the next call."""
    async with transaction(resources) as session:
        left = await key_fleet.to_erase(session)
    for key in left:
        if (problem := await erase(resources, key)) is not None:
            log.warning("queda en S3 la clave destruida «%s»: %s", key.id, problem)


async def erase(resources: Resources, key: Clave) -> str | None:
    """Erase a destroyed key's object, with those of the copies', and note it; return why one may still be there."""
    object_key, left = object_key_of(key.id, clinica_id=key.clinica_id), None
    try:
        async with asyncio.timeout(ERASE_SECONDS):
            await resources.storage.erase(object_key)
        for bucket in resources.copies:
            async with asyncio.timeout(ERASE_SECONDS):
                left = await erase_from_copy(bucket, object_key) or left
    except (StorageError, TimeoutError) as exc:
        return str(exc) or "no responde"
    async with transaction(resources) as session:
        await key_queries.mark_erased(session, key.id, clinica_id=key.clinica_id)
    return left


async def erase_from_copy(bucket: CopyBucket, object_key: str) -> str | None:
    """Erase a key's object there, or write over it where our keys may not delete; return what may be left then.

    Raises StorageError where nothing could be done, which is to be tried again.
    """

    async def nothing() -> AsyncIterator[bytes]:
        yield b"destruida\n"

    with bucket.errors():
        if await bucket.storage.head(object_key) is None:
            return None
        try:
            await bucket.storage.erase(object_key)
        except StorageCredentialsRefused:
            await bucket.storage.upload(object_key, nothing(), content_type="text/plain", brief=True)
            return (
                f"copia «{bucket.name}»: su almacén no deja borrar «{object_key}»; se escribió otra cosa en su"
                " lugar, y si guarda versiones, la anterior queda hasta que él la borre"
            )
    return None
