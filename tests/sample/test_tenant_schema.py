"""The same clinic with a PostgreSQL schema of its own."""

import pytest

from app.demo.sample.generate import (
    PLATFORM_ID,
    Connection,
    SampleClinic,
    create_schema,
    create_tenant_schema,
    logins,
)
from app.errors import DatabaseError
from tests.support.sample_ownership import digest, foreign_keys

ONE, TWO = SampleClinic(1, "Uno", 300), SampleClinic(2, "Dos", 120)


async def _rows(conn: Connection, schema: str) -> int:
    tables = await conn.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = $1 AND tablename <> 'django_migrations'", schema
    )
    return sum([await conn.fetchval(f"SELECT count(*) FROM {schema}.{name}") for (name,) in tables])


async def test_each_clinic_has_its_records_in_a_schema_of_its_own(conn: Connection) -> None:
    await create_tenant_schema(conn, ONE)
    before = await digest(conn, "clinica1")
    added = await create_tenant_schema(conn, TWO)
    assert await digest(conn, "clinica1") == before
    # The clinic's own row is in public.clinica.
    assert await _rows(conn, "clinica1") + 1 == ONE.records
    assert await _rows(conn, "clinica2") + 1 == TWO.records
    assert sum(added.values()) == TWO.records + added["auth_user"] + added["django_migrations"]
    entries = await conn.fetch("SELECT id, schema_name FROM clinica ORDER BY id")
    assert [tuple(row) for row in entries] == [(1, "clinica1"), (2, "clinica2"), (PLATFORM_ID, "public")]
    assert await conn.fetchval("SELECT count(*) FROM auth_user") == len(logins((ONE, TWO)))


async def test_no_table_has_a_tenant_column_or_points_into_another_clinic(conn: Connection) -> None:
    await create_tenant_schema(conn, ONE)
    await create_tenant_schema(conn, TWO)
    assert await conn.fetchval("SELECT count(*) FROM pg_attribute WHERE attname = 'clinica_id'") == 0
    keys = await foreign_keys(conn)
    schemas = {child.partition(".")[0] for child, *_ in keys}
    assert schemas == {"clinica1", "clinica2"}
    for child, _, parent, _ in keys:
        # What the search path finds, public's, is written without its schema.
        assert "." not in parent or parent.partition(".")[0] == child.partition(".")[0]


async def test_what_is_there_is_refused_and_unchanged(conn: Connection) -> None:
    await create_tenant_schema(conn, ONE)
    before = [await digest(conn), await digest(conn, "clinica1")]
    with pytest.raises(DatabaseError, match="Ya existe la clínica 1"):
        await create_tenant_schema(conn, ONE)
    with pytest.raises(DatabaseError, match="ya tiene la tabla"):
        await create_schema(conn)
    await conn.execute("CREATE SCHEMA clinica2")
    with pytest.raises(DatabaseError, match="Ya existe el esquema «clinica2»"):
        await create_tenant_schema(conn, TWO)
    assert [await digest(conn), await digest(conn, "clinica1")] == before


async def test_a_database_of_column_tenancy_is_refused(conn: Connection) -> None:
    await create_schema(conn)
    with pytest.raises(DatabaseError, match="schema_name"):
        await create_tenant_schema(conn, ONE)
