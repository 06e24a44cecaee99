"""`respaldos serve` and `respaldos worker`, as processes against real servers."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import asyncpg
import pytest

from app.broker.queue import open_queue
from app.demo.embedded import Addresses
from app.migrate import migrate
from app.storage.s3 import S3Options, open_storage
from tests.conftest import plain_url, unique_name
from tests.support.jobs import add_job, expire
from tests.support.ports import free_port
from tests.support.redis import running_redis
from tests.support.tcp_proxy import tcp_proxy

PROGRAM = str(Path(sys.executable).with_name("respaldos"))


@pytest.fixture
async def environment(servers: Addresses, empty_database: str) -> dict[str, str]:
    """Variables that name real servers: a migrated database, Redis, and a bucket that is there."""
    await migrate(empty_database)
    bucket = unique_name("servicio")
    given = {
        "DATABASE_URL": plain_url(empty_database),
        "REDIS_URL": servers.redis_url or "",
        "AWS_ENDPOINT_URL_S3": servers.s3_endpoint_url or "",
        "AWS_BACKUP_BUCKET_NAME": bucket,
        "AWS_ACCESS_KEY_ID": servers.s3_access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": servers.s3_secret_access_key or "",
    }
    options = S3Options(
        bucket=bucket,
        endpoint_url=servers.s3_endpoint_url,
        access_key_id=servers.s3_access_key_id,
        secret_access_key=servers.s3_secret_access_key,
    )
    async with open_storage(options) as storage:
        await storage.client.create_bucket(Bucket=bucket)
    return given


@asynccontextmanager
async def running(environment: dict[str, str], *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The program while it runs; told to stop at the end, and killed if it does not."""
    process = await asyncio.create_subprocess_exec(
        *(PROGRAM, *arguments),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 60)
            except TimeoutError:
                process.kill()
                raise


async def eventually(question: Callable[[], Awaitable[bool]]) -> None:
    """Ask until the answer is yes, for a minute."""
    async with asyncio.timeout(60):
        while not await question():
            await asyncio.sleep(0.05)


def ask(url: str | Request) -> tuple[int, dict[str, str]]:
    """Status and JSON of an answer; status 0 while nobody answers."""
    try:
        with urlopen(url, timeout=10) as answer:  # noqa: S310 (our own http://127.0.0.1)
            return answer.status, json.load(answer)
    except HTTPError as refusal:
        return refusal.code, json.load(refusal)
    except URLError:
        return 0, {}


async def test_it_is_ready_when_all_it_needs_answers(environment: dict[str, str], tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}/salud"
    # A Redis that hears of no other test's worker.
    with running_redis(tmp_path) as redis:
        environment["REDIS_URL"] = redis.url
        async with running(environment, "serve", "--puerto", str(port)):

            async def alive() -> bool:
                return (await asyncio.to_thread(ask, f"{url}/viva"))[0] == 200

            await eventually(alive)
            status, said = await asyncio.to_thread(ask, f"{url}/lista")
            silent = said.pop("trabajador")
            # Answering needs no worker, so no proxy is to take this one out for it.
            assert (status, said) == (200, {"base_de_datos": "ok", "redis": "ok", "bucket": "ok"})
            assert re.search(r"hace los respaldos ni .*programa la noche.*«respaldos worker»", silent), silent
            async with running(environment, "worker"):

                async def at_work() -> bool:
                    return (await asyncio.to_thread(ask, f"{url}/lista"))[1]["trabajador"] == "ok"

                await eventually(at_work)


async def test_nobody_forges_their_address(environment: dict[str, str]) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    headers = {"Authorization": "Bearer x", "X-Forwarded-For": "203.0.113.9"}
    forged = Request(f"{url}/api/v1/respaldos/", headers=headers)  # noqa: S310 (our own http://127.0.0.1)
    async with running(environment, "serve", "--puerto", str(port)):

        async def alive() -> bool:
            return (await asyncio.to_thread(ask, f"{url}/salud/viva"))[0] == 200

        await eventually(alive)
        assert (await asyncio.to_thread(ask, forged))[0] == 401
    connection = await asyncpg.connect(environment["DATABASE_URL"])
    try:
        found = await connection.fetch("SELECT accion, direccion FROM respaldos.evento")
    finally:
        await connection.close()
    assert [tuple(row) for row in found] == [("acceso_rechazado", "127.0.0.1")]


async def test_it_names_each_thing_that_is_missing(environment: dict[str, str]) -> None:
    environment["AWS_BACKUP_BUCKET_NAME"] = "no-existe"
    environment["REDIS_URL"] = f"redis://127.0.0.1:{free_port()}/0"
    environment["DATABASE_URL"] = environment["DATABASE_URL"].rsplit("/", 1)[0] + "/no_existe"
    url = f"http://127.0.0.1:{(port := free_port())}/salud"
    async with running(environment, "serve", "--puerto", str(port)):

        async def alive() -> bool:
            return (await asyncio.to_thread(ask, f"{url}/viva"))[0] == 200

        await eventually(alive)
        status, said = await asyncio.to_thread(ask, f"{url}/lista")
    assert status == 503
    assert "DATABASE_URL" in said["base_de_datos"]
    assert "REDIS_URL" in said["redis"]
    assert "«no-existe»" in said["bucket"]
    assert "REDIS_URL" in said["trabajador"]


async def dead_backup(connection: asyncpg.Connection) -> int:
    """The row of a backup whose process died more than a lease ago."""
    respaldo_id: int = await connection.fetchval(
        "INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo, estado)"
        " VALUES (1, 'manual', 'procesando') RETURNING id"
    )
    await add_job(connection, respaldo_id, reintentable=False, intento=1)
    await expire(connection)
    return respaldo_id


async def test_the_worker_ends_what_a_dead_process_left_and_survives_redis(environment: dict[str, str]) -> None:
    connection = await asyncpg.connect(environment["DATABASE_URL"])

    async def ended(respaldo_id: int) -> bool:
        estado: str = await connection.fetchval("SELECT estado FROM respaldos.respaldo WHERE id = $1", respaldo_id)
        return estado == "fallido"

    async def tried_again(connections: int) -> bool:
        return connections >= 4

    address, _, port = environment["REDIS_URL"].removesuffix("/0").rpartition(":")
    try:
        async with tcp_proxy("127.0.0.1", int(port)) as proxy:
            first = await dead_backup(connection)
            proxy.drop()
            async with running({**environment, "REDIS_URL": f"{address}:{proxy.port}/0"}, "worker"):
                # That needs no Redis, which is asked again and again meanwhile.
                await eventually(lambda: ended(first))
                await eventually(lambda: tried_again(proxy.connections))
                proxy.restore()
                # Of no clinic, so that its backup ends as soon as it has begun.
                second = await connection.fetchval(
                    "INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo)"
                    " VALUES (2, 'por_demanda') RETURNING id"
                )
                await add_job(connection, second)
                async with open_queue(environment["REDIS_URL"]) as queue:
                    await queue.announce()
                await eventually(lambda: ended(second))
    finally:
        await connection.close()
