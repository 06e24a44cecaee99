"""Renews a job's lease while it makes progress, and raises when the job was cancelled or taken over."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.errors import Cancelled, DatabaseError, LeaseLost, Stalled
from app.respaldos.databases import transaction
from app.respaldos.jobs import queries as job_queries
from app.respaldos.jobs.kinds import name_of
from app.respaldos.jobs.queries import Heartbeat
from app.respaldos.models import Trabajo
from app.respaldos.progress import Progreso, Progress
from app.respaldos.resources import Resources

# How long the end of a job waits for a heartbeat that is under way, whose connection would be lost (seconds).
LAST_HEARTBEAT_SECONDS = 1


@asynccontextmanager
async def hold_lease(resources: Resources, job: Trabajo, progress: Progress) -> AsyncIterator[None]:
    """Send heartbeats while the block runs: the lease is renewed, and the row says how far the job is.

    Raises in the block's place: LeaseLost where another process has taken the job over, Cancelled where a person
    wants it stopped, and Stalled where nothing has moved for `stalled_seconds`.
    """
    worker = asyncio.current_task()
    assert worker is not None  # noqa: S101 (asyncio's own promise inside a coroutine)
    cancelled_before = worker.cancelling()

    def give_up(heart: asyncio.Task[None]) -> None:
        if not heart.cancelled() and heart.exception() is not None:
            worker.cancel()

    ended = asyncio.Event()
    heart = asyncio.create_task(_send_until(ended, resources, job, progress))
    heart.add_done_callback(give_up)
    try:
        try:
            yield
        finally:
            ended.set()
            try:
                await asyncio.wait([heart], timeout=LAST_HEARTBEAT_SECONDS)
            finally:
                heart.cancel()
                await asyncio.wait([heart])
    except asyncio.CancelledError:
        problem = heart.exception() if heart.done() and not heart.cancelled() else None
        if problem is None or worker.uncancel() > cancelled_before:
            raise
        raise problem from None


async def _send_until(ended: asyncio.Event, resources: Resources, job: Trabajo, progress: Progress) -> None:
    lease = resources.lease
    renewed = time.monotonic()
    told: Progreso | None = None
    while not await _within(min(lease.heartbeat_seconds, lease.renew_seconds), ended):
        if progress.idle_seconds > lease.stalled_seconds:
            raise Stalled(
                f"{name_of(job)}: en {lease.stalled_seconds:g} segundos no se movió ningún byte, y se abandonó"
            )
        renew = time.monotonic() - renewed >= lease.renew_seconds
        news = progress.as_row()
        try:
            async with (
                asyncio.timeout(max(lease.renew_seconds, lease.heartbeat_seconds)),
                transaction(resources) as session,
            ):
                found = await job_queries.heartbeat(
                    session,
                    job,
                    clinica_id=job.clinica_id,
                    renew=lease if renew else None,
                    progreso=news if news != told else None,
                )
        except (DatabaseError, TimeoutError):
            # The next one may reach it. If none does, the lease runs out and others decide; finishing then
            # changes nothing.
            continue
        raise_if_stopped(found, job)
        told = news
        if renew:
            renewed = time.monotonic()


def raise_if_stopped(found: Heartbeat, job: Trabajo) -> None:
    """Raise LeaseLost or Cancelled where the job is not to go on."""
    if found is Heartbeat.LOST:
        raise lost(job)
    if found is Heartbeat.CANCELLED:
        raise cancelled(job)


def lost(job: Trabajo) -> LeaseLost:
    """What ends a job that another process has taken over."""
    return LeaseLost(f"{name_of(job)}: otro proceso se hizo cargo")


def cancelled(job: Trabajo) -> Cancelled:
    """What ends a job that a person wants stopped."""
    return Cancelled(f"{name_of(job)}: se canceló a pedido de una persona")


async def _within(seconds: float, ended: asyncio.Event) -> bool:
    """Whether it happens within so many seconds."""
    try:
        await asyncio.wait_for(ended.wait(), seconds)
    except TimeoutError:
        return False
    return True
