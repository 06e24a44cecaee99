"""A backup's object as a file on this machine, proven by its hash, or as a link to it."""

import asyncio
import hashlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from app.errors import FormatError, LocalFileError, NotCompleted, ObjectNotFound, StorageError
from app.respaldos import audit
from app.respaldos.audit import COMMAND_LINE, Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.contract import Enlace, mib
from app.respaldos.copies.sources import Source, Sources
from app.respaldos.databases import transaction
from app.respaldos.keys.keys import decryption_of, refuse_destroyed
from app.respaldos.models import Accion, Estado, Respaldo
from app.respaldos.progress import Progress
from app.respaldos.resources import Resources


async def descargar_respaldo(
    resources: Resources,
    respaldo: Respaldo,
    target: Path,
    *,
    raw: bool = False,
    actor: Actor = COMMAND_LINE,
    progress: Progress | None = None,
) -> None:
    """Write the file to `target`, and its MD5 to `target`.md5 as md5sum does; both or neither.

    One that is encrypted is decrypted, unless it is wanted `raw`, as it is stored.

    That somebody has it is on record before they have. What `target` was before is replaced only at the end. Only
    this user may read the new file.

    Raises NotCompleted, StorageError, DatabaseError, LocalFileError, EncryptionError where the key cannot be had, or
    FormatError where the bytes are not those that were stored.
    """
    if respaldo.estado != Estado.COMPLETADO or respaldo.archivo_s3 is None or respaldo.hash_md5 is None:
        raise NotCompleted(f"el respaldo {respaldo.id} está {respaldo.estado}; solo se descarga uno completado")
    progress = progress or Progress()
    key = respaldo.archivo_s3
    try:
        # Next to the target, since a file moves in one step only within a disk.
        with TemporaryDirectory(prefix=".respaldos-", dir=target.parent) as folder:
            part, md5_part = Path(folder, "part"), Path(folder, "md5")

            async def fetch(source: Source) -> str:
                return await _fetch(resources, respaldo, source, key, part, progress, raw=raw)

            md5 = await Sources(resources, respaldo, progress).read(fetch)
            md5_part.write_bytes(f"{md5}  ".encode() + os.fsencode(target.name) + b"\n")
            async with transaction(resources) as session:
                await audit.record(
                    session,
                    Accion.DESCARGA,
                    actor,
                    clinica_id=respaldo.clinica_id,
                    respaldo_id=respaldo.id,
                    archivo=respaldo.archivo_s3.rpartition("/")[2],
                )
            part.replace(target)
            md5_part.replace(target.with_name(target.name + ".md5"))
    except OSError as exc:
        raise LocalFileError(f"no se puede escribir «{target}»: {exc.strerror or exc}") from exc


async def _fetch(
    resources: Resources,
    respaldo: Respaldo,
    source: Source,
    key: str,
    part: Path,
    progress: Progress,
    *,
    raw: bool,
) -> str:
    """Write the object to `part`; return the MD5 of what was written."""
    decryption = None if raw else await decryption_of(resources, respaldo)
    stored, written = hashlib.md5(usedforsecurity=False), hashlib.md5(usedforsecurity=False)
    with open(part, "wb", opener=_private) as file:

        def write(chunk: bytes) -> None:
            stored.update(chunk)
            for plain in (chunk,) if decryption is None else decryption.feed(chunk):
                written.update(plain)
                file.write(plain)

        async with source.storage.download(key) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(write, chunk)
                progress.advance(bytes_=len(chunk))
        if decryption is not None:
            last = decryption.finish()
            written.update(last)
            file.write(last)
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())
    if stored.hexdigest() != respaldo.hash_md5:
        raise FormatError(
            f"lo que S3 entregó tiene MD5 {stored.hexdigest()} y debería ser {respaldo.hash_md5}: está dañado"
        )
    return written.hexdigest()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


# The HTTP contract; signatures of S3 last a week at most.
LINK_SECONDS = 3600


async def enlace_descarga(resources: Resources, respaldo_id: int, *, clinica_id: int | None, actor: Actor) -> Enlace:
    """The link, whose making is on record before anybody has it.

    It is to a second copy where the object is gone or its store away; where there is none, that is not looked at.

    Raises RespaldoNotFound, KeyDestroyed, and NotCompleted with the backup's `estado`.
    """
    async with transaction(resources) as session:
        respaldo = await backup_queries.get(session, respaldo_id, clinica_id=clinica_id)
    if respaldo.estado != Estado.COMPLETADO or respaldo.archivo_s3 is None:
        raise NotCompleted(
            f"el respaldo {respaldo_id} está {respaldo.estado}; solo se descarga uno completado", respaldo.estado
        )
    refuse_destroyed(respaldo)
    archivo = respaldo.archivo_s3.rpartition("/")[2]
    source = await _source_of_link(resources, respaldo, respaldo.archivo_s3)
    url = await source.storage.presign(respaldo.archivo_s3, seconds=LINK_SECONDS, filename=archivo)
    async with transaction(resources) as session:
        await audit.record(
            session,
            Accion.ENLACE_DESCARGA,
            actor,
            clinica_id=clinica_id,
            respaldo_id=respaldo_id,
            archivo=archivo,
            segundos=LINK_SECONDS,
            **({} if source.copy is None else {"copia": source.copy}),
        )
    return Enlace(
        url=url,
        expira_en_segundos=LINK_SECONDS,
        archivo=archivo,
        tamaño_mb=mib(respaldo.tamaño_bytes),
        cifrado=respaldo.encrypted,
        copia=source.copy,
    )


async def _source_of_link(resources: Resources, respaldo: Respaldo, key: str) -> Source:
    """The bucket itself, unless the object is not there and a copy is."""
    sources = Sources(resources, respaldo, Progress())

    async def look(source: Source) -> Source:
        if await source.storage.head(key) is None:
            raise ObjectNotFound(f"el objeto «{key}» no existe en S3")
        return source

    try:
        return await sources.read(look) if sources.alternatives else sources.current
    except StorageError:
        return sources.current
