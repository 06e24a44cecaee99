"""Puts a backup down as wanted, for a worker to make."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NotInProgress
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Accion, Estado, Respaldo, TipoRespaldo


async def pedir_respaldo(
    databases: Databases, *, clinica_id: int | None, tipo: TipoRespaldo, descripcion: str, actor: Actor
) -> Respaldo:
    """A pending backup of the clinic, committed; tell the queue, or the reconciler will within a minute.

    Whether there is such a clinic is for the caller to know. Raises OperationInProgress, with the `respaldo_id` of
    the one that is pending or running already.
    """
    async with transaction(databases) as session:
        return await put_down(session, clinica_id=clinica_id, tipo=tipo, descripcion=descripcion, actor=actor)


async def put_down(
    session: AsyncSession, *, clinica_id: int | None, tipo: TipoRespaldo, descripcion: str, actor: Actor
) -> Respaldo:
    """The same, with its line in the audit trail, as part of the caller's transaction."""
    respaldo = await backup_queries.add(
        session, clinica_id=clinica_id, tipo=tipo, descripcion=descripcion, actor=actor
    )
    await audit.record(
        session, Accion.CREACION, actor, clinica_id=clinica_id, respaldo_id=respaldo.id, tipo_respaldo=tipo
    )
    return respaldo


async def cancelar_respaldo(
    databases: Databases, respaldo_id: int, *, clinica_id: int | None, actor: Actor
) -> Respaldo:
    """Make a pending backup `cancelado`; ask whoever makes a running one to stop, which takes a second or two.

    A running one that is asked to stop never becomes `completado`. Asking again changes nothing.
    Raises RespaldoNotFound, and NotInProgress where the backup has ended.
    """
    async with transaction(databases) as session:
        respaldo = await backup_queries.cancel_pending(
            session, respaldo_id, clinica_id=clinica_id, reason=f"respaldo {respaldo_id}: se canceló antes de empezar"
        ) or await backup_queries.cancel_running(session, respaldo_id, clinica_id=clinica_id)
        if respaldo is not None:
            await audit.record(session, Accion.CANCELACION, actor, clinica_id=clinica_id, respaldo_id=respaldo_id)
            return respaldo
        found = await backup_queries.get(session, respaldo_id, clinica_id=clinica_id)
        if found.estado != Estado.PROCESANDO:
            raise NotInProgress(
                f"el respaldo {respaldo_id} está {found.estado}; solo se cancela uno pendiente o en proceso"
            )
        return found
