"""Two stores for every promise: rclone, which is the embedded one, and moto, which keeps what rclone forgets.

With `make ceph` a third one, Ceph's gateway.
"""

import functools
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aioboto3
import pytest
from botocore.exceptions import ClientError

from app.storage.s3 import S3Options, S3Storage, open_storage
from tests.support.ceph import ADDRESS as CEPH_ADDRESS
from tests.support.fault import FaultyS3, faulty_moto
from tests.support.rclone import KEY, SECRET, Rclone, rclone

PART = 2**16
"""Parts of the tests, so that little is an upload of many. S3 wants 5 MiB; rclone takes any size, moto is told to."""

_serial = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Store:
    """A bucket of its own for one test. `folder` is where rclone keeps it; None for moto."""

    options: S3Options
    storage: S3Storage
    folder: Path | None

    async def leftovers(self) -> list[str]:
        """Every object, unfinished upload and, for rclone, file that is in the bucket."""
        found = [f"object {item.key}" async for item in self.storage.list()]
        found += [f"upload {key}" for key in await self.uploads()]
        if self.folder is not None:
            # Not Path.rglob, which raises where rclone removes a folder meanwhile.
            found += [f"file {name}" for _, _, names in os.walk(self.folder) for name in names]
        return found

    async def uploads(self) -> list[str]:
        """The keys of the unfinished uploads."""
        try:
            answer = await self.storage.client.list_multipart_uploads(Bucket=self.options.bucket)
        except ClientError as exc:
            # rclone's answer where there has been none.
            if exc.response["Error"]["Code"] != "NoSuchUpload":
                raise
            return []
        return [upload["Key"] for upload in answer.get("Uploads", ())]


@pytest.fixture(scope="session", autouse=True)
def _one_session_for_s3() -> Iterator[None]:
    """Every test opens a client of its own; what all have in common (1 MB describes S3) would be most of its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aioboto3.Session", functools.cache(aioboto3.Session))
        yield


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rclone]:
    """The store that is embedded, served for all tests of this process."""
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


def options(endpoint_url: str, **changes: Any) -> S3Options:
    """One attempt and short waits: a test of a failure must not wait for the retries."""
    given: dict[str, Any] = {
        "bucket": f"storage-{os.getpid()}-{next(_serial)}",
        "endpoint_url": endpoint_url,
        "access_key_id": KEY,
        "secret_access_key": SECRET,
        "attempts": 1,
        "connect_timeout": 2.0,
        "read_timeout": 10.0,
    }
    return S3Options(**(given | changes))


@asynccontextmanager
async def empty_bucket(endpoint_url: str, folder: Path | None = None, **changes: Any) -> AsyncIterator[Store]:
    """A new bucket of the store there, which keeps its buckets in that folder; `changes` are of its S3Options."""
    chosen = options(endpoint_url, **changes)
    async with open_storage(chosen) as storage:
        await storage.client.create_bucket(Bucket=chosen.bucket)
        yield Store(chosen, storage, None if folder is None else folder / chosen.bucket)


@pytest.fixture
async def rclone_store(rclone_server: Rclone) -> AsyncIterator[Store]:
    """An empty bucket of the embedded store."""
    async with empty_bucket(rclone_server.url, rclone_server.folder) as found:
        yield found


@pytest.fixture
async def moto_store(moto_server: tuple[str, FaultyS3], faults: FaultyS3) -> AsyncIterator[Store]:
    """An empty bucket of moto, which `faults` can spoil."""
    async with empty_bucket(moto_server[0]) as found:
        faults.restore()
        yield found


@pytest.fixture
async def ceph_store() -> AsyncIterator[Store]:
    """An empty bucket of Ceph, which knows neither class nor encryption that nobody has configured there."""
    async with empty_bucket(os.environ[CEPH_ADDRESS], storage_class="STANDARD", sse="none") as found:
        yield found


@pytest.fixture(params=["rclone", "moto", *(["ceph"] if CEPH_ADDRESS in os.environ else [])])
def store(request: pytest.FixtureRequest) -> Store:
    """Each of them, for what every store promises."""
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found
