"""Ends what dead processes left open, and removes what ended attempts left in S3."""

import asyncio
import logging

from app.errors import StorageError
from app.respaldos import platform_repository
from app.respaldos.resources import Resources
from app.respaldos.transaction import transaction

log = logging.getLogger(__name__)

# For each key. A person waits for this when a backup is interrupted, and what is left is tried again later.
CLEAN_UP_SECONDS = 20


async def reconciliar(resources: Resources) -> None:
    """End backups whose lease ran out, then clean up after every ended attempt."""
    async with transaction(resources) as session:
        ended = await platform_repository.end_expired_leases(session)
    for respaldo_id in ended:
        log.warning("el respaldo %s no daba señales de vida; su intento se dio por terminado", respaldo_id)
    await clean_up(resources)


async def clean_up(resources: Resources) -> None:
    """Remove the uploads and objects of our own ended attempts, by their recorded keys; nothing else is touched.

    What S3 does not remove now is tried again at the next call.
    """
    async with transaction(resources) as session:
        leftovers = await platform_repository.leftovers(session)
    if not leftovers:
        return
    try:
        # A store that does not answer would cost its whole patience for every key.
        async with asyncio.timeout(CLEAN_UP_SECONDS):
            await resources.storage.check()
    except (StorageError, TimeoutError) as exc:
        log.warning("queda por limpiar en S3 lo de %d intentos de respaldo: %s", len(leftovers), exc or "no responde")
        return
    for leftover in leftovers:
        try:
            async with asyncio.timeout(CLEAN_UP_SECONDS):
                await resources.storage.discard(leftover.archivo_s3)
        except (StorageError, TimeoutError) as exc:
            log.warning("no se pudo limpiar «%s» en S3: %s", leftover.archivo_s3, exc or "no responde")
            continue
        async with transaction(resources) as session:
            await platform_repository.mark_clean(session, leftover)
