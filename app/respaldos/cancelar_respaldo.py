"""Stops a backup that nobody wants any more."""

from app.errors import NotInProgress
from app.respaldos import eventos, repository
from app.respaldos.actor import Actor
from app.respaldos.models import Accion, Estado, Respaldo
from app.respaldos.resources import Databases
from app.respaldos.transaction import transaction


async def cancelar_respaldo(
    databases: Databases, respaldo_id: int, *, clinica_id: int | None, actor: Actor
) -> Respaldo:
    """Make a pending backup `cancelado`; ask whoever makes a running one to stop, which takes a second or two.

    A running one that is asked to stop never becomes `completado`. Asking again changes nothing.
    Raises RespaldoNotFound, and NotInProgress where the backup has ended.
    """
    async with transaction(databases) as session:
        respaldo = await repository.cancel_pending(
            session, respaldo_id, clinica_id=clinica_id, reason=f"respaldo {respaldo_id}: se canceló antes de empezar"
        ) or await repository.cancel_running(session, respaldo_id, clinica_id=clinica_id)
        if respaldo is not None:
            await eventos.record(session, Accion.CANCELACION, actor, clinica_id=clinica_id, respaldo_id=respaldo_id)
            return respaldo
        found = await repository.get(session, respaldo_id, clinica_id=clinica_id)
        if found.estado != Estado.PROCESANDO:
            raise NotInProgress(
                f"el respaldo {respaldo_id} está {found.estado}; solo se cancela uno pendiente o en proceso"
            )
        return found
