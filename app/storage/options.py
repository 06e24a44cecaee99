"""What opening a store takes; it costs nothing to import."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class StoragePrice:
    """What a store charges: USD a month for 2**30 bytes, each object for as many bytes and days as this at least."""

    gb_month: float
    least_bytes: int = 0
    least_days: int = 0


# AWS's storage classes that have such minimums, in bytes and days. https://aws.amazon.com/s3/storage-classes/
LEAST = {"STANDARD_IA": (128 << 10, 30), "ONEZONE_IA": (128 << 10, 30), "GLACIER_IR": (128 << 10, 90)}


@dataclass(frozen=True, slots=True)
class S3Options:
    """One bucket of one store, and how to treat it.

    `endpoint_url` None is AWS; `public_endpoint_url` is what presigned URLs carry, where clients reach the
    store by another address than this service does. Without `access_key_id`, AWS's own chain (environment,
    profile, instance role) is asked. `checksums` says whether parts carry a SHA-256; some stores refuse it.
    `folder` is where the embedded store keeps its files: it does not say when its disk is full, so this service
    has to look.

    Times are in seconds. `read_timeout` is the longest silence: an answer that does not come, a download that
    stops, or a part of which the store takes no byte. `attempts` counts the first one; the pauses between
    them are random, up to 1, 2, 4… s. With the defaults a store that answers 500 for ever fails an upload
    after 7 s at most, and its clean-up after as long again.
    """

    bucket: str
    region: str = "us-east-1"
    endpoint_url: str | None = None
    public_endpoint_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    storage_class: str = "STANDARD_IA"
    sse: Literal["AES256", "aws:kms", "none"] = "AES256"
    sse_kms_key_id: str | None = None
    checksums: Literal["sha256", "none"] = "sha256"
    folder: Path | None = None
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    attempts: int = 4
