"""A filled clinic database with the service's schema beside it, and a bucket: everything that a backup needs."""

import asyncio
import functools
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from botocore.loaders import create_loader
from sqlalchemy.ext.asyncio import async_sessionmaker

from app.clinic.catalogue import Tenancy
from app.clinic.database import ClinicDatabase
from app.database import service_engine
from app.embedded import Addresses
from app.migrate import migrate
from app.respaldos import crear_respaldo as crear_module
from app.respaldos.crear_respaldo import crear_respaldo
from app.respaldos.models import Respaldo, TipoRespaldo
from app.respaldos.resources import Resources
from app.sample.generate import SampleClinic, create_schema, fill
from app.storage.s3 import open_storage
from tests.conftest import plain_url, unique_name
from tests.storage.conftest import Store, options
from tests.storage.fault import FaultyS3, faulty_moto
from tests.storage.rclone import Rclone, rclone

LA_PAZ = ZoneInfo("America/La_Paz")

LARGE, SMALL, NEW = 1, 2, 3
"""Clinics of the sample: one whose file takes several parts of PART bytes, a small one, and one nobody uses yet."""

PART = 2**16
"""Parts of the tests, so that a small clinic is a multipart upload. S3 wants 5 MiB; these stores do not."""

CLINICS = (
    SampleClinic(LARGE, "Clínica grande", 9_000),
    SampleClinic(SMALL, "Clínica pequeña", 200),
    SampleClinic(NEW, "Clínica nueva", 1),
)

_serial = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _one_reading_of_s3s_description() -> Iterator[None]:
    """Every test opens a client of its own; reading the 1 MB that describes S3 would be most of its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.loaders.create_loader", functools.cache(create_loader))
        yield


@pytest.fixture(scope="session")
def template(servers: Addresses) -> str:
    """Name of a migrated database with the sample clinics, to be copied."""
    assert servers.database_url is not None
    name = unique_name("plantilla")
    asyncio.run(make_template(servers.database_url, name))
    return name


async def make_template(url: str, name: str) -> None:
    """A new database of that name, on the server of `url`."""
    admin = await asyncpg.connect(plain_url(url))
    try:
        await admin.execute(f'CREATE DATABASE "{name}"')
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
    assert servers.database_url is not None
    url = servers.database_url.rsplit("/", 1)[0] + f"/{template}"
    async with connected(url) as connection:
        await connection.execute("SET lock_timeout = '10s'")
        await connection.execute("TRUNCATE respaldos.respaldo RESTART IDENTITY CASCADE")
    return url


@pytest.fixture
async def own_database(servers: Addresses, database: str, template: str) -> AsyncIterator[str]:
    """Address of a copy of `database` that the test may change."""
    async with copy_of(servers.database_url or "", template) as url:
        yield url


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
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield server_url.rsplit("/", 1)[0] + f"/{name}"
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()


@pytest.fixture
async def conn(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to `database`, outside of the service."""
    async with connected(database) as connection:
        yield connection


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rclone]:
    """The store that is embedded, over a folder that a test can look into."""
    with rclone(tmp_path_factory.mktemp("rclone") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def moto_server() -> Iterator[tuple[str, FaultyS3]]:
    """moto, in this process, and the means to make it fail."""
    with pytest.MonkeyPatch.context() as patch, faulty_moto() as server:
        patch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", PART)
        yield server


@pytest.fixture
def faults(moto_server: tuple[str, FaultyS3]) -> Iterator[FaultyS3]:
    """moto's faults, none at the beginning and none at the end."""
    moto_server[1].restore()
    yield moto_server[1]
    moto_server[1].restore()


@pytest.fixture
async def store(rclone_server: Rclone) -> AsyncIterator[Store]:
    """An empty bucket of the embedded store."""
    chosen = options(rclone_server.url, bucket=bucket_name())
    async with open_storage(chosen) as storage:
        await storage.client.create_bucket(Bucket=chosen.bucket)
        yield Store(chosen, storage, rclone_server.folder / chosen.bucket)


@pytest.fixture
async def moto_store(moto_server: tuple[str, FaultyS3], faults: FaultyS3) -> AsyncIterator[Store]:
    """An empty bucket of moto, which `faults` can spoil."""
    chosen = options(moto_server[0], bucket=bucket_name(), read_timeout=2.0)
    async with open_storage(chosen) as storage:
        await storage.client.create_bucket(Bucket=chosen.bucket)
        faults.restore()
        yield Store(chosen, storage, None)


def bucket_name() -> str:
    """A bucket that no other test of this run uses."""
    return f"respaldos-{os.getpid()}-{next(_serial)}"


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crear_module, "_part_size", lambda _: PART)


@asynccontextmanager
async def opened(
    store: Store, *, service: str, clinic: str | None = None, tenancy: Tenancy | None = None, **changes: Any
) -> AsyncIterator[Resources]:
    """Resources on these databases and this bucket; `changes` are of its S3Options."""
    engine = service_engine(service)
    try:
        async with open_storage(replace(store.options, **changes)) as storage:
            yield Resources(
                async_sessionmaker(engine, expire_on_commit=False),
                ClinicDatabase(clinic or service, tenancy or Tenancy()),
                storage,
                LA_PAZ,
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


async def back_up(resources: Resources, clinica_id: int = SMALL, **more: Any) -> Respaldo:
    """A backup as the command line makes it."""
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
    assert await conn.fetchval("SELECT count(*) FROM respaldos.operacion") == 0
    assert await conn.fetchval("SELECT count(*) FROM respaldos.intento WHERE fin IS NULL") == 0


async def assert_consistent(conn: asyncpg.Connection, store: Store) -> None:
    """The bucket holds the completed backups' objects, and not a byte else."""
    kept = {row.archivo_s3 for row in await respaldo_rows(conn) if row.estado == "completado"}
    assert {item.key async for item in store.storage.list()} == kept
    assert await store.uploads() == []
    if store.folder is not None:
        files = [path for path in store.folder.rglob("*") if path.is_file()]
        assert len(files) == len(kept), files


def files_below(folder: Path) -> list[str]:
    """The names of all files in a folder, for a test that expects none to be added."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
