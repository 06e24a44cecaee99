"""How a worker's process hears that it is to stop."""

import asyncio
import signal


def told_to_stop() -> asyncio.Event:
    """What SIGTERM and SIGINT set from now on, however often they come."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told
