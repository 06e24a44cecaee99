"""S3: the bucket in which the backups are."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from app import tracing
from app.errors import (
    ObjectMismatch,
    ObjectNotFound,
    SettingsError,
    StorageCredentialsRefused,
    StorageError,
)
from app.storage.errors import http_status, place, s3_errors
from app.storage.options import S3Options
from app.storage.upload import CONTENT_TYPE, PART_SIZE, StoredObject, delete_object, discard_uploads, upload_object

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

__all__ = ["PART_SIZE", "ObjectInfo", "S3Options", "S3Storage", "StoredObject", "open_storage"]

# Bytes of a part that is not the last one, at least.
S3_LEAST_PART = 5 * 2**20

# Enough that handing a block to a thread (some 50 µs) is little beside hashing it (1.4 ms).
_HASH_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What S3 says of an object: `size` in bytes, `modified` in UTC.

    `etag` is, from `head`, often the MD5 of the object in hex; not where it went up in parts or is encrypted.
    """

    key: str
    size: int
    modified: datetime
    etag: str | None = None


@asynccontextmanager
async def open_storage(options: S3Options) -> AsyncIterator["S3Storage"]:
    """The client is made at once and closed at the end; nothing is sent before it is used.

    The first one of a process imports the S3 client and reads S3's description: 0.3 s, during which the event
    loop waits. Raises SettingsError where an address is none, and StorageCredentialsRefused.
    """
    import aioboto3

    session = aioboto3.Session()
    async with AsyncExitStack() as clients:
        client = await _open_client(session, clients, options, options.endpoint_url)
        signer = client
        if options.public_endpoint_url is not None:
            signer = await _open_client(session, clients, options, options.public_endpoint_url)
        yield S3Storage(client, signer, options)


async def _open_client(
    session: Any, clients: AsyncExitStack, options: S3Options, endpoint_url: str | None
) -> "S3Client":
    from aiobotocore.config import AioConfig
    from botocore.handlers import add_expect_header

    more: dict[str, Any] = {}
    verify = None
    if endpoint_url is not None and urlsplit(endpoint_url).hostname in {"127.0.0.1", "localhost", "::1"}:
        # A proxy of the environment cannot reach this machine's own store.
        more["proxies"] = {}
        if urlsplit(endpoint_url).scheme == "http":
            # No certificate will come; reading the machine's would take 50 ms.
            verify = False
    config = AioConfig(
        signature_version="s3v4",
        connect_timeout=options.connect_timeout,
        read_timeout=options.read_timeout,
        retries={"mode": "standard", "total_max_attempts": options.attempts},
        # Checksums are given where they are wanted; many stores refuse those that botocore adds by itself.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # The options decide; AWS_ENDPOINT_URL of the environment would decide for a bucket on AWS.
        ignore_configured_endpoint_urls=True,
        s3={"addressing_style": "auto" if endpoint_url is None else "path"},
        **more,
    )
    with s3_errors(options.bucket):
        try:
            client: S3Client = await clients.enter_async_context(
                session.client(
                    "s3",
                    region_name=options.region,
                    endpoint_url=endpoint_url,
                    aws_access_key_id=options.access_key_id,
                    aws_secret_access_key=options.secret_access_key,
                    verify=verify,
                    config=config,
                )
            )
        except ValueError as exc:
            raise SettingsError(f"AWS_ENDPOINT_URL_S3: «{endpoint_url}» no es una dirección válida") from exc
    # With it the body is held back for a 100 that a store which answers an early error never sends: 40 s.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return client


class S3Storage:
    """The objects of one bucket; made by `open_storage`, which also closes it.

    Every method raises StorageError or one of its kinds, with bucket, key and reason in the message.
    `client` and `options` are for the modules of this package.
    """

    def __init__(self, client: "S3Client", signer: "S3Client", options: S3Options) -> None:
        self.client = client
        self.options = options
        self._signer = signer

    @tracing.traced("upload")
    async def upload(
        self,
        key: str,
        chunks: AsyncIterator[bytes],
        *,
        part_size: int = PART_SIZE,
        content_type: str = CONTENT_TYPE,
        brief: bool = False,
    ) -> StoredObject:
        """Store what `chunks` yields; an error or a cancellation means that nothing is stored.

        `part_size` in bytes; larger than the default where the object may pass ten thousand parts. `brief`: it stays
        for hours, and goes where that is not charged as a month. The caller closes `chunks`. See `upload_object` for
        how long a failure may take.
        """
        options = replace(self.options, storage_class="STANDARD") if brief else self.options
        return await upload_object(self.client, options, key, chunks, part_size, content_type)

    @tracing.traced("read back")
    async def read_back(self, stored: StoredObject, *, on_bytes: Callable[[int], None] | None = None) -> None:
        """Prove that the object in S3 is the one that was sent, by reading all of it.

        Size first, and the checksum where the store keeps one of the form that was sent (some give the parts'
        one without its count, which says nothing); then the MD5 of the bytes.
        `on_bytes` is called with the number of bytes of each block as it arrives. Raises ObjectMismatch or
        ObjectNotFound; StorageUnavailable says nothing about the object, and the same call may be made again.
        """
        where = place(self.options.bucket, stored.key)
        async with self._reading(stored.key, ChecksumMode="ENABLED") as (found, pieces):
            if found["ContentLength"] != stored.size:
                raise ObjectMismatch(f"{where}: S3 tiene {found['ContentLength']} bytes y se enviaron {stored.size}")
            sha256 = found.get("ChecksumSHA256")
            if sha256 and stored.sha256 and sha256 != stored.sha256 and ("-" in sha256) == ("-" in stored.sha256):
                raise ObjectMismatch(f"{where}: S3 dice SHA-256 {sha256} y se envió {stored.sha256}")
            md5 = await _md5(pieces, on_bytes)
        if md5 != stored.md5:
            raise ObjectMismatch(f"{where}: lo leído tiene MD5 {md5} y se envió {stored.md5}")

    async def glance(self, stored: StoredObject, *, on_bytes: Callable[[int], None] | None = None) -> None:
        """See that the object is there, has its size and, where S3 tells its MD5, that; mostly by one HEAD.

        Raises as `read_back`, which is what decides where the MD5 seems to be another.
        """
        found = await self.head(stored.key)
        if found is None:
            raise ObjectNotFound(f"el objeto «{stored.key}» no existe en S3")
        if found.size != stored.size:
            raise ObjectMismatch(
                f"el objeto «{stored.key}» tiene {found.size} bytes en S3 y debería tener {stored.size}"
            )
        # Most often it is not the MD5: the object went up in parts, or S3 encrypts it. Only one that looks like an
        # MD5 and differs is worth a reading.
        if found.etag is not None and len(found.etag) == len(stored.md5) and found.etag != stored.md5:
            await self.read_back(stored, on_bytes=on_bytes)

    @asynccontextmanager
    async def download(
        self, key: str, *, first: int = 0, last: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The object's bytes in pieces of up to 256 KiB; leaving the block closes the connection.

        Of them only those from number `first` to number `last`, which is in it; there has to be at least one.
        Raises ObjectNotFound, and StorageUnavailable where fewer bytes arrive than S3 announced.
        """
        part = {} if (first, last) == (0, None) else {"Range": f"bytes={first}-{'' if last is None else last}"}
        async with self._reading(key, **part) as (_, pieces):
            yield pieces

    @asynccontextmanager
    async def _reading(self, key: str, **more: Any) -> AsyncIterator[tuple[Any, AsyncIterator[bytes]]]:
        """What S3 says of the object, and its bytes, by one request, of which `more` are parameters."""
        with s3_errors(self.options.bucket, key):
            answer = await self.client.get_object(Bucket=self.options.bucket, Key=key, **more)
        body = answer["Body"]

        async def pieces() -> AsyncIterator[bytes]:
            while True:
                with s3_errors(self.options.bucket, key):
                    piece = await body.read(256 * 2**10)
                if not piece:
                    return
                yield piece

        try:
            yield answer, pieces()
        finally:
            body.close()

    async def head(self, key: str) -> ObjectInfo | None:
        """None where there is no such object. A missing bucket is an error and not None."""
        with s3_errors(self.options.bucket, key):
            found = await self._head(key)
        if found is None:
            return None
        etag = found.get("ETag", "").strip('"') or None
        return ObjectInfo(key, found["ContentLength"], found["LastModified"].astimezone(UTC), etag)

    async def _head(self, key: str) -> Any:
        from botocore.exceptions import ClientError

        try:
            return await self.client.head_object(Bucket=self.options.bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as exc:
            if http_status(exc) != 404:
                raise
        # HEAD has no body to say what is missing.
        await self._bucket_answers()
        return None

    async def delete(self, key: str) -> None:
        """No error where the object is missing. In a versioned bucket the versions stay until they expire."""
        await delete_object(self.client, self.options.bucket, key)

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        """The objects whose keys begin with `prefix`, by key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.options.bucket, Prefix=prefix)
        following = aiter(pages)
        while True:
            with s3_errors(self.options.bucket, prefix or None):
                page = await anext(following, None)
            if page is None:
                return
            for found in page.get("Contents", ()):
                yield ObjectInfo(found["Key"], found["Size"], found["LastModified"].astimezone(UTC))

    async def presign(self, key: str, *, seconds: int, filename: str) -> str:
        """An address that serves the object as a download called `filename` to whoever has it, for `seconds`.

        It carries `public_endpoint_url` where there is one. Whether the object exists is not looked at.
        """
        with s3_errors(self.options.bucket, key):
            return await self._signer.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self.options.bucket,
                    "Key": key,
                    "ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(filename, safe='')}",
                },
                ExpiresIn=seconds,
            )

    async def discard(self, key: str) -> None:
        """Abort every unfinished upload of exactly this key and delete its object: an attempt died there.

        Calling it again is harmless.
        """
        try:
            await discard_uploads(self.client, self.options.bucket, key)
        finally:
            # Only what is there: rclone removes an empty folder also where the object is missing, from under an
            # upload into it that has just begun.
            if await self.head(key) is not None:
                await delete_object(self.client, self.options.bucket, key)

    async def erase(self, key: str, *, but_current: bool = False) -> None:
        """Delete the object of exactly this key with all its versions; with `but_current` only the earlier ones.

        Raises StorageError where one of them stays, as where the bucket's lock protects it.
        """
        from botocore.exceptions import ClientError

        if not but_current:
            await self.delete(key)
        with s3_errors(self.options.bucket, key):
            try:
                versions = [version async for version in self._versions(key)]
            except ClientError as exc:
                # A store that has no versions has no earlier ones.
                if http_status(exc) not in {405, 501}:
                    raise
                versions = []
            for version, is_current in versions:
                if not (but_current and is_current):
                    await self.client.delete_object(Bucket=self.options.bucket, Key=key, VersionId=version)

    async def _versions(self, key: str) -> AsyncIterator[tuple[str, bool]]:
        """Every version of exactly this key, marks of deletion too, and whether it is the current one."""
        pages = self.client.get_paginator("list_object_versions").paginate(Bucket=self.options.bucket, Prefix=key)
        async for page in pages:
            for found in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                if found["Key"] == key:
                    yield found["VersionId"], found["IsLatest"]

    def with_options(self, options: S3Options) -> "S3Storage":
        """The same bucket by the same connections, with other options for what is stored."""
        return S3Storage(self.client, self._signer, options)

    async def probe(self, key: str, *, in_parts: bool = False) -> None:
        """Write an object of that key, read it back and delete it. Raises StorageError and its kinds.

        A small one, or one that goes up in two parts, the first of 5 MiB: S3's least.
        """
        size = S3_LEAST_PART if in_parts else 0

        async def content() -> AsyncIterator[bytes]:
            yield bytes(size) + key.encode()

        try:
            await self.read_back(await self.upload(key, content(), part_size=size or PART_SIZE))
        finally:
            await self.delete(key)
        if await self.head(key) is not None:
            raise StorageError(f"{place(self.options.bucket, key)}: sigue estando después de borrarlo")

    async def probe_kept(self, key: str) -> bool:
        """Write an object of that key, read it back and delete it; False where these credentials may not delete it.

        Raises StorageError and its kinds.
        """

        async def content() -> AsyncIterator[bytes]:
            yield key.encode()

        await self.read_back(await self.upload(key, content()))
        try:
            await self.delete(key)
        except StorageCredentialsRefused:
            return False
        return True

    async def ahead(self) -> float | None:
        """By how many seconds the store's clock is ahead of ours, to a second; None where it does not tell."""
        before = datetime.now(UTC)
        with s3_errors(self.options.bucket):
            answer = await self.client.list_objects_v2(Bucket=self.options.bucket, MaxKeys=1, Delimiter="/")
        said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if said is None:
            return None
        ours = before + (datetime.now(UTC) - before) / 2
        # It leaves out what has passed of the second.
        return (parsedate_to_datetime(said) - ours).total_seconds() + 0.5

    async def check(self) -> None:
        """Raise unless the bucket is there and these credentials may list it.

        BucketNotFound, StorageCredentialsRefused, StorageUnavailable.
        """
        with s3_errors(self.options.bucket):
            await self._bucket_answers()

    async def _bucket_answers(self) -> None:
        # A listing, because HEAD's refusals have no body that tells a wrong key from a missing permission.
        # The delimiter keeps a store that walks folders at the first level.
        await self.client.list_objects_v2(Bucket=self.options.bucket, MaxKeys=1, Delimiter="/")


async def _md5(pieces: AsyncIterator[bytes], on_bytes: Callable[[int], None] | None) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    block: list[bytes] = []
    waiting = 0

    def hash_block() -> None:
        for piece in block:
            digest.update(piece)

    async for piece in pieces:
        block.append(piece)
        waiting += len(piece)
        if on_bytes is not None:
            on_bytes(len(piece))
        if waiting >= _HASH_BLOCK:
            await asyncio.to_thread(hash_block)
            block, waiting = [], 0
    hash_block()
    return digest.hexdigest()
