"""Backups read from a hot standby: the same rows, and what is different there told by name."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.clinic import Tenancy
from app.clinic.database import ClinicDatabase
from app.clinic.reading.snapshot import ClinicSnapshot
from app.clinic.restore.database import RestoreDatabase
from app.database import database_errors
from app.demo import embedded
from app.demo.sample.generate import create_schema, fill
from app.errors import DatabaseError, DatabaseUnavailable
from app.settings import EmbeddedServer
from tests.clinic.conftest import SAMPLE
from tests.conftest import make_cheap, plain_url, servers_folder, unique_name
from tests.support.clinic_backup import back_up, lines_of
from tests.support.clinic_restore import restore
from tests.support.processes import eventually
from tests.support.standby import Standby, replicated, standby_server

# Takes a table that is being read, and leaves it as it was.
REWRITTEN = "BEGIN; ALTER TABLE paciente ADD sobra int; ALTER TABLE paciente DROP sobra; COMMIT"


@pytest.fixture(scope="module")
def two_servers() -> Iterator[tuple[str, str]]:
    """A server of these tests' own with the sample clinics, and its standby."""
    home = servers_folder(unique_name("primary"))
    with embedded.running(home, {EmbeddedServer.POSTGRES}) as addresses:
        assert addresses.database_url is not None
        make_cheap(home, addresses)
        url = plain_url(addresses.database_url)
        asyncio.run(_sample(url))
        with standby_server(url, home) as standby_url:
            yield url, standby_url


async def _sample(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await create_schema(connection)
        await fill(connection, SAMPLE)
        # Nobody's, so that no test misses its rows.
        await connection.execute("CREATE TABLE suelta AS SELECT generate_series(1, 1000) AS id")
    finally:
        await connection.close()


@pytest.fixture
async def standby(two_servers: tuple[str, str]) -> AsyncIterator[Standby]:
    async with replicated(*two_servers) as made:
        yield made


def _clinics(url: str) -> ClinicDatabase:
    return ClinicDatabase(url, Tenancy())


async def test_the_same_rows(standby: Standby) -> None:
    await standby.catch_up()
    read = await back_up(_clinics(standby.url), 1)
    assert read.lines == await lines_of(_clinics(standby.primary_url), 1)
    assert sum(map(len, read.lines.values())) >= 300
    assert await _clinics(standby.url).clinics() == await _clinics(standby.primary_url).clinics()


async def test_the_platforms_rows_and_the_census(standby: Standby) -> None:
    await standby.catch_up()
    here, there = _clinics(standby.url), _clinics(standby.primary_url)
    assert (await back_up(here, None)).lines == await lines_of(there, None)
    assert (await here.census()).rows == (await there.census()).rows


async def _read(snapshot: ClinicSnapshot, statement: str) -> None:
    async with snapshot.record_lines(statement) as lines:
        async for _ in lines:
            pass


async def test_a_backup_that_reads_what_the_primary_rewrites_is_ended_for_now(standby: Standby) -> None:
    """The standby gives way to what it replays: that is no fault of the backup's, and it is made again."""

    async def read_on() -> None:
        async with _clinics(standby.url).snapshot(1) as snapshot:
            reading = asyncio.create_task(_read(snapshot, "SELECT pg_sleep(30)"))
            await standby.primary.execute(REWRITTEN)
            await reading

    with pytest.raises(DatabaseUnavailable, match=r"CLINIC_DATABASE_URL.*conflict with recovery"):
        await read_on()


async def test_a_backup_that_waits_meanwhile_is_ended_for_now(standby: Standby) -> None:
    """PostgreSQL ends the session, which has nobody to tell."""

    async def wait() -> None:
        async with _clinics(standby.url).snapshot(1) as snapshot:
            await standby.primary.execute(REWRITTEN)
            while True:
                await _read(snapshot, "SELECT 1")
                await asyncio.sleep(0.1)

    with pytest.raises(DatabaseUnavailable, match=r"CLINIC_DATABASE_URL"):
        await wait()


async def test_rows_that_the_primary_vacuums_end_a_backup_for_now(standby: Standby) -> None:
    async def read_on() -> None:
        async with _clinics(standby.url).snapshot(1) as snapshot:
            reading = asyncio.create_task(_read(snapshot, "SELECT pg_sleep(30)"))
            await standby.primary.execute("DELETE FROM suelta")
            await standby.primary.execute("VACUUM suelta")
            await reading

    with pytest.raises(DatabaseUnavailable, match=r"CLINIC_DATABASE_URL.*conflict with recovery"):
        await read_on()


async def test_a_conflict_with_one_statement_names_what_avoids_it(standby: Standby) -> None:
    reader = await asyncpg.connect(standby.url)
    try:
        await reader.execute("BEGIN; LOCK TABLE paciente IN ACCESS SHARE MODE")
        sleeping = asyncio.create_task(reader.execute("SELECT pg_sleep(30)"))
        await standby.primary.execute(REWRITTEN)
        with (
            pytest.raises(DatabaseUnavailable, match=r"CLINIC_DATABASE_URL.*max_standby_streaming_delay"),
            database_errors("CLINIC_DATABASE_URL"),
        ):
            await sleeping
    finally:
        reader.terminate()


async def test_a_standby_that_is_behind_says_of_when_its_rows_are(standby: Standby) -> None:
    before = datetime.now(UTC)
    await standby.primary.execute("INSERT INTO suelta VALUES (1)")
    await standby.catch_up()
    caught_up = datetime.now(UTC)
    async with _clinics(standby.url).snapshot(1) as snapshot:
        assert snapshot.taken_at > caught_up
    control = await asyncpg.connect(standby.url)
    try:
        await control.execute("SELECT pg_wal_replay_pause()")
        await asyncio.sleep(0.2)
        await standby.primary.execute("INSERT INTO suelta VALUES (2)")
        await eventually(lambda: _is_behind(control))
        async with _clinics(standby.url).snapshot(1) as snapshot:
            assert before < snapshot.taken_at < caught_up
    finally:
        await control.execute("SELECT pg_wal_replay_resume()")
        await control.close()


async def _is_behind(control: asyncpg.Connection) -> bool:
    return bool(await control.fetchval("SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"))


async def test_a_role_that_may_only_read_knows_the_moment(standby: Standby) -> None:
    role = unique_name("lector")
    await standby.primary.execute(
        f"""CREATE ROLE "{role}" LOGIN PASSWORD '{role}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{role}" """
    )
    await standby.catch_up()
    parts = urlsplit(standby.url)
    url = urlunsplit(parts._replace(netloc=f"{role}:{role}@{parts.hostname}:{parts.port}"))
    began = datetime.now(UTC)
    async with _clinics(url).snapshot(1) as snapshot:
        assert snapshot.taken_at > began


async def test_nothing_is_restored_into_a_standby(standby: Standby) -> None:
    file = (await back_up(_clinics(standby.url), 1)).file
    with pytest.raises(DatabaseError, match=r"URL lleva a un servidor de solo lectura.*primario"):
        await restore(RestoreDatabase(standby.url, Tenancy(), SecretColumns(())), file)
