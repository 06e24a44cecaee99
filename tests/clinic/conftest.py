"""Databases of the test's own on both versions of PostgreSQL, and the clinic database to be backed up."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import asyncpg
import pytest

from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.clinic import Tenancy
from app.clinic.restore.database import RestoreDatabase
from app.demo import embedded
from app.demo.embedded import Addresses
from app.demo.sample.generate import (
    GrownOptions,
    GrownSample,
    SampleClinic,
    create_grown_schema,
    create_schema,
    create_tenant_schema,
    fill,
    fill_grown,
)
from app.settings import EmbeddedServer
from tests.conftest import FILES, make_cheap, plain_url, servers_folder, unique_name

SAMPLE = (SampleClinic(1, "Uno", 300), SampleClinic(2, "Dos", 120), SampleClinic(3, "Tres", 1))


@dataclass(frozen=True, slots=True)
class Database:
    """A database of the test's own. `sql` is its superuser's connection, with PostgreSQL's default settings.

    Where each clinic has a schema, it is called `prefix` and the clinic's number.
    """

    url: str = field(repr=False)
    sql: asyncpg.Connection
    prefix: str = field(default="clinica", kw_only=True)

    @property
    def name(self) -> str:
        """The database's own name."""
        return self.url.rsplit("/", 1)[1]

    def clinics(self, **tenancy: Any) -> RestoreDatabase:
        """The service's view of it, with these settings."""
        return self.clinics_at(self.url, **tenancy)

    def clinics_at(
        self, url: str, *, secret_columns: tuple[str, ...] = (), disable_triggers: bool = False, **tenancy: Any
    ) -> RestoreDatabase:
        """The same by another role's address."""
        return RestoreDatabase(
            url, Tenancy(**tenancy), SecretColumns(secret_columns), disable_triggers=disable_triggers
        )

    async def connect(self) -> asyncpg.Connection:
        """One more connection, for whoever closes it."""
        return await asyncpg.connect(self.url)


@dataclass(frozen=True, slots=True)
class GrownDatabase(Database):
    """The sample clinics (SAMPLE) in the grown schema; `sample` says whose each row is."""

    sample: GrownSample = field(repr=False)


@pytest.fixture(scope="session")
def postgres16() -> Iterator[Addresses]:
    """PostgreSQL 16, one server for all processes of the run."""
    home = servers_folder("postgres16")
    with embedded.running(home, {EmbeddedServer.POSTGRES}, postgres_version=16) as addresses:
        make_cheap(home, addresses)
        yield addresses


async def _new_database(addresses: Addresses, options: str = "") -> AsyncIterator[Database]:
    assert addresses.database_url is not None
    server = plain_url(addresses.database_url)
    name = unique_name("clinic")
    admin = await asyncpg.connect(server)
    try:
        await admin.execute(f'CREATE DATABASE "{name}" {options} {FILES}')
        url = server.rsplit("/", 1)[0] + f"/{name}"
        connection = await asyncpg.connect(url)
        try:
            yield Database(url, connection)
        finally:
            await connection.close()
            await asyncio.wait_for(admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'), 30)
    finally:
        await admin.close()


@pytest.fixture
async def database(servers: Addresses) -> AsyncIterator[Database]:
    """An empty database on PostgreSQL 18."""
    async for made in _new_database(servers):
        yield made


@pytest.fixture(params=[18, 16], ids=["pg18", "pg16"])
async def any_database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """An empty database, once on PostgreSQL 18 and once on 16."""
    server = cast(Addresses, request.getfixturevalue("servers" if request.param == 18 else "postgres16"))
    async for made in _new_database(server):
        yield made


@pytest.fixture
async def ascii_database(servers: Addresses) -> AsyncIterator[Database]:
    """An empty database whose text is in no known encoding."""
    async for made in _new_database(servers, "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"):
        yield made


@pytest.fixture
async def sample(any_database: Database) -> Database:
    """The sample clinics (SAMPLE), told apart by a column, with the demo's rule for `auth_user`."""
    await create_schema(any_database.sql)
    await fill(any_database.sql, SAMPLE)
    return any_database


async def make_grown(database: Database, options: GrownOptions) -> GrownDatabase:
    """The sample clinics in the grown schema, in an empty database."""
    await create_grown_schema(database.sql)
    return GrownDatabase(database.url, database.sql, await fill_grown(database.sql, SAMPLE, 1, options))


@pytest.fixture(params=[0, 0.001, 0.1], ids=["all-labelled", "thousandth-without", "tenth-without"])
async def grown(request: pytest.FixtureRequest, database: Database) -> GrownDatabase:
    """The sample clinics in the grown schema, with none, few or many rows that do not say their clinic."""
    return await make_grown(database, GrownOptions(request.param))


@pytest.fixture(params=[(18, "tidy"), (16, "tidy"), (18, "grown")], ids=["pg18-tidy", "pg16-tidy", "pg18-grown"])
async def either_sample(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """The sample clinics in the tidy schema, or in the grown one with rows that do not say their clinic."""
    version, schema = request.param
    server = cast(Addresses, request.getfixturevalue("servers" if version == 18 else "postgres16"))
    async for made in _new_database(server):
        if schema == "grown":
            yield await make_grown(made, GrownOptions(0.1))
        else:
            await create_schema(made.sql)
            await fill(made.sql, SAMPLE)
            yield made


@pytest.fixture
async def tenant_sample(any_database: Database) -> Database:
    """The sample clinics (SAMPLE), each in a schema of its own: before `public` by name on 18, and after it on 16."""
    for clinic in SAMPLE:
        await create_tenant_schema(any_database.sql, clinic)
    if any_database.sql.get_server_version().major == 18:
        return any_database
    for clinic in SAMPLE:
        await any_database.sql.execute(
            f"ALTER SCHEMA clinica{clinic.id} RENAME TO sur{clinic.id};"
            f" UPDATE clinica SET schema_name = 'sur{clinic.id}' WHERE id = {clinic.id}"
        )
    return replace(any_database, prefix="sur")
