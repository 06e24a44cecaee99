"""What goes wrong during a campaign, one thing after another."""

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

from tests.faults.ground import AWAY, Ground, WorkerSlot
from tests.faults.work import Ledger
from tests.support.processes import LEASE
from tests.support.s3_proxy import Behaviour

Fault = Callable[[Ground, Random], Awaitable[None]]


def _some(ground: Ground, random: Random) -> WorkerSlot:
    return random.choice(ground.workers[1:])


async def _worker_killed(ground: Ground, random: Random) -> None:
    _some(ground, random).signal(signal.SIGKILL)


async def _workers_killed(ground: Ground, _random: Random) -> None:
    for slot in ground.workers[1:]:
        slot.signal(signal.SIGKILL)


async def _worker_stopped(ground: Ground, random: Random) -> None:
    _some(ground, random).signal(signal.SIGTERM)


async def _worker_frozen(ground: Ground, random: Random) -> None:
    """Past its lease, and back."""
    worker = _some(ground, random).worker
    if worker is not None:
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(LEASE + random.uniform(1, 4))
        worker.signal(signal.SIGCONT)


async def _api_restarted(ground: Ground, _random: Random) -> None:
    ground.api.restart()


async def _redis_killed(ground: Ground, _random: Random) -> None:
    await asyncio.to_thread(ground.restart_redis, emptied=False)


async def _redis_emptied(ground: Ground, _random: Random) -> None:
    await asyncio.to_thread(ground.restart_redis, emptied=True)


async def _redis_away(ground: Ground, random: Random) -> None:
    await ground.redis_proxy.refuse()
    await asyncio.sleep(random.uniform(0.5, 4))
    await ground.redis_proxy.listen()


async def _postgres_restarted(ground: Ground, random: Random) -> None:
    if not ground.may_end_postgres:
        return await _postgres_cut(ground, random)
    ground.signal_postgres(signal.SIGINT)
    await ground.postgres_back()


async def _postgres_crashed(ground: Ground, random: Random) -> None:
    if not ground.may_end_postgres:
        return await _postgres_cut(ground, random)
    ground.signal_postgres(signal.SIGQUIT)
    await ground.postgres_back()


async def _postgres_cut(ground: Ground, random: Random) -> None:
    """Every connection ends, and new ones for a while."""
    ground.postgres.drop()
    await asyncio.sleep(random.uniform(0, 2))
    ground.postgres.restore()


async def _postgres_hangs(ground: Ground, random: Random) -> None:
    ground.postgres.hang()
    await asyncio.sleep(random.uniform(0.5, LEASE + 2))
    ground.postgres.restore()


async def _sessions_ended(ground: Ground, _random: Random) -> None:
    """By the server, each in the middle of whatever it does."""
    try:
        async with ground.connected() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    except AWAY:
        # It is away itself, which is as good.
        return


def _s3(behaviour: Behaviour) -> Fault:
    async def fault(ground: Ground, random: Random) -> None:
        ground.s3.slow_seconds = random.uniform(0.2, 2)
        ground.s3.behaviour = behaviour
        await asyncio.sleep(random.uniform(0.5, 5))
        ground.s3.behaviour = Behaviour.WELL

    return fault


async def _disk_full(ground: Ground, random: Random) -> None:
    ground.limit_files(8 * 1024)
    await asyncio.sleep(random.uniform(0.5, 4))
    ground.limit_files(None)


FAULTS: dict[str, Fault] = {
    "a worker killed": _worker_killed,
    "workers killed together": _workers_killed,
    "a worker stopped": _worker_stopped,
    "a worker frozen past its lease": _worker_frozen,
    "the API restarted": _api_restarted,
    "Redis killed": _redis_killed,
    "Redis killed and emptied": _redis_emptied,
    "Redis away": _redis_away,
    "PostgreSQL restarted": _postgres_restarted,
    "PostgreSQL crashed": _postgres_crashed,
    "PostgreSQL's connections cut": _postgres_cut,
    "PostgreSQL hangs": _postgres_hangs,
    "PostgreSQL ends the sessions": _sessions_ended,
    "S3 answers 500": _s3(Behaviour.ERROR),
    "S3 answers 503": _s3(Behaviour.SLOW_DOWN),
    "S3 answers slowly": _s3(Behaviour.SLOW),
    "S3 answers half": _s3(Behaviour.HALF),
    "S3 hangs up": _s3(Behaviour.CUT),
    "the store's disk full": _disk_full,
}


async def break_things(ground: Ground, ledger: Ledger, random: Random, done: Counter[str]) -> None:
    """One after another, each kind as often as the others, until the campaign is over."""
    coming: list[str] = []
    while not ledger.over:
        coming = coming or random.sample(sorted(FAULTS), len(FAULTS))
        name = coming.pop()
        await FAULTS[name](ground, random)
        done[name] += 1
        await asyncio.sleep(random.uniform(0.3, 2.5))
