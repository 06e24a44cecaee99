"""The one place where what botocore and aiohttp raise becomes an error of this service."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.errors import (
    BucketNotFound,
    ObjectMismatch,
    ObjectNotFound,
    StorageCredentialsRefused,
    StorageError,
    StorageFull,
    StorageUnavailable,
)

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_BAD_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidSecurity"}
_FULL = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}
_BUSY = {"SlowDown", "RequestTimeout", "ThrottlingException", "TooManyRequests", "OperationAborted"}
_DAMAGED = {"BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidDigest"}
_WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
# What an operating system says inside the InternalError of a store that keeps objects as files.
_FULL_WORDS = ("no space left", "file too large", "disk quota exceeded", "not enough space")


@contextmanager
def s3_errors(bucket: str, key: str | None = None) -> Iterator[None]:
    """Around calls to S3 and nothing else: an OSError in here is taken for the store's.

    Raises an error of `app.errors` whose message names bucket, key and, where one is to blame, the setting.
    """
    # Imported here because importing this module must cost nothing to a command that never opens a store.
    from aiohttp import ClientError as HttpError
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        FlexibleChecksumError,
        NoCredentialsError,
        ParamValidationError,
        PartialCredentialsError,
    )

    try:
        yield
    except ClientError as exc:
        raise _answered(exc, bucket, key) from exc
    except (NoCredentialsError, PartialCredentialsError) as exc:
        raise StorageCredentialsRefused(
            f"{place(bucket, key)}: no hay credenciales de S3; dé AWS_ACCESS_KEY_ID y AWS_SECRET_ACCESS_KEY"
        ) from exc
    except FlexibleChecksumError as exc:
        raise ObjectMismatch(f"{place(bucket, key)}: lo leído no tiene la suma que S3 dice ({exc})") from exc
    except ParamValidationError as exc:
        raise StorageError(f"{place(bucket, key)}: la petición a S3 no es válida ({exc})") from exc
    except (BotoCoreError, HttpError, OSError) as exc:
        # asyncio's TimeoutError is an OSError too.
        raise StorageUnavailable(
            f"{place(bucket, key)}: no hubo respuesta completa de S3 ({_words(exc)}); "
            "revise la red y AWS_ENDPOINT_URL_S3"
        ) from exc


def place(bucket: str, key: str | None = None) -> str:
    """The beginning of every message: where in S3 it happened."""
    return f"S3, bucket «{bucket}»" if key is None else f"S3, bucket «{bucket}», objeto «{key}»"


def http_status(error: "ClientError") -> int:
    """The HTTP status of a refusal; 0 where the store gave none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def error_code(error: "ClientError") -> str:
    """S3's name for a refusal; the status as text where the answer had no body, as HEAD's has none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _answered(exc: "ClientError", bucket: str, key: str | None) -> StorageError:
    code, status = error_code(exc), http_status(exc)
    where = place(bucket, key)
    message = str(exc.response.get("Error", {}).get("Message", ""))[:300]
    said = f"{code}: {message}" if message and message != code else code
    # A status that is no error is an error document inside a 200: S3's late answer to a completion.
    server_failed = (status >= 500 and status != 501) or status < 300
    if code in _FULL or status == 507 or (server_failed and any(w in said.lower() for w in _FULL_WORDS)):
        return StorageFull(f"{where}: el almacén no tiene espacio ({said})")
    if code == "NoSuchBucket":
        return BucketNotFound(f"{where}: el bucket no existe; revise AWS_BACKUP_BUCKET_NAME")
    if code == "NoSuchKey":
        return ObjectNotFound(f"{where}: el objeto no existe")
    if code == "NoSuchUpload":
        return StorageUnavailable(f"{where}: la subida ya no existe; alguien la anuló, o el almacén se reinició")
    if code in _BAD_KEYS:
        return StorageCredentialsRefused(
            f"{where}: S3 no acepta las credenciales ({said}); revise AWS_ACCESS_KEY_ID y AWS_SECRET_ACCESS_KEY"
        )
    if code == "RequestTimeTooSkewed":
        return StorageCredentialsRefused(
            f"{where}: S3 no acepta la firma porque el reloj de este equipo no está en hora ({said})"
        )
    if code in _WRONG_REGION or status == 301:
        return StorageError(f"{where}: el bucket está en otra región; revise AWS_S3_REGION_NAME ({said})")
    if code.startswith("KMS") or "ServerSideEncryption" in said or "server side encryption" in said.lower():
        return StorageError(f"{where}: S3 no acepta el cifrado; revise S3_SSE y S3_SSE_KMS_KEY_ID ({said})")
    if code == "InvalidStorageClass":
        return StorageError(f"{where}: S3 no tiene esa clase de almacenamiento; revise S3_STORAGE_CLASS ({said})")
    if code in _DAMAGED:
        return ObjectMismatch(f"{where}: los bytes que llegaron a S3 no son los enviados ({said})")
    if status == 403:
        return StorageCredentialsRefused(
            f"{where}: S3 no permite la operación a estas credenciales ({said}); "
            "revise AWS_ACCESS_KEY_ID y sus permisos sobre el bucket"
        )
    if server_failed or status == 429 or code in _BUSY:
        return StorageUnavailable(f"{where}: S3 respondió con un fallo ({said}); revise AWS_ENDPOINT_URL_S3")
    if status == 501 or "checksum" in said.lower():
        return StorageError(f"{where}: S3 no admite la operación; pruebe con S3_CHECKSUMS=none ({said})")
    return StorageError(f"{where}: S3 rechazó la operación ({said})")


def _words(exc: Exception) -> str:
    """The other side's own words, short and never empty."""
    return str(exc)[:300] or type(exc).__name__
