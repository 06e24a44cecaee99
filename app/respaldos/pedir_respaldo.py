"""Puts a backup down as wanted, for a worker to make."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos import eventos, repository
from app.respaldos.actor import Actor
from app.respaldos.models import Accion, Respaldo, TipoRespaldo
from app.respaldos.resources import Databases
from app.respaldos.transaction import transaction


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
    respaldo = await repository.add(session, clinica_id=clinica_id, tipo=tipo, descripcion=descripcion, actor=actor)
    await eventos.record(
        session, Accion.CREACION, actor, clinica_id=clinica_id, respaldo_id=respaldo.id, tipo_respaldo=tipo
    )
    return respaldo
