"""API and workers as processes of their own, with leases of seconds."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvloop

from app import connections
from app.broker import queue
from app.respaldos.backup import run as backup_run
from app.respaldos.jobs.lease import Lease
from app.settings import load_settings
from tests.support.forked import Forked, fork
from tests.support.program import command, environment

LEASE = 5.0
"""Seconds: longer than a busy disk holds up a renewal. A checkpoint's sync was seen to take 1.1."""

OFTEN = 0.4
"""Seconds after which the workers renew the lease, and go their rounds again."""

REDIS_PAUSE = 0.05
"""Seconds after which a worker asks a Redis again that is away."""


def _jobs() -> None:
    """What `respaldos worker` runs, but for these figures; and so below."""
    _figure()
    from workers import worker

    worker.PAUSE_SECONDS = REDIS_PAUSE
    uvloop.run(worker.work())


def _rounds() -> None:
    _figure()
    from workers import periodic

    periodic.MINUTE = periodic.MOMENT = OFTEN
    uvloop.run(periodic.go_rounds(load_settings()))


def _figure() -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(connections, "LEASE", Lease(LEASE, OFTEN, OFTEN, retry_seconds=0))
    patch.setattr(backup_run, "_part_size", lambda _: 2**16)
    patch.setattr(queue, "WORKER_PAUSE_SECONDS", REDIS_PAUSE)
    logging.basicConfig(level=logging.INFO)


async def eventually(question: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    """Ask until the answer is yes. With six busy processes beside it, all takes five times as long as alone."""
    async with asyncio.timeout(seconds):
        while not await question():
            await asyncio.sleep(0.005)


@dataclass(frozen=True, slots=True)
class Worker:
    """Both processes of a worker that runs. They are told to stop at the end of its block, if they have not ended."""

    jobs: Forked
    rounds: Forked
    log: Path

    def signal(self, number: int) -> None:
        for process in (self.jobs, self.rounds):
            process.send_signal(number)

    async def ended(self) -> tuple[int, int]:
        """How they ended, once both have."""
        return await self.jobs.wait(), await self.rounds.wait()

    @property
    def runs(self) -> bool:
        """Whether neither has ended."""
        return self.jobs.returncode is None and self.rounds.returncode is None

    async def said(self, text: str) -> None:
        """Return when its log has it."""

        async def found() -> bool:
            return text in self.log.read_text()

        await eventually(found)


@asynccontextmanager
async def running_worker(settings: dict[str, str], log: Path) -> AsyncIterator[Worker]:
    """A worker with leases of LEASE seconds."""
    async with running(_jobs, settings, log) as jobs, running(_rounds, settings, log) as periodic:
        yield Worker(jobs, periodic, log)


@asynccontextmanager
async def running(work: Callable[[], None], settings: dict[str, str], log: Path) -> AsyncIterator[Forked]:
    """A process; told to stop at the end of the block, if it has not ended by then."""
    process = fork(work, env=environment(**settings), out=log, err=log)
    try:
        yield process
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
