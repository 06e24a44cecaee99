"""Puts a restore of a backup down as wanted, for a worker to make."""

from app.respaldos.actor import Actor
from app.respaldos.models import Restauracion
from app.respaldos.resources import Databases
from app.respaldos.restore_attempt import RestoreRequest, put_down_restore
from app.respaldos.transaction import transaction


async def pedir_restauracion(
    databases: Databases, respaldo_id: int, *, clinica_id: int | None, request: RestoreRequest, actor: Actor
) -> Restauracion:
    """A pending restore, committed; tell the queue, or the reconciler will within a minute.

    Raises RespaldoNotFound, NotCompleted, InvalidRequest, OperationInProgress.
    """
    async with transaction(databases) as session:
        return await put_down_restore(session, respaldo_id, clinica_id=clinica_id, request=request, actor=actor)
