"""Ends what dead processes left open, and removes what ended attempts and exports left in S3."""

from app.respaldos.backup.cleanup import clean_up
from app.respaldos.databases import transaction
from app.respaldos.exports.cleanup import clean_up_exports
from app.respaldos.jobs import fleet as job_fleet
from app.respaldos.jobs.run import end_expired
from app.respaldos.keys.cleanup import clean_up_keys
from app.respaldos.resources import Resources
from app.respaldos.restore.end import end_expired_restores


async def reconciliar(resources: Resources) -> int:
    """End jobs whose lease ran out, clean up after all that has ended; return how many jobs wait for a worker."""
    await end_expired(resources)
    await end_expired_restores(resources)
    # Before the next attempt is announced: the embedded store answers 500 where an upload begins in a folder from
    # which the last object is just removed.
    await clean_up(resources)
    await clean_up_exports(resources)
    await clean_up_keys(resources)
    async with transaction(resources) as session:
        return await job_fleet.waiting(session)
