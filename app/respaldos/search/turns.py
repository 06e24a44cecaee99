"""Reading several sources at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

# Two cores are busy with as many files, while the next one comes from S3.
AT_ONCE: Final = 3


async def in_turns(work: Callable[[int], Awaitable[None]], numbers: Iterable[int]) -> None:
    """Do the work with each number, AT_ONCE at a time, begun in this order. The first error ends all of it."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def take(number: int) -> None:
        async with turns:
            await work(number)

    tasks = [asyncio.create_task(take(number)) for number in numbers]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
