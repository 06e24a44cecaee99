"""Stops a worker so that its jobs clean up after themselves, however often it is told.

arq's own way cancels what it does around the jobs too: where a job has just ended, that makes it leave the others
alone in mid-cleaning, and a second signal, as a service manager that signals the whole group sends, always does.
"""

import asyncio
import signal

from workers.jobs import RUNNING, STOPPING, Context

# A cancellation that comes together with an answer can get lost on its way (seconds).
AGAIN_SECONDS = 0.5


def stop_gently(context: Context) -> None:
    """From now on, SIGTERM and SIGINT cancel the jobs, and then arq's main task, which must be the current one."""
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    assert main is not None  # noqa: S101 (asyncio's own promise inside a coroutine)
    context[STOPPING] = asyncio.Event()
    ending: set[asyncio.Task[None]] = set()

    def stop() -> None:
        context[STOPPING].set()
        for job in context[RUNNING]:
            job.cancel()
        if not ending:
            ending.add(loop.create_task(_end(main)))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


async def _end(main: "asyncio.Task[object]") -> None:
    while not main.done():
        main.cancel()
        await asyncio.wait([main], timeout=AGAIN_SECONDS)
