"""Removes from S3 what is left there of destroyed keys."""

import asyncio
import logging

from app.errors import StorageError
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
    """Erase a destroyed key's object, and note it; return why something of it may still be there, if it may."""
    try:
        async with asyncio.timeout(ERASE_SECONDS):
            await resources.storage.erase(object_key_of(key.id, clinica_id=key.clinica_id))
    except (StorageError, TimeoutError) as exc:
        return str(exc) or "no responde"
    async with transaction(resources) as session:
        await key_queries.mark_erased(session, key.id, clinica_id=key.clinica_id)
    return None
