"""Removes from S3 what failed attempts at backups left there."""

import asyncio
import logging

from app.errors import StorageError
from app.respaldos.backup import fleet as backup_fleet
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import transaction
from app.respaldos.models import Trabajo
from app.respaldos.resources import Resources

log = logging.getLogger(__name__)

# For each key. A person waits for this when a backup is interrupted, and what is left is tried again later.
CLEAN_UP_SECONDS = 20


async def clean_up(resources: Resources, *, respaldo_id: int | None = None) -> None:
    """Remove the uploads and objects of our own ended attempts, by their recorded keys; nothing else is touched.

    With `respaldo_id`, only those at that backup, so that its end does not wait for the others'. What S3 does not
    remove now is tried again at the next call.
    """
    async with transaction(resources) as session:
        dangling = await backup_fleet.dangling_attempts(session, respaldo_id=respaldo_id)
    if not dangling:
        return
    try:
        # A store that does not answer would cost its whole patience for every key.
        async with asyncio.timeout(CLEAN_UP_SECONDS):
            await resources.storage.check()
    except (StorageError, TimeoutError) as exc:
        log.warning("queda por limpiar en S3 lo de %d intentos de respaldo: %s", len(dangling), exc or "no responde")
        return
    for attempt in dangling:
        try:
            async with asyncio.timeout(CLEAN_UP_SECONDS):
                await resources.storage.discard(attempt.archivo_s3)
        except (StorageError, TimeoutError) as exc:
            log.warning("no se pudo limpiar «%s» en S3: %s", attempt.archivo_s3, exc or "no responde")
            continue
        async with transaction(resources) as session:
            await backup_fleet.mark_clean(session, attempt)


async def clean_up_after(resources: Resources, job: Trabajo) -> None:
    """The same for one attempt at a backup that this process has given up, whoever ended it."""
    async with transaction(resources) as session:
        await backup_queries.reopen_cleaning(session, job.respaldo_id, job.intento, clinica_id=job.clinica_id)
    await clean_up(resources, respaldo_id=job.respaldo_id)
