"""`configurar-s3`: the bucket becomes what it should be, once, and what cannot be is said."""

import asyncio
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from app.errors import StorageCredentialsRefused, StorageUnavailable
from app.storage.bucket import TRIAL, Outcome, configure_bucket
from app.storage.s3 import open_storage
from tests.storage.conftest import Store
from tests.support.ceph import ADDRESS
from tests.support.chunked import chunked
from tests.support.fault import Environ, FaultyS3

SETTINGS = ["acceso público", "privado", "cifrado", "versiones", "ciclo de vida"]


def stores_trial(environ: Environ) -> bool:
    """Whether the request stores one of the objects by which a bucket is tried."""
    return environ["REQUEST_METHOD"] in {"PUT", "POST"} and "/revision/" in environ["PATH_INFO"]


async def outcomes(store: Store, **wanted: Any) -> dict[str, Outcome]:
    settings = await configure_bucket(store.storage, **wanted)
    assert all(setting.detail for setting in settings)
    return {setting.name: setting.outcome for setting in settings}


async def test_a_new_bucket_is_made_and_the_second_time_nothing_is_changed(
    moto_store: Store, faults: FaultyS3
) -> None:
    async with open_storage(replace(moto_store.options, bucket=f"{moto_store.options.bucket}-new")) as storage:
        new = Store(storage.options, storage, None)
        first = await outcomes(new, lock_days=7)
        # A new bucket is private, and one that is made with a lock is versioned.
        already = {name for name, outcome in first.items() if outcome is Outcome.ALREADY}
        assert already == {"privado", "versiones"}
        assert Outcome.UNSUPPORTED not in first.values()
        faults.restore()
        again = await outcomes(new, lock_days=7)
        assert again.pop(TRIAL) is Outcome.WORKS
        assert set(again.values()) == {Outcome.ALREADY}
        # All that is written is what tries the bucket: small, and in two parts.
        written = [operation for operation, _ in faults.seen if operation not in {"get", "head", "list"}]
        in_parts = ["create", "upload_part", "upload_part", "complete"]
        assert [operation for operation in written if operation != "delete"] == ["put", *in_parts]
        await storage.check()


async def test_the_bucket_is_then_private_encrypted_versioned_and_tidy(moto_store: Store) -> None:
    client, bucket = moto_store.storage.client, moto_store.options.bucket
    await client.put_bucket_acl(Bucket=bucket, ACL="public-read")
    await client.delete_public_access_block(Bucket=bucket)
    found = await outcomes(moto_store, noncurrent_days=10, abort_days=3)
    assert found == {"bucket": Outcome.ALREADY, TRIAL: Outcome.WORKS} | dict.fromkeys(SETTINGS, Outcome.CHANGED)
    block = await client.get_public_access_block(Bucket=bucket)
    assert set(block["PublicAccessBlockConfiguration"].values()) == {True}
    grants = (await client.get_bucket_acl(Bucket=bucket))["Grants"]
    assert not [grant for grant in grants if "URI" in grant["Grantee"]]
    encryption = await client.get_bucket_encryption(Bucket=bucket)
    rule = encryption["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert (await client.get_bucket_versioning(Bucket=bucket))["Status"] == "Enabled"
    rules = (await client.get_bucket_lifecycle_configuration(Bucket=bucket))["Rules"]
    assert [rule["Filter"]["Prefix"] for rule in rules] == ["backups/", "backups/", "exportaciones/"]
    assert rules[0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 3}
    assert rules[1]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 10}
    assert (rules[2]["Expiration"], rules[2]["NoncurrentVersionExpiration"]) == ({"Days": 8}, {"NoncurrentDays": 1})


async def test_only_what_is_wrong_is_changed(moto_store: Store) -> None:
    await configure_bucket(moto_store.storage)
    bucket = moto_store.options.bucket
    await moto_store.storage.client.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}
    )
    found = await outcomes(moto_store, noncurrent_days=31)
    changed = [name for name, outcome in found.items() if outcome is Outcome.CHANGED]
    assert changed == ["versiones", "ciclo de vida"]


async def test_other_peoples_lifecycle_rules_stay(moto_store: Store) -> None:
    client, bucket = moto_store.storage.client, moto_store.options.bucket
    theirs: Any = {
        "ID": "theirs",
        "Status": "Enabled",
        "Filter": {"Prefix": "logs/"},
        "Expiration": {"Days": 5},
    }
    await client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [theirs]})
    for days in (10, 20):
        assert (await outcomes(moto_store, noncurrent_days=days))["ciclo de vida"] is Outcome.CHANGED
    rules = (await client.get_bucket_lifecycle_configuration(Bucket=bucket))["Rules"]
    assert [rule["ID"] for rule in rules] == [
        "theirs",
        "respaldos-subidas-incompletas",
        "respaldos-versiones-anteriores",
        "respaldos-exportaciones",
    ]
    assert rules[0]["Expiration"]["Days"] == 5


async def test_stronger_encryption_stays(moto_store: Store) -> None:
    client, bucket = moto_store.storage.client, moto_store.options.bucket
    kms: Any = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}
    await client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=kms)
    assert (await outcomes(moto_store))["cifrado"] is Outcome.ALREADY


async def test_a_lock_is_made_changed_and_never_weakened(moto_store: Store, faults: FaultyS3) -> None:
    client, bucket = moto_store.storage.client, moto_store.options.bucket
    for days in (5, 9):
        assert (await outcomes(moto_store, lock_days=days))["bloqueo"] is Outcome.CHANGED
        found = await client.get_object_lock_configuration(Bucket=bucket)
        retention = found["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
        assert (retention["Mode"], retention["Days"]) == ("GOVERNANCE", days)
        # moto changes a lock of an empty bucket alone: without what the next time's trial leaves, which is locked.
        faults.refuses = lambda environ: ("403 Forbidden", "AccessDenied") if stores_trial(environ) else None
    await client.put_object_lock_configuration(
        Bucket=bucket,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}},
        },
    )
    assert (await outcomes(moto_store, lock_days=9))["bloqueo"] is Outcome.ALREADY
    assert "bloqueo" not in await outcomes(moto_store)


async def test_the_embedded_store_says_what_it_has_not_and_keeps_its_objects(rclone_store: Store) -> None:
    stored = await rclone_store.storage.upload("backups/1/k", chunked(b"content"))
    for _ in range(2):
        found = await outcomes(rclone_store, lock_days=3)
        unsupported = {name for name, outcome in found.items() if outcome is Outcome.UNSUPPORTED}
        assert unsupported == {"acceso público", "cifrado", "versiones", "ciclo de vida", "bloqueo"}
        assert Outcome.CHANGED not in found.values()
    await rclone_store.storage.read_back(stored)
    assert await rclone_store.leftovers() == ["object backups/1/k", "file k"]


async def test_the_embedded_stores_bucket_is_made(rclone_store: Store) -> None:
    async with open_storage(replace(rclone_store.options, bucket=f"{rclone_store.options.bucket}-new")) as storage:
        assert (await configure_bucket(storage))[0].outcome is Outcome.CHANGED
        await storage.check()
        assert (await configure_bucket(storage))[0].outcome is Outcome.ALREADY


async def test_a_refusal_is_no_unsupported_setting(rclone_store: Store, moto_store: Store, faults: FaultyS3) -> None:
    async with open_storage(replace(rclone_store.options, secret_access_key="wrong")) as storage:
        with pytest.raises(StorageCredentialsRefused):
            await configure_bucket(storage)
    faults.fail("put", "503")
    with pytest.raises(StorageUnavailable):
        await configure_bucket(moto_store.storage)


async def test_a_look_says_what_is_not_right_and_changes_nothing(moto_store: Store, faults: FaultyS3) -> None:
    faults.restore()
    found = await outcomes(moto_store, look=True)
    assert found["bucket"] is Outcome.ALREADY
    assert {name for name, outcome in found.items() if outcome is Outcome.WRONG} >= {"versiones", "ciclo de vida"}
    assert {name for name, _ in faults.seen} <= {"get", "head"}
    await configure_bucket(moto_store.storage)
    assert set((await outcomes(moto_store, look=True)).values()) == {Outcome.ALREADY}
    assert await moto_store.leftovers() == []
    client, bucket = moto_store.storage.client, moto_store.options.bucket
    await client.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert (await outcomes(moto_store, look=True))["privado"] is Outcome.WRONG
    async with open_storage(replace(moto_store.options, bucket="no-hay")) as storage:
        (missing,) = await configure_bucket(storage, look=True)
        assert missing.outcome is Outcome.WRONG


CLASS, CIPHER = "HTTP_X_AMZ_STORAGE_CLASS", "HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION"


@pytest.mark.parametrize(
    ("unknown", "named"),
    [
        ([CLASS], ["S3_STORAGE_CLASS=STANDARD"]),
        ([CIPHER], ["S3_SSE=none"]),
        ([CLASS, CIPHER], ["S3_STORAGE_CLASS=STANDARD", "S3_SSE=none"]),
    ],
)
async def test_a_setting_of_ours_that_the_store_does_not_know_is_named_and_the_rest_is_done(
    moto_store: Store, faults: FaultyS3, unknown: list[str], named: list[str]
) -> None:
    def refuses(environ: Environ) -> tuple[str, str] | None:
        refused = any(environ.get(name, "STANDARD") != "STANDARD" for name in unknown)
        return ("400 Bad Request", "InvalidArgument") if refused else None

    faults.refuses = refuses
    settings = {setting.name: setting for setting in await configure_bucket(moto_store.storage)}
    assert settings[TRIAL].outcome is Outcome.REFUSED
    assert [
        s for s in ("S3_STORAGE_CLASS=STANDARD", "S3_SSE=none", "S3_CHECKSUMS=none") if s in settings[TRIAL].detail
    ] == named
    assert settings["versiones"].outcome is settings["ciclo de vida"].outcome is Outcome.CHANGED
    assert await moto_store.leftovers() == []


async def test_a_setting_of_the_bucket_that_keeps_backups_out_is_undone(moto_store: Store, faults: FaultyS3) -> None:
    blocked = False

    def refuses(environ: Environ) -> tuple[str, str] | None:
        # As Ceph does with BlockPublicAcls.
        nonlocal blocked
        query, method = environ.get("QUERY_STRING", ""), environ["REQUEST_METHOD"]
        if query == "publicAccessBlock" and method in {"PUT", "DELETE"}:
            blocked = method == "PUT"
        return ("403 Forbidden", "AccessDenied") if blocked and stores_trial(environ) else None

    faults.refuses = refuses
    found = await outcomes(moto_store, lock_days=3)
    assert found.pop("acceso público") is Outcome.UNDONE
    assert not blocked
    assert Outcome.REFUSED not in found.values()
    assert {found[name] for name in ("cifrado", "versiones", "ciclo de vida", "bloqueo")} == {Outcome.CHANGED}
    with pytest.raises(ClientError, match="NoSuchPublicAccessBlock"):
        await moto_store.storage.client.get_public_access_block(Bucket=moto_store.options.bucket)


async def test_a_bucket_that_takes_nothing_says_so_and_what_the_store_refuses(
    moto_store: Store, faults: FaultyS3
) -> None:
    def refuses(environ: Environ) -> tuple[str, str] | None:
        if environ.get("QUERY_STRING") == "versioning" and environ["REQUEST_METHOD"] == "PUT":
            return "400 Bad Request", "InvalidRequest"
        return ("403 Forbidden", "AccessDenied") if stores_trial(environ) else None

    faults.refuses = refuses
    found = await outcomes(moto_store)
    assert found[TRIAL] is found["versiones"] is Outcome.REFUSED
    assert found["ciclo de vida"] is Outcome.CHANGED


@pytest.mark.skipif(ADDRESS not in os.environ, reason="a real Ceph, by `make ceph`")
async def test_what_keeps_backups_out_of_ceph(ceph_store: Store) -> None:
    """Debian's Ceph 16: with BlockPublicAcls it refuses every upload, and it knows no class that nobody has made."""
    usual = replace(ceph_store.options, storage_class="STANDARD_IA", sse="AES256")
    found = await configure_bucket(ceph_store.storage.with_options(usual), lock_days=3)
    settings = {setting.name: setting for setting in found}
    assert "ponga S3_STORAGE_CLASS=STANDARD y S3_SSE=none, con lo que" in settings[TRIAL].detail
    assert settings["acceso público"].outcome is Outcome.UNDONE
    assert settings["versiones"].outcome is settings["ciclo de vida"].outcome is Outcome.CHANGED
    assert settings["bloqueo"].outcome is Outcome.UNSUPPORTED
    await ceph_store.storage.read_back(await ceph_store.storage.upload("backups/1/k", chunked(b"content")))


async def test_the_documented_way_back_of_an_object_that_was_deleted(moto_store: Store) -> None:
    page = (Path(__file__).parents[2] / "docs" / "stores.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    await configure_bucket(moto_store.storage)
    stored = await moto_store.storage.upload("backups/1/k", chunked(b"content"))
    await moto_store.storage.delete(stored.key)
    assert await moto_store.storage.head(stored.key) is None
    given = {
        "endpoint": moto_store.options.endpoint_url,
        "key_id": moto_store.options.access_key_id,
        "secret": moto_store.options.secret_access_key,
        "bucket": moto_store.options.bucket,
        "key": stored.key,
    }
    await asyncio.to_thread(exec, code, given)
    await moto_store.storage.read_back(stored)
