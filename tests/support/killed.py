"""Processes that do not outlive a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def killed_at_the_end(process: asyncio.subprocess.Process) -> AsyncIterator[asyncio.subprocess.Process]:
    """The process, which does not outlive a test that fails."""
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
