"""What a worker does at set times goes on, whatever one of it does, and whatever arq's queue holds."""

import asyncio
import inspect
import logging
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from arq.cron import CronJob, cron
from arq.worker import Worker

from app.broker.queue import to_json, worker_redis
from app.errors import DatabaseUnavailable, QueueUnavailable
from app.respaldos.jobs.run import run_next
from app.respaldos.resources import Resources
from app.settings import load_settings
from tests.respaldos.conftest import LA_PAZ, LARGE, NEW, SMALL, ask
from tests.storage.conftest import Store
from tests.support.program import environment
from tests.support.redis import RedisServer
from workers import periodic
from workers.context import open_context
from workers.periodic import run_periodically

EVERY_SECOND = set(range(60))

PERIODIC_TASKS = {
    name: found
    for name, found in inspect.getmembers(periodic, inspect.iscoroutinefunction)
    if found.__module__ == periodic.__name__ and not name.startswith("_")
}


class Counted:
    """Counts how often it is run; raises what it is given, one after the other; None is none."""

    def __init__(self, *problems: Exception | None, wanted: int = 2) -> None:
        self.times = 0
        self.often = asyncio.Event()
        self._problems = chain(problems, repeat(None))
        self._wanted = wanted

    async def act(self) -> None:
        self.times += 1
        if self.times == self._wanted:
            self.often.set()
        problem = next(self._problems)
        if problem is not None:
            raise problem


def cron_job(act: Callable[[], Awaitable[None]], name: str = "una", **when: Any) -> CronJob:
    """One of arq's, of what wants nothing of its context."""

    async def coroutine(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:
        await act()

    return cron(coroutine, name=name, **when)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due every minute is due a hundred times a second."""
    monkeypatch.setattr(periodic, "_seconds_to_next", lambda _: 0.01)


async def test_it_is_run_at_once_and_again_at_its_times() -> None:
    one, rare = Counted(), Counted(wanted=1)
    in_half_an_hour = datetime.now(UTC) + timedelta(minutes=30)
    cron_jobs = [cron_job(one.act, second=EVERY_SECOND), cron_job(rare.act, minute=in_half_an_hour.minute)]
    begun = time.time()
    async with asyncio.timeout(10), run_periodically(cron_jobs, {}):
        await one.often.wait()
        await rare.often.wait()
    # arq's crons are due an eighth of a second after the second begins.
    assert int(time.time() - 0.12) > int(begun - 0.12)
    assert rare.times == 1


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("problem", [DatabaseUnavailable("no hay conexión"), ZeroDivisionError("entre cero")])
async def test_a_failure_is_logged_and_ends_nothing(problem: Exception, caplog: pytest.LogCaptureFixture) -> None:
    failing, other = Counted(problem), Counted()
    cron_jobs = [cron_job(failing.act), cron_job(other.act, "otra")]
    async with asyncio.timeout(10), run_periodically(cron_jobs, {}):
        await failing.often.wait()
        await other.often.wait()
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["una"]
    assert str(problem) in caplog.text


@pytest.mark.usefixtures("often")
async def test_an_outage_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """What a server answers changes while it goes and comes back."""
    first = [DatabaseUnavailable("se cierra"), DatabaseUnavailable("no responde"), DatabaseUnavailable("arranca")]
    one = Counted(*first, QueueUnavailable("tampoco"), QueueUnavailable("tampoco"), wanted=7)
    with caplog.at_level(logging.DEBUG, "workers"):
        async with asyncio.timeout(10), run_periodically([cron_job(one.act)], {}):
            await one.often.wait()
    assert [record.getMessage() for record in caplog.records] == [
        "una: se cierra (base_de_datos_no_disponible)",
        "una: tampoco (redis_no_disponible)",
    ]
    assert "Traceback" not in caplog.text


@pytest.mark.usefixtures("often")
async def test_each_outage_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    away = DatabaseUnavailable("no responde")
    one = Counted(away, None, away, wanted=4)
    async with asyncio.timeout(10), run_periodically([cron_job(one.act)], {}):
        await one.often.wait()
    said = "una: no responde (base_de_datos_no_disponible)"
    assert [record.getMessage() for record in caplog.records] == [said] * 2


async def test_they_end_with_their_block() -> None:
    ended = asyncio.Event()
    begun = asyncio.Event()

    async def act() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    async with run_periodically([cron_job(act)], {}):
        await begun.wait()
    assert ended.is_set()


async def test_they_end_also_where_a_cancellation_gets_lost() -> None:
    """As asyncio.wait_for of Python 3.11 loses one that comes together with the answer that it waits for."""
    begun = asyncio.Event()

    async def act() -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    async with asyncio.timeout(10), run_periodically([cron_job(act)], {}):
        await begun.wait()


async def put_by_arq(cron_jobs: Sequence[CronJob], redis: RedisServer) -> int:
    """How many jobs arq's own worker makes of them in three days."""
    worker = Worker(
        cron_jobs=cron_jobs, redis_pool=worker_redis(redis.url), job_serializer=to_json, handle_signals=False
    )
    try:
        now = datetime.now(UTC)
        for day in range(3):
            await worker.run_cron(now + timedelta(days=day), delay=0.5)
    finally:
        await worker.pool.aclose()
    return redis.jobs()


async def test_arq_itself_puts_none_of_them_into_its_queue(redis: RedisServer) -> None:
    one = Counted()
    async with run_periodically([known := cron_job(one.act, second=EVERY_SECOND)], {}):
        assert await put_by_arq([known], redis) == 0
        assert await put_by_arq([cron_job(one.act, second=EVERY_SECOND)], redis) > 0


def test_everything_periodic_is_one_of_the_cron_jobs(settings: dict[str, str]) -> None:
    """`arq workers.settings.WorkerSettings` runs what is in that list."""
    asked = (
        "from workers.settings import WorkerSettings\n"
        "for cron_job in WorkerSettings.cron_jobs: print(cron_job.coroutine.__name__)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", asked], env=environment(**settings), capture_output=True, text=True, check=True
    )
    assert sorted(ran.stdout.split()) == sorted(PERIODIC_TASKS)


async def test_done_by_several_at_once_it_is_done_once(
    settings: dict[str, str],
    resources: Resources,
    store: Store,
    conn: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Workers' clocks agree, so all of them run each task at the same moment."""
    begun = datetime.now(LA_PAZ) - timedelta(minutes=1)
    settings |= {"BACKUP_HOUR": str(begun.hour), "BACKUP_MINUTE": str(begun.minute)}
    # No file of this folder is read.
    monkeypatch.chdir(tmp_path)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for clinica_id in (SMALL, NEW):
        await ask(resources, clinica_id)
        await run_next(resources)
    await conn.execute(
        "UPDATE respaldos.respaldo SET fecha_eliminacion = now() - interval '60 days' WHERE clinica_id = $1", NEW
    )
    await conn.execute(
        "INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo, estado, fecha_respaldo, fecha_creacion)"
        " VALUES ($1, 'por_demanda', 'fallido', now() - interval '60 days', now() - interval '60 days')",
        LARGE,
    )
    await conn.execute(
        "INSERT INTO respaldos.programacion (clinica_id, dia, previsto, intentos) VALUES ($1, $2, $3, 1)",
        LARGE,
        begun.date() - timedelta(days=2),
        begun - timedelta(days=2),
    )
    async with AsyncExitStack() as stack:
        contexts = [await stack.enter_async_context(open_context(load_settings(), [])) for _ in range(3)]
        for task in PERIODIC_TASKS.values():
            await asyncio.gather(*(task(context) for context in contexts))
        warned = await conn.fetch("SELECT clinica_id FROM respaldos.aviso WHERE tipo = 'atrasado'")
    assert [row[0] for row in warned] == [LARGE]
    night = await conn.fetch(
        "SELECT clinica_id FROM respaldos.respaldo WHERE tipo_respaldo = 'automatico' ORDER BY 1"
    )
    assert [row[0] for row in night] == [LARGE, SMALL, NEW, None]
    trials = await conn.fetch("SELECT clinica_id, tipo, profundidad FROM respaldos.restauracion")
    assert [tuple(row) for row in trials] == [(SMALL, "verificacion", "ensayo")]
    deleted = await conn.fetch("SELECT clinica_id FROM respaldos.evento WHERE accion = 'eliminacion'")
    assert [row[0] for row in deleted] == [LARGE]
    purged = await conn.fetch("SELECT clinica_id FROM respaldos.respaldo WHERE purgado IS NOT NULL")
    assert [row[0] for row in purged] == [NEW]
    assert len([item async for item in store.storage.list()]) == 1
