"""An error means that nothing is stored: whatever fails, and whenever the upload is cancelled."""

import asyncio
import subprocess
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.errors import StorageError, StorageFull, StorageUnavailable
from app.storage import upload
from app.storage.s3 import S3Storage, StoredObject, open_storage
from tests.storage.conftest import PART, Store, options
from tests.support.fault import FaultyS3, Kind
from tests.support.rclone import rclone
from tests.support.tcp_proxy import Direction, TcpProxy, tcp_proxy

MANY = 6
"""Parts of an upload that is to fail in the middle: more than are in flight at once."""


async def pieces(parts: int, *, extra: int = 1) -> AsyncIterator[bytes]:
    """So many parts and some bytes, with a turn of the event loop before each piece, as a real source has."""
    for _ in range(parts * 2):
        await asyncio.sleep(0)
        yield bytes(PART // 2)
    yield bytes(extra)


async def send(storage: S3Storage, parts: int = MANY, key: str = "k") -> StoredObject:
    return await storage.upload(key, pieces(parts), part_size=PART)


class SourceFailed(Exception):
    """What the source of the bytes raises; it must come through as it is."""


@pytest.mark.parametrize("before_failing", [0, 1, 2, 3, 9, 2 * MANY])
async def test_a_source_that_fails_leaves_nothing_and_is_heard(store: Store, before_failing: int) -> None:
    failure = SourceFailed("half-way")

    async def source() -> AsyncIterator[bytes]:
        for _ in range(before_failing):
            yield bytes(PART // 2)
        raise failure

    with pytest.raises(SourceFailed) as raised:
        await store.storage.upload("k", source(), part_size=PART)
    assert raised.value is failure
    assert await store.leftovers() == []


@pytest.mark.parametrize("kind", ["500", "503", "cut before", "cut after", "slow"])
@pytest.mark.parametrize(
    ("operation", "nth", "parts"),
    [("put", 1, 0), ("create", 1, MANY), ("upload_part", 1, MANY), ("upload_part", 5, MANY), ("complete", 1, MANY)],
)
async def test_a_store_that_fails_at_any_step(
    moto_store: Store, faults: FaultyS3, operation: str, nth: int, parts: int, kind: Kind
) -> None:
    async with open_storage(replace(moto_store.options, read_timeout=0.3)) as storage:
        faults.fail(operation, kind, nth=nth, seconds=0.6)
        with pytest.raises(StorageUnavailable, match=r"«k».*AWS_ENDPOINT_URL_S3"):
            await send(storage, parts)
    if operation == "create" and kind in ("cut after", "slow"):
        # Answered too late to be seen by the clean-up: what `discard` is for.
        await until_idle(faults)
        await moto_store.storage.discard("k")
    assert await moto_store.leftovers() == []


async def until_idle(faults: FaultyS3) -> None:
    async with asyncio.timeout(10):
        while faults.answering:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("operation", ["put", "create", "upload_part", "complete"])
@pytest.mark.parametrize("kind", ["503", "cut after"])
async def test_a_passing_fault_is_overcome(moto_store: Store, faults: FaultyS3, operation: str, kind: Kind) -> None:
    async with open_storage(replace(moto_store.options, attempts=2)) as storage:
        faults.fail(operation, kind)
        stored = await send(storage, 0 if operation == "put" else MANY)
        await storage.read_back(stored)
    left = await moto_store.leftovers()
    if (operation, kind) == ("create", "cut after"):
        # Made twice; the first one's name was never heard.
        left.remove("upload k")
    assert left == ["object k"]


async def test_an_upload_that_somebody_aborted_is_an_error(rclone_store: Store) -> None:
    client, bucket = rclone_store.storage.client, rclone_store.options.bucket

    async def source() -> AsyncIterator[bytes]:
        yield bytes(2 * PART)
        for upload_id in (await client.list_multipart_uploads(Bucket=bucket))["Uploads"]:
            await client.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id["UploadId"])
        yield bytes(1)

    with pytest.raises(StorageUnavailable, match=r"«k».*ya no existe"):
        await rclone_store.storage.upload("k", source(), part_size=PART)
    assert await rclone_store.leftovers() == []


async def test_a_store_that_fails_for_ever_is_given_up_soon(moto_store: Store, faults: FaultyS3) -> None:
    for operation in ("create", "list_uploads"):
        faults.fail(operation, "500", times=99)
    started = time.monotonic()
    async with open_storage(replace(moto_store.options, attempts=3)) as storage:
        with pytest.raises(StorageUnavailable):
            await send(storage)
    # Twice up to 1 + 2 s of pauses: for the creation and for the clean-up.
    assert time.monotonic() - started < 10
    assert [name for name, _ in faults.seen].count("create") == 3


async def test_a_failed_part_stops_a_source_that_is_waiting(moto_store: Store, faults: FaultyS3) -> None:
    async def source() -> AsyncIterator[bytes]:
        yield bytes(2 * PART)
        await asyncio.Event().wait()

    faults.fail("upload_part", "500", nth=2)
    with pytest.raises(StorageUnavailable):
        async with asyncio.timeout(10):
            await moto_store.storage.upload("k", source(), part_size=PART)
    assert await moto_store.leftovers() == []


@pytest.mark.parametrize("parts", [0, MANY])
@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
async def test_cancelled_at_any_moment(store: Store, parts: int, again: bool) -> None:
    """From before the first request until the upload has ended before it could be cancelled."""
    finished = 0
    turns = 0
    while finished < 2:
        task = asyncio.create_task(send(store.storage, parts))
        for _ in range(turns):
            await asyncio.sleep(0.001)
        task.cancel()
        if again:
            await asyncio.sleep(0)
            task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            assert await store.leftovers() == []
        else:
            finished += 1
            await store.storage.delete("k")
        turns += 1 + turns // 4


@pytest.mark.parametrize(
    ("operation", "parts"), [("put", 0), ("create", MANY), ("upload_part", MANY), ("complete", MANY)]
)
async def test_cancelled_while_the_store_works(
    moto_store: Store, faults: FaultyS3, operation: str, parts: int
) -> None:
    """The answer comes after the cancellation: what it made must go all the same."""
    faults.fail(operation, "slow", seconds=0.3)
    task = asyncio.create_task(send(moto_store.storage, parts))
    async with asyncio.timeout(10):
        while operation not in {name for name, _ in faults.seen}:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_idle(faults)
    assert await moto_store.leftovers() == []


async def test_too_many_parts_are_an_error_that_says_what_to_do(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "MAX_PARTS", 3)
    with pytest.raises(StorageError, match=r"«k».*3 partes.*más grandes"):
        await send(store.storage)
    assert await store.leftovers() == []
    await store.storage.upload("k", pieces(MANY), part_size=3 * PART)


async def test_discard_removes_what_a_dead_attempt_left_and_nothing_else(store: Store) -> None:
    client, bucket = store.storage.client, store.options.bucket
    for key in ("k", "k", "k2", "a/k"):
        upload_id = (await client.create_multipart_upload(Bucket=bucket, Key=key))["UploadId"]
        await client.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=1, Body=b"x")
    for key in ("k", "k2"):
        await store.storage.upload(key, pieces(0))
    await store.storage.discard("k")
    assert sorted(await store.uploads()) == ["a/k", "k2"]
    assert [item.key async for item in store.storage.list()] == ["k2"]
    for key in ("k", "k2", "a/k"):
        await store.storage.discard(key)
    assert await store.leftovers() == []


async def test_memory_holds_the_parts_in_flight_and_the_next_one(rclone_store: Store) -> None:
    part, parts = 2**20, 40

    async def source() -> AsyncIterator[bytes]:
        for _ in range(parts * 16):
            yield bytes(part // 16)

    await send(rclone_store.storage)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        await rclone_store.storage.upload("big", source(), part_size=part)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < (upload.PARTS_IN_FLIGHT + 2) * part + 2**20


# The network, between this process and rclone


@asynccontextmanager
async def behind_proxy(store: Store) -> AsyncIterator[tuple[S3Storage, TcpProxy]]:
    """The store, reached through a network that can fail, by a client that soon loses patience."""
    address = urlsplit(store.options.endpoint_url or "")
    async with tcp_proxy(address.hostname or "", address.port or 0) as proxy:
        impatient = replace(
            store.options, endpoint_url=f"http://127.0.0.1:{proxy.port}", connect_timeout=0.5, read_timeout=0.5
        )
        async with open_storage(impatient) as storage:
            yield storage, proxy


@pytest.mark.parametrize("after", [10, PART // 2, PART + PART // 2, 4 * PART, MANY * PART + 3000])
async def test_a_connection_cut_on_the_way_to_the_store(rclone_store: Store, after: int) -> None:
    async with behind_proxy(rclone_store) as (storage, proxy):
        await storage.check()
        proxy.cut(after, times=4)
        with pytest.raises(StorageUnavailable, match=r"«k».*AWS_ENDPOINT_URL_S3"):
            await send(storage)
        assert proxy.cuts
        # Where the clean-up was cut too, it is the next one's turn.
        proxy.restore()
        await storage.discard("k")
    assert await rclone_store.leftovers() == []


async def test_a_connection_cut_once_leaves_nothing_at_once(rclone_store: Store) -> None:
    async with behind_proxy(rclone_store) as (storage, proxy):
        proxy.cut(2 * PART, times=1)
        with pytest.raises(StorageUnavailable):
            await send(storage)
        assert proxy.cuts == 1
        assert await rclone_store.leftovers() == []


@pytest.mark.parametrize("after", [10, 700, 2000])
async def test_an_answer_cut_on_its_way_back(rclone_store: Store, after: int) -> None:
    async with behind_proxy(rclone_store) as (storage, proxy):
        proxy.cut(after, times=2, direction=Direction.TO_CLIENT)
        with pytest.raises(StorageUnavailable):
            await send(storage)
        proxy.restore()
        await storage.discard("k")
    assert await rclone_store.leftovers() == []


async def test_a_store_that_stops_reading_is_given_up(rclone_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "CLEANUP_SECONDS", 0.5)
    started = time.monotonic()
    async with behind_proxy(rclone_store) as (storage, proxy):

        async def source() -> AsyncIterator[bytes]:
            for number in range(4):
                if number == 3:
                    proxy.hang()
                # More than the system's buffers take, so that the connection is really blocked.
                yield bytes(2**24)

        with pytest.raises(StorageUnavailable, match="«k»"):
            await storage.upload("k", source(), part_size=2**24)
        assert time.monotonic() - started < 10
        proxy.restore()
        await storage.discard("k")
    assert await rclone_store.leftovers() == []


async def test_a_slow_network_is_no_failure(rclone_store: Store) -> None:
    async with behind_proxy(rclone_store) as (storage, proxy):
        proxy.delay(0.05)
        await storage.read_back(await send(storage))


@pytest.mark.parametrize("fault", ["refuse", "hang", "drop"])
async def test_a_store_that_is_not_there_is_named(rclone_store: Store, fault: str) -> None:
    async with behind_proxy(rclone_store) as (storage, proxy):
        match fault:
            case "refuse":
                await proxy.refuse()
            case "hang":
                proxy.hang()
            case _:
                proxy.drop()
        named = f"«{storage.options.bucket}».*AWS_ENDPOINT_URL_S3"
        for call in (storage.check(), send(storage, 0), send(storage), storage.head("k")):
            with pytest.raises(StorageUnavailable, match=named):
                await call


# The disk


async def test_a_file_that_the_disk_does_not_take_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files fails rclone's writes as a full disk does, and needs no privileges."""
    with rclone(tmp_path / "small", wrapper=("prlimit", f"--fsize={3 * PART}")) as server:
        async with open_storage(options(server.url)) as storage:
            await storage.client.create_bucket(Bucket=storage.options.bucket)
            small = Store(storage.options, storage, server.folder / storage.options.bucket)
            for part_size in (PART, 2**20):
                with pytest.raises(StorageError, match="«k»"):
                    await storage.upload("k", pieces(MANY), part_size=part_size)
                assert await small.leftovers() == []
            await send(storage, 1)
            assert await small.leftovers() == ["object k", "file k"]


async def test_a_full_disk_of_the_embedded_store_is_named(tmp_path: Path) -> None:
    """A disk of four parts, in a mount namespace of its own, where this system lets users have one."""
    folder = tmp_path / "disk"
    script = f'mount -t tmpfs -o size={4 * PART} tmpfs "$0" && exec "$@"'
    namespace = ("unshare", "--user", "--map-root-user", "--mount")
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here")
    with rclone(folder, wrapper=(*namespace, "sh", "-c", script, str(folder))) as server:
        inside = Path(f"/proc/{server.pid}/root{folder}")
        async with open_storage(options(server.url, folder=inside)) as storage:
            await storage.client.create_bucket(Bucket=storage.options.bucket)
            small = Store(storage.options, storage, inside / storage.options.bucket)
            for part_size in (PART, 2**20):
                with pytest.raises(StorageFull, match=r"«k».*disk está lleno.*RESPALDOS_HOME"):
                    await storage.upload("k", pieces(MANY), part_size=part_size)
                assert await small.leftovers() == []
            await send(storage, 1)
            assert await small.leftovers() == ["object k", "file k"]
