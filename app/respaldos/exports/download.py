"""Hands an export over to whoever has its link, once.

The bytes that a connection has taken are not yet the person's: some hundred kilobytes to a few megabytes of them may
still be on their way when it is cut, which is all of a small clinic's export. So each download has a number, which
only who has begun it knows (its ETag). The first one that is sent the last byte uses the link up, and may still go on
where it was cut off, for a while; any other has come too late.
"""

from collections.abc import AsyncGenerator
from datetime import timedelta

from app.errors import LinkEnded
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.databases import Databases, transaction
from app.respaldos.exports import fleet as exports_fleet
from app.respaldos.exports import queries as exports_queries
from app.respaldos.exports.request import digest
from app.respaldos.models import Accion, Exportacion
from app.respaldos.resources import Resources

# How long an export stays after its last byte was sent: to go on with that download, or to ask for another link.
KEPT = timedelta(minutes=15)


async def linked(databases: Databases, secret: str, descarga: str | None) -> Exportacion:
    """The export that the link leads to, for a new download or to go on with that one. Raises LinkEnded."""
    async with transaction(databases) as session:
        found = await exports_fleet.by_link(session, digest(secret))
    if found is None or found.descarga not in (None, descarga):
        raise LinkEnded("el enlace ya se usó o venció; pida otro donde pidió la exportación")
    return found


async def handed_over(
    resources: Resources, exportacion: Exportacion, descarga: str, *, first: int, last: int, direccion: str
) -> AsyncGenerator[bytes, None]:
    """The export's bytes from number `first` to `last`, which is in it, for that download.

    The last byte of the whole comes only once this download has used up the link, and that is on record. Raises
    LinkEnded in its place where another one has, and StorageError.
    """
    assert exportacion.archivo_s3 is not None  # noqa: S101 (it is completed)
    held = b""
    async with resources.storage.download(exportacion.archivo_s3, first=first, last=last) as pieces:
        async for piece in pieces:
            if held:
                yield held
            held = piece
    if last + 1 == exportacion.tamaño_bytes:
        await _use(resources, exportacion, descarga, direccion)
    yield held


async def _use(databases: Databases, exportacion: Exportacion, descarga: str, direccion: str) -> None:
    async with transaction(databases) as session:
        if not await exports_queries.use_link(
            session, exportacion, clinica_id=exportacion.clinica_id, descarga=descarga, kept=KEPT
        ):
            raise LinkEnded(f"el enlace de la exportación {exportacion.id} ya lo usó otra descarga")
        await audit.record(
            session,
            Accion.EXPORTACION,
            Actor(exportacion.enlace_usuario, None, direccion),
            clinica_id=exportacion.clinica_id,
            respaldo_id=exportacion.respaldo_id,
            exportacion_id=exportacion.id,
            formato=exportacion.formato,
            estado="descargado",
        )
