"""Takes jobs from Redis and does them, until it is told to stop: `python -m workers.worker`.

arq's worker without arq's own process around it. That one ends when Redis answers with an error, waits for Redis
when it is to end, and on either occasion leaves jobs alone in mid-cleaning: they went as by kill -9.
"""

import asyncio
import logging
from logging.config import dictConfig

import uvloop
from arq.logs import default_log_config
from arq.worker import Worker, create_worker
from redis.exceptions import RedisError

from app.connections.resources import open_resources
from app.errors import RespaldosError
from app.respaldos.resources import Resources
from workers.jobs import RESOURCES, RUNNING, STOPPING, Context
from workers.settings import WorkerSettings, settings
from workers.stop import AGAIN_SECONDS, end_all, told_to_stop

log = logging.getLogger(__name__)

# A Redis that is away is waited for in silence; what it answers wrongly should not fill the log (seconds).
PAUSE_SECONDS = 1.0

# How long Redis is given to hear which jobs have ended. It may be away, and the rows say so too (seconds).
GOODBYE_SECONDS = 5.0


async def work() -> None:
    """Do jobs until told to stop. However it ends, those under way have cleaned up after themselves."""
    told = told_to_stop()
    async with open_resources(settings) as resources:
        context: Context = {RESOURCES: resources, RUNNING: set(), STOPPING: asyncio.Event()}
        # arq's own protocol for these classes is narrower than what it reads of them.
        worker = create_worker(WorkerSettings, ctx=context, handle_signals=False)  # type: ignore[arg-type]
        taking, stop = asyncio.create_task(_take_jobs(worker)), asyncio.create_task(told.wait())
        saying = asyncio.create_task(_say_problems(resources))
        try:
            await asyncio.wait([taking, stop], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(worker, context, taking)
            stop.cancel()
            saying.cancel()
    if not taking.cancelled():
        taking.result()


async def _say_problems(resources: Resources) -> None:
    """Say at the start which rules of OWNERSHIP_RULES cannot be followed; the backups say so, too."""
    try:
        for problem in await resources.clinic.problems():
            log.warning("%s", problem)
    except RespaldosError as exc:
        log.warning("%s", exc)


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
    await end_all(lambda: {taking, *context[RUNNING]})
    if worker.tasks:
        await asyncio.wait(worker.tasks.values(), timeout=GOODBYE_SECONDS)
    # A job that has begun meanwhile ends itself; what still waits for Redis ends with the loop.
    while context[RUNNING]:
        await asyncio.wait(context[RUNNING], timeout=AGAIN_SECONDS)


if __name__ == "__main__":
    dictConfig(default_log_config(verbose=False))
    uvloop.run(work())
