"""A filled clinic database with the service's schema beside it, and a bucket: everything that a backup needs."""

import asyncio
import functools
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker

from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.clinic import Tenancy
from app.clinic.database import ClinicDatabase
from app.clinic.restore.database import RestoreDatabase
from app.database import service_engine
from app.demo.embedded import Addresses
from app.demo.sample.generate import SampleClinic, create_schema, fill
from app.dump.gzip_member import Compression
from app.migrate import migrate
from app.respaldos.audit import Actor
from app.respaldos.backup import run as making
from app.respaldos.backup.request import pedir_respaldo
from app.respaldos.backup.run import crear_respaldo
from app.respaldos.jobs.lease import Lease
from app.respaldos.models import Respaldo, TipoRespaldo
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from app.storage.s3 import S3Storage, StoredObject, open_storage
from tests.conftest import FILES, plain_url, unique_name
from tests.storage.conftest import (
    PART,
    Store,
    _one_session_for_s3,
    empty_bucket,
    faults,
    moto_server,
    rclone_server,
)
from tests.support.fault import FaultyS3
from tests.support.jobs import running
from tests.support.rclone import Rclone

__all__ = ["PART", "_one_session_for_s3", "faults", "moto_server", "rclone_server"]

LA_PAZ = ZoneInfo("America/La_Paz")

LEASE = Lease(heartbeat_seconds=60, retry_seconds=0)

ANA = Actor("7", "Ana Paz", "192.0.2.7")

LARGE, SMALL, NEW = 1, 2, 3
"""Clinics of the sample: one whose file takes several parts of PART bytes, a small one, and one nobody uses yet."""

CLINICS = (
    SampleClinic(LARGE, "Clínica grande", 4_000),
    SampleClinic(SMALL, "Clínica pequeña", 200),
    SampleClinic(NEW, "Clínica nueva", 1),
)


@pytest.fixture(scope="session")
def template(servers: Addresses) -> str:
    """Name of a migrated database with the sample clinics, to be copied."""
    assert servers.database_url is not None
    return _template(servers.database_url)


# To pytest, what several conftest.py have imported is as many fixtures.
@functools.cache
def _template(url: str) -> str:
    name = unique_name("plantilla")
    asyncio.run(make_template(url, name))
    return name


async def make_template(url: str, name: str) -> None:
    """A new database of that name, on the server of `url`."""
    admin = await asyncpg.connect(plain_url(url))
    try:
        await admin.execute(f'CREATE DATABASE "{name}" {FILES}')
    finally:
        await admin.close()
    filled = url.rsplit("/", 1)[0] + f"/{name}"
    await migrate(filled)
    connection = await asyncpg.connect(plain_url(filled))
    try:
        await create_schema(connection)
        await fill(connection, CLINICS)
    finally:
        await connection.close()


@pytest.fixture
async def database(servers: Addresses, template: str) -> str:
    """Address of a database with the sample clinics, which nobody changes, and no backup yet."""
    return await _emptied(servers, template)


@pytest.fixture
async def own_database(servers: Addresses, template: str) -> AsyncIterator[str]:
    """Address of a copy of `database` that the test may change."""
    async with copy_of(await _emptied(servers, template), template) as url:
        yield url


async def _emptied(servers: Addresses, template: str) -> str:
    """The template's address, without what the test before left in it."""
    assert servers.database_url is not None
    url = servers.database_url.rsplit("/", 1)[0] + f"/{template}"
    async with connected(url) as connection:
        await connection.execute("SET lock_timeout = '10s'")
        # The trail refuses to be emptied, by anybody but its owner who has said so before.
        await connection.execute("ALTER TABLE respaldos.evento DISABLE TRIGGER evento_no_cambia")
        await connection.execute(
            "TRUNCATE respaldos.respaldo, respaldos.evento, respaldos.tarea, respaldos.peticion, respaldos.punto,"
            " respaldos.politica, respaldos.token_terminado, respaldos.clave, respaldos.clave_api"
            " RESTART IDENTITY CASCADE"
        )
        await connection.execute("ALTER TABLE respaldos.evento ENABLE ALWAYS TRIGGER evento_no_cambia")
    return url


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection outside of the service."""
    connection = await asyncpg.connect(plain_url(url))
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def copy_of(server_url: str, template: str) -> AsyncIterator[str]:
    """Address of a new copy of a database, dropped afterwards."""
    name = unique_name("copia")
    admin = await asyncpg.connect(plain_url(server_url))
    try:
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {FILES}')
        yield server_url.rsplit("/", 1)[0] + f"/{name}"
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()


@pytest.fixture
async def conn(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to `database`, outside of the service."""
    async with connected(database) as connection:
        yield connection


@pytest.fixture
async def store(rclone_server: Rclone) -> AsyncIterator[Store]:
    """An empty bucket of the embedded store."""
    async with empty_bucket(rclone_server.url, rclone_server.folder) as found:
        yield found


@pytest.fixture
async def moto_store(moto_server: tuple[str, FaultyS3], faults: FaultyS3) -> AsyncIterator[Store]:
    """An empty bucket of moto, which `faults` can spoil; it is not waited for as long as the embedded one."""
    async with empty_bucket(moto_server[0], read_timeout=2.0) as found:
        faults.restore()
        yield found


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "_part_size", lambda _: PART)


# Each has SQL that it has compiled, which takes longer than many a test's own work.
_engine = functools.cache(service_engine)


@asynccontextmanager
async def opened(
    store: Store,
    *,
    service: str,
    clinic: str | None = None,
    writer: str | None = None,
    tenancy: Tenancy | None = None,
    **changes: Any,
) -> AsyncIterator[Resources]:
    """Resources on these databases and this bucket; `writer` is for restores, `changes` are of its S3Options.

    What fails may be tried again at once. A heartbeat locks the job for a moment, and the reconciler leaves alone
    what is locked: a test that wants heartbeats has a lease of its own.
    """
    engine = _engine(service)
    try:
        async with AsyncExitStack() as stack:
            storage, options = store.storage, replace(store.options, **changes)
            if options != storage.options:
                storage = await stack.enter_async_context(open_storage(options))
            yield Resources(
                async_sessionmaker(engine, expire_on_commit=False),
                ClinicDatabase(clinic or service, tenancy or Tenancy()),
                storage,
                LA_PAZ,
                RestoreDatabase(
                    writer or clinic or service,
                    tenancy or Tenancy(),
                    SecretColumns(),
                    setting="CLINIC_RESTORE_DATABASE_URL",
                ),
                LEASE,
                Compression.SMALL,
            )
    finally:
        await engine.dispose()


@pytest.fixture
async def resources(store: Store, database: str) -> AsyncIterator[Resources]:
    """Everything that a backup needs."""
    async with opened(store, service=database) as found:
        yield found


@pytest.fixture
async def moto_resources(moto_store: Store, database: str) -> AsyncIterator[Resources]:
    """Everything that a backup needs, with a bucket that `faults` can spoil."""
    async with opened(moto_store, service=database) as found:
        yield found


async def back_up(resources: Resources, clinica_id: int | None = SMALL, **more: Any) -> Respaldo:
    """A backup as the command line makes it."""
    await reconciliar(resources)
    return await crear_respaldo(resources, clinica_id=clinica_id, **({"tipo": TipoRespaldo.MANUAL} | more))


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `respaldo` as PostgreSQL has it."""

    id: int
    estado: str
    archivo_s3: str | None
    error: str | None
    error_type: str | None


async def respaldo_rows(conn: asyncpg.Connection) -> list[Row]:
    """Every backup's row, oldest first."""
    found = await conn.fetch(
        "SELECT id, estado, archivo_s3, metadata->>'error', metadata->>'error_type'"
        " FROM respaldos.respaldo ORDER BY id"
    )
    return [Row(*row) for row in found]


async def assert_failed(conn: asyncpg.Connection, store: Store, code: str, *names: str) -> None:
    """The newest backup ended `fallido` for that reason, naming those; nothing of it is left anywhere."""
    row = (await respaldo_rows(conn))[-1]
    assert (row.estado, row.error_type, row.archivo_s3) == ("fallido", code, None), row
    for name in names:
        assert name in (row.error or "")
    await assert_consistent(conn, store)
    assert await running(conn) == 0
    assert await conn.fetchval("SELECT count(*) FROM respaldos.intento WHERE fin IS NULL") == 0


async def assert_consistent(conn: asyncpg.Connection, store: Store) -> None:
    """The bucket holds the completed backups' objects, and not a byte else; each backup's state is its job's."""
    differing = "SELECT count(*) FROM respaldos.respaldo r JOIN respaldos.trabajo t ON t.respaldo_id = r.id"
    assert await conn.fetchval(f"{differing} WHERE t.clase = 'respaldo' AND t.estado <> r.estado") == 0
    kept = {row.archivo_s3 for row in await respaldo_rows(conn) if row.estado == "completado"}
    assert {item.key async for item in store.storage.list()} == kept
    assert await store.uploads() == []
    if store.folder is not None:
        files = [path for path in store.folder.rglob("*") if path.is_file()]
        assert len(files) == len(kept), files


def files_below(folder: Path) -> list[str]:
    """The names of all files in a folder, for a test that expects none to be added."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class Held:
    """Where an upload is held: `reached` is set when it has got there, and it goes on when `released` is.

    That is after each of its chunks from number `after` on.
    """

    def __init__(self) -> None:
        self.after = 1
        self.reached = asyncio.Event()
        self.released = asyncio.Event()

    async def chunks_held(self, original: Any) -> AsyncIterator[bytes]:
        passed = 0
        async for chunk in original:
            yield chunk
            passed += 1
            if passed >= self.after:
                self.reached.set()
                await self.released.wait()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """Every upload stops after its first bytes, and goes on when it is released."""
    hold = Held()
    upload = S3Storage.upload

    async def held_upload(storage: S3Storage, key: str, chunks: Any, **more: Any) -> StoredObject:
        return await upload(storage, key, hold.chunks_held(chunks), **more)

    monkeypatch.setattr(S3Storage, "upload", held_upload)
    return hold


async def ask(resources: Resources, clinica_id: int | None = SMALL, **more: Any) -> Respaldo:
    """A backup that waits for a worker, as the API asks for it."""
    given: dict[str, Any] = {"tipo": TipoRespaldo.POR_DEMANDA, "descripcion": "", "actor": ANA} | more
    return await pedir_respaldo(resources, None, clinica_id=clinica_id, **given)


async def row_of(conn: asyncpg.Connection, respaldo_id: int) -> asyncpg.Record:
    """The backup's row as PostgreSQL has it, with `error` and `error_type` of its metadata, and its job's lease."""
    found = await conn.fetchrow(
        "SELECT r.*, metadata->>'error' AS error, metadata->>'error_type' AS error_type,"
        " intento, interrupciones, lease_until, progreso FROM respaldos.respaldo r"
        " LEFT JOIN respaldos.trabajo t ON t.respaldo_id = r.id AND t.clase = 'respaldo' WHERE r.id = $1",
        respaldo_id,
    )
    assert found is not None
    return found


async def told(conn: asyncpg.Connection) -> list[tuple[str, dict[str, Any]]]:
    """What people are to be told, in the order in which it happened."""
    found = await conn.fetch("SELECT tipo, datos FROM respaldos.aviso ORDER BY id")
    return [(tipo, json.loads(datos)) for tipo, datos in found]


async def trail(conn: asyncpg.Connection) -> list[tuple[str, str | None, dict[str, Any]]]:
    """The audit trail: what, who, and the details."""
    found = await conn.fetch("SELECT accion, usuario, detalle FROM respaldos.evento ORDER BY id")
    return [(accion, usuario, json.loads(detalle)) for accion, usuario, detalle in found]
