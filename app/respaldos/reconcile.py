"""Ends what dead processes left open, and removes what ended attempts left in S3."""

from app.respaldos.backup.cleanup import clean_up
from app.respaldos.databases import transaction
from app.respaldos.jobs import fleet as job_fleet
from app.respaldos.jobs.run import end_expired
from app.respaldos.resources import Resources
from app.respaldos.restore.end import end_expired_restores


async def reconciliar(resources: Resources) -> int:
    """End jobs whose lease ran out, and clean up after every ended attempt; return as `end_dead` does."""
    waiting = await end_dead(resources)
    await clean_up(resources)
    return waiting


async def end_dead(resources: Resources) -> int:
    """End jobs whose lease ran out; return how many wait for a worker."""
    await end_expired(resources)
    await end_expired_restores(resources)
    async with transaction(resources) as session:
        return await job_fleet.waiting(session)
