"""Keeps running work ours for as long as it makes progress, and hears when it is to stop."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Protocol

from sqlalchemy import ColumnElement, func
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Cancelled, DatabaseError, LeaseLost, Stalled
from app.respaldos.databases import Databases, transaction
from app.respaldos.progress import Expected, Progreso, Progress

# These are looked up when they are used, so that a test can have a process of its own with others:
#   python -c "from app.respaldos import lease; lease.LEASE_SECONDS = 3; lease.RENEW_SECONDS = 0.5;
#   import uvloop; from workers.worker import work; uvloop.run(work())"

# How long a process may give no sign of life before another takes its work over (seconds).
LEASE_SECONDS = 60

# A person who watches, or who has cancelled, does not wait longer than this for the next news. What is done sooner
# has cost no statement (seconds).
BEAT_SECONDS = 1

# A quarter of the lease: three renewals may fail before it runs out (seconds).
RENEW_SECONDS = 15

# A connection that is dead without saying so moves no bytes; a slow one moves some (seconds).
STALLED_SECONDS = 300

# A worker's work that dies, or fails for a reason that may pass, is tried up to this often in all. What a
# stop of the worker interrupts is no such try: otherwise two deployments would leave a backup a single one.
MAX_ATTEMPTS = 3

# How long the end of the work waits for a sign of life that is under way, whose connection would be lost (seconds).
LAST_BEAT_SECONDS = 1


def lease_end() -> ColumnElement[datetime]:
    """When a lease that is taken now runs out, as SQL."""
    # By the database's clock: the clocks of two machines may differ by more than a lease.
    return func.clock_timestamp() + timedelta(seconds=LEASE_SECONDS)


class Beat(Enum):
    """What a sign of life brought back: the work is still ours; it is another's; a person wants it stopped."""

    MINE = auto()
    LOST = auto()
    CANCELLED = auto()


class LeasedWork(Protocol):
    """Work on a row that this process has claimed for a lease."""

    @property
    def name(self) -> str:
        """What it is called in an error's message."""
        ...

    async def beat(self, session: AsyncSession, *, renew: bool, progreso: Progreso | None) -> Beat:
        """Extend the lease where `renew`, tell the progress where there is any news, and ask how things are."""
        ...

    async def expected(self, session: AsyncSession) -> Expected:
        """How much the work will probably move."""
        ...


@asynccontextmanager
async def held_lease(databases: Databases, work: LeasedWork, progress: Progress) -> AsyncIterator[None]:
    """Give signs of life while the block runs: the lease is renewed, and the row says how far the work is.

    Raises in the block's place: LeaseLost where another process has taken the work over, Cancelled where a person
    wants it stopped, and Stalled where nothing has moved for STALLED_SECONDS.
    """
    worker = asyncio.current_task()
    assert worker is not None  # noqa: S101 (asyncio's own promise inside a coroutine)
    cancelled_before = worker.cancelling()

    def give_up(heart: asyncio.Task[None]) -> None:
        if not heart.cancelled() and heart.exception() is not None:
            worker.cancel()

    ended = asyncio.Event()
    heart = asyncio.create_task(_beat_until(ended, databases, work, progress))
    heart.add_done_callback(give_up)
    try:
        try:
            yield
        finally:
            ended.set()
            try:
                await asyncio.wait([heart], timeout=LAST_BEAT_SECONDS)
            finally:
                heart.cancel()
                await asyncio.wait([heart])
    except asyncio.CancelledError:
        problem = heart.exception() if heart.done() and not heart.cancelled() else None
        if problem is None or worker.uncancel() > cancelled_before:
            raise
        raise problem from None


async def _beat_until(ended: asyncio.Event, databases: Databases, work: LeasedWork, progress: Progress) -> None:
    renewed = time.monotonic()
    told: Progreso | None = None
    while not await _within(min(BEAT_SECONDS, RENEW_SECONDS), ended):
        if progress.idle_seconds > STALLED_SECONDS:
            raise Stalled(f"{work.name}: en {STALLED_SECONDS} segundos no se movió ningún byte, y se abandonó")
        renew = time.monotonic() - renewed >= RENEW_SECONDS
        try:
            async with asyncio.timeout(max(RENEW_SECONDS, BEAT_SECONDS)), transaction(databases) as session:
                if progress.expected is None:
                    progress.expected = await work.expected(session)
                news = progress.as_row()
                found = await work.beat(session, renew=renew, progreso=news if news != told else None)
        except (DatabaseError, TimeoutError):
            # The next one may reach it. If none does, the lease runs out and others decide; finishing then
            # changes nothing.
            continue
        _heed(found, work)
        told = news
        if renew:
            renewed = time.monotonic()


def _heed(found: Beat, work: LeasedWork) -> None:
    if found is Beat.LOST:
        raise LeaseLost(f"{work.name}: otro proceso se hizo cargo")
    if found is Beat.CANCELLED:
        raise cancelled(work)


def cancelled(work: LeasedWork) -> Cancelled:
    """What ends work that a person wants stopped."""
    return Cancelled(f"{work.name}: se canceló a pedido de una persona")


async def _within(seconds: float, ended: asyncio.Event) -> bool:
    """Whether it happens within so many seconds."""
    try:
        await asyncio.wait_for(ended.wait(), seconds)
    except TimeoutError:
        return False
    return True
