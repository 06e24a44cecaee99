"""What every store promises: what was stored comes back, and what is missing or refused says so."""

import asyncio
import hashlib
import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from app.errors import (
    BucketNotFound,
    ObjectMismatch,
    ObjectNotFound,
    SettingsError,
    StorageCredentialsRefused,
    StorageUnavailable,
)
from app.storage.s3 import S3Storage, open_storage
from tests.storage.conftest import PART, Store
from tests.support.chunked import chunked
from tests.support.fault import FaultyS3, Kind
from tests.support.rclone import KEY, SECRET, Rclone


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Ask until the answer is yes; an error after ten seconds."""
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


async def content_of(storage: S3Storage, key: str) -> bytes:
    async with storage.download(key) as pieces:
        return b"".join([piece async for piece in pieces])


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 5 * PART, 5 * PART + 7])
async def test_what_was_uploaded_comes_back(store: Store, size: int) -> None:
    content = random.Random(size).randbytes(size)
    before = datetime.now(UTC) - timedelta(seconds=2)
    stored = await store.storage.upload("backups/1/año.json.gz", chunked(content), part_size=PART)
    assert (stored.size, stored.md5) == (size, hashlib.md5(content, usedforsecurity=False).hexdigest())
    assert await content_of(store.storage, stored.key) == content
    arrived: list[int] = []
    await store.storage.read_back(stored, on_bytes=arrived.append)
    assert sum(arrived) == size
    info = await store.storage.head(stored.key)
    assert info is not None
    assert (info.key, info.size) == (stored.key, size)
    assert info.modified.utcoffset() == timedelta(0)
    assert before <= info.modified <= datetime.now(UTC) + timedelta(seconds=2)


async def test_chunks_larger_than_parts_are_cut(store: Store) -> None:
    content = random.Random(1).randbytes(4 * PART + 1)
    stored = await store.storage.upload("k", chunked(content, 3 * PART + 11), part_size=PART)
    await store.storage.read_back(stored)
    assert await content_of(store.storage, "k") == content


async def test_parts_are_equal_and_three_at_most_are_in_flight(moto_store: Store, faults: FaultyS3) -> None:
    faults.fail("upload_part", "slow", times=99, seconds=0.02)
    await moto_store.storage.upload("k", chunked(bytes(9 * PART + 5)), part_size=PART)
    sizes = [size for name, size in faults.seen if name == "upload_part"]
    assert sorted(sizes) == [5, *[PART] * 9]
    assert faults.most_parts == 3


async def test_objects_are_encrypted_gzip_files_of_the_chosen_class(moto_store: Store) -> None:
    for key, size in (("one", 10), ("many", 3 * PART)):
        await moto_store.storage.upload(key, chunked(bytes(size)), part_size=PART)
        found = dict(await moto_store.storage.client.head_object(Bucket=moto_store.options.bucket, Key=key))
        assert found["ContentType"] == "application/gzip"
        assert "ContentEncoding" not in found
        assert found["ServerSideEncryption"] == "AES256"
        assert found["StorageClass"] == "STANDARD_IA"


async def test_a_store_that_refuses_extras_is_sent_none(moto_store: Store) -> None:
    plain = replace(moto_store.options, sse="none", checksums="none", storage_class="STANDARD")
    async with open_storage(plain) as storage:
        stored = await storage.upload("k", chunked(bytes(2 * PART)), part_size=PART)
        await storage.read_back(stored)
        found = await storage.client.head_object(Bucket=plain.bucket, Key="k", ChecksumMode="ENABLED")
    assert not {"ServerSideEncryption", "ChecksumSHA256", "StorageClass"} & set(found)


async def test_what_is_missing(store: Store) -> None:
    storage = store.storage
    stored = await storage.upload("there", chunked(b"x"))
    await storage.delete("there")
    await storage.delete("there")
    assert await storage.head("there") is None
    with pytest.raises(ObjectNotFound, match="«there»"):
        await storage.read_back(stored)
    with pytest.raises(ObjectNotFound, match="«there»"):
        await content_of(storage, "there")
    assert await store.leftovers() == []


async def test_list_goes_over_pages_and_keeps_to_its_prefix(rclone_store: Store, rclone_server: Rclone) -> None:
    assert rclone_store.folder is not None
    names = [f"{number:04}" for number in range(1003)]
    for folder in ("a", "b"):
        (rclone_store.folder / folder).mkdir()
    for name in names:
        (rclone_store.folder / "a" / name).write_bytes(b"12")
    (rclone_store.folder / "b" / "x").write_bytes(b"")
    rclone_server.look_again()
    await until(lambda: rclone_store.storage.head("b/x"))
    found = [item async for item in rclone_store.storage.list("a/")]
    assert [item.key for item in found] == [f"a/{name}" for name in names]
    assert {(item.size, item.modified.utcoffset()) for item in found} == {(2, timedelta(0))}
    assert [item.key async for item in rclone_store.storage.list("b/")] == ["b/x"]
    assert [item.key async for item in rclone_store.storage.list("nothing")] == []


async def test_a_presigned_address_downloads_without_credentials(store: Store) -> None:
    await store.storage.upload("backups/1/f.json.gz", chunked(b"content"))
    url = await store.storage.presign("backups/1/f.json.gz", seconds=60, filename="clínica 1.json.gz")
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert (answer.status, await answer.read()) == (200, b"content")
        if store.folder is None:
            disposition = answer.headers["Content-Disposition"]
            assert disposition == "attachment; filename*=UTF-8''cl%C3%ADnica%201.json.gz"


async def test_a_presigned_address_holds_for_its_object_only(rclone_store: Store) -> None:
    for key in ("a", "b"):
        await rclone_store.storage.upload(key, chunked(b"content"))
    url = await rclone_store.storage.presign("a", seconds=60, filename="a")
    async with aiohttp.ClientSession() as session, session.get(url.replace("/a?", "/b?")) as answer:
        assert answer.status == 403


async def test_presigned_addresses_carry_the_public_endpoint(rclone_store: Store) -> None:
    public = replace(rclone_store.options, public_endpoint_url="https://s3.clinica.example")
    async with open_storage(public) as storage:
        url = await storage.presign("k", seconds=60, filename="k")
    assert url.startswith(f"https://s3.clinica.example/{public.bucket}/k?")


async def test_a_missing_bucket_is_named(store: Store) -> None:
    async with open_storage(replace(store.options, bucket="no-such-bucket")) as storage:
        calls = (
            storage.check(),
            storage.head("k"),
            storage.upload("k", chunked(b"x")),
            storage.upload("k", chunked(bytes(2 * PART)), part_size=PART),
            content_of(storage, "k"),
            anext(storage.list()),
        )
        for call in calls:
            with pytest.raises(BucketNotFound, match=r"«no-such-bucket».*AWS_BACKUP_BUCKET_NAME"):
                await call


@pytest.mark.parametrize(("key_id", "secret"), [(KEY, "wrong"), ("wrong", SECRET)])
async def test_wrong_credentials_are_named_without_the_secret(rclone_store: Store, key_id: str, secret: str) -> None:
    options = replace(rclone_store.options, access_key_id=key_id, secret_access_key=secret)
    async with open_storage(options) as storage:
        for call in (storage.check(), storage.upload("k", chunked(b"x")), storage.head("k")):
            with pytest.raises(StorageCredentialsRefused, match="AWS_ACCESS_KEY_ID") as raised:
                await call
            assert SECRET not in str(raised.value)
    assert await rclone_store.leftovers() == []


async def test_no_credentials_at_all_are_asked_for(rclone_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    bare = replace(rclone_store.options, access_key_id=None, secret_access_key=None)
    async with open_storage(bare) as storage:
        with pytest.raises(StorageCredentialsRefused, match="AWS_SECRET_ACCESS_KEY"):
            await storage.check()


async def test_an_address_that_is_none_is_a_setting(rclone_store: Store) -> None:
    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL_S3"):
        async with open_storage(replace(rclone_store.options, endpoint_url="http://bad host")):
            pass


def test_the_secret_is_not_in_the_representation(rclone_store: Store) -> None:
    assert str(rclone_store.options.secret_access_key) not in repr(rclone_store.options)


async def test_the_environments_proxy_is_not_asked_for_this_machine(
    rclone_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with open_storage(rclone_store.options) as storage:
        await storage.check()


@pytest.mark.parametrize("position", [0, 100_000, 5 * PART - 1])
async def test_read_back_finds_one_changed_bit(rclone_store: Store, position: int) -> None:
    stored = await rclone_store.storage.upload("k", chunked(bytes(5 * PART)), part_size=PART)
    await rclone_store.storage.read_back(stored)
    assert rclone_store.folder is not None
    path = rclone_store.folder / "k"
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(position)
        file.write(b"\x01")
    # A disk that forgets a bit does not change the time, which rclone looks at.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ObjectMismatch, match=f"«k».*{stored.md5}"):
        await rclone_store.storage.read_back(stored)


async def test_read_back_finds_another_object_of_the_same_size(store: Store) -> None:
    stored = await store.storage.upload("k", chunked(bytes(100)))
    await store.storage.upload("k", chunked(b"\x01" * 100))
    with pytest.raises(ObjectMismatch, match="«k»"):
        await store.storage.read_back(stored)


async def test_read_back_finds_a_shorter_object(rclone_store: Store, rclone_server: Rclone) -> None:
    stored = await rclone_store.storage.upload("k", chunked(bytes(1000)))
    assert rclone_store.folder is not None
    (rclone_store.folder / "k").write_bytes(bytes(999))
    rclone_server.look_again()

    async def noticed() -> bool:
        info = await rclone_store.storage.head("k")
        return info is not None and info.size == 999

    await until(noticed)
    with pytest.raises(ObjectMismatch, match="999 bytes y se enviaron 1000"):
        await rclone_store.storage.read_back(stored)


@pytest.mark.parametrize("kind", ["500", "503", "cut before", "short", "slow"])
async def test_a_failing_read_is_no_verdict(moto_store: Store, faults: FaultyS3, kind: Kind) -> None:
    impatient = replace(moto_store.options, read_timeout=0.5)
    stored = await moto_store.storage.upload("k", chunked(bytes(9 * PART)), part_size=PART)
    async with open_storage(impatient) as storage:
        # aiohttp sends a GET again by itself where the connection was cut.
        times = 2 if kind == "cut before" else 1
        faults.fail("get", kind, times=times)
        with pytest.raises(StorageUnavailable, match=r"«k».*AWS_ENDPOINT_URL_S3"):
            await storage.read_back(stored)
        faults.fail("get", kind, times=times)
        with pytest.raises(StorageUnavailable, match="«k»"):
            await content_of(storage, "k")
        await storage.read_back(stored)


async def test_leaving_a_download_early_frees_the_connection(store: Store) -> None:
    content = bytes(40 * PART)
    await store.storage.upload("k", chunked(content))
    for _ in range(15):
        # More often than there are connections in the pool.
        async with store.storage.download("k") as pieces:
            assert await anext(pieces)
    assert await content_of(store.storage, "k") == content


async def test_an_error_of_the_reader_is_not_taken_for_the_stores(store: Store) -> None:
    await store.storage.upload("k", chunked(b"x"))

    async def read() -> None:
        async with store.storage.download("k") as pieces:
            async for _ in pieces:
                raise OSError("the reader's own")

    with pytest.raises(OSError, match="the reader's own"):
        await read()


async def test_a_probe_leaves_nothing_and_tells_the_time(store: Store) -> None:
    await store.storage.probe("backups/revision/x")
    assert [found.key async for found in store.storage.list("backups/")] == []
    ahead = await store.storage.ahead()
    assert ahead is not None
    assert abs(ahead) < 30
