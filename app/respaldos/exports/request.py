"""How an export is asked for, stopped, and handed over."""

import hashlib
import secrets
from datetime import UTC, datetime

from app.errors import ExportEnded, NotCompleted, NotInProgress
from app.export.format import Formato
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.contract import Enlace, mib
from app.respaldos.databases import Databases, transaction
from app.respaldos.exports import queries as exports_queries
from app.respaldos.jobs import queries as job_queries
from app.respaldos.jobs.request import Announcer, requesting
from app.respaldos.keys.keys import refuse_destroyed
from app.respaldos.models import Accion, Clase, Estado, Exportacion


async def pedir_exportacion(
    databases: Databases,
    queue: Announcer | None,
    respaldo_id: int,
    *,
    clinica_id: int | None,
    formato: Formato,
    horas: int,
    actor: Actor,
) -> Exportacion:
    """A pending export of the backup, which can be had for `horas` once it is made.

    Where there is one of that format already, under way or not downloaded yet, that one. Raises RespaldoNotFound,
    NotCompleted, KeyDestroyed, MissingLibrary, TooManyReadings, and what `requesting` raises.
    """
    formato.require()
    async with requesting(databases, queue) as session:
        respaldo = await backup_queries.get(session, respaldo_id, clinica_id=clinica_id)
        if respaldo.estado != Estado.COMPLETADO:
            raise NotCompleted(
                f"el respaldo {respaldo_id} está {respaldo.estado}; solo se exporta uno completado", respaldo.estado
            )
        refuse_destroyed(respaldo)
        exportacion, added = await exports_queries.add(
            session, respaldo_id, clinica_id=clinica_id, formato=formato, horas=horas, actor=actor
        )
        if added:
            await audit.record(
                session,
                Accion.EXPORTACION,
                actor,
                clinica_id=clinica_id,
                respaldo_id=respaldo_id,
                exportacion_id=exportacion.id,
                formato=formato,
                estado=Estado.PENDIENTE,
            )
        return exportacion


async def cancelar_exportacion(
    databases: Databases, exportacion_id: int, *, clinica_id: int | None, actor: Actor
) -> Exportacion:
    """Make a pending export `cancelado`; ask whoever makes a running one to stop, which takes a second or two.

    Asking again changes nothing. Raises RespaldoNotFound, and NotInProgress where it has ended.
    """
    async with transaction(databases) as session:
        job = await job_queries.cancel(session, Clase.EXPORTACION, exportacion_id, clinica_id=clinica_id)
        exportacion = await exports_queries.get(session, exportacion_id, clinica_id=clinica_id)
        if job is not None:
            await audit.record(
                session,
                Accion.EXPORTACION,
                actor,
                clinica_id=clinica_id,
                respaldo_id=exportacion.respaldo_id,
                exportacion_id=exportacion_id,
                formato=exportacion.formato,
                estado=Estado.CANCELADO,
            )
        elif exportacion.trabajo.estado != Estado.PROCESANDO:
            raise NotInProgress(
                f"la exportación {exportacion_id} está {exportacion.trabajo.estado};"
                " solo se cancela una pendiente o en proceso"
            )
        return exportacion


# Beyond guessing, and short enough for any address (bytes).
_SECRET_BYTES = 32


def digest(secret: str) -> str:
    """What is kept of a link's secret: who reads the table cannot download by it."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def enlace_exportacion(
    databases: Databases, exportacion_id: int, *, clinica_id: int | None, actor: Actor, address: str
) -> Enlace:
    """A link that is good for one download; the one before is no longer good. `address` is what its secret is put to.

    Raises RespaldoNotFound, NotCompleted with the export's `estado`, and ExportEnded where its time is over.
    """
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    async with transaction(databases) as session:
        exportacion = await exports_queries.get(session, exportacion_id, clinica_id=clinica_id)
        estado = exportacion.trabajo.estado
        if estado != Estado.COMPLETADO:
            raise NotCompleted(f"la exportación {exportacion_id} está {estado}; todavía no hay qué descargar", estado)
        if not await exports_queries.put_link(
            session, exportacion_id, clinica_id=clinica_id, enlace=digest(secret), usuario=actor.usuario
        ):
            raise ExportEnded(f"la exportación {exportacion_id} ya terminó; pídala de nuevo")
    # Of a completed one, both are there.
    assert exportacion.vence is not None  # noqa: S101
    assert exportacion.archivo is not None  # noqa: S101
    return Enlace(
        url=address + secret,
        expira_en_segundos=max(0, int((exportacion.vence - datetime.now(UTC)).total_seconds())),
        archivo=exportacion.archivo,
        tamaño_mb=mib(exportacion.tamaño_bytes),
        cifrado=False,
    )
