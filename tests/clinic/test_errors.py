"""What stops a backup is told by name, and nothing passes for a backup."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.clinic.clinic import Tenancy
from app.clinic.database import ClinicDatabase
from app.database import database_errors, service_engine
from app.errors import (
    CatalogError,
    DatabaseError,
    DatabaseUnavailable,
    PermissionMissing,
    RowSecurityActive,
)
from tests.clinic.conftest import Database
from tests.conftest import unique_name
from tests.support.clinic_backup import back_up
from tests.support.pooler import Pooler, pooler
from tests.support.two_clinics import TWO_CLINICS

SHARED = """
CREATE TABLE tipo (id int PRIMARY KEY); INSERT INTO tipo VALUES (1);
ALTER TABLE persona ADD tipo_id int REFERENCES tipo; UPDATE persona SET tipo_id = 1;
CREATE TABLE ajena (id int PRIMARY KEY);
"""


def _as(database: Database, user: str, password: str, name: str | None = None, port: int | None = None) -> str:
    parts = urlsplit(database.url)
    place = f"{user}:{password}@{parts.hostname}:{port or parts.port}"
    return urlunsplit(parts._replace(netloc=place, path=f"/{name or database.name}"))


@pytest.fixture
async def reader(any_database: Database) -> AsyncIterator[str]:
    """A role with a password (its name) that may read the tables of TWO_CLINICS and SHARED."""
    role = unique_name("lector")
    await any_database.sql.execute(
        f"""
        SET search_path = public; {TWO_CLINICS} {SHARED}
        CREATE ROLE "{role}" LOGIN PASSWORD '{role}'; GRANT SELECT ON clinica, persona, tipo TO "{role}"
        """
    )
    try:
        yield role
    finally:
        await any_database.sql.execute(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')


def _reading(database: Database, role: str) -> ClinicDatabase:
    return ClinicDatabase(_as(database, role, role), Tenancy())


def _by_way_of(database: Database, through: Pooler) -> str:
    parts = urlsplit(database.url)
    place = parts.netloc.replace(f":{parts.port}", f":{through.port}")
    return urlunsplit(parts._replace(netloc=place, query="sslmode=disable"))


def _place(database: Database) -> tuple[str, int]:
    parts = urlsplit(database.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


async def test_a_pooler_that_shares_sessions_is_refused_and_keeps_nothing(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS)
    async with pooler(*_place(any_database), session=False) as through:
        url = _by_way_of(any_database, through)
        with pytest.raises(DatabaseError, match=r"^CLINIC_DATABASE_URL lleva a un pooler.*pool_mode=session"):
            await back_up(any_database.clinics_at(url), 1)
        # Whoever gets that session next, finds it as it was.
        other = await asyncpg.connect(url, statement_cache_size=0)
        try:
            assert await other.fetchval("SHOW work_mem") != "32MB"
        finally:
            await other.close()
        engine = service_engine(url)
        try:
            with pytest.raises(DatabaseError, match=r"^DATABASE_URL lleva a un pooler"):
                async with engine.connect():
                    pass
        finally:
            await engine.dispose()


async def test_a_pooler_that_gives_sessions_away_is_as_good_as_none(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS)
    async with pooler(*_place(any_database), session=True) as through:
        backup = await back_up(any_database.clinics_at(_by_way_of(any_database, through)), 1)
    assert backup.ids("persona") == [11, 12]


async def test_a_role_that_may_only_read_backs_up(any_database: Database, reader: str) -> None:
    backup = await back_up(_reading(any_database, reader), 1)
    assert backup.ids("persona") == [11, 12]
    census = await _reading(any_database, reader).census()
    # Nobody's table, which it may not read, is listed.
    assert {str(name): rows for name, rows in census.rows.items()}["ajena"] is None


@pytest.mark.parametrize("table", ["clinica", "persona", "tipo"])
async def test_a_table_that_may_not_be_read_is_named(any_database: Database, reader: str, table: str) -> None:
    await any_database.sql.execute(
        f'REVOKE SELECT ON {table} FROM "{reader}"; GRANT SELECT (id) ON {table} TO "{reader}"'
    )
    with pytest.raises(PermissionMissing, match=f"no puede leer: «{table}»"):
        await back_up(_reading(any_database, reader), 1)
    assert (await back_up(any_database.clinics(), 1)).ids("persona") == [11, 12]


async def test_a_schema_that_may_not_be_used_is_named(any_database: Database, reader: str) -> None:
    await any_database.sql.execute(
        f"""
        CREATE SCHEMA cerrado; CREATE TABLE cerrado.nota (id int, clinica_id int REFERENCES clinica);
        GRANT SELECT ON cerrado.nota TO "{reader}"
        """
    )
    with pytest.raises(PermissionMissing, match=r"no puede leer: «cerrado\.nota»"):
        await back_up(_reading(any_database, reader), 1)


@pytest.mark.parametrize("table", ["clinica", "persona", "tipo"])
async def test_a_policy_that_would_hide_rows_is_an_error(any_database: Database, reader: str, table: str) -> None:
    await any_database.sql.execute(
        f"""
        ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
        CREATE POLICY visible ON {table} USING (id <> 12)
        """
    )
    with pytest.raises(RowSecurityActive, match=f"en: «{table}»; déle BYPASSRLS"):
        await back_up(_reading(any_database, reader), 1)
    # Superusers and roles with BYPASSRLS see every row.
    assert (await back_up(any_database.clinics(), 1)).ids("persona") == [11, 12]
    await any_database.sql.execute(f'ALTER ROLE "{reader}" BYPASSRLS')
    assert (await back_up(_reading(any_database, reader), 1)).ids("persona") == [11, 12]


@pytest.mark.parametrize("hidden", [False, True])
async def test_migrations_that_may_not_be_read_stop_no_backup(
    any_database: Database, reader: str, hidden: bool
) -> None:
    await any_database.sql.execute(
        f"""
        CREATE TABLE django_migrations (id int, app text, name text); GRANT SELECT ON django_migrations TO "{reader}";
        {"ALTER TABLE django_migrations ENABLE ROW LEVEL SECURITY" if hidden else ""}
        """
    )
    backup = await back_up(_reading(any_database, reader), 1)
    assert backup.verified.header.migrations == ({} if hidden else {"django_migrations": []})


async def test_a_policy_that_binds_the_owner_too(any_database: Database, reader: str) -> None:
    await any_database.sql.execute(
        f'ALTER TABLE persona OWNER TO "{reader}"; ALTER TABLE persona ENABLE ROW LEVEL SECURITY'
    )
    assert (await back_up(_reading(any_database, reader), 1)).ids("persona") == [11, 12]
    await any_database.sql.execute("ALTER TABLE persona FORCE ROW LEVEL SECURITY")
    with pytest.raises(RowSecurityActive, match="«persona»"):
        await back_up(_reading(any_database, reader), 1)


async def test_text_of_no_known_encoding_is_refused(ascii_database: Database) -> None:
    await ascii_database.sql.execute(TWO_CLINICS)
    # Not UTF-8: reading the clinics' names would already fail.
    await ascii_database.sql.execute("UPDATE clinica SET nombre = E'Cl\\xednica'")
    with pytest.raises(CatalogError, match="SQL_ASCII"):
        await ascii_database.clinics().clinics()


async def test_addresses_that_lead_nowhere(database: Database, unused_tcp_port: int) -> None:
    await database.sql.execute(TWO_CLINICS)
    parts = urlsplit(database.url)
    user, password = parts.username or "", parts.password or ""
    wrong_password = _as(database, user, "otra-clave")
    with pytest.raises(DatabaseError, match="rechaza el usuario o la clave de CLINIC_DATABASE_URL") as refused:
        await ClinicDatabase(wrong_password, Tenancy()).clinics()
    assert not refused.value.transient
    with pytest.raises(DatabaseError, match=r"no-existe.*does not exist"):
        await ClinicDatabase(_as(database, user, password, name="no-existe"), Tenancy()).clinics()
    with pytest.raises(DatabaseUnavailable, match="CLINIC_DATABASE_URL"):
        await ClinicDatabase(_as(database, user, password, port=unused_tcp_port), Tenancy()).clinics()
    assert "otra-clave" not in str(refused.value)


async def test_a_table_locked_for_too_long_is_named_as_busy(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await any_database.sql.execute(TWO_CLINICS)
    monkeypatch.setattr(
        "app.clinic.sessions.SESSION_SQL",
        "SET search_path = public; SET lock_timeout = '50ms'; SET row_security = off",
    )
    other = await any_database.connect()
    try:
        await other.execute("BEGIN; LOCK TABLE persona")
        with pytest.raises(DatabaseUnavailable, match="una tabla está bloqueada por otro proceso"):
            await asyncio.wait_for(back_up(ClinicDatabase(any_database.url, Tenancy()), 1), 10)
    finally:
        await other.close()


def test_a_pool_without_a_free_connection_is_an_outage() -> None:
    with pytest.raises(DatabaseUnavailable, match="ocupadas"), database_errors("DATABASE_URL"):
        raise PoolTimeout("QueuePool limit of size 5 overflow 10 reached")
