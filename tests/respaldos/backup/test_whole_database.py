"""The clinics' backups and the platform's are the whole database: all of it comes back from the bucket alone."""

from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from app.clinic.clinic import Tenancy
from app.demo.embedded import Addresses
from app.demo.sample.generate import (
    GrownOptions,
    SampleClinic,
    create_grown_schema,
    create_tenant_schema,
    fill_grown,
)
from app.migrate import migrate
from app.respaldos.backup.run import crear_respaldo
from app.respaldos.models import TipoRespaldo
from app.respaldos.retention.reindex import reindexar
from tests.conftest import FILES, plain_url, unique_name
from tests.respaldos.conftest import connected, opened
from tests.storage.conftest import Store
from tests.support.restores import TENANCY, restore
from tests.support.sample_ownership import digest

Sample = Callable[[asyncpg.Connection], Awaitable[Tenancy]]

CLINICS = (SampleClinic(1, "Uno", 300), SampleClinic(2, "Dos", 120), SampleClinic(3, "Tres", 1))

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


async def linked(sql: asyncpg.Connection) -> Tenancy:
    """The same with the demo's rule, by which most logins are a clinic's."""
    await grown(sql)
    return TENANCY


async def schemas(sql: asyncpg.Connection) -> Tenancy:
    """Clinics with a schema each."""
    for clinic in CLINICS:
        await create_tenant_schema(sql, clinic)
    await sql.execute(
        "CREATE TABLE dominio (nombre text PRIMARY KEY, clinica_id integer REFERENCES clinica);"
        "INSERT INTO dominio SELECT schema_name, id FROM clinica; INSERT INTO dominio VALUES ('libre', NULL)"
    )
    return Tenancy(kind="schema")


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


async def _everything(sql: asyncpg.Connection) -> dict[str, str]:
    """The digest of every table of every schema but the service's."""
    found: dict[str, str] = {}
    for (schema,) in await sql.fetch(
        "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'"
        " AND nspname NOT IN ('information_schema', 'respaldos')"
    ):
        tables = await digest(sql, schema)
        found |= {f"{schema}.{name}": value for name, value in tables.items() if name not in NOT_RESTORED}
    return found


async def _empty(sql: asyncpg.Connection, tables: list[str]) -> None:
    names = ", ".join('"{}"."{}"'.format(*name.split(".", 1)) for name in tables)
    await sql.execute("ALTER TABLE respaldos.evento DISABLE TRIGGER evento_no_cambia")
    await sql.execute(f"SET session_replication_role = replica; TRUNCATE {names} RESTART IDENTITY CASCADE")
    await sql.execute("RESET session_replication_role")
    await sql.execute("ALTER TABLE respaldos.evento ENABLE ALWAYS TRIGGER evento_no_cambia")


@pytest.mark.parametrize("make", [grown, linked, schemas], ids=["column", "link", "schema"])
async def test_all_of_it_comes_back_from_the_bucket_alone(make: Sample, migrated: str, store: Store) -> None:
    async with connected(plain_url(migrated)) as sql:
        tenancy = await make(sql)
        await sql.execute(BESIDE)
        before = await _everything(sql)
        async with opened(store, service=migrated, tenancy=tenancy) as resources:
            for clinica_id in (1, 2, 3, None):
                await crear_respaldo(resources, clinica_id=clinica_id, tipo=TipoRespaldo.MANUAL)
            await _empty(sql, [*before, "respaldos.respaldo", "respaldos.evento", "respaldos.programacion"])
            assert await sql.fetchval("SELECT count(*) FROM clinica") == 0
            # Whose they are says the table of clinics, which only the platform's file brings back.
            (platform,) = (await reindexar(resources)).rebuilt
            assert platform.clinica_id is None
            await restore(resources, platform, sin_respaldo_previo=True)
            clinics = sorted((await reindexar(resources)).rebuilt, key=lambda respaldo: respaldo.clinica_id or 0)
            assert [respaldo.clinica_id for respaldo in clinics] == [1, 2, 3]
            # In this order: rows of the second clinic point to the first one's.
            for respaldo in clinics:
                await restore(resources, respaldo, sin_respaldo_previo=True)
        assert await _everything(sql) == before
