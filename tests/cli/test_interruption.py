"""`respaldos crear` as a process that is interrupted, told to end, or killed, at any of its stages."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from tests.cli.conftest import Slowly
from tests.respaldos.conftest import LARGE, SMALL, assert_consistent, assert_failed, respaldo_rows
from tests.storage.conftest import Store
from tests.support.jobs import expire
from tests.support.program import Ran, Running, begin, ended, respaldos, start
from tests.support.tcp_proxy import Direction

MB = 10**6

Reached = Callable[[Slowly, asyncpg.Connection], Awaitable[bool]]


async def _claimed(_: Slowly, conn: asyncpg.Connection) -> bool:
    return bool(await conn.fetchval("SELECT count(*) FROM respaldos.respaldo"))


async def _dumping(slowly: Slowly, _: asyncpg.Connection) -> bool:
    return slowly.clinic.forwarded[Direction.TO_CLIENT] > MB


async def _uploading(slowly: Slowly, _: asyncpg.Connection) -> bool:
    return slowly.s3.forwarded[Direction.TO_SERVER] > MB


async def _last_part(slowly: Slowly, _: asyncpg.Connection) -> bool:
    return slowly.s3.forwarded[Direction.TO_SERVER] > 8.5 * MB


async def _reading_back(slowly: Slowly, _: asyncpg.Connection) -> bool:
    return slowly.s3.forwarded[Direction.TO_CLIENT] > MB


STAGES: dict[str, Reached] = {
    "claimed": _claimed,
    "dumping": _dumping,
    "uploading": _uploading,
    "last part": _last_part,
    "reading back": _reading_back,
}


async def stage(
    name: str, slowly: Slowly, conn: asyncpg.Connection, process: asyncio.subprocess.Process | Running
) -> None:
    """Return when the backup has come there."""
    async with asyncio.timeout(60):
        while not await STAGES[name](slowly, conn):
            assert process.returncode is None, await _ended(process)
            await asyncio.sleep(0.005)


async def _ended(process: asyncio.subprocess.Process | Running) -> Ran:
    return await (process.ended() if isinstance(process, Running) else ended(process))


ONCE = (signal.SIGINT,)


@pytest.mark.parametrize(
    ("where", "signals"),
    [
        *((where, ONCE) for where in STAGES),
        ("uploading", (signal.SIGTERM,)),
        ("dumping", (signal.SIGHUP,)),
        *((where, (signal.SIGINT, signal.SIGINT)) for where in ("dumping", "last part", "reading back")),
        ("uploading", (signal.SIGTERM, signal.SIGINT, signal.SIGINT, signal.SIGTERM)),
    ],
    ids=str,
)
async def test_an_interrupted_backup_is_failed_and_leaves_nothing(
    slowly: Slowly,
    conn: asyncpg.Connection,
    store: Store,
    tmp_path: Path,
    where: str,
    signals: tuple[signal.Signals, ...],
) -> None:
    running = begin("crear", "--clinica", str(LARGE), cwd=tmp_path, **slowly.settings)
    await stage(where, slowly, conn, running)
    for number in signals:
        running.send_signal(number)
        # Long enough to be a second signal for the process, and not the same one.
        await asyncio.sleep(0.02)
    ran = await running.ended()
    assert (ran.code, ran.out) == (130, ""), ran
    assert "Traceback" not in ran.err
    assert "✗ se interrumpió la orden" in ran.err
    await assert_failed(conn, store, "interrumpido", "se interrumpió")


async def test_programs_are_told_so_by_its_code(
    slowly: Slowly, conn: asyncpg.Connection, store: Store, tmp_path: Path
) -> None:
    running = begin("crear", "--clinica", str(LARGE), "--json", cwd=tmp_path, **slowly.settings)
    await stage("dumping", slowly, conn, running)
    running.send_signal(signal.SIGINT)
    ran = await running.ended()
    assert (ran.code, ran.json) == (130, {"error": "se interrumpió la orden", "error_type": "interrumpido"})
    await assert_failed(conn, store, "interrumpido", "se interrumpió")


@pytest.mark.parametrize("where", ["dumping", "last part", "reading back"])
async def test_a_killed_backup_is_ended_by_the_next_command_after_its_lease(
    slowly: Slowly, addresses: dict[str, str], conn: asyncpg.Connection, store: Store, tmp_path: Path, where: str
) -> None:
    running = begin("crear", "--clinica", str(LARGE), cwd=tmp_path, **slowly.settings)
    await stage(where, slowly, conn, running)
    running.send_signal(signal.SIGKILL)
    await running.ended()
    assert [row.estado for row in await respaldo_rows(conn)] == ["procesando"]
    refused = await asyncio.to_thread(respaldos, "crear", "--clinica", str(LARGE), cwd=tmp_path, **addresses)
    assert refused.code == 1
    assert "número 1, procesando" in refused.err
    await expire(conn)
    again = await asyncio.to_thread(respaldos, "crear", "--clinica", str(SMALL), cwd=tmp_path, **addresses)
    assert again.code == 0, again
    rows = await respaldo_rows(conn)
    assert [(row.estado, row.error_type) for row in rows] == [("fallido", "proceso_muerto"), ("completado", None)]
    assert "murió" in (rows[0].error or "")
    await assert_consistent(conn, store)


async def test_an_interruption_before_anything_began_leaves_nothing(
    slowly: Slowly, conn: asyncpg.Connection, store: Store, tmp_path: Path
) -> None:
    # Nothing can begin meanwhile, however soon the command gets so far.
    await conn.execute("BEGIN; LOCK TABLE respaldos.respaldo, respaldos.trabajo IN EXCLUSIVE MODE")
    for seconds in (0.0, 0.1, 0.3, 0.5):
        process = await start("crear", "--clinica", str(SMALL), cwd=tmp_path, **slowly.settings)
        await asyncio.sleep(seconds)
        process.send_signal(signal.SIGINT)
        ran = await ended(process)
        if ran.code == 130:
            assert "✗ se interrumpió la orden" in ran.err
        else:
            # Until run() has been entered, Python dies of the signal; or of an error, where it does not get so far
            # or where something that it imports makes an error of the KeyboardInterrupt (a class with
            # __set_name__ does, in 3.11). By the clock, that is over after 0.07 s on a machine that is not busy.
            assert ran.code in {-signal.SIGINT, 1}, ran
            assert ", in run\n" not in ran.err
    await conn.execute("COMMIT")
    assert await respaldo_rows(conn) == []
    await assert_consistent(conn, store)


async def test_what_was_told_to_ignore_the_closing_terminal_goes_on(
    slowly: Slowly, conn: asyncpg.Connection, store: Store, tmp_path: Path
) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = await start("crear", "--clinica", str(LARGE), cwd=tmp_path, **slowly.settings)
    finally:
        signal.signal(signal.SIGHUP, previous)
    await stage("dumping", slowly, conn, process)
    process.send_signal(signal.SIGHUP)
    assert (await ended(process)).code == 0
    await assert_consistent(conn, store)


async def test_of_many_processes_at_once_one_makes_the_backup(
    slowly: Slowly, conn: asyncpg.Connection, store: Store, tmp_path: Path
) -> None:
    begun = [begin("crear", "--clinica", str(LARGE), cwd=tmp_path, **slowly.settings) for _ in range(4)]
    all_ran = await asyncio.gather(*(running.ended() for running in begun))
    assert sorted(ran.code for ran in all_ran) == [0, 1, 1, 1]
    for ran in all_ran:
        assert ran.code == 0 or "ya tiene un respaldo en curso (número 1" in ran.err
    assert [row.estado for row in await respaldo_rows(conn)] == ["completado"]
    await assert_consistent(conn, store)
