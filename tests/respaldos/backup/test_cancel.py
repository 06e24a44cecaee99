"""Stopping a backup: at once where nobody has begun, within a second or two where somebody has."""

import asyncio

import asyncpg
import pytest

from app.clinic.clinic import Tenancy
from app.errors import Cancelled, NotInProgress, RespaldoNotFound
from app.respaldos.backup import run as making
from app.respaldos.backup.request import cancelar_respaldo
from app.respaldos.jobs.run import run_next
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from tests.respaldos.conftest import (
    ANA,
    LARGE,
    SMALL,
    Held,
    ask,
    assert_consistent,
    back_up,
    connected,
    opened,
    row_of,
    told,
    trail,
)
from tests.storage.conftest import Store
from tests.support.jobs import expire, with_lease
from tests.support.jobs import running as running_jobs
from tests.support.stored import waiting_for_a_lock


async def test_a_pending_one_is_over_at_once(resources: Resources, conn: asyncpg.Connection) -> None:
    asked = await ask(resources)
    cancelled = await cancelar_respaldo(resources, asked.id, clinica_id=SMALL, actor=ANA)
    assert cancelled.estado == "cancelado"
    await run_next(resources)
    row = await row_of(conn, asked.id)
    assert (row["estado"], row["error_type"], row["intento"]) == ("cancelado", "cancelado", 0)
    assert [accion for accion, _, _ in await trail(conn)] == ["creacion", "cancelacion"]
    assert await told(conn) == []
    await ask(resources)


@pytest.mark.parametrize("by", ["worker", "command line"])
async def test_a_running_one_stops(
    resources: Resources, store: Store, conn: asyncpg.Connection, held: Held, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    resources = with_lease(resources, heartbeat_seconds=0.05)
    if by == "worker":
        await ask(resources, LARGE)
        running: asyncio.Task[object] = asyncio.create_task(run_next(resources))
    else:
        running = asyncio.create_task(back_up(resources, LARGE))
    await held.reached.wait()
    asked = await cancelar_respaldo(resources, 1, clinica_id=LARGE, actor=ANA)
    assert asked.estado == "procesando"
    # Nothing is released: the stop itself ends the upload.
    async with asyncio.timeout(10):
        if by == "worker":
            await running
        else:
            with pytest.raises(Cancelled, match="respaldo 1: se canceló"):
                await running
    row = await row_of(conn, 1)
    assert (row["estado"], row["error_type"], row["archivo_s3"]) == ("cancelado", "cancelado", None)
    assert row["progreso"] is None
    await assert_consistent(conn, store)
    assert await running_jobs(conn) == 0
    assert await told(conn) == []
    held.released.set()
    assert (await back_up(resources, LARGE)).estado == "completado"


async def test_asking_twice_is_one_line_in_the_trail(
    resources: Resources, conn: asyncpg.Connection, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = with_lease(resources, heartbeat_seconds=1)
    await ask(resources, LARGE)
    running = asyncio.create_task(run_next(resources))
    await held.reached.wait()
    for _ in range(2):
        assert (await cancelar_respaldo(resources, 1, clinica_id=LARGE, actor=ANA)).estado == "procesando"
    await running
    assert [accion for accion, _, _ in await trail(conn)] == ["creacion", "cancelacion"]


async def test_one_that_is_asked_to_stop_never_completes(
    resources: Resources, store: Store, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small backup is done before the first heartbeat: then its end notices."""
    complete = making._complete

    async def just_before(*given: object) -> object:
        await cancelar_respaldo(resources, 1, clinica_id=SMALL, actor=ANA)
        return await complete(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(making, "_complete", just_before)
    await ask(resources)
    await run_next(resources)
    assert (await row_of(conn, 1))["estado"] == "cancelado"
    await assert_consistent(conn, store)


async def test_one_that_fails_just_then_is_cancelled_all_the_same(
    resources: Resources, store: Store, conn: asyncpg.Connection, held: Held
) -> None:
    await ask(resources, LARGE)
    running = asyncio.create_task(run_next(resources))
    await held.reached.wait()
    await cancelar_respaldo(resources, 1, clinica_id=LARGE, actor=ANA)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await row_of(conn, 1))["estado"] == "cancelado"
    await assert_consistent(conn, store)


@pytest.mark.parametrize("intento", [1, 3])
async def test_a_cancelled_one_whose_process_died(
    resources: Resources, conn: asyncpg.Connection, intento: int
) -> None:
    await ask(resources)
    await conn.execute("UPDATE respaldos.respaldo SET estado = 'procesando'")
    await conn.execute("UPDATE respaldos.trabajo SET estado = 'procesando', intento = $1", intento)
    await cancelar_respaldo(resources, 1, clinica_id=SMALL, actor=ANA)
    await expire(conn)
    await reconciliar(resources)
    row = await row_of(conn, 1)
    assert (row["estado"], row["error_type"]) == ("cancelado", "cancelado")
    assert await told(conn) == []


@pytest.mark.parametrize(("was", "becomes"), [("procesando", "pendiente"), ("pendiente", "procesando")])
async def test_one_that_is_just_changing_its_state_is_cancelled(
    resources: Resources, conn: asyncpg.Connection, was: str, becomes: str
) -> None:
    change = "WITH job AS (UPDATE respaldos.trabajo SET estado = $1) UPDATE respaldos.respaldo SET estado = $1"
    await ask(resources)
    await conn.execute(change, was)
    changing = conn.transaction()
    await changing.start()
    await conn.execute(change, becomes)
    cancelling = asyncio.create_task(cancelar_respaldo(resources, 1, clinica_id=SMALL, actor=ANA))
    await waiting_for_a_lock(conn)
    await changing.commit()
    over = becomes == "pendiente"
    assert (await cancelling).estado == ("cancelado" if over else "procesando")
    job = await conn.fetchrow("SELECT cancelacion, error FROM respaldos.trabajo")
    assert job is not None
    assert job["cancelacion"] is not None
    assert job["error"] == ("respaldo 1: se canceló antes de empezar" if over else None)
    assert [accion for accion, _, _ in await trail(conn)] == ["creacion", "cancelacion"]


async def test_one_that_has_ended_cannot_be_cancelled(resources: Resources, conn: asyncpg.Connection) -> None:
    made = await back_up(resources)
    with pytest.raises(NotInProgress, match="está completado"):
        await cancelar_respaldo(resources, made.id, clinica_id=SMALL, actor=ANA)
    assert [accion for accion, _, _ in await trail(conn)] == ["creacion"]


async def test_another_clinics_cannot_be_cancelled(resources: Resources, conn: asyncpg.Connection) -> None:
    asked = await ask(resources)
    with pytest.raises(RespaldoNotFound):
        await cancelar_respaldo(resources, asked.id, clinica_id=LARGE, actor=ANA)
    assert (await row_of(conn, asked.id))["estado"] == "pendiente"


# Of each table it is asked in a statement of its own whose its row is.
SLOW = "; ".join(
    f"CREATE TABLE lenta_{n} (id int PRIMARY KEY, segundos float); INSERT INTO lenta_{n} VALUES (1, 0.7)"
    for n in range(3)
)
SLOW_RULES = {f"lenta_{n}": f"(SELECT {SMALL} FROM pg_sleep(t.segundos))" for n in range(3)}
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"


async def test_finding_whose_rows_are_is_no_standstill_and_stops(store: Store, own_database: str) -> None:
    async with (
        connected(own_database) as conn,
        opened(store, service=own_database, tenancy=Tenancy(rules=SLOW_RULES)) as opened_resources,
    ):
        resources = with_lease(opened_resources, heartbeat_seconds=0.05, stalled_seconds=1.4)
        await conn.execute(SLOW)
        assert (await back_up(resources)).estado == "completado"
        await conn.execute("UPDATE lenta_1 SET segundos = 60")
        asked = await ask(resources)
        running = asyncio.create_task(run_next(with_lease(resources, stalled_seconds=300)))
        async with asyncio.timeout(10):
            while not await conn.fetchval(ASLEEP):
                await asyncio.sleep(0.02)
            await cancelar_respaldo(resources, asked.id, clinica_id=SMALL, actor=ANA)
            await running
            while await conn.fetchval(ASLEEP):
                await asyncio.sleep(0.02)
        assert (await row_of(conn, asked.id))["estado"] == "cancelado"
