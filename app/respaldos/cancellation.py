"""Work that must come to its end, such as writing down how something ended."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end whatever cancellations arrive; then be cancelled, if one did.

    `work` itself must end in a bounded time.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is None:
        return task.result()
    if not task.cancelled() and (problem := task.exception()) is not None:
        raise cancelled from problem
    raise cancelled
