"""A backup that is cancelled, whenever that is and however often, is `fallido` or completed, and nothing between."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.errors import RespaldosError
from app.respaldos.backup import cleanup
from app.respaldos.cancellation import uninterrupted
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from tests.respaldos.conftest import LARGE, assert_consistent, back_up, opened, respaldo_rows
from tests.storage.conftest import Store
from tests.support.cancelled import Cancelled
from tests.support.fault import FaultyS3
from tests.support.jobs import running as running_jobs
from tests.support.tcp_proxy import tcp_proxy, through

"""What a backup is doing, by the function that says so; the first that is being awaited decides."""


@pytest.fixture(scope="module")
def _measured() -> Counter[str]:
    return Counter()


@pytest.fixture
async def suspensions(
    _measured: Counter[str], resources: Resources, conn: asyncpg.Connection, store: Store
) -> Counter[str]:
    """How often a backup suspends in each stage: of one that was left in peace, and then removed.

    That depends on how many bytes arrive at once, and so on Python, the machine and what else it does.
    """
    if not _measured:
        left_in_peace = Cancelled(back_up(resources, LARGE), lambda _: False)
        made = await left_in_peace
        await store.storage.delete(made.archivo_s3 or "")
        await conn.execute("TRUNCATE respaldos.respaldo RESTART IDENTITY CASCADE")
        _measured.update(left_in_peace.seen)
    return _measured


async def back_up_cancelled(
    resources: Resources, when: Callable[[Cancelled], bool]
) -> tuple[Cancelled, "asyncio.Task[object]"]:
    """A backup that has ended, cancelled at those of its suspensions."""
    cancelled = Cancelled(back_up(resources, LARGE), when)

    async def run() -> object:
        return await cancelled

    running = asyncio.create_task(run())
    await asyncio.wait([running])
    return cancelled, running


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
    assert await running_jobs(conn) == 0
    await assert_consistent(conn, store)


MOMENTS = {
    "tidying": 5,
    "opening": 8,
    "uploading": 13,
    "reading back": 3,
    "closing": 2,
    "completing": 5,
    "waiting": 2,
}
"""How many moments of each stage a backup is cancelled at: the first, the last, and others evenly between."""

IN_ORDER = [stage for stage in MOMENTS if stage != "waiting"]


async def test_a_backup_suspends_often_enough_in_every_stage(suspensions: Counter[str]) -> None:
    assert suspensions.keys() == MOMENTS.keys()
    assert [stage for stage, moments in MOMENTS.items() if suspensions[stage] < moments] == []


@pytest.mark.parametrize(
    ("stage", "moment"), [(stage, moment) for stage, moments in MOMENTS.items() for moment in range(moments)]
)
async def test_a_cancellation_at_any_moment(
    resources: Resources,
    conn: asyncpg.Connection,
    store: Store,
    suspensions: Counter[str],
    stage: str,
    moment: int,
) -> None:
    number = 1 + round((suspensions[stage] - 1) * moment / (MOMENTS[stage] - 1))

    def once(now: Cancelled) -> bool:
        # The stage may have fewer suspensions than in the measured backup.
        later = stage in IN_ORDER and now.stage in IN_ORDER[IN_ORDER.index(stage) + 1 :]
        return now.times == 0 and (now.seen[stage] == number or later)

    cancelled, running = await back_up_cancelled(resources, once)
    # Only the end has nothing after it.
    assert cancelled.times == 1 or (stage, moment + 1) == ("completing", MOMENTS[stage])
    await assert_ended(conn, store, running)


@pytest.mark.parametrize("stage", ["tidying", "uploading", "completing"])
@pytest.mark.parametrize("step", [1, 10])
async def test_cancellations_that_go_on_and_on(
    resources: Resources, conn: asyncpg.Connection, store: Store, stage: str, step: int
) -> None:
    begun: list[int] = []

    def again_and_again(now: Cancelled) -> bool:
        if now.stage == stage and not begun:
            begun.append(now.seen.total())
        return now.times < 50 and bool(begun) and (now.seen.total() - begun[0]) % step == 0

    cancelled, running = await back_up_cancelled(resources, again_and_again)
    assert cancelled.times > 0
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
    monkeypatch.setattr(cleanup, "CLEAN_UP_SECONDS", 0.2)
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
        await reconciliar(resources)
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
