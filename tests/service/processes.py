"""API and workers as processes of their own, with leases of seconds."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.cli.program import PROGRAM, environment

LEASE = 2.0
"""Seconds. The workers renew it every fifth of that, and reconcile as often."""

# What `respaldos worker` runs, but for these figures.
WORKER = f"""
from app.respaldos import lease, make_backup
from workers import rounds
lease.LEASE_SECONDS, lease.RENEW_SECONDS, lease.BEAT_SECONDS = {LEASE}, {LEASE / 5}, {LEASE / 5}
rounds.MINUTE = {LEASE / 5}
make_backup._part_size = lambda _: {2**16}
from arq.cli import cli
cli()
"""


async def eventually(question: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Ask until the answer is yes."""
    async with asyncio.timeout(seconds):
        while not await question():
            await asyncio.sleep(0.005)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that runs. It is told to stop at the end of its block, if it has not ended by then."""

    process: asyncio.subprocess.Process
    log: Path

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def said(self, text: str) -> None:
        """Return when its log has it."""

        async def found() -> bool:
            return text in self.log.read_text()

        await eventually(found)


@asynccontextmanager
async def running_worker(settings: dict[str, str], log: Path) -> AsyncIterator[Worker]:
    """A worker with leases of LEASE seconds."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", WORKER, "workers.settings.WorkerSettings"),
            env=environment(**settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Worker(process, log)
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 60)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise


@asynccontextmanager
async def running_api(settings: dict[str, str], log: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `respaldos serve`, which answers."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(str(PROGRAM), "serve", "--puerto", str(port)),
            env=environment(**settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
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
        await _stop(process)


def free_of_nights(hour: int) -> dict[str, str]:
    """Settings with which no night is due for an hour: the next is later than that, and the last too long ago."""
    return {"BACKUP_HOUR": str((hour + 2) % 24), "BACKUP_MINUTE": "0"}
