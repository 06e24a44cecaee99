"""Sessions that are kept between backups: as good as new, or not used again."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.clinic.clinic import Tenancy
from app.clinic.database import ClinicDatabase
from app.clinic.session_settings import SESSION_SQL
from app.clinic.sessions import Sessions
from app.errors import CatalogError, ClinicNotFound, DatabaseError, PermissionMissing
from tests.clinic.conftest import Database
from tests.support.clinic_backup import back_up
from tests.support.two_clinics import TWO_CLINICS

LARGE = """
CREATE TABLE grande (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, texto text);
INSERT INTO grande SELECT n, 1, repeat(md5(n::text), 30) FROM generate_series(1, 20000) AS n;
"""


@pytest.fixture
async def keeping(any_database: Database) -> AsyncIterator[ClinicDatabase]:
    """TWO_CLINICS, by way of kept sessions."""
    await any_database.sql.execute(f"{TWO_CLINICS} ALTER TABLE persona ADD nombre text DEFAULT 'Ana'")
    clinics = ClinicDatabase(any_database.url, Tenancy(), keep=2)
    yield clinics
    await clinics.close()


@pytest.fixture
async def sessions(any_database: Database) -> AsyncIterator[Sessions]:
    """One session is kept."""
    made = Sessions(any_database.url, "CLINIC_DATABASE_URL", keep=1)
    yield made
    await made.close()


async def _pid(sessions: Sessions) -> int:
    async with sessions.session() as connection:
        return connection.get_server_pid()


async def _there(database: Database) -> dict[int, str]:
    """The service's sessions, and what each is doing."""
    rows = await database.sql.fetch(
        "SELECT pid, state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    return dict(map(tuple, rows))


async def test_backups_share_a_session_which_holds_nothing_between_them(
    any_database: Database, keeping: ClinicDatabase
) -> None:
    assert (await back_up(keeping, 1)).ids("persona") == [11, 12]
    (first,) = (await _there(any_database)).items()
    assert first[1] == "idle"
    assert (await back_up(keeping, 2)).ids("persona") == [21]
    assert (await _there(any_database)) == dict([first])
    # At once.
    await asyncio.wait_for(any_database.sql.execute("BEGIN; LOCK TABLE persona; COMMIT"), 5)
    await keeping.close()
    async with asyncio.timeout(10):
        while await _there(any_database):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE persona ADD apodo text DEFAULT 'nuevo'",
        "ALTER TABLE persona ALTER nombre TYPE varchar(80)",
        "ALTER TABLE persona ADD saldo int; ALTER TABLE persona DROP nombre",
        "CREATE TABLE cita (id int PRIMARY KEY, clinica_id int REFERENCES clinica); INSERT INTO cita VALUES (7, 1)",
        "ALTER TABLE persona RENAME TO gente",
        "ALTER TABLE clinica RENAME TO sede",
        "ALTER TABLE clinica RENAME COLUMN id TO numero",
        "CREATE DOMAIN apodo AS text; ALTER TABLE persona ALTER nombre TYPE apodo",
        "DROP TABLE persona",
        "BEGIN; DROP TABLE persona; CREATE TABLE persona (id text PRIMARY KEY, clinica_id int REFERENCES clinica);"
        " INSERT INTO persona VALUES ('x', 1); COMMIT",
    ],
)
async def test_what_changed_since_the_last_backup_is_in_the_next(
    any_database: Database, keeping: ClinicDatabase, change: str
) -> None:
    await back_up(keeping, 1)
    await any_database.sql.execute("CREATE TABLE nota (id int PRIMARY KEY, clinica_id int REFERENCES clinica)")
    await any_database.sql.execute(change)
    expected = await back_up(any_database.clinics(), 1)
    found = await back_up(keeping, 1)
    assert len(await _there(any_database)) == 1
    assert found.verified.header.models == expected.verified.header.models
    assert found.verified.totals == expected.verified.totals


async def test_a_schema_that_is_dropped_keeps_no_backup_from_being_made(
    any_database: Database, keeping: ClinicDatabase
) -> None:
    await any_database.sql.execute(
        "CREATE SCHEMA vieja; CREATE TABLE vieja.nota (id int PRIMARY KEY, clinica_id int REFERENCES clinica)"
    )
    assert "vieja.nota" in (await back_up(keeping, 1)).verified.header.models
    await any_database.sql.execute("DROP SCHEMA vieja CASCADE")
    assert "vieja.nota" not in (await back_up(keeping, 1)).verified.header.models


async def test_a_right_that_is_taken_away_or_given_counts_at_once(any_database: Database) -> None:
    role = f"{any_database.name}-lector"
    await any_database.sql.execute(TWO_CLINICS)
    await any_database.sql.execute(
        f"""CREATE ROLE "{role}" LOGIN PASSWORD 'clave'; GRANT SELECT ON clinica, persona TO "{role}" """
    )
    place = any_database.url.split("@")[1]
    clinics = ClinicDatabase(f"postgresql://{role}:clave@{place}", Tenancy(), keep=1)
    try:
        for _ in range(2):
            assert (await back_up(clinics, 1)).ids("persona") == [11, 12]
            await any_database.sql.execute(f'REVOKE SELECT ON persona FROM "{role}"')
            with pytest.raises(PermissionMissing, match="no puede leer: «persona»"):
                await back_up(clinics, 1)
            await any_database.sql.execute(f'GRANT SELECT ON persona TO "{role}"')
    finally:
        await clinics.close()
        await any_database.sql.execute(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')


async def test_a_clinic_that_comes_is_found_and_one_that_goes_is_not(
    any_database: Database, keeping: ClinicDatabase
) -> None:
    await back_up(keeping, 1)
    await any_database.sql.execute("INSERT INTO clinica (id, nombre) VALUES (3, 'Tres')")
    assert (await back_up(keeping, 3)).ids("persona") == []
    await any_database.sql.execute("DELETE FROM clinica WHERE id = 3")
    with pytest.raises(ClinicNotFound):
        await back_up(keeping, 3)


async def test_a_woken_session_is_as_good_as_new(any_database: Database, sessions: Sessions) -> None:
    asked = "SELECT name, setting, source FROM pg_settings ORDER BY name"
    async with sessions.session() as connection:
        new = await connection.fetch(asked)
        before = connection.get_server_pid()
        await connection.execute(
            "SET work_mem = '1MB'; SET search_path = ''; SET enable_seqscan = off; SELECT pg_advisory_lock(1);"
            " SET ROLE pg_read_all_data; BEGIN; SET LOCAL statement_timeout = 1"
        )
    assert await any_database.sql.fetchval("SELECT pg_try_advisory_lock(2)")
    async with sessions.session() as connection:
        assert connection.get_server_pid() == before
        assert await connection.fetch(asked) == new
        assert await connection.fetchval("SELECT session_user = current_user")
        assert not connection.is_in_transaction()
    assert await any_database.sql.fetchval("SELECT pg_try_advisory_lock(1)")


async def test_a_session_in_which_something_failed_is_not_used_again(sessions: Sessions) -> None:
    async def fail() -> None:
        async with sessions.session() as connection:
            assert connection.get_server_pid() == first
            await connection.execute("SELECT 1 / 0")

    first = await _pid(sessions)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await fail()
    assert await _pid(sessions) != first


async def test_a_copy_that_was_left_in_its_middle_is_not_met_again(
    any_database: Database, keeping: ClinicDatabase
) -> None:
    await any_database.sql.execute(LARGE)
    async with keeping.snapshot(1) as snapshot:
        (before,) = await _there(any_database)
        entry = next(entry for entry in snapshot.catalogue.entries.values() if entry.model == "grande")
        async with snapshot.record_lines(snapshot.statements.owned_records(entry)) as blocks:
            await anext(blocks)
    assert len((await back_up(keeping, 1)).records("grande")) == 20_000
    assert before not in await _there(any_database)


async def test_a_session_that_the_server_ended_is_replaced(any_database: Database, keeping: ClinicDatabase) -> None:
    for _ in range(3):
        assert (await back_up(keeping, 1)).ids("persona") == [11, 12]
        (pid,) = await _there(any_database)
        assert await any_database.sql.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)


async def test_no_more_rest_than_are_kept(any_database: Database, sessions: Sessions) -> None:
    async with sessions.session(), sessions.session(), sessions.session():
        assert len(await _there(any_database)) == 3
    async with asyncio.timeout(10):
        while len(await _there(any_database)) != 1:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("limit", ["MOST_USES", "LONGEST_LIFE"])
async def test_a_session_grows_no_older_than_is_good(
    sessions: Sessions, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await _pid(sessions)
    monkeypatch.setattr(f"app.clinic.sessions.{limit}", 2 if limit == "MOST_USES" else 0)
    assert await _pid(sessions) == first
    assert await _pid(sessions) != first


async def test_a_session_that_nobody_wants_is_ended(
    any_database: Database, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.clinic.sessions.LONGEST_REST", 0.05)
    await _pid(sessions)
    async with asyncio.timeout(10):
        while await _there(any_database):
            await asyncio.sleep(0.01)
    await _pid(sessions)


async def test_a_session_that_cannot_be_set_any_more_is_replaced_by_one_that_says_why(
    any_database: Database, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _pid(sessions)
    monkeypatch.setattr("app.clinic.sessions.SESSION_SQL", f"{SESSION_SQL}; SET no_such_setting = 1")
    with pytest.raises(DatabaseError, match="no_such_setting"):
        await _pid(sessions)


async def test_clinics_with_a_schema_each_are_kept_apart_and_changes_are_seen(tenant_sample: Database) -> None:
    keeping = ClinicDatabase(tenant_sample.url, Tenancy(kind="schema"), keep=2)
    own = f"{tenant_sample.prefix}1"
    changes = [
        "SELECT",
        f"CREATE TABLE {own}.nueva (id int PRIMARY KEY); INSERT INTO {own}.nueva VALUES (1)",
        "CREATE SCHEMA comun; CREATE TABLE comun.color (id int PRIMARY KEY); INSERT INTO comun.color VALUES (1);"
        f" ALTER TABLE {own}.nueva ADD color_id int REFERENCES comun.color DEFAULT 1",
        "ALTER TABLE clinica ALTER nombre TYPE varchar(200)",
    ]
    try:
        for change in changes:
            await tenant_sample.sql.execute(change)
            for clinica_id in (1, 2, 3):
                expected = await back_up(tenant_sample.clinics(kind="schema"), clinica_id)
                found = await back_up(keeping, clinica_id)
                assert found.verified.header.models == expected.verified.header.models, change
                assert found.verified.totals == expected.verified.totals, change
        assert len(await _there(tenant_sample)) == 1
        await tenant_sample.sql.execute("ALTER TABLE clinica DROP CONSTRAINT clinica_schema_name_key")
        await tenant_sample.sql.execute(f"UPDATE clinica SET schema_name = '{own}' WHERE id = 2")
        with pytest.raises(CatalogError, match="tienen el mismo esquema"):
            await back_up(keeping, 1)
    finally:
        await keeping.close()
