"""A backup's object as a file on this machine, proven by its hash."""

import asyncio
import hashlib
from pathlib import Path

from app.errors import FormatError, LocalFileError, NotCompleted
from app.respaldos.models import Estado, Respaldo
from app.respaldos.progress import Progress
from app.respaldos.resources import Resources


async def descargar_respaldo(
    resources: Resources, respaldo: Respaldo, target: Path, *, progress: Progress | None = None
) -> None:
    """Write the object to `target`, and its MD5 to `target`.md5 as md5sum does; both or neither.

    Raises NotCompleted, StorageError, LocalFileError, or FormatError where the bytes are not those that were
    stored. What `target` was before is replaced only at the end.
    """
    if respaldo.estado != Estado.COMPLETADO or respaldo.archivo_s3 is None or respaldo.hash_md5 is None:
        raise NotCompleted(f"el respaldo {respaldo.id} está {respaldo.estado}; solo se descarga uno completado")
    progress = progress or Progress()
    digest = hashlib.md5(usedforsecurity=False)
    part, md5_file = target.with_name(target.name + ".part"), target.with_name(target.name + ".md5")
    try:
        with part.open("wb") as file:
            async with resources.storage.download(respaldo.archivo_s3) as chunks:
                async for chunk in chunks:
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
                    progress.advance(bytes_=len(chunk))
        if digest.hexdigest() != respaldo.hash_md5:
            raise FormatError(
                f"lo que S3 entregó tiene MD5 {digest.hexdigest()} y debería ser {respaldo.hash_md5}: está dañado"
            )
        md5_file.write_text(f"{respaldo.hash_md5}  {target.name}\n", encoding="utf-8")
        part.replace(target)
    except OSError as exc:
        raise LocalFileError(f"no se puede escribir «{target}»: {exc}") from exc
    finally:
        part.unlink(missing_ok=True)
