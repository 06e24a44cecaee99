"""One moment of the database, whatever others do to it meanwhile."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import pytest

from app.clinic.database import ClinicDatabase
from app.errors import DatabaseUnavailable, SchemaChanged
from tests.clinic.conftest import Database
from tests.support.clinic_backup import back_up, file_of, read_backup
from tests.support.two_clinics import TWO_CLINICS

MONEY = """
CREATE TABLE caja (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, saldo int NOT NULL);
CREATE TABLE banco (id int PRIMARY KEY, persona_id int NOT NULL REFERENCES persona, saldo int NOT NULL);
INSERT INTO caja SELECT n, 1 + n % 2, 1000 FROM generate_series(1, 20) AS n;
INSERT INTO banco SELECT n, CASE n % 2 WHEN 0 THEN 11 ELSE 21 END, 1000 FROM generate_series(1, 20) AS n;
"""

# Some MB of records, so that a COPY is under way for a while.
LARGE = """
CREATE TABLE grande (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, texto text);
INSERT INTO grande SELECT n, 1, repeat(md5(n::text), 30) FROM generate_series(1, 20000) AS n;
"""


@asynccontextmanager
async def _other(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Another session."""
    connection = await database.connect()
    try:
        yield connection
    finally:
        await connection.close()


async def _waiting_for_a_lock(database: Database) -> None:
    """Return when some session of the database waits for a lock."""
    while not await database.sql.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ):
        await asyncio.sleep(0.005)


async def test_money_that_moves_all_the_time_is_always_somewhere(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS + MONEY)
    moved = 0

    async def move() -> None:
        nonlocal moved
        async with _other(any_database) as other:
            while True:
                moved += 1
                one, two = ("caja", "banco") if moved % 3 else ("banco", "caja")
                await other.execute(
                    f"BEGIN; UPDATE {one} SET saldo = saldo - 7 WHERE id = {2 + 2 * (moved % 10)};"
                    f" UPDATE {two} SET saldo = saldo + 7 WHERE id = {2 + 2 * (moved * 7 % 10)}; COMMIT"
                )

    moving = asyncio.create_task(move())
    clinics = any_database.clinics()
    seen = set()
    for _ in range(15):
        before = moved
        async with clinics.snapshot(1) as snapshot:
            while moved < before + 20 and not moving.done():
                await asyncio.sleep(0)
            backup = read_backup(await file_of(snapshot))
        balances = [*backup.ids("caja", "saldo"), *backup.ids("banco", "saldo")]
        assert (len(balances), sum(balances)) == (20, 20_000)
        seen.add(tuple(balances))
    assert len(seen) > 10
    moving.cancel()
    with suppress(asyncio.CancelledError):
        await moving


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE banco",
        "TRUNCATE caja",
        "ALTER TABLE caja ALTER saldo TYPE bigint",
        "DROP TABLE banco",
        "ALTER TABLE caja DROP saldo",
        "CLUSTER caja USING caja_pkey",
    ],
)
async def test_nothing_rewrites_a_table_while_it_is_being_backed_up(any_database: Database, statement: str) -> None:
    await any_database.sql.execute(TWO_CLINICS + MONEY)
    async with _other(any_database) as other:
        async with any_database.clinics().snapshot(1) as snapshot:
            change = asyncio.create_task(other.execute(statement))
            await _waiting_for_a_lock(any_database)
            backup = read_backup(await file_of(snapshot))
            assert not change.done()
        await asyncio.wait_for(change, 10)
    assert (len(backup.records("caja")), len(backup.records("banco"))) == (10, 10)


async def test_partitions_are_held_too(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE cita (clinica_id int NOT NULL REFERENCES clinica, n int) PARTITION BY RANGE (n);
        CREATE TABLE cita_1 PARTITION OF cita FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (n);
        CREATE TABLE cita_11 PARTITION OF cita_1 FOR VALUES FROM (0) TO (50);
        INSERT INTO cita VALUES (1, 1), (1, 2);
        """
    )
    async with _other(any_database) as other:
        async with any_database.clinics().snapshot(1) as snapshot:
            change = asyncio.create_task(other.execute("TRUNCATE cita_11"))
            await _waiting_for_a_lock(any_database)
            assert len(read_backup(await file_of(snapshot)).records("cita")) == 2
        await asyncio.wait_for(change, 10)


async def _snapshot_while(database: Database, clinics: ClinicDatabase, change: str) -> asyncio.Task[Any]:
    """A backup that was held up, after it had read the catalogue, by a transaction that made this change."""
    async with _other(database) as other:
        await other.execute(f"BEGIN; LOCK TABLE banco IN ACCESS EXCLUSIVE MODE; {change}")
        backup = asyncio.create_task(back_up(clinics, 1))
        await _waiting_for_a_lock(database)
        await other.execute("COMMIT")
    await asyncio.wait([backup])
    return backup


async def test_a_table_rewritten_between_catalogue_and_snapshot_is_not_read_as_empty(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS + MONEY)
    clinics = any_database.clinics()
    change = "CREATE TEMP TABLE t AS TABLE banco; TRUNCATE banco; INSERT INTO banco TABLE t; DROP TABLE t"
    backup = (await _snapshot_while(any_database, clinics, change)).result()
    assert len(backup.records("banco")) == 10


@pytest.mark.parametrize(
    "change",
    ["ALTER TABLE banco ALTER saldo TYPE text", "DROP TABLE banco", "ALTER TABLE banco RENAME TO banca"],
)
async def test_a_schema_that_changed_since_the_catalogue_is_an_error_and_the_next_try_works(
    any_database: Database, change: str
) -> None:
    await any_database.sql.execute(TWO_CLINICS + MONEY)
    clinics = any_database.clinics()
    backup = await _snapshot_while(any_database, clinics, change)
    with pytest.raises(SchemaChanged, match="el esquema"):
        backup.result()
    assert (await back_up(clinics, 1)).records("caja")


async def _running(database: Database) -> int:
    found: int = await database.sql.fetchval(
        """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND query ~ '^COPY' AND state = 'active'
          AND backend_type = 'client backend'
        """
    )
    return found


async def test_leaving_the_records_early_leaves_nothing_running(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS + LARGE)
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    tasks = asyncio.all_tasks()
    async with any_database.clinics().snapshot(1) as snapshot:
        entry = next(entry for entry in snapshot.catalogue.entries.values() if entry.model == "grande")
        async with snapshot.record_lines(snapshot.statements.owned_records(entry)) as blocks:
            assert (await anext(blocks)).endswith(b"\n")
            assert await _running(any_database) == 1
        async with asyncio.timeout(10):
            while await _running(any_database):
                await asyncio.sleep(0.005)
    gc.collect()
    assert asyncio.all_tasks() == tasks
    assert problems == []


async def test_leaving_before_the_first_record_leaves_nothing_running(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS)
    tasks = asyncio.all_tasks()
    async with any_database.clinics().snapshot(1) as snapshot, asyncio.timeout(20):
        async with snapshot.record_lines("SELECT '{}' FROM pg_sleep(100)"):
            while not await _running(any_database):
                await asyncio.sleep(0.005)
        while await _running(any_database):
            await asyncio.sleep(0.005)
    assert asyncio.all_tasks() == tasks


async def test_the_server_waits_for_whoever_takes_the_blocks(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS + LARGE)
    async with any_database.clinics().snapshot(1) as snapshot:
        entry = next(entry for entry in snapshot.catalogue.entries.values() if entry.model == "grande")
        async with snapshot.record_lines(snapshot.statements.owned_records(entry)) as blocks:
            sizes = [len(await anext(blocks))]
            async with asyncio.timeout(10):
                while not await any_database.sql.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite' AND query ~ '^COPY'"
                ):
                    await asyncio.sleep(0.005)
            sizes += [len(block) async for block in blocks]
    assert sum(sizes) > 19_000_000
    assert max(sizes) < 3 << 20


@pytest.mark.parametrize("when", ["before", "amid"])
async def test_a_backend_that_is_killed_makes_the_database_unavailable(any_database: Database, when: str) -> None:
    await any_database.sql.execute(TWO_CLINICS + LARGE)
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))

    async def kill() -> None:
        await any_database.sql.execute(
            """
            SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """
        )

    async def interrupted() -> None:
        async with any_database.clinics().snapshot(1) as snapshot:
            entry = next(entry for entry in snapshot.catalogue.entries.values() if entry.model == "grande")
            if when == "before":
                await kill()
            async with snapshot.record_lines(snapshot.statements.owned_records(entry)) as blocks:
                await anext(blocks)
                await kill()
                async for _ in blocks:
                    pass

    with pytest.raises(DatabaseUnavailable, match="CLINIC_DATABASE_URL"):
        await asyncio.wait_for(interrupted(), 20)
    gc.collect()
    # asyncpg drops a future of its own where the connection's end arrives while it sends (14 of 120 tries); that, and
    # no task of ours.
    ours = [
        problem
        for problem in problems
        if isinstance(problem.get("future"), asyncio.Task)
        or not isinstance(problem.get("exception"), asyncpg.ConnectionDoesNotExistError)
    ]
    assert ours == []


async def test_a_backend_killed_after_the_last_record_spoils_nothing(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS)
    async with any_database.clinics().snapshot(1) as snapshot:
        file = await file_of(snapshot)
        await any_database.sql.execute(
            """
            SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """
        )
    assert read_backup(file).ids("persona") == [11, 12]
