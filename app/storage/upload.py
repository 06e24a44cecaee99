"""An upload that either ends whole or leaves nothing: equal parts, few in flight, aborted on any failure."""

import asyncio
import hashlib
import logging
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from shutil import disk_usage
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

from app.errors import BucketNotFound, StorageError, StorageFull, StorageUnavailable
from app.storage.errors import error_code, http_status, place, s3_errors
from app.storage.options import S3Options

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

T = TypeVar("T")

PART_SIZE = 8 * 2**20
"""Bytes of a part. Ten thousand of them, S3's limit, make 78 GiB."""

CONTENT_TYPE = "application/gzip"
"""Of a backup's file."""

MAX_PARTS = 10_000
"""S3's own limit on the parts of one upload."""

PARTS_IN_FLIGHT = 3
"""With the one being assembled, four parts are in memory."""

SETTLE_SECONDS = 10.0
"""How long a cancelled upload waits for an answer that decides whether something is stored."""

CLEANUP_SECONDS = 10.0
"""How long aborting a failed upload may take, and again deleting its object, before that is given up."""

# What goes to the socket at once. aiohttp joins the first piece to the headers, and asyncio's transport of
# Python 3.11 copies what the kernel does not take: with whole parts that doubled the memory of an upload.
_PIECE = 256 * 2**10

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it was sent: `size` in bytes, `md5` in hex over all of them.

    `sha256` is the checksum as S3 writes it (base64; for N parts, that of their digests, with `-N` at its
    end); None where this process did not send it.
    """

    key: str
    size: int
    md5: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class _Digests:
    md5: bytes
    sha256: bytes | None

    def parameters(self) -> dict[str, Any]:
        given = {"ContentMD5": b64encode(self.md5).decode()}
        if self.sha256 is not None:
            given["ChecksumSHA256"] = b64encode(self.sha256).decode()
        return given


async def upload_object(
    client: "S3Client",
    options: S3Options,
    key: str,
    chunks: AsyncIterator[bytes],
    part_size: int,
    content_type: str = CONTENT_TYPE,
) -> StoredObject:
    """Store what `chunks` yields as one object, in parts of exactly `part_size` bytes, the last one shorter.

    What fits below one part goes as one PUT. Whatever is raised, `chunks`' own exceptions and cancellation
    included, is raised after the upload was aborted and an object that may have been stored was deleted. A
    cancellation first waits for an answer that is on its way (SETTLE_SECONDS at most), and each of the two
    removals may take CLEANUP_SECONDS; where S3 does not do it in that time, a warning is logged, and
    `discard` or the lifecycle rule of `configurar-s3` does it later. The caller closes `chunks`.

    Raises StorageError and its kinds: StorageFull where the store says so or the disk of `options.folder` has
    less room than what was sent already, and StorageError past MAX_PARTS parts.
    """
    upload = _Upload(client, options, key, content_type)
    try:
        async with aclosing(_equal_parts(chunks, part_size)) as parts:
            # In a list, from which whoever sends it takes it: a name in this frame would keep it until the end.
            first = [await anext(parts, memoryview(b""))]
            if len(first[0]) < part_size:
                return await upload.put(first.pop())
            return await upload.multipart(first, parts)
    except StorageUnavailable as exc:
        if options.folder is not None and (free := disk_usage(options.folder).free) < upload.size:
            raise StorageFull(
                f"{place(options.bucket, key)}: el disco de {options.folder} está lleno (quedan {free} bytes libres "
                f"y ya se habían enviado {upload.size}); libere espacio o cambie RESPALDOS_HOME"
            ) from exc
        raise


async def discard_uploads(client: "S3Client", bucket: str, key: str, known: str | None = None) -> None:
    """Abort every unfinished upload of exactly this key, first the `known` one.

    Raises StorageError and its kinds.
    """
    with s3_errors(bucket, key):
        pending = {known} if known is not None else set()
        # A part that was on its way when the upload was aborted may bring it back: S3 asks for a second look.
        for _ in range(3):
            for upload_id in pending:
                await _abort(client, bucket, key, upload_id)
            pending = await _unfinished(client, bucket, key)
            if not pending:
                return
    raise StorageError(f"{place(bucket, key)}: queda una subida sin terminar que S3 no deja anular")


async def delete_object(client: "S3Client", bucket: str, key: str) -> None:
    """Delete the object; it is no error where it is missing. Raises StorageError and its kinds."""
    from botocore.exceptions import ClientError

    with s3_errors(bucket, key):
        try:
            await client.delete_object(Bucket=bucket, Key=key)
        except ClientError as exc:
            if error_code(exc) != "NoSuchKey":
                raise


async def _unfinished(client: "S3Client", bucket: str, key: str) -> set[str]:
    from botocore.exceptions import ClientError

    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key)
    try:
        return {
            upload["UploadId"] async for page in pages for upload in page.get("Uploads", ()) if upload["Key"] == key
        }
    except ClientError as exc:
        # What rclone answers for a bucket that has had no upload since it was started.
        if error_code(exc) != "NoSuchUpload":
            raise
        return set()


async def _abort(client: "S3Client", bucket: str, key: str, upload_id: str) -> None:
    from botocore.exceptions import ClientError

    try:
        await client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    except ClientError as exc:
        if error_code(exc) != "NoSuchUpload":
            raise


class _Upload:
    """One attempt to store one object."""

    def __init__(self, client: "S3Client", options: S3Options, key: str, content_type: str) -> None:
        self._client = client
        self._options = options
        self._key = key
        self._parameters = _object_parameters(options, content_type)
        self._whole = hashlib.md5(usedforsecurity=False)
        # Bytes taken from the source so far.
        self.size = 0
        self._hash_turn = asyncio.Lock()

    async def put(self, content: memoryview) -> StoredObject:
        digests = await self._hash(content)
        try:
            await _settled(self._put(content, digests))
        except BaseException:
            await self._leave_nothing(delete_object(self._client, self._options.bucket, self._key))
            raise
        return self._stored(None if digests.sha256 is None else b64encode(digests.sha256).decode())

    async def multipart(self, first: list[memoryview], rest: AsyncIterator[memoryview]) -> StoredObject:
        upload_id: str | None = None
        completing = False
        try:
            upload_id = await _settled(self._create())
            parts = await self._send_all(upload_id, first, rest)
            completing = True
            await _settled(self._complete(upload_id, parts))
        except BaseException:
            bucket = self._options.bucket
            removals = [discard_uploads(self._client, bucket, self._key, upload_id)]
            if completing:
                removals.append(delete_object(self._client, bucket, self._key))
            await self._leave_nothing(*removals)
            raise
        return self._stored(_composite(parts))

    async def _hash(self, part: memoryview) -> _Digests:
        """The digests of a part. Parts come here in their order, because the MD5 of the whole runs along."""
        wanted = self._options.checksums == "sha256"

        def work() -> _Digests:
            self._whole.update(part)
            md5 = hashlib.md5(part, usedforsecurity=False).digest()
            return _Digests(md5, hashlib.sha256(part).digest() if wanted else None)

        async with self._hash_turn:
            self.size += len(part)
            return await asyncio.to_thread(work)

    @asynccontextmanager
    async def _body(self, content: memoryview) -> AsyncIterator[IO[bytes]]:
        """A request's body, within which the request is made; raises TimeoutError where nobody takes it."""
        async with asyncio.timeout(None) as deadline:
            yield cast(IO[bytes], _Body(content, self._options.read_timeout, deadline))

    async def _put(self, content: memoryview, digests: _Digests) -> None:
        with s3_errors(self._options.bucket, self._key):
            async with self._body(content) as body:
                await self._client.put_object(
                    Bucket=self._options.bucket,
                    Key=self._key,
                    Body=body,
                    **self._parameters,
                    **digests.parameters(),
                )

    async def _create(self) -> str:
        algorithm: dict[str, Any] = {"ChecksumAlgorithm": "SHA256"} if self._options.checksums == "sha256" else {}
        with s3_errors(self._options.bucket, self._key):
            created = await self._client.create_multipart_upload(
                Bucket=self._options.bucket,
                Key=self._key,
                **self._parameters,
                **algorithm,
            )
        return created["UploadId"]

    async def _send_all(
        self, upload_id: str, first: list[memoryview], rest: AsyncIterator[memoryview]
    ) -> "list[CompletedPartTypeDef]":
        sending: list[asyncio.Task[CompletedPartTypeDef]] = []
        slots = asyncio.Semaphore(PARTS_IN_FLIGHT)
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:

                async def start(part: memoryview) -> None:
                    await slots.acquire()
                    task = group.create_task(self._send(upload_id, len(sending) + 1, part))
                    task.add_done_callback(lambda _: slots.release())
                    sending.append(task)

                await start(first.pop())
                async for part in rest:
                    if len(sending) == MAX_PARTS:
                        raise StorageError(
                            f"{place(self._options.bucket, self._key)}: no cabe en {MAX_PARTS} partes, "
                            "el máximo de S3; súbalo en partes más grandes"
                        )
                    await start(part)
        except BaseExceptionGroup as failures:
            failure = failures.exceptions[0]
        if failure is not None:
            raise failure
        return [task.result() for task in sending]

    async def _send(self, upload_id: str, number: int, part: memoryview) -> "CompletedPartTypeDef":
        digests = await self._hash(part)
        with s3_errors(self._options.bucket, self._key):
            async with self._body(part) as body:
                answer = await self._client.upload_part(
                    Bucket=self._options.bucket,
                    Key=self._key,
                    UploadId=upload_id,
                    PartNumber=number,
                    Body=body,
                    **digests.parameters(),
                )
        completed: CompletedPartTypeDef = {"PartNumber": number, "ETag": answer["ETag"]}
        if digests.sha256 is not None:
            completed["ChecksumSHA256"] = digests.parameters()["ChecksumSHA256"]
        return completed

    async def _complete(self, upload_id: str, parts: "list[CompletedPartTypeDef]") -> None:
        from botocore.exceptions import ClientError

        bucket = self._options.bucket
        with s3_errors(bucket, self._key):
            try:
                await self._client.complete_multipart_upload(
                    Bucket=bucket, Key=self._key, UploadId=upload_id, MultipartUpload={"Parts": parts}
                )
            except ClientError as exc:
                # Its answer may have been lost, and this be the answer to botocore's second try. Nobody else
                # writes this key, and reading it back will prove it.
                if error_code(exc) != "NoSuchUpload" or not await self._is_stored():
                    raise

    async def _is_stored(self) -> bool:
        from botocore.exceptions import ClientError

        try:
            found = await self._client.head_object(Bucket=self._options.bucket, Key=self._key)
        except ClientError as exc:
            if http_status(exc) != 404:
                raise
            return False
        return found["ContentLength"] == self.size

    async def _leave_nothing(self, *removals: Coroutine[Any, Any, None]) -> None:
        """Await them whatever cancellations arrive, and log their failures; then be cancelled if one did."""

        async def one_by_one() -> None:
            for removal in removals:
                try:
                    async with asyncio.timeout(CLEANUP_SECONDS):
                        await removal
                except BucketNotFound:
                    continue
                except (StorageError, TimeoutError) as exc:
                    where = place(self._options.bucket, self._key)
                    _log.warning("%s: puede haber quedado algo de una subida que falló: %r", where, exc)

        await _ended(asyncio.create_task(one_by_one()))

    def _stored(self, sha256: str | None) -> StoredObject:
        return StoredObject(self._key, self.size, self._whole.hexdigest(), sha256)


class _Body:
    """The bytes of a request, handed to aiohttp in pieces; `deadline` runs while the store takes none.

    botocore sees a seekable file: it asks for the length, hashes what it signs, and rewinds to send again.
    aiohttp sees an asynchronous iterable. Its own read timeout starts only after the last byte was written,
    so without the deadline a store that accepts the connection and then reads nothing would hold an upload
    for ever.
    """

    def __init__(self, content: memoryview, silence: float, deadline: asyncio.Timeout) -> None:
        self._content = content
        self._silence = silence
        self._deadline = deadline
        self._position = 0

    def __len__(self) -> int:
        return len(self._content)

    def read(self, size: int = -1) -> memoryview:
        start = self._position
        self._position = len(self._content) if size < 0 else min(start + size, len(self._content))
        return self._content[start : self._position]

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, len(self._content))[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        for start in range(0, len(self._content), _PIECE):
            self._allow(self._silence)
            yield self._content[start : start + _PIECE]
        # What comes now is the answer, which has the client's own timeout.
        self._allow(None)

    def _allow(self, seconds: float | None) -> None:
        # The task that writes a request may outlive it for a moment, and with it the deadline.
        with suppress(RuntimeError):
            self._deadline.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)


async def _equal_parts(chunks: AsyncIterator[bytes], size: int) -> AsyncGenerator[memoryview, None]:
    """Parts of exactly `size` bytes, the last one shorter; each is copied once, into memory of its own."""
    part, filled = memoryview(bytearray(size)), 0
    async for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            taken = min(size - filled, len(rest))
            part[filled : filled + taken] = rest[:taken]
            filled += taken
            rest = rest[taken:]
            if filled == size:
                yield part
                part, filled = memoryview(bytearray(size)), 0
    if filled:
        yield part[:filled]


def _object_parameters(options: S3Options, content_type: str) -> dict[str, Any]:
    parameters: dict[str, Any] = {"ContentType": content_type, "StorageClass": options.storage_class}
    if options.sse != "none":
        parameters["ServerSideEncryption"] = options.sse
    if options.sse_kms_key_id is not None:
        parameters["SSEKMSKeyId"] = options.sse_kms_key_id
    return parameters


def _composite(parts: "list[CompletedPartTypeDef]") -> str | None:
    """The SHA-256 that S3 computes for an object made of parts: over the parts' digests."""
    digests = [b64decode(part["ChecksumSHA256"]) for part in parts if "ChecksumSHA256" in part]
    if not digests:
        return None
    return f"{b64encode(hashlib.sha256(b''.join(digests)).digest()).decode()}-{len(digests)}"


async def _settled(work: Coroutine[Any, Any, T]) -> T:
    """Await `work`; cancelled meanwhile, let it end first, SETTLE_SECONDS at most, and then be cancelled.

    A request that is dropped half-way may still be carried out, after the clean-up has looked.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await _ended(task, SETTLE_SECONDS)
        if not task.cancelled():
            # asyncio reports a failure that nobody asked for.
            task.exception()
        raise


async def _ended(task: asyncio.Task[Any], seconds: float | None = None) -> None:
    """Wait for the task whatever cancellations arrive, `seconds` at most; then be cancelled if one did."""
    loop = asyncio.get_running_loop()
    limit = None if seconds is None else loop.time() + seconds
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task}, timeout=None if limit is None else limit - loop.time())
        except asyncio.CancelledError as exc:
            cancelled = exc
        if limit is not None and loop.time() >= limit:
            task.cancel()
            limit = None
    if cancelled is not None:
        raise cancelled
