"""Removes from S3 what was deleted days ago."""

import asyncio
import logging

from app.errors import StorageError
from app.respaldos import audit
from app.respaldos.audit import SERVICE, Actor
from app.respaldos.databases import transaction
from app.respaldos.models import Accion
from app.respaldos.resources import Resources
from app.respaldos.retention import fleet as retention_fleet
from app.respaldos.retention import queries as retention_queries
from app.respaldos.retention.fleet import Purgeable

log = logging.getLogger(__name__)

# For each object; what is not removed in it is tried again at the next call.
DELETE_SECONDS = 20


async def purgar(resources: Resources, *, days: int, clinica_id: int | None = None, actor: Actor = SERVICE) -> int:
    """Remove the objects of the backups that were deleted `days` or more ago; return how many backups that were.

    Of every clinic, or of one.

    Each removal is begun in the database, done in S3, and then noted, so that nobody takes back a backup whose
    object is about to go, and nothing is noted that was not done. What S3 does not remove is tried again at the
    next call; an object that is not there counts as removed.
    """
    async with transaction(resources) as session:
        due = await retention_fleet.purgeable(session, days=days, clinica_id=clinica_id)
    purged = 0
    for backup in due:
        async with transaction(resources) as session:
            if not await retention_queries.begin_purge(
                session, backup.respaldo_id, clinica_id=backup.clinica_id, days=days
            ):
                continue
        if backup.archivo_s3 is not None:
            problem = await _delete(resources, backup)
            if problem is not None:
                log.warning("no se pudo borrar «%s» de S3: %s", backup.archivo_s3, problem)
                # One object may be refused; a store that does not answer would cost its whole patience for each.
                if not await _answers(resources):
                    log.warning("S3 no responde; quedan respaldos eliminados por borrar de S3")
                    return purged
                continue
        async with transaction(resources) as session:
            await retention_queries.mark_purged(session, backup.respaldo_id, clinica_id=backup.clinica_id)
            await audit.record(
                session,
                Accion.PURGA,
                actor,
                clinica_id=backup.clinica_id,
                respaldo_id=backup.respaldo_id,
                archivo_s3=backup.archivo_s3,
            )
        purged += 1
    return purged


async def _delete(resources: Resources, backup: Purgeable) -> str | None:
    """Why the object may still be there, if it may."""
    assert backup.archivo_s3 is not None  # noqa: S101 (the caller's promise)
    try:
        async with asyncio.timeout(DELETE_SECONDS):
            await resources.storage.delete(backup.archivo_s3)
    except (StorageError, TimeoutError) as exc:
        return str(exc) or "no responde"
    return None


async def _answers(resources: Resources) -> bool:
    try:
        async with asyncio.timeout(DELETE_SECONDS):
            await resources.storage.check()
    except (StorageError, TimeoutError):
        return False
    return True
