"""Has workers make the copies that are missing, and tells the platform's people of those that cannot be made."""

import logging
from datetime import UTC, datetime, timedelta

from app.errors import StorageError
from app.respaldos.copies import fleet as copy_fleet
from app.respaldos.copies import queries as copy_queries
from app.respaldos.copies.bucket import CopyBucket, answers
from app.respaldos.databases import transaction
from app.respaldos.resources import Resources

log = logging.getLogger(__name__)

# Of each bucket, in an hour: about as many as a worker copies in that time.
BATCH = 3000

# A copy is told of when it has failed, or when its backup is this old: a queue that long has no end in sight.
LATE = timedelta(hours=24)


async def pedir_copias(resources: Resources) -> int:
    """Ask for every copy that is missing or has failed, where its bucket answers; return how many that were.

    That is how backups from before there was the bucket come by theirs. Raises DatabaseError.
    """
    asked = 0
    for bucket in resources.copies:
        if not await _answers(bucket):
            continue
        async with transaction(resources) as session:
            found = await copy_fleet.missing(session, bucket.name, limit=BATCH)
        for first in range(0, len(found), 100):
            async with transaction(resources) as session:
                for owner in found[first : first + 100]:
                    asked += await copy_queries.ask(
                        session, owner.respaldo_id, bucket.name, clinica_id=owner.clinica_id
                    )
    return asked


async def avisar_de_copias(resources: Resources, *, now: datetime | None = None) -> int:
    """Put down for the platform's people which bucket lacks copies, once of each standstill; return how many."""
    late = (now or datetime.now(UTC)) - LATE
    known = {bucket.name for bucket in resources.copies}
    told = 0
    async with transaction(resources) as session:
        for backlog in await copy_fleet.backlogs(session):
            if backlog.destino in known and (backlog.failed or backlog.oldest < late):
                told += await copy_fleet.tell(session, backlog)
    return told


async def _answers(bucket: CopyBucket) -> bool:
    try:
        await answers(bucket)
    except StorageError as exc:
        log.warning("no se piden copias: %s", exc)
        return False
    return True
