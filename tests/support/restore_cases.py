"""What every restore has to do, whatever the schema."""

from dataclasses import dataclass

import asyncpg

from app.clinic.restore.database import RestoreDatabase
from app.clinic.restore.session import Plan
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer
from tests.support.clinic_backup import Backup, clinic_file
from tests.support.clinic_restore import assert_restored, counts, left_to_do, restore
from tests.support.two_clinics import TWO_CLINICS

Counts = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Case:
    """Tables in a schema of their own beside TWO_CLINICS, what happens to them, and what a restore then says.

    `changes` are rows inserted, updated and deleted, by table.
    """

    name: str
    tables: str
    damage: str
    changes: dict[str, Counts]


async def create(sql: asyncpg.Connection, *cases: Case) -> None:
    """Make two clinics and the tables."""
    await sql.execute(f"SET search_path = public; {TWO_CLINICS}")
    for case in cases:
        await sql.execute(f'CREATE SCHEMA "{case.name}"; SET search_path = "{case.name}", public; {case.tables}')
    await sql.execute("SET search_path = public")


async def come_back(database: Database, writer: Writer, *cases: Case, **tenancy: object) -> None:
    """Make the tables, back up, do all the damage, and restore clinic 1; see `goes_back`."""
    await create(database.sql, *cases)
    clinics = await writer(database, **tenancy)
    damage = [f'SET search_path = "{case.name}", public; {case.damage};' for case in cases]
    plan = await goes_back(database.sql, clinics, "".join([*damage, "SET search_path = public"]))
    expected = {f"{case.name}.{table}": change for case in cases for table, change in case.changes.items()}
    assert counts(plan) == expected


async def goes_back(sql: asyncpg.Connection, clinics: RestoreDatabase, damage: str) -> Plan:
    """Back up, do the damage and restore: every table is as it was, to the last digit.

    A simulation beforehand says what is done and does not do it; afterwards nothing is left to be done.
    """
    before, file = await contents(sql), await clinic_file(clinics, 1)
    await sql.execute(damage)
    damaged = await contents(sql)
    foreseen = await restore(clinics, file, simulate=True)
    assert await contents(sql) == damaged
    plan = await restore(clinics, file)
    assert plan == foreseen
    assert counts(plan), "no damage was done"
    assert await contents(sql) == before
    assert await leftovers(sql) == []
    assert await left_to_do(clinics, file) == {}
    return plan


async def contents(sql: asyncpg.Connection) -> dict[str, str]:
    """What every table holds, to the last digit: how many rows, and a hash of all of them, in whatever order."""
    tables = await sql.fetch(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
        " WHERE schemaname !~ '^pg_' AND schemaname <> 'information_schema'"
    )
    hashed = " UNION ALL ".join(
        f"SELECT $${name}$$, concat_ws(' ', count(*), sum(hashtextextended(t::text, 0)::numeric),"
        f" sum(hashtextextended(t::text, 1)::numeric)) FROM ONLY {name} AS t"
        for (name,) in tables
    )
    return dict(map(tuple, await sql.fetch(hashed)))


async def assert_unchanged(clinics: RestoreDatabase, backups: dict[int, Backup]) -> None:
    """Every clinic is as its backup says."""
    for clinica_id, backup in backups.items():
        await assert_restored(clinics, backup, clinica_id)


async def leftovers(sql: asyncpg.Connection) -> list[str]:
    """What a restore that is over must not leave: temporary tables, advisory locks, open transactions."""
    # A session says goodbye before it is gone.
    await sql.execute(
        "DO $$ BEGIN FOR i IN 1..100 LOOP PERFORM pg_stat_clear_snapshot();"
        " EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'); PERFORM pg_sleep(0.02); END LOOP; END $$"
    )
    rows = await sql.fetch(
        "SELECT relname::text FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'"
        " UNION ALL SELECT 'advisory' FROM pg_locks WHERE locktype = 'advisory'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " UNION ALL SELECT state FROM pg_stat_activity WHERE datname = current_database() AND state ~ 'transaction'"
    )
    return [row[0] for row in rows]
