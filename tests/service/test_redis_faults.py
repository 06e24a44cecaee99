"""Redis only carries the news: absent, emptied or started again, nothing is lost."""

import signal
from pathlib import Path

import asyncpg
import httpx

from tests.respaldos.conftest import LARGE, assert_consistent
from tests.service.conftest import slowed
from tests.service.moments import mid_dump
from tests.service.processes import eventually, running_api, running_worker
from tests.service.redis import RedisServer
from tests.storage.conftest import Store

LOGIN = {"email": f"admin@clinica{LARGE}.example", "contraseña": "demo1234"}


async def log_in(api: httpx.AsyncClient) -> dict[str, str]:
    """The header of the large clinic's administrator."""
    answer = await api.post("/api/v1/auth/login/", json=LOGIN)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def ask(api: httpx.AsyncClient, header: dict[str, str]) -> int:
    """The number of a backup that was accepted."""
    answer = await api.post("/api/v1/respaldos/crear_respaldo_manual/", headers=header)
    assert answer.status_code == 202, answer.text
    respaldo_id: int = answer.json()["respaldo"]["id"]
    return respaldo_id


async def completed(api: httpx.AsyncClient, header: dict[str, str], respaldo_id: int) -> None:
    """Return when the API says that it is."""

    async def over() -> bool:
        answer = await api.get(f"/api/v1/respaldos/{respaldo_id}/", headers=header)
        estado = answer.json().get("estado")
        assert estado not in ("fallido", "cancelado"), answer.text
        return answer.status_code == 200 and estado == "completado"

    await eventually(over)


async def test_without_redis_the_api_lists_and_refuses_what_needs_it(
    settings: dict[str, str], redis: RedisServer, conn: asyncpg.Connection, store: Store, log: Path
) -> None:
    async with running_api(settings, log) as api:
        header = await log_in(api)
        redis.kill()
        try:
            for method, path, body in (
                ("POST", "/api/v1/auth/login/", LOGIN),
                ("POST", "/api/v1/respaldos/crear_respaldo_manual/", {"descripcion": "no se puede"}),
            ):
                answer = await api.request(method, path, json=body, headers=header)
                assert (answer.status_code, answer.json()["codigo"]) == (503, "redis_no_disponible"), answer.text
                assert "Redis no responde" in answer.json()["detail"]
            for path in ("/api/v1/respaldos/", "/api/v1/respaldos/estadisticas/", "/api/v1/eventos/"):
                assert (await api.get(path, headers=header)).status_code == 200
            assert (await api.get("/salud/lista")).status_code == 503
            assert (await api.get("/salud/viva")).status_code == 200
        finally:
            redis.start()
        assert await conn.fetchval("SELECT count(*) FROM respaldos.respaldo") == 0
        assert (await api.get("/salud/lista")).status_code == 200
        header = await log_in(api)
        async with running_worker(settings, log):
            await completed(api, header, await ask(api, header))
    await assert_consistent(conn, store)


async def test_emptied_it_loses_no_backup(
    settings: dict[str, str], redis: RedisServer, conn: asyncpg.Connection, store: Store, log: Path
) -> None:
    async with running_api(settings, log) as api:
        header = await log_in(api)
        respaldo_id = await ask(api, header)
        with redis.client() as client:
            assert client.keys("arq:*")
            client.flushall()
        async with running_worker(settings, log):
            await completed(api, header, respaldo_id)
    await assert_consistent(conn, store)


async def test_restarted_in_the_middle_of_a_backup_it_costs_nothing(
    settings: dict[str, str], redis: RedisServer, conn: asyncpg.Connection, store: Store, log: Path
) -> None:
    async with (
        running_api(settings, log) as api,
        slowed(settings) as slow,
        running_worker(slow.settings, log) as worker,
    ):
        header = await log_in(api)
        first = await ask(api, header)
        await mid_dump(slow, conn, store)
        redis.kill()
        slow.restore()

        async def made() -> bool:
            return bool(await conn.fetchval("SELECT estado = 'completado' FROM respaldos.respaldo"))

        # The backup under way needs no Redis.
        await eventually(made)
        redis.start()
        await completed(api, header, first)
        await completed(api, header, await ask(api, header))
        assert worker.process.returncode is None, "the same worker goes on"
        worker.signal(signal.SIGTERM)
        assert await worker.process.wait() == 0
    assert await conn.fetchval("SELECT array_agg(intento) FROM respaldos.respaldo") == [1, 1]
    await assert_consistent(conn, store)
