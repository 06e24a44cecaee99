"""PostgreSQL started again under API and worker: both go on by themselves."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.demo import embedded
from app.respaldos.resources import Resources
from app.settings import EmbeddedServer
from tests.respaldos.conftest import SMALL, assert_consistent, connected, make_template
from tests.respaldos.conftest import ask as create_pending
from tests.service.conftest import settings_for, slowed
from tests.storage.conftest import Store
from tests.support.api_client import ask, completed, log_in
from tests.support.moments import mid_dump
from tests.support.processes import ROUND, eventually, running_api, running_worker
from tests.support.redis import RedisServer
from tests.support.tcp_proxy import tcp_proxy, through

# What asks the database every minute or more often, also where no night is due.
PERIODIC = ("avisos", "reconciliar")


@dataclass(frozen=True, slots=True)
class OwnPostgres:
    """A PostgreSQL that nobody else uses, which its supervisor starts again when it ends."""

    home: Path
    url: str

    def restart(self, number: signal.Signals) -> None:
        """Have it end, as `number` says: SIGINT cuts every connection, SIGQUIT is a crash."""
        pid_file = self.home / "postgres" / "data" / "postmaster.pid"
        os.kill(int(pid_file.read_text().split()[0]), number)

    async def back(self) -> None:
        """Return when it answers again."""

        async def answers() -> bool:
            try:
                async with connected(self.url):
                    return True
            except (OSError, asyncpg.PostgresError):
                return False

        await eventually(answers)


@pytest.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[OwnPostgres]:
    """With the sample clinics in it."""
    home = tmp_path / "home"
    with embedded.running(home, {EmbeddedServer.POSTGRES}) as addresses:
        assert addresses.database_url is not None
        await make_template(addresses.database_url, "propia")
        yield OwnPostgres(home, addresses.database_url.rsplit("/", 1)[0] + "/propia")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
async def test_it_is_started_again_in_the_middle_of_a_backup(
    postgres: OwnPostgres, redis: RedisServer, store: Store, log: Path, number: signal.Signals
) -> None:
    settings = settings_for(store, postgres.url, redis)
    async with (
        running_api(settings, log) as api,
        slowed(settings) as slow,
        running_worker(slow.settings, log, own_log=True) as worker,
    ):
        header = await log_in(api)
        respaldo_id = await ask(api, header)
        async with connected(postgres.url) as conn:
            await mid_dump(slow, conn, store)
            postgres.restart(number)
            await postgres.back()
        slow.restore()
        # Not even the first request after it notices anything.
        assert (await api.get("/api/v1/respaldos/", headers=header)).status_code == 200
        await completed(api, header, respaldo_id)
        assert (await api.get("/salud/lista")).status_code == 200
        assert worker.runs
    async with connected(postgres.url) as conn:
        assert await conn.fetchval("SELECT intento FROM respaldos.trabajo") == 2
        await assert_consistent(conn, store)
    # API and worker write to it. An attempt that failed is one line, and so is the one that did not.
    said = log.read_text()
    assert "Traceback" not in said, said
    assert "    " not in {line[:4] for line in said.splitlines()}, said
    of_job = [line for line in said.splitlines() if f"respaldo {respaldo_id} de la clínica" in line]
    assert len(of_job) in (1, 2), said
    assert ": completado, " in of_job[-1]


async def test_gone_for_long_it_is_one_line_of_each_periodic_task(
    settings: dict[str, str], resources: Resources, conn: asyncpg.Connection, store: Store, log: Path
) -> None:
    async def made() -> None:
        """Return when a backup is, of which nobody tells the queue."""
        asked = await create_pending(resources, SMALL)
        over = "SELECT estado = 'completado' FROM respaldos.respaldo WHERE id = $1"
        await eventually(lambda: conn.fetchval(over, asked.id))

    parts = urlsplit(settings["DATABASE_URL"])
    async with tcp_proxy(parts.hostname or "", parts.port or 0) as proxy:
        led = settings | {"DATABASE_URL": through(settings["DATABASE_URL"], proxy)}
        async with running_worker(led, log) as worker:
            await made()
            await proxy.refuse()
            for name in PERIODIC:
                await worker.said(f"{name}: ")
            await asyncio.sleep(5 * ROUND)
            await proxy.listen()
            await made()
            assert worker.runs
    said = log.read_text()
    assert [said.count(f"WARNING:workers.periodic:{name}: ") for name in PERIODIC] == [1] * len(PERIODIC), said
    assert "Traceback" not in said
    await assert_consistent(conn, store)
