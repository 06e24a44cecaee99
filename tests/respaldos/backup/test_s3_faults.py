"""What S3 does wrong ends the backup `fallido`, names bucket and key, and leaves nothing behind."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from app.errors import (
    BucketNotFound,
    ObjectMismatch,
    StorageCredentialsRefused,
    StorageError,
    StorageFull,
    StorageUnavailable,
)
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from app.storage.s3 import S3Storage, StoredObject, open_storage
from tests.respaldos.conftest import LARGE, PART, SMALL, assert_consistent, assert_failed, back_up, opened
from tests.storage.conftest import Store, options
from tests.support.fault import FaultyS3, Kind
from tests.support.rclone import rclone

KINDS: tuple[Kind, ...] = ("500", "503", "cut before", "cut after", "slow")


async def test_a_bucket_that_does_not_exist(store: Store, database: str, conn: asyncpg.Connection) -> None:
    async with opened(store, service=database, bucket="no-hay-tal") as resources:
        with pytest.raises(BucketNotFound, match=r"no-hay-tal.*AWS_BACKUP_BUCKET_NAME"):
            await back_up(resources)
    await assert_failed(conn, store, "bucket_inexistente", "no-hay-tal", "AWS_BACKUP_BUCKET_NAME")


async def test_wrong_credentials(store: Store, database: str, conn: asyncpg.Connection) -> None:
    async with opened(store, service=database, secret_access_key="no-es-la-clave") as resources:
        with pytest.raises(StorageCredentialsRefused) as raised:
            await back_up(resources)
    assert "no-es-la-clave" not in str(raised.value)
    await assert_failed(conn, store, "credenciales_rechazadas", "AWS_SECRET_ACCESS_KEY", store.options.bucket)


async def test_a_store_that_is_down(store: Store, database: str, conn: asyncpg.Connection) -> None:
    async with opened(store, service=database, endpoint_url="http://127.0.0.1:9") as resources:
        with pytest.raises(StorageUnavailable, match="AWS_ENDPOINT_URL_S3"):
            await back_up(resources)
    await assert_failed(conn, store, "almacenamiento_no_disponible", "AWS_ENDPOINT_URL_S3")


@pytest.mark.parametrize(
    ("clinica_id", "operation", "nth", "kind"),
    [
        *((SMALL, "put", 1, kind) for kind in KINDS),
        *((LARGE, "create", 1, kind) for kind in KINDS),
        *((LARGE, "upload_part", nth, kind) for nth in (1, 3, 5) for kind in ("500", "cut before", "cut after")),
        (LARGE, "upload_part", 2, "slow"),
        *((LARGE, "complete", 1, kind) for kind in KINDS),
        *((SMALL, "get", 1, kind) for kind in ("503", "cut before", "slow")),
        *((LARGE, "get", 1, kind) for kind in (*KINDS, "short")),
    ],
)
async def test_a_store_that_fails_at_any_step(
    moto_store: Store,
    faults: FaultyS3,
    database: str,
    conn: asyncpg.Connection,
    clinica_id: int,
    operation: str,
    nth: int,
    kind: Kind,
) -> None:
    async with opened(moto_store, service=database, read_timeout=0.3) as resources:
        # As often as aiohttp resends by itself on a connection that was used before.
        faults.fail(operation, kind, nth=nth, times=2 if kind.startswith("cut") else 1, seconds=0.6)
        with pytest.raises(StorageError, match=moto_store.options.bucket):
            await back_up(resources, clinica_id)
        if kind in ("slow", "cut after"):
            # What S3 carries out after the failed backup has cleaned up goes with the next command.
            await until_idle(faults)
            await reconciliar(resources)
    await assert_failed(conn, moto_store, "almacenamiento_no_disponible", moto_store.options.bucket)


async def until_idle(faults: FaultyS3) -> None:
    async with asyncio.timeout(10):
        while faults.answering:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("operation", ["put", "create", "upload_part", "complete", "get"])
async def test_a_passing_fault_is_overcome(
    moto_store: Store, faults: FaultyS3, database: str, conn: asyncpg.Connection, operation: str
) -> None:
    async with opened(moto_store, service=database, attempts=2) as resources:
        faults.fail(operation, "503")
        assert (await back_up(resources, SMALL if operation == "put" else LARGE)).estado == "completado"
    await assert_consistent(conn, moto_store)


async def test_an_object_that_reads_back_different(
    resources: Resources, store: Store, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = S3Storage.upload

    async def and_a_bit_falls_over(storage: S3Storage, key: str, *args: object, **more: object) -> StoredObject:
        stored = await upload(storage, key, *args, **more)  # type: ignore[arg-type]
        assert store.folder is not None
        path = store.folder / key
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        return stored

    monkeypatch.setattr(S3Storage, "upload", and_a_bit_falls_over)
    with pytest.raises(ObjectMismatch, match="MD5"):
        await back_up(resources, LARGE)
    await assert_failed(conn, store, "objeto_distinto", store.options.bucket, "backups/1/")


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit stands in for a full disk")
async def test_a_full_disk(tmp_path: Path, database: str, conn: asyncpg.Connection) -> None:
    with rclone(tmp_path / "data", wrapper=("prlimit", f"--fsize={PART}")) as server:
        chosen = options(server.url)
        async with open_storage(chosen) as storage:
            await storage.client.create_bucket(Bucket=chosen.bucket)
            store = Store(chosen, storage, server.folder / chosen.bucket)
            async with opened(store, service=database) as resources:
                with pytest.raises(StorageError, match=chosen.bucket):
                    await back_up(resources, LARGE)
            await assert_failed(conn, store, (await last_code(conn)), chosen.bucket)


async def last_code(conn: asyncpg.Connection) -> str:
    found: str = await conn.fetchval(
        "SELECT metadata->>'error_type' FROM respaldos.respaldo ORDER BY id DESC LIMIT 1"
    )
    return found


async def test_a_full_disk_of_the_embedded_store_is_told(
    store: Store, database: str, conn: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The embedded store answers as if it were unwell; only the disk says why.
    monkeypatch.setattr("app.storage.upload.disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    broken = replace(store.options, endpoint_url="http://127.0.0.1:9", folder=tmp_path)
    async with opened(Store(broken, store.storage, store.folder), service=database) as resources:
        with pytest.raises(StorageFull, match=f"{tmp_path} está lleno"):
            await back_up(resources)
    await assert_failed(conn, store, "almacenamiento_lleno", str(tmp_path), "RESPALDOS_HOME")
