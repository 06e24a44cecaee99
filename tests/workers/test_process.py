"""Workers as processes: what is asked for is made, by one of them, and a stop leaves nothing half done."""

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from app.broker.queue import open_queue
from app.respaldos.resources import Resources
from tests.respaldos.conftest import LARGE, NEW, SMALL, ask, assert_consistent, respaldo_rows, row_of
from tests.service.conftest import slowed
from tests.storage.conftest import Store
from tests.support.jobs import running
from tests.support.processes import eventually, running_worker
from tests.support.redis import RedisServer


async def in_state(conn: asyncpg.Connection, respaldo_id: int, estado: str) -> None:
    """Return when the backup is in that state."""

    async def is_it() -> bool:
        return bool((await row_of(conn, respaldo_id))["estado"] == estado)

    await eventually(is_it)


async def sending(store: Store) -> None:
    """Return when a backup's first part has arrived."""

    async def arrived() -> bool:
        return bool(await store.uploads())

    await eventually(arrived)


async def test_several_workers_make_each_backup_once(
    settings: dict[str, str], resources: Resources, store: Store, conn: asyncpg.Connection, log: Path
) -> None:
    """Nobody tells the queue here: the reconcilers do, all of them."""
    asked = [await ask(resources, clinica_id) for clinica_id in (LARGE, SMALL, NEW)]
    async with AsyncExitStack() as workers:
        for _ in range(2):
            await workers.enter_async_context(running_worker(settings, log))
        for each in asked:
            await in_state(conn, each.id, "completado")

        async def told() -> bool:
            return bool(await conn.fetchval("SELECT count(*) = 0 FROM respaldos.aviso WHERE terminado IS NULL"))

        await eventually(told)
    assert await conn.fetchval("SELECT array_agg(intento) FROM respaldos.trabajo") == [1, 1, 1]
    assert await conn.fetchval("SELECT count(*) FROM respaldos.intento") == 3
    await assert_consistent(conn, store)


@pytest.mark.parametrize("signals", [1, 2])
async def test_a_stop_hands_a_running_backup_on(
    settings: dict[str, str],
    resources: Resources,
    store: Store,
    conn: asyncpg.Connection,
    log: Path,
    signals: int,
) -> None:
    """A service manager may signal the whole group, so that the worker hears it twice."""
    asked = await ask(resources, LARGE)
    async with slowed(settings) as slow, running_worker(slow.settings, log) as worker:
        await sending(store)
        for _ in range(signals):
            worker.signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await worker.ended() == 0, log.read_text()
    row = await row_of(conn, asked.id)
    assert (row["estado"], row["error_type"], row["lease_until"]) == ("pendiente", "interrumpido", None)
    await assert_consistent(conn, store)
    assert await running(conn) == 0
    async with running_worker(settings, log):
        await in_state(conn, asked.id, "completado")
    assert [row.estado for row in await respaldo_rows(conn)] == ["completado"]
    await assert_consistent(conn, store)


async def test_a_redis_that_restarts_does_not_disturb_a_running_backup(
    settings: dict[str, str],
    resources: Resources,
    store: Store,
    conn: asyncpg.Connection,
    redis: RedisServer,
    log: Path,
) -> None:
    asked = await ask(resources, LARGE)
    async with slowed(settings) as slow, running_worker(slow.settings, log) as worker:
        await sending(store)
        redis.kill()
        redis.start()
        await in_state(conn, asked.id, "completado")
        # The same process goes on taking jobs.
        other = await ask(resources, SMALL)
        async with open_queue(redis.url) as queue:
            await queue.announce()
        await in_state(conn, other.id, "completado")
        assert worker.runs
    assert (await row_of(conn, asked.id))["intento"] == 1
    await assert_consistent(conn, store)


async def test_a_rule_that_cannot_be_followed_is_told_at_the_start(settings: dict[str, str], log: Path) -> None:
    wrong = settings | {"OWNERSHIP_RULES": '{"auth_user": {"email": "usuario.correo"}}'}
    said = "el enlace de «auth_user» lleva a «usuario.correo»: «usuario» no tiene la columna «correo»"
    async with running_worker(wrong, log):

        async def told() -> bool:
            return log.exists() and said in log.read_text()

        await eventually(told)
