"""How a worker's process learns that it is to stop, and ends what it does."""

import asyncio
import signal
from collections.abc import Callable, Collection
from typing import Any

# A cancellation that comes together with an answer can get lost on its way (seconds).
RECANCEL_SECONDS = 0.5


def stop_requested() -> asyncio.Event:
    """What SIGTERM and SIGINT set from now on, however often they come."""
    requested = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, requested.set)
    return requested


async def cancel_until_done(tasks: Callable[[], Collection["asyncio.Task[Any]"]]) -> None:
    """Cancel what `tasks` gives, again and again, until all of it has ended."""
    while pending := {task for task in tasks() if not task.done()}:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=RECANCEL_SECONDS)
