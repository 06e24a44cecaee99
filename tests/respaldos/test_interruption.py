"""A backup that is cancelled, whenever that is and however often, is `fallido` or completed, and nothing between."""

import asyncio
from collections.abc import AsyncIterator, Callable, Container, Coroutine, Generator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.errors import RespaldosError
from app.respaldos import reconciliar as reconciliar_module
from app.respaldos.resources import Resources
from app.respaldos.uninterrupted import uninterrupted
from tests.respaldos.conftest import LARGE, assert_consistent, back_up, opened, respaldo_rows
from tests.respaldos.test_clinic_faults import through
from tests.storage.conftest import Store
from tests.storage.fault import FaultyS3
from tests.tcp_proxy import tcp_proxy


class Cancelled:
    """Awaits `work`, and cancels its own task at each of those suspensions (the first is number 1).

    A backup suspends some 300 times, so that its stages can be met without a clock.
    """

    def __init__(self, work: Coroutine[Any, Any, object], at: Container[int]) -> None:
        self.suspensions = 0
        self._work = work
        self._at = at

    def __await__(self) -> Generator[Any, Any, object]:
        steps = self._work.__await__()
        proceed: Callable[[], Any] = partial(steps.send, None)
        while True:
            try:
                waited_for = proceed()
            except StopIteration as end:
                return end.value
            self.suspensions += 1
            task = asyncio.current_task()
            if self.suspensions in self._at and task is not None:
                task.cancel()
            try:
                yield waited_for
                proceed = partial(steps.send, None)
            except BaseException as exc:  # noqa: BLE001 — handed on to the coroutine, as an await does
                proceed = partial(steps.throw, exc)


async def back_up_cancelled(resources: Resources, at: Container[int]) -> "asyncio.Task[object]":
    """A backup that has ended, cancelled at those of its suspensions."""

    async def run() -> object:
        return await Cancelled(back_up(resources, LARGE), at)

    running = asyncio.create_task(run())
    await asyncio.wait([running])
    return running


async def assert_ended(conn: asyncpg.Connection, store: Store, running: "asyncio.Task[object]") -> None:
    """Row, bucket and what the task says agree, without any waiting for a lease."""
    rows = await respaldo_rows(conn)
    if running.cancelled():
        assert not rows or rows[0].estado in ("fallido", "completado")
        if rows and rows[0].estado == "fallido":
            assert rows[0].error_type == "interrumpido"
            assert "interrumpió" in (rows[0].error or "")
    else:
        assert [row.estado for row in rows] == ["completado"]
    assert await conn.fetchval("SELECT count(*) FROM respaldos.operacion") == 0
    await assert_consistent(conn, store)


async def test_a_backup_suspends_as_often_as_these_tests_think(resources: Resources) -> None:
    counted = Cancelled(back_up(resources, LARGE), ())
    await counted
    # How many chunks arrive at once varies: 180 to 400 have been seen.
    assert 100 < counted.suspensions < 1000, counted.suspensions


@pytest.mark.parametrize("number", [*range(1, 16), *range(20, 300, 20)])
async def test_a_cancellation_at_any_moment(
    resources: Resources, conn: asyncpg.Connection, store: Store, number: int
) -> None:
    running = await back_up_cancelled(resources, {number})
    await assert_ended(conn, store, running)


@pytest.mark.parametrize("first", [1, 40, 250])
@pytest.mark.parametrize("step", [1, 10])
async def test_cancellations_that_go_on_and_on(
    resources: Resources, conn: asyncpg.Connection, store: Store, first: int, step: int
) -> None:
    running = await back_up_cancelled(resources, range(first, first + 50 * step, step))
    await assert_ended(conn, store, running)


async def stages(conn: asyncpg.Connection, running: "asyncio.Task[object]") -> AsyncIterator[str]:
    """The row's states, as they change."""
    seen = None
    while not running.done():
        estado = await conn.fetchval("SELECT estado FROM respaldos.respaldo")
        if estado is not None and estado != seen:
            seen = estado
            yield estado


async def test_a_cancellation_while_the_row_is_being_committed(
    database: str, conn: asyncpg.Connection, store: Store
) -> None:
    parts = urlsplit(database)
    async with (
        tcp_proxy(parts.hostname or "", parts.port or 0) as proxy,
        opened(store, service=through(database, proxy), clinic=database) as resources,
    ):
        # Each answer takes its time, so the row is visible to others before its maker hears of it.
        proxy.delay(0.005)
        running = asyncio.create_task(back_up(resources, LARGE))
        async for _ in stages(conn, running):
            running.cancel()
            break
        await asyncio.wait([running])
        assert running.cancelled()
        assert [row.estado for row in await respaldo_rows(conn)] == ["fallido"]
        await assert_ended(conn, store, running)


async def test_a_store_that_hangs_does_not_hold_up_the_end(
    moto_store: Store,
    faults: FaultyS3,
    database: str,
    conn: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconciliar_module, "CLEAN_UP_SECONDS", 0.2)
    monkeypatch.setattr("app.storage.upload.SETTLE_SECONDS", 0.2)
    monkeypatch.setattr("app.storage.upload.CLEANUP_SECONDS", 0.2)
    async with opened(moto_store, service=database, read_timeout=60) as resources:
        for operation in ("upload_part", "abort", "list_uploads", "list", "delete"):
            faults.fail(operation, "slow", times=99)
        running = asyncio.create_task(back_up(resources, LARGE))
        async with asyncio.timeout(10):
            while not any(operation == "upload_part" for operation, _ in faults.seen):
                await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.wait([running])
        assert [row.error_type for row in await respaldo_rows(conn)] == ["interrumpido"]
        faults.restore()
        await reconciliar_module.reconciliar(resources)
    await assert_consistent(conn, moto_store)


async def test_uninterrupted_work_ends_and_then_the_cancellation_is_heard() -> None:
    done = asyncio.Event()

    async def work() -> int:
        await asyncio.sleep(0.02)
        done.set()
        return 7

    assert await uninterrupted(work()) == 7
    done.clear()
    running = asyncio.create_task(uninterrupted(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert done.is_set()


async def test_what_uninterrupted_work_raises_is_heard() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise RespaldosError("no")

    with pytest.raises(RespaldosError, match="no"):
        await uninterrupted(work())
    running = asyncio.create_task(uninterrupted(work()))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await running
    assert isinstance(raised.value.__cause__, RespaldosError)
