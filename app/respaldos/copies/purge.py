"""Removes the copies of backups that were deleted long ago, each bucket's after its own time."""

import asyncio
import logging

from app.errors import StorageCredentialsRefused, StorageError
from app.respaldos.copies import fleet as copy_fleet
from app.respaldos.copies import queries as copy_queries
from app.respaldos.copies.bucket import CopyBucket, answers
from app.respaldos.copies.fleet import Owner
from app.respaldos.databases import transaction
from app.respaldos.models import EstadoCopia
from app.respaldos.resources import Resources

log = logging.getLogger(__name__)

# For each object; what is not removed in it is tried again at the next call.
DELETE_SECONDS = 20


async def borrar_copias(resources: Resources) -> int:
    """Remove the copies of purged backups that were deleted longer ago than their bucket says; return how many.

    Begun in the database, done in the store, and then noted, as `purgar` does it. Where our keys may not delete, that
    is noted, too, and not tried again: the bucket's life cycle does it. Raises DatabaseError.
    """
    removed = 0
    for bucket in resources.copies:
        async with transaction(resources) as session:
            due = await copy_fleet.removable(session, bucket.name, days=bucket.days)
        if not due:
            continue
        try:
            # A store that does not answer would cost its whole patience for each, and what is refused to keys that
            # may not even list says nothing of deleting.
            await answers(bucket)
            for owner in due:
                removed += await _remove(resources, bucket, owner)
        except StorageError as exc:
            log.warning("quedan copias por borrar: %s", exc)
    return removed


async def _remove(resources: Resources, bucket: CopyBucket, owner: Owner) -> bool:
    """Whether the copy is gone. Raises StorageError where it may be there still."""
    async with transaction(resources) as session:
        if not await copy_queries.begin_removal(
            session, owner.respaldo_id, bucket.name, clinica_id=owner.clinica_id, days=bucket.days
        ):
            return False
    estado = EstadoCopia.BORRADA
    with bucket.errors():
        try:
            async with asyncio.timeout(DELETE_SECONDS):
                await bucket.storage.delete(owner.archivo_s3 or "")
        except StorageCredentialsRefused as exc:
            estado = EstadoCopia.CONSERVADA
            log.info("la copia «%s» la borra su almacén cuando le toque: %s", bucket.name, exc.for_log)
        except TimeoutError:
            log.warning("copia «%s»: «%s» no se pudo borrar a tiempo", bucket.name, owner.archivo_s3)
            return False
    async with transaction(resources) as session:
        await copy_queries.note(session, owner.respaldo_id, bucket.name, estado, clinica_id=owner.clinica_id)
    return estado is EstadoCopia.BORRADA
