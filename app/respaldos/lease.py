"""Keeps a running attempt ours for as long as it makes progress."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

from app.errors import DatabaseError, LeaseLost, Stalled
from app.respaldos import repository
from app.respaldos.attempt import Attempt
from app.respaldos.progress import Progress
from app.respaldos.resources import Resources
from app.respaldos.transaction import transaction

# A quarter of the lease: three renewals may fail before it runs out (seconds).
RENEW_SECONDS = 15

# A connection that is dead without saying so moves no bytes; a slow one moves some (seconds).
STALLED_SECONDS = 300


@asynccontextmanager
async def held_lease(resources: Resources, attempt: Attempt, progress: Progress) -> AsyncIterator[None]:
    """Renew the attempt's lease while the block runs.

    Raises LeaseLost in the block's place where another process has taken the work over, and Stalled where
    nothing has moved for STALLED_SECONDS.
    """
    worker = asyncio.current_task()
    assert worker is not None  # noqa: S101 (asyncio's own promise inside a coroutine)
    cancelled_before = worker.cancelling()

    def give_up(renewer: asyncio.Task[NoReturn]) -> None:
        if not renewer.cancelled() and renewer.exception() is not None:
            worker.cancel()

    renewer = asyncio.create_task(_renew(resources, attempt, progress))
    renewer.add_done_callback(give_up)
    try:
        try:
            yield
        finally:
            renewer.cancel()
            await asyncio.wait([renewer])
    except asyncio.CancelledError:
        problem = renewer.exception() if renewer.done() and not renewer.cancelled() else None
        if problem is None or worker.uncancel() > cancelled_before:
            raise
        raise problem from None


async def _renew(resources: Resources, attempt: Attempt, progress: Progress) -> NoReturn:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        if progress.idle_seconds > STALLED_SECONDS:
            raise Stalled(f"en {STALLED_SECONDS} segundos no se movió ningún byte; el respaldo se abandonó")
        if not await _renewed(resources, attempt):
            raise LeaseLost(f"otro proceso se hizo cargo del respaldo {attempt.respaldo_id}")


async def _renewed(resources: Resources, attempt: Attempt) -> bool:
    try:
        async with asyncio.timeout(RENEW_SECONDS), transaction(resources) as session:
            return await repository.renew(session, attempt.respaldo_id, attempt.numero, clinica_id=attempt.clinica_id)
    except (DatabaseError, TimeoutError):
        # The next renewal may reach it. If none does, the lease runs out and others decide; finishing then
        # changes nothing.
        return True
