"""What a worker does again and again beside its jobs.

Not arq's cron: its jobs wait in the same queue as the backups, so that in a busy night the reconciler would come
after two hundred of them. Every worker goes these rounds; what they do is made to be done by several at once, and a
round that is late or left out loses nothing. While Redis is away arq does not run, and so neither do these.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.errors import RespaldosError

log = logging.getLogger(__name__)

# How long until the next time (seconds). Looked up when a worker starts, so that a test's worker can have others.
MINUTE = 60.0
HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Round:
    """`act` is done at the start and then again `seconds` after its end, or at once where `sooner` is set."""

    name: str
    seconds: float
    act: Callable[[], Awaitable[None]]
    sooner: asyncio.Event | None = None


@asynccontextmanager
async def going_round(rounds: Sequence[Round]) -> AsyncIterator[None]:
    """Go the rounds while the block runs. One that fails says so in the log, and is gone again."""
    going = [asyncio.create_task(_go(each), name=each.name) for each in rounds]
    try:
        yield
    finally:
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)


async def _go(each: Round) -> None:
    sooner = each.sooner or asyncio.Event()
    while True:
        sooner.clear()
        try:
            await each.act()
        except RespaldosError as exc:
            log.warning("%s: %s", each.name, exc)
        except Exception:
            # A mistake of ours in one of them must not end the others: who would say so, if not the reconciler?
            log.exception("%s: error interno", each.name)
        try:
            await asyncio.wait_for(sooner.wait(), each.seconds)
        except TimeoutError:
            continue
