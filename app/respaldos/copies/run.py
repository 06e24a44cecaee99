"""Makes a second copy: the object's bytes from one store to the other, proven on the way and in their new place."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Cancelled, ObjectMismatch, ObjectNotFound, SettingsError, StorageError
from app.respaldos.backup import queries as backup_queries
from app.respaldos.backup.object_key import content_type_of
from app.respaldos.contract import MIB
from app.respaldos.copies import queries as copy_queries
from app.respaldos.copies.bucket import CopyBucket, answers
from app.respaldos.copies.keys import copy_key
from app.respaldos.databases import transaction
from app.respaldos.jobs.kinds import Handlers
from app.respaldos.jobs.run import Attempt
from app.respaldos.models import Estado, EstadoCopia, Respaldo, Trabajo
from app.respaldos.progress import Etapa, Expected, Progress
from app.respaldos.resources import Resources
from app.storage.s3 import PART_SIZE
from app.storage.upload import MAX_PARTS

_STATES = {
    Estado.PENDIENTE: EstadoCopia.PENDIENTE,
    Estado.COMPLETADO: EstadoCopia.COMPLETA,
    Estado.FALLIDO: EstadoCopia.FALLIDA,
}


async def run(attempt: Attempt) -> None:
    """Make the copy of the claimed job, and complete it."""
    job, resources = attempt.job, attempt.resources
    bucket = copy_bucket(resources, job.destino)
    async with transaction(resources) as session:
        respaldo = await backup_queries.get(session, job.respaldo_id, clinica_id=job.clinica_id, deleted=True)
        wanted = await copy_queries.is_wanted(session, job.respaldo_id, clinica_id=job.clinica_id)
    if not wanted:
        raise Cancelled(f"el respaldo {respaldo.id} se eliminó antes de copiarlo")
    attempt.progress.expected = Expected(respaldo.numero_registros, respaldo.tamaño_bytes)
    async with attempt.leased():
        await _copy(resources, respaldo, bucket, attempt.progress)
    async with transaction(resources) as session:
        await attempt.complete(session)


def copy_bucket(resources: Resources, name: str | None) -> CopyBucket:
    """The bucket of that name. Raises SettingsError where this process knows none."""
    for bucket in resources.copies:
        if bucket.name == name:
            return bucket
    raise SettingsError(f"COPY_BUCKETS: aquí no hay ninguno que se llame «{name}»")


async def _copy(resources: Resources, respaldo: Respaldo, bucket: CopyBucket, progress: Progress) -> None:
    key, size = respaldo.archivo_s3 or "", respaldo.tamaño_bytes or 0
    await answers(bucket)
    with bucket.errors():
        there = await bucket.storage.head(key)
    if respaldo.key_id is not None:
        await copy_key(resources, respaldo.key_id, bucket, clinica_id=respaldo.clinica_id)
    if there is not None and there.size == size:
        # The answer to an earlier attempt may have been lost, or the rows.
        try:
            await _read_back(respaldo, bucket, progress)
        except ObjectMismatch:
            pass
        else:
            return
    progress.enter(Etapa.SUBIENDO)
    source = _Source()
    try:
        async with (
            resources.storage.download(key) as chunks,
            aclosing(source.proven(chunks, respaldo, progress)) as proven,
        ):
            await bucket.storage.upload(
                key,
                proven,
                part_size=max(PART_SIZE, -(-size // MAX_PARTS // MIB) * MIB),
                content_type=content_type_of(key),
            )
    except StorageError as exc:
        if source.failed or isinstance(exc, ObjectNotFound):
            raise
        with bucket.errors():
            raise
    await _read_back(respaldo, bucket, progress)


async def _read_back(respaldo: Respaldo, bucket: CopyBucket, progress: Progress) -> None:
    """Prove that the copy has the bytes of the backup, by reading all of it. Raises ObjectMismatch, StorageError."""
    progress.enter(Etapa.RELEYENDO)
    with bucket.errors():
        async with bucket.storage.download(respaldo.archivo_s3 or "") as chunks:
            async for chunk in proven(chunks, respaldo):
                progress.read_back(bytes_=len(chunk), of=respaldo.tamaño_bytes or 0)


class _Source:
    """The object that is copied; `failed` where that is why a copy ended."""

    failed = False

    async def proven(
        self, chunks: AsyncIterator[bytes], respaldo: Respaldo, progress: Progress
    ) -> AsyncGenerator[bytes, None]:
        """As `proven`."""
        try:
            async for chunk in proven(chunks, respaldo):
                progress.advance(bytes_=len(chunk))
                yield chunk
        except StorageError:
            self.failed = True
            raise


async def proven(chunks: AsyncIterator[bytes], respaldo: Respaldo) -> AsyncGenerator[bytes, None]:
    """The bytes as they come; raises ObjectMismatch at their end where they are not those of the backup's object.

    Size, MD5 and, where the row has it, SHA-256: what was sealed and encrypted is so still.
    """
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0

    def take(chunk: bytes) -> None:
        md5.update(chunk)
        sha256.update(chunk)

    async for chunk in chunks:
        await asyncio.to_thread(take, chunk)
        size += len(chunk)
        yield chunk
    stated = respaldo.metadata_.get("hash_sha256")
    for what, found, wanted in (
        ("bytes", size, respaldo.tamaño_bytes),
        ("MD5", md5.hexdigest(), respaldo.hash_md5),
        ("SHA-256", sha256.hexdigest(), stated or sha256.hexdigest()),
    ):
        if found != wanted:
            raise ObjectMismatch(
                f"el objeto «{respaldo.archivo_s3}» no es el que se guardó: {what} {found}, y debería ser {wanted}"
            )


async def _ended(session: AsyncSession, job: Trabajo, _seconds: float | None) -> None:
    assert job.destino is not None  # noqa: S101 (`ask` gives it one)
    if (estado := _STATES.get(Estado(job.estado))) is None:
        await copy_queries.forget(session, job.respaldo_id, job.destino, clinica_id=job.clinica_id)
    else:
        await copy_queries.note(
            session, job.respaldo_id, job.destino, estado, clinica_id=job.clinica_id, error=job.error
        )


HANDLERS = Handlers(run, _ended)
