"""What a service needs, each test's own: a database with the sample clinics, a bucket, a Redis, and proxies."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.demo.embedded import Addresses
from app.respaldos.resources import Resources
from tests.conftest import plain_url
from tests.respaldos.conftest import (
    LA_PAZ,
    _one_session_for_s3,
    conn,
    database,
    opened,
    rclone_server,
    store,
    template,
)
from tests.storage.conftest import Store
from tests.support.processes import free_of_nights
from tests.support.rclone import KEY, SECRET
from tests.support.redis import RedisServer, running_redis
from tests.support.tcp_proxy import TcpProxy, tcp_proxy, through

__all__ = ["_one_session_for_s3", "conn", "database", "rclone_server", "store", "template"]


@pytest.fixture(scope="session")
def _redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(_redis: RedisServer) -> RedisServer:
    """An empty Redis that nobody else uses."""
    with _redis.client() as client:
        client.flushall()
    return _redis


@pytest.fixture
async def resources(store: Store, database: str) -> AsyncIterator[Resources]:
    """What the operations of this process work with."""
    async with opened(store, service=database) as found:
        yield found


@pytest.fixture
def settings(store: Store, database: str, redis: RedisServer, servers: Addresses) -> dict[str, str]:
    """Variables for API and workers; no night is due while the test runs."""
    return settings_for(store, database, redis)


def settings_for(store: Store, database: str, redis: RedisServer) -> dict[str, str]:
    """The same, for these servers."""
    return {
        "DATABASE_URL": plain_url(database),
        "REDIS_URL": redis.url,
        "AWS_ENDPOINT_URL_S3": store.options.endpoint_url or "",
        "AWS_BACKUP_BUCKET_NAME": store.options.bucket,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "JWT_SECRET": secrets.token_hex(32),
        "TIME_ZONE": LA_PAZ.key,
    } | free_of_nights(datetime.now(LA_PAZ).hour)


@dataclass(frozen=True, slots=True)
class Slowed:
    """Settings that lead to the clinic database and to S3 through proxies."""

    settings: dict[str, str]
    clinic: TcpProxy
    s3: TcpProxy

    def hang(self) -> None:
        """Nothing moves any more."""
        self.clinic.hang()
        self.s3.hang()

    def drop(self) -> None:
        """The connections end, as those of a dead process do."""
        self.clinic.drop()
        self.s3.drop()

    def restore(self) -> None:
        """Everything moves, at full speed."""
        self.clinic.restore()
        self.s3.restore()


@asynccontextmanager
async def slowed(settings: dict[str, str]) -> AsyncIterator[Slowed]:
    """A large clinic's backup takes a second or two of reading, and another of sending."""
    postgres, s3 = urlsplit(settings["DATABASE_URL"]), urlsplit(settings["AWS_ENDPOINT_URL_S3"])
    async with (
        tcp_proxy(postgres.hostname or "", postgres.port or 0) as clinic,
        tcp_proxy(s3.hostname or "", s3.port or 0) as store,
    ):
        clinic.delay(0.02)
        store.delay(0.02)
        led = {
            "CLINIC_DATABASE_URL": through(settings["DATABASE_URL"], clinic),
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{store.port}",
        }
        yield Slowed(settings | led, clinic, store)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What the processes say."""
    return tmp_path / "log"
