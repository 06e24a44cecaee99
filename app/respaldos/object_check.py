"""Whether a backup's object is the one that was made: at a glance, or by reading all of it."""

import asyncio
from collections.abc import Callable

from app.dump.reader import Event
from app.dump.verifier import FileVerifier, VerifiedFile
from app.errors import AlreadyPurged, FormatError, NotCompleted, ObjectMismatch, ObjectNotFound
from app.respaldos.models import Estado, Respaldo
from app.respaldos.progress import Etapa, Progress
from app.respaldos.resources import Resources
from app.respaldos.retention_repository import being_purged
from app.storage.s3 import StoredObject

# What these functions raise where the object is not the backup; anything else says nothing about it.
BAD = (FormatError, ObjectMismatch, ObjectNotFound)


async def check_quickly(resources: Resources, respaldo: Respaldo, progress: Progress) -> None:
    """See that the object is there, has its size and, where S3 tells its MD5, that.

    Raises NotCompleted, AlreadyPurged, ObjectNotFound, ObjectMismatch, and other StorageErrors that say nothing of
    the object.
    """
    key = _key(respaldo)
    progress.enter(Etapa.VERIFICANDO)
    found = await resources.storage.head(key)
    if found is None:
        raise ObjectNotFound(f"el objeto «{key}» no existe en S3")
    if found.size != respaldo.tamaño_bytes:
        raise ObjectMismatch(
            f"el objeto «{key}» tiene {found.size} bytes en S3 y debería tener {respaldo.tamaño_bytes}"
        )
    md5 = respaldo.hash_md5
    # Most often it is not the MD5: the object went up in parts, or S3 encrypts it. Only one that looks like an MD5
    # and differs is worth a reading, which decides.
    if md5 is not None and found.etag is not None and len(found.etag) == len(md5) and found.etag != md5:
        stored = StoredObject(key, found.size, md5)
        await resources.storage.read_back(stored, on_bytes=lambda size: progress.advance(bytes_=size))


async def check_thoroughly(
    resources: Resources,
    respaldo: Respaldo,
    progress: Progress,
    *,
    on_event: Callable[[Event], None] | None = None,
) -> VerifiedFile:
    """Read the object from S3 and check hash, gzip to its end, structure, counts and digests.

    `on_event` is FileVerifier's; it is called from another thread, for a moment also after a cancellation.
    Raises NotCompleted, AlreadyPurged, ObjectNotFound, StorageError, or FormatError that says what is wrong.
    """
    key = _key(respaldo)
    progress.enter(Etapa.VERIFICANDO)
    verifier = FileVerifier(max_size=respaldo.metadata_["tamaño_original_bytes"], on_event=on_event)
    async with resources.storage.download(key) as chunks:
        async for chunk in chunks:
            await asyncio.to_thread(verifier.feed, chunk)
            progress.advance(bytes_=len(chunk))
    verified = await asyncio.to_thread(verifier.finish, respaldo.hash_md5)
    header = verified.header
    # Of a backup that was found in the bucket when another one had its id already.
    made_as = respaldo.metadata_.get("id_original", respaldo.id)
    if (header.origin.id, header.clinica_id) != (made_as, respaldo.clinica_id):
        raise FormatError(
            f"el archivo dice ser el respaldo {header.origin.id} de la clínica {header.clinica_id},"
            f" y debería ser el {made_as} de la {respaldo.clinica_id}"
        )
    counts = {name: total.records for name, total in verified.totals.items()}
    if counts != respaldo.metadata_["detalles_registros"] or verified.records != respaldo.numero_registros:
        raise FormatError("el archivo no tiene los registros que se anotaron al crearlo")
    return verified


def _key(respaldo: Respaldo) -> str:
    if respaldo.estado != Estado.COMPLETADO or respaldo.archivo_s3 is None:
        raise NotCompleted(
            f"el respaldo {respaldo.id} está {respaldo.estado}; solo se verifica uno completado", respaldo.estado
        )
    if being_purged(respaldo):
        raise AlreadyPurged(f"el archivo del respaldo {respaldo.id} ya se borró de S3, porque se lo eliminó")
    return respaldo.archivo_s3
