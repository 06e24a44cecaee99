"""Does everything that WorkerSettings has, until it is told to stop: `python -m workers.worker`.

arq's worker without arq's own process around it. That one ends when Redis answers with an error, waits for Redis
when it is to end, loses a SIGTERM that comes together with an answer of Redis (1 of 20), and leaves jobs alone in
mid-cleaning: they went as by kill -9.
"""

import asyncio
import logging

import uvloop
from arq.worker import Worker, create_worker
from redis.exceptions import RedisError

from app.logs import configure_logging
from workers.context import open_context
from workers.jobs import RUNNING, STOPPING, Context
from workers.settings import WorkerSettings, settings
from workers.stop import RECANCEL_SECONDS, cancel_until_done, stop_requested

log = logging.getLogger(__name__)

# A Redis that is away is waited for in silence; what it answers wrongly should not fill the log (seconds).
PAUSE_SECONDS = 1.0

# How long Redis is given to hear which jobs have ended. It may be away, and the rows say so too (seconds).
SHUTDOWN_GRACE_SECONDS = 5.0


async def work() -> None:
    """Do jobs until told to stop. However it ends, those under way have cleaned up after themselves."""
    requested = stop_requested()
    async with open_context(settings, WorkerSettings.cron_jobs) as context:
        # arq would open the context only once Redis answers. Its own protocol for these classes is narrower than what
        # it reads of them.
        worker = create_worker(
            WorkerSettings,  # type: ignore[arg-type]
            ctx=context,
            handle_signals=False,
            on_startup=None,
            on_shutdown=None,
        )
        taking, stop = asyncio.create_task(_take_jobs(worker)), asyncio.create_task(requested.wait())
        try:
            await asyncio.wait([taking, stop], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(worker, context, taking)
            stop.cancel()
    if not taking.cancelled():
        taking.result()


async def _take_jobs(worker: Worker) -> None:
    """arq's main task, begun again where an answer of Redis ended it: the jobs that run are none of its business."""
    while True:
        try:
            await worker.main()
        except (RedisError, OSError) as exc:
            log.warning("Redis: %s", exc)
        await asyncio.sleep(PAUSE_SECONDS)
        await _free_places(worker)


async def _free_places(worker: Worker) -> None:
    """Give back what arq took for a job that it could not ask Redis for; there are only max_jobs of them."""
    running = sum(not task.done() for task in worker.tasks.values())
    # Those that are done give theirs back in this turn of the loop.
    await asyncio.sleep(0)
    while worker.job_counter > running:
        worker.job_counter -= 1
        worker.sem.release()


async def _end(worker: Worker, context: Context, taking: "asyncio.Task[None]") -> None:
    context[STOPPING].set()
    await cancel_until_done(lambda: {taking, *context[RUNNING]})
    if worker.tasks:
        await asyncio.wait(worker.tasks.values(), timeout=SHUTDOWN_GRACE_SECONDS)
    # A job that has begun meanwhile ends itself; what still waits for Redis ends with the loop.
    while context[RUNNING]:
        await asyncio.wait(context[RUNNING], timeout=RECANCEL_SECONDS)


if __name__ == "__main__":
    configure_logging(settings.log_format, settings.time_zone)
    uvloop.run(work())
