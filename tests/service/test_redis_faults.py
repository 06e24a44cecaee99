"""Redis only says that there are jobs: absent, emptied or started again, nothing is lost."""

import asyncio
import signal
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg

from app.respaldos.resources import Resources
from tests.respaldos.conftest import LA_PAZ, LARGE, NEW, SMALL, assert_consistent
from tests.respaldos.conftest import ask as ask_for
from tests.service.conftest import Slowed, slowed
from tests.storage.conftest import Store
from tests.support.api_client import LOGIN, ask, completed, log_in
from tests.support.jobs import running
from tests.support.mail_server import mail_server
from tests.support.moments import mid_dump
from tests.support.processes import REDIS_PAUSE, Worker, eventually, running_api, running_worker
from tests.support.redis import RedisServer


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

        async def ready() -> bool:
            return (await api.get("/salud/lista")).status_code == 200

        # What was found is taken for true for a second.
        await eventually(ready)
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
        assert worker.runs, "the same worker goes on"
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0, log.read_text()
    assert await conn.fetchval("SELECT array_agg(intento) FROM respaldos.trabajo") == [1, 1]
    await assert_consistent(conn, store)


# arq's worker used to ask a Redis that is away this often, and then ended (seconds).
FORMER_BOUND = 20 * REDIS_PAUSE

# Backups that a worker makes at once, as docs/service.md says.
PLACES = 2


async def states(conn: asyncpg.Connection) -> list[tuple[str, int]]:
    """State and attempt of every backup, oldest first."""
    found = await conn.fetch("SELECT estado, intento FROM respaldos.trabajo ORDER BY id")
    return [(row["estado"], row["intento"]) for row in found]


async def under_way(slow: Slowed, resources: Resources, conn: asyncpg.Connection, *clinics: int) -> None:
    """Return when a backup of each is under way, and nothing moves any more."""
    slow.hang()
    for clinica_id in clinics:
        await ask_for(resources, clinica_id)

    async def begun() -> bool:
        return await states(conn) == [("procesando", 1)] * len(clinics)

    await eventually(begun)


async def test_gone_for_long_it_disturbs_no_backup_under_way(
    settings: dict[str, str],
    resources: Resources,
    redis: RedisServer,
    conn: asyncpg.Connection,
    store: Store,
    log: Path,
) -> None:
    async with slowed(settings) as slow, running_worker(slow.settings, log) as worker:
        await under_way(slow, resources, conn, NEW, LARGE)
        redis.kill()
        try:
            await asyncio.sleep(2 * FORMER_BOUND)
            slow.restore()

            async def made() -> bool:
                return await states(conn) == [("completado", 1)] * 2

            # The small one ends first, and cannot tell Redis.
            await eventually(made)
            await asyncio.sleep(2 * FORMER_BOUND)
        finally:
            redis.start()
        await told_everything(redis)
        assert worker.runs
        await ask_for(resources, SMALL)

        async def goes_on() -> bool:
            return await states(conn) == [("completado", 1)] * 3

        await eventually(goes_on)
    await assert_consistent(conn, store)


async def test_what_is_periodic_does_not_wait_behind_backups(
    settings: dict[str, str],
    resources: Resources,
    conn: asyncpg.Connection,
    store: Store,
    log: Path,
) -> None:
    """Both places are taken for as long as S3 does not answer; the night of who has none begins, people are told."""
    now = datetime.now(LA_PAZ)
    begun = now - timedelta(minutes=1)
    settings |= {"BACKUP_HOUR": str(begun.hour), "BACKUP_MINUTE": str(begun.minute)}
    await conn.executemany(
        "INSERT INTO respaldos.programacion (clinica_id, dia, previsto, intentos) VALUES ($1, $2, $3, 1)",
        [(clinica_id, begun.date(), begun) for clinica_id in (LARGE, SMALL, NEW, None)],
    )
    async with mail_server() as mail, slowed(settings) as slow:
        to_mail = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(mail.port), "EMAIL_USE_TLS": "false"}
        slow.s3.hang()
        async with running_worker(slow.settings | to_mail, log):
            for clinica_id in (NEW, LARGE):
                await ask_for(resources, clinica_id)

            async def full() -> bool:
                return await states(conn) == [("procesando", 1)] * PLACES

            await eventually(full)
            await conn.execute("DELETE FROM respaldos.programacion WHERE clinica_id = $1", SMALL)

            async def waits() -> bool:
                return await states(conn) == [("procesando", 1)] * PLACES + [("pendiente", 0)]

            await eventually(waits)
            await conn.execute(
                "INSERT INTO respaldos.aviso (clinica_id, tipo, clave, datos) VALUES ($1, 'atrasado', 'prueba', $2)",
                SMALL,
                '{"ultimo": null}',
            )

            async def told() -> bool:
                return bool(mail.received)

            await eventually(told)
            assert await waits()
            slow.restore()

            async def made() -> bool:
                return await states(conn) == [("completado", 1)] * 3

            await eventually(made)
    await assert_consistent(conn, store)


async def told_everything(redis: RedisServer) -> None:
    """Return when Redis knows of nothing more to do."""

    async def empty() -> bool:
        return redis.jobs() == 0

    await eventually(empty)


async def test_a_worker_that_is_told_to_stop_while_it_is_gone_gives_its_backups_back(
    settings: dict[str, str],
    resources: Resources,
    redis: RedisServer,
    conn: asyncpg.Connection,
    store: Store,
    log: Path,
) -> None:
    async with slowed(settings) as slow, running_worker(slow.settings, log) as worker:
        await under_way(slow, resources, conn, NEW, LARGE)
        redis.kill()
        try:
            await asyncio.sleep(2 * FORMER_BOUND)
            worker.signal(signal.SIGTERM)
            slow.restore()
            async with asyncio.timeout(30):
                assert await worker.ended() == 0, log.read_text()
        finally:
            redis.start()
    assert await states(conn) == [("pendiente", 1)] * 2
    assert await store.leftovers() == []
    assert await running(conn) == 0


async def lose_connections(redis: RedisServer, worker: Worker) -> None:
    """Cut the worker's connections until more of its questions were cut in two than it has places for jobs."""
    with redis.client() as client:

        async def often() -> bool:
            client.client_kill_filter(_type="normal", skipme=True)
            return worker.log.read_text().count("A ConnectionError occurred") > 2 * PLACES

        await eventually(often)
    assert worker.runs


async def test_connections_that_break_at_any_moment_disturb_nothing(
    settings: dict[str, str],
    resources: Resources,
    redis: RedisServer,
    conn: asyncpg.Connection,
    store: Store,
    log: Path,
) -> None:
    """arq watches the keys of the jobs that run: what breaks meanwhile ended it, and with it every backup."""
    async with slowed(settings) as slow, running_worker(slow.settings, log) as worker:
        # A worker that has no place free has no questions for Redis.
        await ask_for(resources, LARGE)
        # Not before it has its connections: making one may take ten seconds, and this some twenty.
        await mid_dump(slow, conn, store)
        await lose_connections(redis, worker)
        slow.restore()

        async def idle() -> bool:
            return {estado for estado, _ in await states(conn)} == {"completado"}

        for clinica_id in (NEW, SMALL, LARGE, NEW, SMALL):
            await eventually(idle)
            await ask_for(resources, clinica_id)
        await eventually(idle)
        assert worker.runs
    assert {intento for _, intento in await states(conn)} == {1}
    await assert_consistent(conn, store)


async def test_while_it_is_absent_the_night_is_put_down_and_people_are_warned(
    settings: dict[str, str], redis: RedisServer, conn: asyncpg.Connection, store: Store, log: Path
) -> None:
    begun = datetime.now(LA_PAZ) - timedelta(minutes=1)
    settings |= {"BACKUP_HOUR": str(begun.hour), "BACKUP_MINUTE": str(begun.minute)}
    await conn.execute(
        "INSERT INTO respaldos.programacion (clinica_id, dia, previsto, intentos) VALUES ($1, $2, $3, 1)",
        SMALL,
        begun.date() - timedelta(days=2),
        begun - timedelta(days=2),
    )
    redis.kill()
    async with mail_server() as mail:
        settings |= {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(mail.port), "EMAIL_USE_TLS": "false"}
        try:
            async with running_worker(settings, log) as worker:
                # The three clinics', and the platform's.
                async def waiting() -> bool:
                    return await states(conn) == [("pendiente", 0)] * 4

                await eventually(waiting)

                async def told() -> bool:
                    return bool(mail.received)

                await eventually(told)
                assert mail.recipients() == [f"admin@clinica{SMALL}.example"]
                assert await conn.fetchval("SELECT array_agg(tipo) FROM respaldos.aviso") == ["atrasado"]
                await worker.said("Redis no responde (REDIS_URL)")
                redis.start()

                async def made() -> bool:
                    return await states(conn) == [("completado", 1)] * 4

                await eventually(made)
                assert worker.runs
                said = log.read_text()
                for name in ("reconciliar", "programar"):
                    assert said.count(f"{name}: Redis no responde") == 1, said
        finally:
            redis.kill()
            redis.start()
    await assert_consistent(conn, store)
