"""A bucket for second copies."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.errors import StorageError, StorageUnavailable
from app.storage.s3 import S3Storage

# What the first bucket's settings are called among those of a copy.
_NAMES = {
    "AWS_BACKUP_BUCKET_NAME": "bucket",
    "AWS_ENDPOINT_URL_S3": "endpoint_url",
    "AWS_S3_REGION_NAME": "region",
    "AWS_ACCESS_KEY_ID": "access_key_id",
    "AWS_SECRET_ACCESS_KEY": "secret_access_key",
    "S3_STORAGE_CLASS": "storage_class",
    "S3_SSE_KMS_KEY_ID": "sse",
    "S3_SSE": "sse",
    "S3_CHECKSUMS": "checksums",
}
# A store that has not answered by then would keep a worker from what people wait for (seconds).
CHECK_SECONDS = 10

_NAMED = re.compile("|".join(_NAMES))


@dataclass(frozen=True, slots=True)
class CopyBucket:
    """One of COPY_BUCKETS; `days` after a backup's deletion its copy is removed."""

    name: str
    storage: S3Storage
    days: int

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Around calls to its storage: their errors say that they are of this copy, and which of its settings."""
        try:
            yield
        except StorageError as exc:
            said = _NAMED.sub(lambda found: _NAMES[found[0]], str(exc))
            raise type(exc)(f"copia «{self.name}» (COPY_BUCKETS): {said}") from exc


async def answers(bucket: CopyBucket) -> None:
    """Raise StorageError unless the bucket is there, within CHECK_SECONDS."""
    with bucket.errors():
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await bucket.storage.check()
        except TimeoutError as exc:
            raise StorageUnavailable(f"el almacén no respondió en {CHECK_SECONDS} segundos") from exc
