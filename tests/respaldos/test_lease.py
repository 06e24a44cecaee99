"""One operation per clinic, held by a lease: who has lost it changes nothing, and who died is cleaned up after."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import text

from app.database import service_engine
from app.errors import DatabaseNotMigrated, DatabaseUnavailable, LeaseLost, OperationInProgress, Stalled, StorageError
from app.respaldos.backup import fleet as backup_fleet
from app.respaldos.backup import run as making
from app.respaldos.databases import transaction
from app.respaldos.jobs import queries as job_queries
from app.respaldos.jobs.run import run_next
from app.respaldos.models import Clase, Estado, Trabajo
from app.respaldos.progress import Progress
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from app.storage.s3 import S3Storage, StoredObject
from tests.respaldos.conftest import (
    LARGE,
    NEW,
    SMALL,
    Held,
    ask,
    assert_consistent,
    assert_failed,
    back_up,
    connected,
    opened,
    respaldo_rows,
    row_of,
)
from tests.storage.conftest import Store
from tests.support.jobs import add_job, add_restauracion, expire, occupy, with_lease
from tests.support.jobs import running as running_jobs
from tests.support.once_in import once_in
from tests.support.tcp_proxy import Direction, TcpProxy, tcp_proxy, through


async def test_a_second_backup_of_a_clinic_is_refused_and_the_first_goes_on(
    resources: Resources, store: Store, conn: asyncpg.Connection, held: Held
) -> None:
    first = asyncio.create_task(back_up(resources, LARGE))
    await held.reached.wait()
    with pytest.raises(OperationInProgress, match=r"clínica 1 .*número 1, procesando"):
        await back_up(resources, LARGE)
    held.released.set()
    assert (await first).estado == Estado.COMPLETADO
    assert len(await respaldo_rows(conn)) == 1
    await assert_consistent(conn, store)


async def test_clinics_do_not_wait_for_each_other(
    resources: Resources, store: Store, conn: asyncpg.Connection
) -> None:
    made = await asyncio.gather(*(back_up(resources, clinica_id) for clinica_id in (LARGE, SMALL, NEW)))
    assert [respaldo.estado for respaldo in made] == ["completado"] * 3
    await assert_consistent(conn, store)


async def test_of_many_at_once_one_runs(resources: Resources, store: Store, conn: asyncpg.Connection) -> None:
    asked = [asyncio.create_task(back_up(resources, LARGE)) for _ in range(12)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, OperationInProgress)]
    assert len(refused) == 11, outcomes
    assert [row.estado for row in await respaldo_rows(conn)] == ["completado"]
    await assert_consistent(conn, store)


async def test_a_restore_keeps_a_backup_out(resources: Resources, store: Store, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    restoring = await occupy(conn, respaldo.id, Clase.RESTAURACION)
    with pytest.raises(OperationInProgress, match=rf"clínica 2 .*una restauración.*{respaldo.id}"):
        await back_up(resources)
    assert [row.estado for row in await respaldo_rows(conn)] == ["completado"]
    assert await conn.fetchval("SELECT id FROM respaldos.trabajo WHERE estado = 'procesando'") == restoring
    await assert_consistent(conn, store)


async def test_the_heartbeat_renews_the_lease(
    resources: Resources, conn: asyncpg.Connection, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = asyncio.create_task(back_up(with_lease(resources, renew_seconds=0.05), LARGE))
    await held.reached.wait()
    await conn.execute("UPDATE respaldos.trabajo SET lease_until = clock_timestamp() + interval '1 second'")
    async with asyncio.timeout(10):
        while not await conn.fetchval(
            "SELECT lease_until > clock_timestamp() + interval '50 seconds' FROM respaldos.trabajo"
        ):
            await asyncio.sleep(0.01)
    held.released.set()
    await running


@pytest.mark.parametrize("by", ["worker", "command line"])
async def test_who_has_lost_the_lease_changes_nothing_and_leaves_nothing(
    resources: Resources, store: Store, conn: asyncpg.Connection, held: Held, by: str
) -> None:
    if by == "worker":
        await ask(resources, LARGE)
    running: asyncio.Task[object] = asyncio.create_task(
        run_next(resources) if by == "worker" else back_up(resources, LARGE)
    )
    await held.reached.wait()
    await expire(conn)
    await reconciliar(resources)
    before = await row_of(conn, 1)
    assert before["estado"] == ("pendiente" if by == "worker" else "fallido")
    held.released.set()
    if by == "worker":
        await running
    else:
        with pytest.raises((LeaseLost, StorageError)):
            await running
    assert await row_of(conn, 1) == before
    await assert_consistent(conn, store)


async def test_who_comes_back_after_the_cleaning_removes_its_object(
    resources: Resources, store: Store, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that slept through its lease, and through the cleaning, finds its upload done when it wakes."""
    upload = S3Storage.upload

    async def others_meanwhile(storage: S3Storage, *given: Any, **more: Any) -> StoredObject:
        await expire(conn)
        await reconciliar(resources)
        await conn.execute("UPDATE respaldos.intento SET fin = fin - interval '1 hour'")
        await reconciliar(resources)
        assert await conn.fetchval("SELECT limpiado IS NOT NULL FROM respaldos.intento")
        return await upload(storage, *given, **more)

    monkeypatch.setattr(S3Storage, "upload", others_meanwhile)
    with pytest.raises(LeaseLost, match="respaldo 1"):
        await back_up(resources)
    assert [row.error_type for row in await respaldo_rows(conn)] == ["proceso_muerto"]
    await assert_consistent(conn, store)


async def test_the_heartbeat_tells_a_worker_that_it_lost_the_lease(
    resources: Resources, store: Store, conn: asyncpg.Connection, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = asyncio.create_task(back_up(with_lease(resources, renew_seconds=0.05), LARGE))
    await held.reached.wait()
    await conn.execute("UPDATE respaldos.trabajo SET intento = 2")
    with pytest.raises(LeaseLost, match="otro proceso"):
        await asyncio.wait_for(running, 10)
    row = await row_of(conn, 1)
    assert (row["estado"], row["intento"], row["metadata"]) == ("procesando", 2, "{}")
    await assert_consistent(conn, store)


async def test_an_attempt_that_died_is_ended_and_cleaned_by_the_next_command(
    resources: Resources, store: Store, conn: asyncpg.Connection, held: Held
) -> None:
    """As kill -9 leaves it: a row in progress, an upload half done."""
    client, bucket = store.storage.client, store.options.bucket
    await insert_running(conn, "backups/1/2026/01/backup_20260101_000000.json.gz", clinica_id=LARGE)
    await insert_running(conn, "backups/2/2026/01/backup_20260101_000000.json.gz", clinica_id=SMALL)
    key = "backups/1/2026/01/backup_20260101_000000.json.gz"
    created = await client.create_multipart_upload(Bucket=bucket, Key=key)
    await client.upload_part(Bucket=bucket, Key=key, UploadId=created["UploadId"], PartNumber=1, Body=b"x" * 2**16)
    await client.put_object(Bucket=bucket, Key=key.replace("/1/", "/2/"), Body=b"whole")
    other = "backups/1/2026/01/de-otra-persona.json.gz"
    await client.put_object(Bucket=bucket, Key=other, Body=b"not ours")
    await reconciliar(resources)
    assert [row.estado for row in await respaldo_rows(conn)] == ["procesando"] * 2, "the leases still run"
    await expire(conn)
    held.released.set()
    assert (await back_up(resources, LARGE)).estado == "completado"
    rows = await respaldo_rows(conn)
    assert [(row.estado, row.error_type) for row in rows[:2]] == [("fallido", "proceso_muerto")] * 2
    assert await store.storage.head(other) is not None, "only our own recorded keys are removed"
    await store.storage.delete(other)
    await assert_consistent(conn, store)


async def insert_running(
    conn: asyncpg.Connection, key: str, *, clinica_id: int, tipo: str = "manual", intento: int = 1, **of_job: Any
) -> int:
    """A backup that some process works on, with the attempts before it."""
    id_: int = await conn.fetchval(
        "INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo, estado)"
        " VALUES ($1, $2, 'procesando') RETURNING id",
        clinica_id,
        tipo,
    )
    await conn.execute(
        "INSERT INTO respaldos.intento (respaldo_id, numero, archivo_s3) VALUES ($1, $2, $3)", id_, intento, key
    )
    lease_until = datetime.now(UTC) + timedelta(minutes=1)
    await add_job(conn, id_, intento=intento, lease_until=lease_until, reintentable=tipo != "manual", **of_job)
    return id_


@pytest.mark.parametrize(
    ("tipo", "intento", "interrupciones", "estado"),
    [
        ("manual", 1, 0, "fallido"),
        ("automatico", 1, 0, "pendiente"),
        ("por_demanda", 2, 0, "pendiente"),
        ("automatico", 3, 0, "fallido"),
        ("automatico", 3, 1, "pendiente"),
        ("por_demanda", 4, 0, "fallido"),
        ("por_demanda", 5, 2, "fallido"),
    ],
)
async def test_what_becomes_of_a_dead_process_work(
    resources: Resources, conn: asyncpg.Connection, tipo: str, intento: int, interrupciones: int, estado: str
) -> None:
    await insert_running(
        conn, "backups/2/x.json.gz", clinica_id=SMALL, tipo=tipo, intento=intento, interrupciones=interrupciones
    )
    await expire(conn)
    await reconciliar(resources)
    row = await row_of(conn, 1)
    assert (row["estado"], json.loads(row["metadata"])["avisos"], row["lease_until"]) == (estado, [], None)
    assert await running_jobs(conn) == 0
    if estado == "pendiente":
        async with transaction(resources) as session:
            claimed = await job_queries.claim(session, 1, clinica_id=SMALL, lease=resources.lease)
            assert claimed.intento == intento + 1


async def test_many_reconcilers_at_once_end_a_death_once(
    resources: Resources, conn: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    for clinica_id in range(10, 20):
        await insert_running(conn, f"backups/{clinica_id}/x.json.gz", clinica_id=clinica_id)
    await expire(conn)
    await asyncio.gather(*(reconciliar(resources) for _ in range(8)))
    assert {row.estado for row in await respaldo_rows(conn)} == {"fallido"}
    assert len([record for record in caplog.records if "se venció su arriendo" in record.getMessage()]) == 10


@pytest.mark.parametrize("problem", [StorageError("no"), ZeroDivisionError("no")], ids=["known", "mistake"])
async def test_a_death_that_cannot_be_ended_keeps_no_other_from_it(
    resources: Resources,
    conn: asyncpg.Connection,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    problem: Exception,
) -> None:
    stored = store.storage.client.put_object
    for clinica_id in (LARGE, SMALL, NEW):
        key = f"backups/{clinica_id}/x.json.gz"
        await insert_running(conn, key, clinica_id=clinica_id)
        await stored(Bucket=store.options.bucket, Key=key, Body=b"x")
    for clinica_id in (LARGE, SMALL):
        job = {"estado": "procesando", "exclusiva": False, "intento": 1}
        await add_restauracion(conn, clinica_id, Clase.RESTAURACION, job=job)
    await expire(conn)
    finish = job_queries.finish

    async def fail_for_one(session: Any, job: Trabajo, **more: Any) -> Any:
        ended = await finish(session, job, **more)
        if job.clinica_id == LARGE:
            raise problem
        return ended

    with monkeypatch.context() as patch:
        patch.setattr(job_queries, "finish", fail_for_one)
        await reconciliar(resources)
    states = "SELECT estado FROM respaldos.trabajo WHERE clinica_id = ANY ($1) ORDER BY id"
    assert {row["estado"] for row in await conn.fetch(states, [SMALL, NEW])} == {"fallido"}
    assert {row["estado"] for row in await conn.fetch(states, [LARGE])} == {"procesando"}
    assert [item.key async for item in store.storage.list()] == [f"backups/{LARGE}/x.json.gz"]
    for job_name in ("el respaldo 1", "la restauración 1"):
        assert f"{job_name}: se venció su arriendo, y no se pudo dar por terminado" in caplog.text
    assert ("Traceback" in caplog.text) == isinstance(problem, ZeroDivisionError)
    await reconciliar(resources)
    assert await running_jobs(conn) == 0
    assert [item.key async for item in store.storage.list()] == []


async def test_a_row_that_somebody_holds_does_not_hold_up_the_others(
    resources: Resources, conn: asyncpg.Connection, database: str
) -> None:
    await insert_running(conn, "backups/1/x.json.gz", clinica_id=LARGE)
    await expire(conn)
    async with connected(database) as other, other.transaction():
        await other.execute("SELECT 1 FROM respaldos.trabajo FOR UPDATE")
        assert (await asyncio.wait_for(back_up(resources, SMALL), 10)).estado == "completado"
    await reconciliar(resources)
    assert [row.estado for row in await respaldo_rows(conn)] == ["fallido", "completado"]


async def test_a_store_that_is_down_does_not_hold_up_a_backup(
    store: Store, database: str, conn: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """A night of failures leaves many keys to clean; the next command must not wait for each of them."""
    for number in range(50):
        await conn.execute(
            "WITH r AS (INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo, estado)"
            " VALUES (1, 'manual', 'fallido') RETURNING id)"
            " INSERT INTO respaldos.intento (respaldo_id, numero, archivo_s3, fin) SELECT id, 1, $1, now() FROM r",
            f"backups/1/{number}.json.gz",
        )
    async with opened(store, service=database, endpoint_url="http://127.0.0.1:9") as resources:
        started = time.monotonic()
        await reconciliar(resources)
        assert time.monotonic() - started < 5
    assert len(caplog.records) == 1
    assert "50 intentos" in caplog.text


async def test_a_key_that_s3_does_not_let_go_is_tried_again(
    resources: Resources, store: Store, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    discard = S3Storage.discard

    async def refuse_one(storage: S3Storage, key: str) -> None:
        if "/1/" in key:
            raise StorageError("no")
        await discard(storage, key)

    for clinica_id in (LARGE, SMALL):
        await insert_running(conn, f"backups/{clinica_id}/x.json.gz", clinica_id=clinica_id)
        await store.storage.client.put_object(
            Bucket=store.options.bucket, Key=f"backups/{clinica_id}/x.json.gz", Body=b"x"
        )
    await expire(conn)
    with monkeypatch.context() as patch:
        patch.setattr(S3Storage, "discard", refuse_one)
        await reconciliar(resources)
    assert [item.key async for item in store.storage.list()] == ["backups/1/x.json.gz"]
    await reconciliar(resources)
    await assert_consistent(conn, store)


async def test_cleaning_ends_some_time_after_the_attempt(resources: Resources, conn: asyncpg.Connection) -> None:
    await insert_running(conn, "backups/1/x.json.gz", clinica_id=LARGE)
    await expire(conn)
    await reconciliar(resources)
    async with transaction(resources) as session:
        assert len(await backup_fleet.dangling_attempts(session)) == 1, "S3 may still be at work"
    await conn.execute(
        "UPDATE respaldos.intento SET fin = fin - make_interval(secs => $1)", float(backup_fleet.LATE_SECONDS)
    )
    await reconciliar(resources)
    async with transaction(resources) as session:
        assert await backup_fleet.dangling_attempts(session) == []


@pytest.fixture
async def service_proxy(database: str) -> AsyncIterator[TcpProxy]:
    """Before the service's own database; the clinics' is reached without it."""
    parts = urlsplit(database)
    async with tcp_proxy(parts.hostname or "", parts.port or 0) as proxy:
        yield proxy


@pytest.fixture
async def behind_proxy(store: Store, database: str, service_proxy: TcpProxy) -> AsyncIterator[Resources]:
    """Resources whose service database is behind `service_proxy`."""
    async with opened(store, service=through(database, service_proxy), clinic=database) as resources:
        yield resources


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("after", [0, 100, 400, 700, 900, 1100, 1300, 1700, 2200])
async def test_the_connection_lost_around_the_commit_that_completes(
    behind_proxy: Resources,
    service_proxy: TcpProxy,
    store: Store,
    conn: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    direction: Direction,
    after: int,
) -> None:
    complete = making._complete

    async def and_lose_it(*given: Any) -> Any:
        service_proxy.cut(after, times=1, direction=direction)
        return await complete(*given)

    monkeypatch.setattr(making, "_complete", and_lose_it)
    try:
        respaldo = await back_up(behind_proxy)
    except DatabaseUnavailable:
        await assert_failed(conn, store, "base_de_datos_no_disponible", "DATABASE_URL")
    else:
        assert respaldo.estado == "completado"
        assert [row.archivo_s3 for row in await respaldo_rows(conn)] == [respaldo.archivo_s3]
    await assert_consistent(conn, store)


async def test_a_commit_whose_answer_is_lost_is_found_out(
    behind_proxy: Resources,
    service_proxy: TcpProxy,
    store: Store,
    conn: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    complete = making._complete

    async def then_lose_the_answer(*given: Any) -> Any:
        await complete(*given)
        raise DatabaseUnavailable("la respuesta se perdió")

    monkeypatch.setattr(making, "_complete", then_lose_the_answer)
    assert (await back_up(behind_proxy)).estado == "completado"
    await assert_consistent(conn, store)


async def test_a_service_database_that_stays_away(
    behind_proxy: Resources,
    service_proxy: TcpProxy,
    store: Store,
    conn: asyncpg.Connection,
    resources: Resources,
    held: Held,
) -> None:
    running = asyncio.create_task(back_up(behind_proxy, LARGE))
    await held.reached.wait()
    await service_proxy.refuse()
    held.released.set()
    with pytest.raises(DatabaseUnavailable, match="DATABASE_URL"):
        await running
    # Nobody may say that it failed before the lease is over, and nothing is removed that might be completed.
    assert [row.estado for row in await respaldo_rows(conn)] == ["procesando"]
    await expire(conn)
    await reconciliar(resources)
    await assert_failed(conn, store, "proceso_muerto", "murió")


async def test_a_service_database_that_comes_back_in_time_is_no_failure(
    behind_proxy: Resources,
    service_proxy: TcpProxy,
    store: Store,
    conn: asyncpg.Connection,
    held: Held,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = asyncio.create_task(back_up(with_lease(behind_proxy, renew_seconds=0.05), LARGE))
    await held.reached.wait()
    await service_proxy.refuse()
    # Some renewals fail meanwhile.
    await asyncio.sleep(0.3)
    await service_proxy.listen()
    held.released.set()
    assert (await running).estado == "completado"
    await assert_consistent(conn, store)


async def test_both_databases_hanging_is_noticed(
    database: str, store: Store, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that swallows everything: the heartbeat itself must not hang in it."""
    monkeypatch.setattr("app.database.CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(service_engine, "__kwdefaults__", {"query_seconds": 0.3})
    parts = urlsplit(database)
    async with (
        tcp_proxy(parts.hostname or "", parts.port or 0) as proxy,
        opened(store, service=through(database, proxy)) as resources,
    ):
        async with asyncio.timeout(20):
            # Longer than a busy machine lets a backup stand still before the network hangs.
            quick = with_lease(resources, renew_seconds=0.1, stalled_seconds=3)
            with pytest.raises(Stalled):
                await back_up(quick, LARGE, progress=once_in("pacientes", proxy.hang))
    await expire(conn)
    async with opened(store, service=database) as resources:
        await reconciliar(resources)
    await assert_failed(conn, store, "proceso_muerto")


async def test_a_dead_transaction_does_not_keep_its_row(database: str) -> None:
    """PostgreSQL ends what a vanished process left open, so that a row it had locked is free again."""
    engine = service_engine(database)
    try:
        async with engine.connect() as connection:
            assert await connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
            assert await connection.scalar(text("SHOW lock_timeout")) == "15s"
    finally:
        await engine.dispose()


async def test_a_database_that_was_never_migrated(store: Store, empty_database: str) -> None:
    async with opened(store, service=empty_database) as resources:
        with pytest.raises(DatabaseNotMigrated, match="respaldos migrar"):
            await back_up(resources)


async def test_idle_seconds_start_again_when_something_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("app.respaldos.progress.time.monotonic", lambda: now)
    progress = Progress()
    now = 107.5
    assert progress.idle_seconds == 7.5
    progress.advance(bytes_=1)
    assert progress.idle_seconds == 0
