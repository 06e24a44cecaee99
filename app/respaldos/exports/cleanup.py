"""Removes from S3 what nobody can have any more of exports: taken, ended, given up, or left by a dead worker."""

import asyncio
import logging

from app.errors import StorageError
from app.respaldos.databases import transaction
from app.respaldos.exports import fleet as exports_fleet
from app.respaldos.exports.folder import remove_abandoned
from app.respaldos.exports.object_key import key_of
from app.respaldos.models import Exportacion, Trabajo
from app.respaldos.resources import Resources

log = logging.getLogger(__name__)

# For each export; what is not removed in it is tried again at the next call.
CLEAN_UP_SECONDS = 20


async def clean_up_exports(resources: Resources) -> None:
    """Remove the objects and unfinished uploads of every attempt at them, by their keys; nothing else is touched.

    And what dead processes left on this machine's disk. Raises DatabaseError.
    """
    await asyncio.to_thread(remove_abandoned)
    async with transaction(resources) as session:
        over = await exports_fleet.over(session)
    for exportacion in over:
        try:
            async with asyncio.timeout(CLEAN_UP_SECONDS):
                await _discard(resources, exportacion)
        except (StorageError, TimeoutError) as exc:
            log.warning("queda por borrar de S3 la exportación %d: %s", exportacion.id, exc or "no responde")
            # A store that does not answer would cost its whole patience for each.
            return
        async with transaction(resources) as session:
            await exports_fleet.mark_clean(session, exportacion.id)


async def _discard(resources: Resources, exportacion: Exportacion) -> None:
    for intento in range(1, exportacion.trabajo.intento + 1):
        await resources.storage.discard(key_of(exportacion.id, intento, clinica_id=exportacion.clinica_id))


async def discard_former(resources: Resources, job: Trabajo) -> None:
    """Remove what the attempts before this one left. Raises StorageError."""
    assert job.exportacion_id is not None  # noqa: S101 (it is a job of an export)
    for intento in range(1, job.intento):
        await resources.storage.discard(key_of(job.exportacion_id, intento, clinica_id=job.clinica_id))


async def clean_up_after(resources: Resources, job: Trabajo) -> None:
    """Remove what this attempt left, which this process has given up: whoever ended it may have looked too early."""
    assert job.exportacion_id is not None  # noqa: S101 (it is a job of an export)
    try:
        async with asyncio.timeout(CLEAN_UP_SECONDS):
            await resources.storage.discard(key_of(job.exportacion_id, job.intento, clinica_id=job.clinica_id))
    except TimeoutError as exc:
        raise StorageError(f"S3 no respondió en {CLEAN_UP_SECONDS} s") from exc
