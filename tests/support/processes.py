"""API and workers as processes of their own, with leases of seconds."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
import uvloop

from app import database
from app.broker import queue
from app.connections import resources as connections
from app.logs import configure_logging
from app.respaldos.backup import run as backup_run
from app.respaldos.exports import run as exports_run
from app.respaldos.jobs.lease import Lease
from tests.support.forked import Forked, fork
from tests.support.program import command, environment

LEASE = 5.0
"""Seconds: longer than a busy disk holds up a renewal. A checkpoint's sync was seen to take 1.1."""

OFTEN = 0.4
"""Seconds after which the workers renew the lease, with how far the job has got."""

ROUND = 0.8
"""Seconds after which they run again what is due every minute or more often, which is most of what they cost."""

REDIS_PAUSE = 0.05
"""Seconds after which a worker asks a Redis again that is away."""


def _work(own_log: bool) -> None:
    """What `respaldos worker` runs, but for these figures and, unless `own_log`, for all that libraries say."""
    patch = pytest.MonkeyPatch()
    patch.setattr(connections, "LEASE", Lease(LEASE, OFTEN, OFTEN, retry_seconds=0))
    # A worker may be frozen in the middle of a transaction, and its rows are then nobody's for so long.
    patch.setattr(database, "_SERVICE_SESSION", database._SERVICE_SESSION.replace("60s", f"{LEASE}s"))
    patch.setattr(backup_run, "_part_size", lambda _: 2**16)
    patch.setattr(exports_run, "PART_SIZE", 2**16)
    patch.setattr(queue, "WORKER_PAUSE_SECONDS", REDIS_PAUSE)
    if own_log:
        configure_logging("text", ZoneInfo("UTC"))
    else:
        logging.basicConfig(level=logging.INFO)
    from workers import periodic, worker

    seconds_to_next = periodic._seconds_to_next
    patch.setattr(periodic, "_seconds_to_next", lambda job: ROUND if job.minute is None else seconds_to_next(job))
    patch.setattr(worker, "PAUSE_SECONDS", REDIS_PAUSE)
    uvloop.run(worker.work())


async def eventually(question: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    """Ask until the answer is yes. With six busy processes beside it, all takes five times as long as alone.

    Less often, once it has taken a while: those on whom the answer depends need the processors. But there are moments
    of a tenth of a second that some wait for.
    """
    pause = 0.005
    async with asyncio.timeout(seconds):
        while not await question():
            await asyncio.sleep(pause)
            pause = min(pause * 1.2, 0.02)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that runs. It is told to stop at the end of its block, if it has not ended."""

    process: Forked
    log: Path

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """How it ended, once it has."""
        return await self.process.wait()

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.returncode is None

    async def said(self, text: str) -> None:
        """Return when its log has it."""

        async def found() -> bool:
            return text in self.log.read_text()

        await eventually(found)


@asynccontextmanager
async def running_worker(settings: dict[str, str], log: Path, *, own_log: bool = False) -> AsyncIterator[Worker]:
    """A worker with leases of LEASE seconds; with `own_log` it logs what it does in production."""
    process = fork(_work, own_log, env=environment(**settings), out=log, err=log)
    try:
        yield Worker(process, log)
    finally:
        await process.stop()


@asynccontextmanager
async def running_api(settings: dict[str, str], log: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `respaldos serve`, which answers."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = fork(command, "serve", "--puerto", str(port), env=environment(**settings), out=log, err=log)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:

            async def alive() -> bool:
                assert process.returncode is None, log.read_text()
                try:
                    return (await client.get("/salud/viva")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(alive)
            yield client
    finally:
        await process.stop()


def free_of_nights(hour: int) -> dict[str, str]:
    """Settings with which no night is due for an hour: the next is later than that, and the last too long ago."""
    return {"BACKUP_HOUR": str((hour + 2) % 24), "BACKUP_MINUTE": "0"}
