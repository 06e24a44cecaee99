"""Everything that S3, botocore or the network can raise becomes an error of this service."""

import asyncio
from typing import Any

import aiohttp
import botocore.exceptions
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from app.errors import (
    BucketNotFound,
    ObjectMismatch,
    ObjectNotFound,
    StorageCredentialsRefused,
    StorageError,
    StorageFull,
    StorageUnavailable,
)
from app.storage.errors import s3_errors


def subclasses(root: type[BaseException]) -> list[type[BaseException]]:
    return [root, *(found for child in root.__subclasses__() for found in subclasses(child))]


def refusal(code: str, status: int, message: str = "words of S3") -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "PutObject")


def translated(error: BaseException) -> StorageError:
    with pytest.raises(StorageError) as raised, s3_errors("el-bucket", "la/clave"):
        raise error
    assert raised.value.__cause__ is error
    assert "«el-bucket»" in str(raised.value)
    assert "«la/clave»" in str(raised.value)
    return raised.value


@pytest.mark.parametrize("kind", sorted(subclasses(BotoCoreError), key=str), ids=lambda kind: kind.__name__)
def test_every_error_of_botocore_is_translated(kind: type[BotoCoreError]) -> None:
    error = kind.__new__(kind)
    Exception.__init__(error, "words")
    translated(error)


@pytest.mark.parametrize(
    "error",
    [
        aiohttp.ClientPayloadError("cut"),
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientOSError(104, "reset"),
        ConnectionResetError("reset"),
        TimeoutError(),
        botocore.exceptions.ReadTimeoutError(endpoint_url="http://x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_networks_errors_may_pass(error: Exception) -> None:
    found = translated(error)
    assert isinstance(found, StorageUnavailable)
    assert found.transient
    assert "AWS_ENDPOINT_URL_S3" in str(found)


@pytest.mark.parametrize(
    ("code", "status", "kind", "names"),
    [
        ("NoSuchBucket", 404, BucketNotFound, "AWS_BACKUP_BUCKET_NAME"),
        ("NoSuchKey", 404, ObjectNotFound, "no existe"),
        ("NoSuchUpload", 404, StorageUnavailable, "ya no existe"),
        ("InvalidAccessKeyId", 403, StorageCredentialsRefused, "AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", 403, StorageCredentialsRefused, "AWS_SECRET_ACCESS_KEY"),
        ("ExpiredToken", 400, StorageCredentialsRefused, "AWS_ACCESS_KEY_ID"),
        ("AccessDenied", 403, StorageCredentialsRefused, "permisos"),
        ("403", 403, StorageCredentialsRefused, "permisos"),
        ("RequestTimeTooSkewed", 403, StorageCredentialsRefused, "reloj"),
        ("InternalError", 500, StorageUnavailable, "words of S3"),
        ("InternalError", 200, StorageUnavailable, "words of S3"),
        ("SlowDown", 503, StorageUnavailable, "SlowDown"),
        ("RequestTimeout", 400, StorageUnavailable, "RequestTimeout"),
        ("TooManyRequests", 429, StorageUnavailable, "TooManyRequests"),
        ("QuotaExceeded", 403, StorageFull, "espacio"),
        ("XMinioStorageFull", 507, StorageFull, "espacio"),
        ("BadDigest", 400, ObjectMismatch, "bytes"),
        ("PermanentRedirect", 301, StorageError, "AWS_S3_REGION_NAME"),
        ("AuthorizationHeaderMalformed", 400, StorageError, "AWS_S3_REGION_NAME"),
        ("InvalidStorageClass", 400, StorageError, "S3_STORAGE_CLASS"),
        ("KMS.NotFoundException", 400, StorageError, "S3_SSE_KMS_KEY_ID"),
        ("NotImplemented", 501, StorageError, "S3_CHECKSUMS"),
        ("InvalidRequest", 400, StorageError, "words of S3"),
    ],
)
def test_refusals_are_told_apart(code: str, status: int, kind: type[StorageError], names: str) -> None:
    found = translated(refusal(code, status))
    assert type(found) is kind
    assert names in str(found)


def test_a_disk_that_a_store_says_is_full() -> None:
    said = "write /data/x: no space left on device"
    assert isinstance(translated(refusal("InternalError", 500, said)), StorageFull)


def test_an_error_of_ours_and_a_cancellation_pass_untouched() -> None:
    for ours in (ValueError("a bug"), asyncio.CancelledError(), StorageFull("already")):
        with pytest.raises(type(ours)) as raised, s3_errors("b"):
            raise ours
        assert raised.value is ours
