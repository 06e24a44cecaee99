"""A whole database with the service's schema in it, filled, digested and emptied."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.clinic.clinic import Tenancy
from app.demo.embedded import Addresses
from app.demo.sample.generate import (
    GrownOptions,
    SampleClinic,
    create_grown_schema,
    fill_grown,
)
from app.migrate import migrate
from tests.conftest import FILES, unique_name
from tests.respaldos.conftest import connected
from tests.support.sample_ownership import digest

CLINICS = (SampleClinic(1, "Uno", 200), SampleClinic(2, "Dos", 100), SampleClinic(3, "Tres", 1))


# How far the migrations have come is the database's own affair; who was logged in is nobody's any more.
NOT_RESTORED = {"django_migrations", "django_session", "authtoken_token"}


# What else a database may have: tables that nobody has classified, with a key and without, and rows that hang from
# what no clinic owns.
BESIDE = """
CREATE TABLE suelta (dato text);
INSERT INTO suelta VALUES ('dos veces'), ('dos veces'), (NULL);
CREATE TABLE catalogo_nacional (codigo text PRIMARY KEY, padre text REFERENCES catalogo_nacional, valor jsonb);
INSERT INTO catalogo_nacional VALUES ('a', 'b', 'null'), ('b', 'a', '{"x": 1.0}');
"""


async def grown(sql: asyncpg.Connection) -> Tenancy:
    """Clinics told apart by a column, with rows that do not say their clinic, and rows that are nobody's."""
    await create_grown_schema(sql)
    await fill_grown(sql, CLINICS, 1, GrownOptions(0.1, orphans=20, strays=1))
    return Tenancy()


@pytest.fixture
async def migrated(servers: Addresses) -> AsyncIterator[str]:
    """Address of a new database with the service's schema."""
    assert servers.database_url is not None
    name = unique_name("entera")
    async with connected(servers.database_url) as admin:
        await admin.execute(f'CREATE DATABASE "{name}" {FILES}')
        url = servers.database_url.rsplit("/", 1)[0] + f"/{name}"
        await migrate(url)
        yield url
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


async def everything(sql: asyncpg.Connection) -> dict[str, str]:
    """The digest of every table of every schema but the service's."""
    found: dict[str, str] = {}
    for (schema,) in await sql.fetch(
        "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'"
        " AND nspname NOT IN ('information_schema', 'respaldos')"
    ):
        tables = await digest(sql, schema)
        found |= {f"{schema}.{name}": value for name, value in tables.items() if name not in NOT_RESTORED}
    return found


async def empty(sql: asyncpg.Connection, tables: list[str]) -> None:
    names = ", ".join('"{}"."{}"'.format(*name.split(".", 1)) for name in tables)
    trail = "respaldos.evento" in tables
    if trail:
        await sql.execute("ALTER TABLE respaldos.evento DISABLE TRIGGER evento_no_cambia")
    await sql.execute(f"SET session_replication_role = replica; TRUNCATE {names} RESTART IDENTITY CASCADE")
    await sql.execute("RESET session_replication_role")
    if trail:
        await sql.execute("ALTER TABLE respaldos.evento ENABLE ALWAYS TRIGGER evento_no_cambia")
