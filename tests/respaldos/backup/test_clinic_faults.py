"""What is wrong with the clinic database ends the backup `fallido`, says so by name, and leaves nothing in S3."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.clinic.catalogue.entries import Catalogue
from app.clinic.clinic import Tenancy
from app.clinic.database import ClinicDatabase
from app.errors import (
    CatalogError,
    ClinicNotFound,
    DatabaseError,
    DatabaseUnavailable,
    PermissionMissing,
    RowSecurityActive,
    SchemaChanged,
    Stalled,
)
from app.respaldos.resources import Resources
from tests.conftest import unique_name
from tests.respaldos.conftest import LARGE, SMALL, assert_failed, back_up, connected, opened
from tests.storage.conftest import Store
from tests.support.jobs import with_lease
from tests.support.once_in import once_in
from tests.support.tcp_proxy import Direction, TcpProxy, tcp_proxy, through


@pytest.fixture
async def clinic_proxy(database: str) -> AsyncIterator[TcpProxy]:
    """Before the clinic database; the service's own is reached without it."""
    parts = urlsplit(database)
    async with tcp_proxy(parts.hostname or "", parts.port or 0) as proxy:
        yield proxy


@pytest.fixture
async def proxied(store: Store, database: str, clinic_proxy: TcpProxy) -> AsyncIterator[Resources]:
    """Resources whose clinic database is behind `clinic_proxy`."""
    async with opened(store, service=database, clinic=through(database, clinic_proxy)) as resources:
        yield resources


async def test_an_unknown_clinic(resources: Resources, conn: asyncpg.Connection, store: Store) -> None:
    with pytest.raises(ClinicNotFound, match="no existe la clínica 77"):
        await back_up(resources, 77)
    await assert_failed(conn, store, "clinica_inexistente", "77")


async def test_a_clinic_database_that_is_down(
    proxied: Resources, clinic_proxy: TcpProxy, conn: asyncpg.Connection, store: Store
) -> None:
    await clinic_proxy.refuse()
    with pytest.raises(DatabaseUnavailable, match="CLINIC_DATABASE_URL"):
        await back_up(proxied)
    await assert_failed(conn, store, "base_de_datos_no_disponible", "CLINIC_DATABASE_URL")


@pytest.mark.parametrize("after", [500, 5_000, 60_000, 300_000, 1_500_000])
async def test_a_clinic_database_lost_in_the_middle(
    proxied: Resources, clinic_proxy: TcpProxy, conn: asyncpg.Connection, store: Store, after: int
) -> None:
    clinic_proxy.cut(after, times=1, direction=Direction.TO_CLIENT)
    with pytest.raises(DatabaseUnavailable, match="CLINIC_DATABASE_URL"):
        await back_up(proxied, LARGE)
    assert clinic_proxy.cuts == 1
    await assert_failed(conn, store, "base_de_datos_no_disponible", "CLINIC_DATABASE_URL")


async def test_a_backend_that_the_database_ends(
    proxied: Resources, clinic_proxy: TcpProxy, conn: asyncpg.Connection, store: Store
) -> None:
    async def end_it() -> None:
        ended = await conn.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'COPY %' AND pid <> pg_backend_pid()"
        )
        clinic_proxy.restore()
        assert ended == 1

    def meanwhile() -> None:
        clinic_proxy.hang()
        ending.append(asyncio.create_task(end_it()))

    ending: list[asyncio.Task[None]] = []
    with pytest.raises(DatabaseUnavailable, match="CLINIC_DATABASE_URL"):
        await back_up(proxied, LARGE, progress=once_in("usuarios", meanwhile))
    await ending[0]
    await assert_failed(conn, store, "base_de_datos_no_disponible", "CLINIC_DATABASE_URL")


@pytest.fixture
async def reader(database: str, conn: asyncpg.Connection) -> AsyncIterator[str]:
    """Address with a role that may read every table of the clinics, and no more."""
    role = unique_name("lector")
    await conn.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'clave'")
    await conn.execute(f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{role}"')
    parts = urlsplit(database)
    yield f"{parts.scheme}://{role}:clave@{parts.hostname}:{parts.port}{parts.path}"
    await conn.execute(f'DROP OWNED BY "{role}"')
    await conn.execute(f'DROP ROLE "{role}"')


async def test_a_role_that_may_only_read_is_enough(reader: str, database: str, store: Store) -> None:
    async with opened(store, service=database, clinic=reader) as resources:
        assert (await back_up(resources)).numero_registros == 200


async def test_a_table_that_the_role_may_not_read(
    reader: str, database: str, store: Store, conn: asyncpg.Connection
) -> None:
    role = urlsplit(reader).username
    await conn.execute(f'REVOKE SELECT ON factura FROM "{role}"')
    async with opened(store, service=database, clinic=reader) as resources:
        with pytest.raises(PermissionMissing, match="factura"):
            await back_up(resources)
    await assert_failed(conn, store, "permiso_insuficiente", "factura", "CLINIC_DATABASE_URL")


async def test_row_security_that_would_hide_rows(
    reader: str, database: str, store: Store, conn: asyncpg.Connection
) -> None:
    # Not the rows of this clinic; but whoever sees only some rows cannot know that they are all of a clinic's.
    await conn.execute("ALTER TABLE paciente ENABLE ROW LEVEL SECURITY")
    await conn.execute("CREATE POLICY una ON paciente USING (clinica_id = 2)")
    try:
        async with opened(store, service=database, clinic=reader) as resources:
            with pytest.raises(RowSecurityActive, match="paciente"):
                await back_up(resources)
    finally:
        await conn.execute("DROP POLICY una ON paciente; ALTER TABLE paciente DISABLE ROW LEVEL SECURITY")
    await assert_failed(conn, store, "seguridad_por_filas", "paciente", "BYPASSRLS")


async def test_a_wrong_password(reader: str, database: str, store: Store, conn: asyncpg.Connection) -> None:
    async with opened(store, service=database, clinic=reader.replace(":clave@", ":otra@")) as resources:
        with pytest.raises(DatabaseError, match="usuario o la clave de CLINIC_DATABASE_URL") as raised:
            await back_up(resources)
    assert "otra" not in str(raised.value)
    await assert_failed(conn, store, "base_de_datos", "CLINIC_DATABASE_URL")


async def test_a_table_dropped_after_the_catalogue_was_read(
    own_database: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ClinicDatabase._catalogue
    async with opened(store, service=own_database) as resources, connected(own_database) as conn:
        await conn.execute("CREATE TABLE public.nota (id int PRIMARY KEY, clinica_id bigint REFERENCES clinica)")

        async def and_then_drop(*given: Any) -> Catalogue:
            catalogue = await read(*given)
            await conn.execute("DROP TABLE IF EXISTS public.nota")
            return catalogue

        monkeypatch.setattr(ClinicDatabase, "_catalogue", and_then_drop)
        with pytest.raises(SchemaChanged):
            await back_up(resources)
        await assert_failed(conn, store, "esquema_cambiado")
        assert (await back_up(resources)).estado == "completado"


async def test_a_table_cannot_be_dropped_during_the_dump(own_database: str, store: Store) -> None:
    dropping: list[asyncio.Task[str]] = []
    async with opened(store, service=own_database) as resources, connected(own_database) as conn:
        await conn.execute("CREATE TABLE public.nota (id int PRIMARY KEY, clinica_id bigint REFERENCES clinica)")

        def drop() -> None:
            dropping.append(asyncio.create_task(conn.execute("DROP TABLE public.nota")))

        respaldo = await back_up(resources, LARGE, progress=once_in("usuarios", drop))
        assert "nota" in respaldo.metadata_["modelos_respaldados"]
        await asyncio.wait_for(dropping[0], 10)


async def test_a_database_without_the_tenant_column(store: Store, database: str, conn: asyncpg.Connection) -> None:
    async with opened(store, service=database, tenancy=Tenancy(column="empresa_id")) as resources:
        with pytest.raises(CatalogError, match="TENANT_COLUMN"):
            await back_up(resources)
    await assert_failed(conn, store, "catalogo_invalido", "TENANT_COLUMN", "empresa_id")


async def test_a_connection_that_hangs_is_given_up(
    proxied: Resources,
    clinic_proxy: TcpProxy,
    conn: asyncpg.Connection,
    store: Store,
) -> None:
    quick = with_lease(proxied, renew_seconds=0.05, stalled_seconds=0.3)
    async with asyncio.timeout(20):
        with pytest.raises(Stalled, match=r"0\.3 segundos"):
            await back_up(quick, LARGE, progress=once_in("pacientes", clinic_proxy.hang))
    await assert_failed(conn, store, "sin_avance", "no se movió ningún byte")


async def test_the_other_clinics_backups_are_not_touched(
    resources: Resources, conn: asyncpg.Connection, store: Store
) -> None:
    kept = await back_up(resources, SMALL)
    with pytest.raises(ClinicNotFound):
        await back_up(resources, 77)
    assert kept.archivo_s3 is not None
    assert await store.storage.head(kept.archivo_s3) is not None
