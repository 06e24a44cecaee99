"""How jobs are asked for, and asked about."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import QueueUnavailable
from app.respaldos.databases import Databases, transaction
from app.respaldos.jobs import queries as job_queries
from app.respaldos.models import Estado, Respaldo
from app.respaldos.progress import Progreso

log = logging.getLogger(__name__)


class Announcer(Protocol):
    """Tells the workers that there is something to do. Each method raises QueueUnavailable."""

    async def check(self) -> None:
        """Raise unless workers can be told."""
        ...

    async def announce(self, jobs: int = 1) -> None:
        """Have so many jobs claimed; which ones, the database says."""
        ...


@asynccontextmanager
async def requesting(databases: Databases, queue: Announcer | None) -> AsyncIterator[AsyncSession]:
    """A transaction in which a job is added; after its commit the workers are told.

    Without a queue, the reconciler tells them within a minute. Raises DatabaseError, and QueueUnavailable before
    anything is asked of the database.
    """
    if queue is not None:
        await queue.check()
    async with transaction(databases) as session:
        yield session
    if queue is not None:
        try:
            await queue.announce()
        except QueueUnavailable as exc:
            # The row stands, and the reconciler announces it.
            log.warning("el trabajo pedido no se anunció todavía: %s", exc)


async def progress_of(session: AsyncSession, respaldo: Respaldo) -> Progreso | None:
    """How far a running backup is, as read in this transaction; None of any other."""
    if respaldo.estado != Estado.PROCESANDO:
        return None
    return await job_queries.progress(session, respaldo.id, clinica_id=respaldo.clinica_id)
