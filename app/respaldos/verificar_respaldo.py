"""Proves that a backup's object is whole and is the one that was made, by reading all of it."""

import asyncio

from app.dump.verifier import FileVerifier, VerifiedFile
from app.errors import FormatError, NotCompleted
from app.respaldos.models import Estado, Respaldo
from app.respaldos.progress import Progress
from app.respaldos.resources import Resources


async def verificar_respaldo(
    resources: Resources, respaldo: Respaldo, *, progress: Progress | None = None
) -> VerifiedFile:
    """Read the object from S3 and check hash, gzip to its end, structure, counts and digests.

    Raises NotCompleted, ObjectNotFound, StorageError, or FormatError that says what is wrong.
    """
    if respaldo.estado != Estado.COMPLETADO or respaldo.archivo_s3 is None:
        raise NotCompleted(f"el respaldo {respaldo.id} está {respaldo.estado}; solo se verifica uno completado")
    progress = progress or Progress()
    verifier = FileVerifier(max_size=respaldo.metadata_["tamaño_original_bytes"])
    async with resources.storage.download(respaldo.archivo_s3) as chunks:
        async for chunk in chunks:
            await asyncio.to_thread(verifier.feed, chunk)
            progress.advance(bytes_=len(chunk))
    verified = await asyncio.to_thread(verifier.finish, respaldo.hash_md5)
    header = verified.header
    if (header.origin.id, header.clinica_id) != (respaldo.id, respaldo.clinica_id):
        raise FormatError(
            f"el archivo dice ser el respaldo {header.origin.id} de la clínica {header.clinica_id},"
            f" y debería ser el {respaldo.id} de la {respaldo.clinica_id}"
        )
    counts = {name: total.records for name, total in verified.totals.items()}
    if counts != respaldo.metadata_["detalles_registros"] or verified.records != respaldo.numero_registros:
        raise FormatError("el archivo no tiene los registros que se anotaron al crearlo")
    return verified
