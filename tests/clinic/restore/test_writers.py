"""Others write at chosen moments of a restore: what they wrote stays, and the restore says that it was in the way."""

import asyncio

import asyncpg
import pytest

from app.clinic.restore import database as restore_database
from app.clinic.restore.database import RestoreDatabase
from app.errors import DatabaseUnavailable, RestoreRefused, SchemaChanged
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed, superuser
from tests.support.clinic_backup import Backup, back_up
from tests.support.clinic_restore import WHOLE, counts, loaded
from tests.support.meanwhile import Meanwhile
from tests.support.two_clinics import TWO_CLINICS

# With so little room left on its page, any SELECT clears away what nobody sees any more.
TABLES = """
CREATE TABLE ficha (id int PRIMARY KEY, texto text, clinica_id int NOT NULL);
CREATE TABLE nota (id int PRIMARY KEY, ficha_id int NOT NULL REFERENCES ficha, clinica_id int);
INSERT INTO ficha VALUES (1, 'a', 1), (2, 'b', 1), (4, 'd', 2);
INSERT INTO ficha SELECT n, repeat('x', 400), 2 FROM generate_series(100, 115) n;
INSERT INTO nota VALUES (1, 1, NULL), (2, 4, NULL);
"""
DAMAGE = (
    "INSERT INTO ficha VALUES (9, 'n', 1)",
    "UPDATE ficha SET texto = 'z' WHERE id = 2",
    "INSERT INTO nota VALUES (9, 1, NULL)",
)
OTHERS_CARDS = "INSERT INTO ficha SELECT n, 'otra', 2 FROM generate_series(50, 53) n"
OTHERS_NOTE = "INSERT INTO nota VALUES (50, 4, NULL)"

A, Z, D, N = (1, "a", 1), (2, "z", 1), (4, "d", 2), (9, "n", 1)
OTHERS = [(n, "otra", 2) for n in range(50, 54)]

# What a transaction that began before the restore's changes, what follows on it, and what the table then has.
MOMENTS = {
    "a row that would go makes room": (
        "DELETE FROM ficha WHERE id = 9",
        ("VACUUM ficha", OTHERS_CARDS),
        [A, Z, D, *OTHERS],
    ),
    "a row to be corrected makes room": (
        "DELETE FROM ficha WHERE id = 2",
        ("VACUUM ficha", OTHERS_CARDS),
        [A, D, N, *OTHERS],
    ),
    "an old version makes room": (
        "UPDATE ficha SET texto = 'y' WHERE id = 2",
        ("TABLE ficha", "TABLE ficha", OTHERS_CARDS),
        [A, (2, "y", 1), D, N, *OTHERS],
    ),
    "a row is somebody else's": ("UPDATE ficha SET clinica_id = 2 WHERE id = 9", (), [A, Z, D, (9, "n", 2)]),
}


async def prepare(database: Database, writer: Writer) -> tuple[RestoreDatabase, Backup]:
    """The tables, with what is to be undone in them."""
    await database.sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    for statement in DAMAGE:
        await database.sql.execute(statement)
    return clinics, backup


@crossed
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_row_that_somebody_changed_is_left_to_them(
    any_database: Database, writer: Writer, moment: str
) -> None:
    clinics, backup = await prepare(any_database, writer)
    change, after, stays = MOMENTS[moment]
    other = await any_database.connect()
    await other.execute(f"BEGIN; {change}")
    async with loaded(clinics, backup.file) as (session, _):
        await session.begin(WHOLE)
        await session.compare(lambda _model: None)
        await other.execute("COMMIT")
        with pytest.raises(RestoreRefused, match="alguien los cambió mientras tanto"):
            await session.apply(Meanwhile(any_database.url, after))
    await other.close()
    found = await any_database.sql.fetch("SELECT * FROM ficha WHERE id < 100 ORDER BY id")
    assert [tuple(row) for row in found] == stays


@crossed
async def test_whose_the_rows_are_holds_for_none_that_came_later(any_database: Database, writer: Writer) -> None:
    clinics, backup = await prepare(any_database, writer)
    other = await any_database.connect()
    await other.execute("BEGIN; DELETE FROM nota WHERE id = 9")
    async with loaded(clinics, backup.file) as (session, _):
        await session.begin(WHOLE)
        await other.execute("COMMIT")
        plan = await session.compare(Meanwhile(any_database.url, ("VACUUM nota", OTHERS_NOTE)))
    await other.close()
    assert counts(plan) == {"ficha": (0, 1, 1)}


@crossed
async def test_a_row_that_is_waited_for_is_looked_at_again(any_database: Database, writer: Writer) -> None:
    clinics, backup = await prepare(any_database, writer)
    sql = any_database.sql
    async with loaded(clinics, backup.file) as (session, _):
        await session.begin(WHOLE)
        await session.compare(lambda _model: None)
        await sql.execute("BEGIN; UPDATE ficha SET clinica_id = 2 WHERE id = 9")
        applying = asyncio.create_task(session.apply(lambda _model: None))
        waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        while not await sql.fetchval(waits):
            await asyncio.sleep(0.01)
        await sql.execute("COMMIT")
        with pytest.raises(RestoreRefused, match="alguien los cambió mientras tanto"):
            await applying
    assert await sql.fetchval("SELECT clinica_id FROM ficha WHERE id = 9") == 2


NOTHING = "SELECT"
POINTS = "CREATE TABLE sello (ficha_id int REFERENCES ficha); INSERT INTO sello VALUES (9)"

# What a migration does, once the catalogue has been read, before or after the comparison; whether it is in the way.
MIGRATIONS = {
    "what goes is pointed to": (POINTS, NOTHING, True),
    "what goes is pointed to late": (NOTHING, POINTS, True),
    "a column is filled in": ("ALTER TABLE ficha ADD sello text; UPDATE ficha SET sello = 's'", NOTHING, True),
    "another table": (NOTHING, "CREATE TABLE suelta (id int PRIMARY KEY)", False),
}


@crossed
@pytest.mark.parametrize("migration", MIGRATIONS)
async def test_a_migration_meanwhile(any_database: Database, writer: Writer, migration: str) -> None:
    clinics, backup = await prepare(any_database, writer)
    sql = any_database.sql
    before, after, in_the_way = MIGRATIONS[migration]
    async with loaded(clinics, backup.file) as (session, _):
        await sql.execute(before)
        await session.begin(WHOLE)
        await session.compare(lambda _model: None)
        await sql.execute(after)
        if in_the_way:
            with pytest.raises(SchemaChanged, match="«ficha»"):
                await session.apply(lambda _model: None)
        else:
            await session.apply(lambda _model: None)
            with pytest.raises(asyncpg.LockNotAvailableError):
                await sql.execute(f"SET lock_timeout = '10ms'; {POINTS}")


async def test_a_safety_backup_waits_for_nobody_who_waits_for_the_restore(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinics, backup = await prepare(database, superuser)
    monkeypatch.setattr(restore_database, "LOCK_SECONDS", 0.1)
    async with loaded(clinics, backup.file) as (session, _):
        await session.begin(WHOLE)
        await session.compare(lambda _model: None)
        migrating = asyncio.create_task(database.sql.execute("ALTER TABLE ficha ADD sello text"))
        other = await database.connect()
        while not await other.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
            await asyncio.sleep(0.01)
        await other.close()
        with pytest.raises(DatabaseUnavailable, match="bloqueada por otro proceso"):
            await back_up(clinics, 1)
    await migrating
