"""A second store, and resources that copy backups to it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from app.respaldos.copies.bucket import CopyBucket
from app.respaldos.jobs.run import run_next
from app.respaldos.models import Respaldo
from app.respaldos.resources import Resources
from app.storage.s3 import open_storage
from tests.storage.conftest import Store, empty_bucket
from tests.support.rclone import Rclone, rclone
from tests.support.stored import row

COPY_DAYS = 30


@pytest.fixture(scope="session")
def second_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rclone]:
    """Another embedded store than that of the backups."""
    with rclone(tmp_path_factory.mktemp("rclone") / "copias") as server:
        yield server


@pytest.fixture
async def second(second_server: Rclone) -> AsyncIterator[Store]:
    """An empty bucket there."""
    async with empty_bucket(second_server.url, second_server.folder) as found:
        yield found


@pytest.fixture
def copying(resources: Resources, second: Store) -> Resources:
    """The same, with that bucket for copies."""
    return with_copies(resources, oficina=second)


@asynccontextmanager
async def away(store: Store) -> AsyncIterator[Store]:
    """The same bucket, at an address where nobody answers."""
    options = replace(store.options, endpoint_url="http://127.0.0.1:9")
    async with open_storage(options) as storage:
        yield Store(options, storage, None)


def with_copies(resources: Resources, **stores: Store) -> Resources:
    """The same with a bucket for copies of each name."""
    return replace(
        resources, copies=tuple(CopyBucket(name, store.storage, COPY_DAYS) for name, store in stores.items())
    )


async def work(resources: Resources) -> None:
    """Do all that waits for a worker."""
    while await run_next(resources):
        pass


async def copies_of(resources: Resources, respaldo: Respaldo | int) -> dict[str, str]:
    """How the backup's copies are, by the names of their buckets."""
    found = await row(resources, respaldo if isinstance(respaldo, int) else respaldo.id)
    return {name: copy["estado"] for name, copy in found.copias.items()}


async def destroy(store: Store) -> None:
    """What was in the bucket is gone."""
    for key in [item.key async for item in store.storage.list()]:
        await store.storage.delete(key)


async def age(conn: asyncpg.Connection, days: int, respaldo_id: int | None = None) -> None:
    """Have the deleted backups have been deleted so many days ago."""
    await conn.execute(
        "UPDATE respaldos.respaldo SET fecha_eliminacion = $1"
        " WHERE fecha_eliminacion IS NOT NULL AND ($2::bigint IS NULL OR id = $2)",
        datetime.now(UTC) - timedelta(days=days, minutes=1),
        respaldo_id,
    )
