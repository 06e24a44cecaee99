"""Makes an export: the backup is verified while it is written to a folder, and that goes to S3 as one object."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import LocalFileError, NotCompleted
from app.export.format import Exported, Formato
from app.export.pieces import pieces
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import transaction
from app.respaldos.exports import queries as exports_queries
from app.respaldos.exports.cleanup import clean_up_after, discard_former
from app.respaldos.exports.folder import working_folder
from app.respaldos.exports.object_key import key_of
from app.respaldos.jobs.kinds import Handlers
from app.respaldos.jobs.run import Attempt
from app.respaldos.models import Accion, Estado, Trabajo
from app.respaldos.progress import Etapa, Expected, Progress
from app.respaldos.reading.export import exportar_respaldo
from app.respaldos.resources import Resources
from app.storage.s3 import PART_SIZE, StoredObject
from app.storage.upload import MAX_PARTS

CONTENT_TYPES = {formato: "application/zip" for formato in Formato} | {
    Formato.SQLITE: "application/vnd.sqlite3",
    Formato.JSON: "application/gzip",
}
"""What a browser is told of it; a folder goes in a ZIP."""


async def run(attempt: Attempt) -> None:
    """Make the export, and complete the job. What is wrong with the backup is recorded as a verification does it."""
    job, resources, progress = attempt.job, attempt.resources, attempt.progress
    async with transaction(resources) as session:
        asked = await exports_queries.for_job(session, job, clinica_id=job.clinica_id)
        respaldo = await backup_queries.get(session, job.respaldo_id, clinica_id=job.clinica_id, deleted=True)
    if respaldo.fecha_eliminacion is not None or respaldo.archivo_s3 is None:
        raise NotCompleted(f"el respaldo {respaldo.id} se eliminó antes de exportarlo")
    progress.expected = Expected(respaldo.numero_registros, respaldo.tamaño_bytes)
    formato = Formato(asked.formato)
    name = formato.name_for(respaldo.archivo_s3.rpartition("/")[2])
    async with attempt.leased():
        await discard_former(resources, job)
        with working_folder() as folder:
            exported = await exportar_respaldo(
                resources, respaldo, folder / name, formato, actor=Actor.of(job), progress=progress
            )
            key = key_of(asked.id, job.intento, clinica_id=job.clinica_id)
            stored = await _store(resources, key, exported, progress)
    async with transaction(resources) as session:
        await attempt.complete(session)
        await exports_queries.made(
            session,
            job,
            clinica_id=job.clinica_id,
            archivo=f"{name}.zip" if formato.is_folder else name,
            archivo_s3=stored.key,
            tamaño_bytes=stored.size,
            hash_md5=stored.md5,
        )


async def _store(resources: Resources, key: str, exported: Exported, progress: Progress) -> StoredObject:
    """Upload it and read it back."""
    # How large a ZIP will be, nobody knows.
    progress.expected = None
    progress.enter(Etapa.SUBIENDO)
    async with aclosing(_chunks(pieces(exported.target), exported.target, progress)) as chunks:
        stored = await resources.storage.upload(
            key,
            chunks,
            # What does not compress grows a little.
            part_size=max(PART_SIZE, exported.size * 9 // 8 // MAX_PARTS),
            content_type=CONTENT_TYPES[exported.formato],
            brief=True,
        )
    progress.enter(Etapa.RELEYENDO)
    await resources.storage.read_back(stored, on_bytes=lambda size: progress.read_back(bytes_=size, of=stored.size))
    return stored


async def _chunks(of: Iterator[bytes], target: Path, progress: Progress) -> AsyncGenerator[bytes, None]:
    while True:
        try:
            piece = await asyncio.to_thread(next, of, None)
        except OSError as exc:
            raise LocalFileError(f"no se puede leer «{target}»: {exc.strerror or exc}") from exc
        if piece is None:
            return
        progress.advance(bytes_=0)
        yield piece


async def _ended(session: AsyncSession, job: Trabajo, _seconds: float | None) -> None:
    # Who cancelled it is in the trail already.
    if job.estado not in (Estado.COMPLETADO, Estado.FALLIDO):
        return
    asked = await exports_queries.for_job(session, job, clinica_id=job.clinica_id)
    await audit.record(
        session,
        Accion.EXPORTACION,
        Actor.of(job),
        clinica_id=job.clinica_id,
        respaldo_id=job.respaldo_id,
        exportacion_id=asked.id,
        formato=asked.formato,
        estado=job.estado,
        **({} if job.error is None else {"error": job.error}),
    )


HANDLERS = Handlers(run, _ended, clean_up_after)
