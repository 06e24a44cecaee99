"""A home with the demo in it for what is looked at, and servers behind proxies for what is to go wrong."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.demo import embedded
from app.demo.embedded import Addresses
from app.demo.sample.generate import SampleClinic, create_tenant_schema
from app.migrate import migrate
from tests.clinic.conftest import any_database, postgres16
from tests.conftest import FILES, plain_url, unique_name
from tests.respaldos.conftest import (
    LARGE,
    _one_session_for_s3,
    connected,
    own_database,
    rclone_server,
    store,
    template,
)
from tests.respaldos.conftest import database as small_database
from tests.storage.conftest import Store
from tests.support.platform import Platform
from tests.support.program import Ran, respaldos
from tests.support.rclone import KEY, SECRET
from tests.support.redis import RedisServer, running_redis
from tests.support.tcp_proxy import TcpProxy, tcp_proxy, through

__all__ = [
    "_one_session_for_s3",
    "any_database",
    "own_database",
    "postgres16",
    "rclone_server",
    "small_database",
    "store",
    "template",
]

ATTACHMENTS = 8
"""Each of a MiB that does not compress: together two parts of the service's own size."""


@dataclass(frozen=True, slots=True)
class Demo:
    """A folder in which `respaldos demo` has run, and what it said."""

    folder: Path
    said: Ran


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo, with its servers kept running between commands."""
    folder = tmp_path_factory.mktemp("demo")
    with embedded.running(folder / ".respaldos"):
        said = respaldos("demo", "--una-vez", cwd=folder)
        assert said.code == 0, said
        yield Demo(folder, said)


@pytest.fixture(scope="session")
def with_attachments(servers: Addresses, template: str) -> str:
    """Address of a database whose large clinic has a file of two parts."""
    assert servers.database_url is not None
    url = servers.database_url.rsplit("/", 1)[0] + f"/{unique_name('adjuntos')}"
    asyncio.run(_attach(servers.database_url, url, template))
    return url


async def _attach(server: str, url: str, template: str) -> None:
    async with connected(server) as admin:
        await admin.execute(f'CREATE DATABASE "{url.rsplit("/", 1)[1]}" TEMPLATE "{template}" {FILES}')
    async with connected(url) as conn:
        await conn.execute(
            "CREATE TABLE public.adjunto (id int PRIMARY KEY, clinica_id bigint REFERENCES clinica, datos bytea)"
        )
        for number in range(ATTACHMENTS):
            await conn.execute("INSERT INTO adjunto VALUES ($1, $2, $3)", number, LARGE, os.urandom(2**20))


@pytest.fixture
async def database(with_attachments: str) -> str:
    """Address of a database with the sample clinics, one of them large, and no backup yet."""
    async with connected(with_attachments) as connection:
        await connection.execute("SET lock_timeout = '10s'")
        await connection.execute("TRUNCATE respaldos.respaldo RESTART IDENTITY CASCADE")
    return with_attachments


@pytest.fixture
async def conn(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to `database`, outside of the service."""
    async with connected(database) as connection:
        yield connection


@pytest.fixture
def addresses(store: Store, database: str) -> dict[str, str]:
    """Settings that name real servers."""
    return addresses_of(store, database)


def addresses_of(store: Store, database: str) -> dict[str, str]:
    """Settings that name these servers."""
    return {
        "DATABASE_URL": plain_url(database),
        "AWS_ENDPOINT_URL_S3": store.options.endpoint_url or "",
        "AWS_BACKUP_BUCKET_NAME": store.options.bucket,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }


@dataclass(frozen=True, slots=True)
class Slowly:
    """Settings that lead to the servers through proxies, which take their time."""

    settings: dict[str, str]
    clinic: TcpProxy
    s3: TcpProxy


@pytest.fixture
async def slowly(addresses: dict[str, str], database: str) -> AsyncIterator[Slowly]:
    """A backup of the large clinic takes seconds, so that something can happen to it meanwhile."""
    postgres, s3 = urlsplit(database), urlsplit(addresses["AWS_ENDPOINT_URL_S3"])
    async with (
        tcp_proxy(postgres.hostname or "", postgres.port or 0) as clinic,
        tcp_proxy(s3.hostname or "", s3.port or 0) as store,
    ):
        clinic.delay(0.003)
        store.delay(0.005)
        settings = {
            "CLINIC_DATABASE_URL": through(plain_url(database), clinic),
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{store.port}",
        }
        yield Slowly(addresses | settings, clinic, store)


@pytest.fixture
async def platform(store: Store, empty_database: str, tmp_path: Path) -> AsyncIterator[Platform]:
    """Clinics 1, in use, 2, closed, and 3, whose schema is called by another number."""
    async with connected(empty_database) as sql:
        for clinic in (
            SampleClinic(1, "Uno", 60),
            SampleClinic(2, "Dos", 1, activa=False),
            SampleClinic(3, "Tres", 1),
        ):
            await create_tenant_schema(sql, clinic)
        await sql.execute(
            "ALTER SCHEMA clinica3 RENAME TO \"0077\"; UPDATE clinica SET schema_name = '0077' WHERE id = 3"
        )
        await migrate(empty_database)
        settings = addresses_of(store, empty_database) | {"TENANCY": "schema", "JWT_SECRET": "s" * 32}
        yield Platform(sql, tmp_path, settings)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """One of the test's own."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with running_redis(folder) as server:
        yield server
