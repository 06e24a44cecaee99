"""What a worker does when the queue says that there is something to do; the database says what."""

import asyncio
import logging
from typing import Any

from app.respaldos.jobs.run import run_next

# Names in arq's context: what the jobs work with; the tasks of those that have not come to their end; what is set
# when the worker is to stop.
RESOURCES = "resources"
RUNNING = "running"
STOPPING = "stopping"

Context = dict[Any, Any]

log = logging.getLogger(__name__)


async def trabajar(context: Context) -> None:
    """Do the best job that waits, if any does."""
    task = asyncio.current_task()
    context[RUNNING].add(task)
    if context[STOPPING].is_set() and task is not None:
        # Heard at the first suspension; arq keeps the job for another worker.
        task.cancel()
    try:
        await run_next(context[RESOURCES])
    except Exception:
        # arq, whose log nobody is shown, only counts it.
        log.exception("error interno en un trabajo")
        raise
    finally:
        context[RUNNING].discard(task)
