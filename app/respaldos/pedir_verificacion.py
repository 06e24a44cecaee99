"""Puts a verification of a backup down as wanted, for a worker to make."""

from app.errors import NotCompleted
from app.respaldos import repository, restauracion_repository
from app.respaldos.actor import Actor
from app.respaldos.models import Estado, Profundidad, Restauracion
from app.respaldos.resources import Databases
from app.respaldos.transaction import transaction


async def pedir_verificacion(
    databases: Databases, respaldo_id: int, *, clinica_id: int | None, profundidad: Profundidad, actor: Actor
) -> Restauracion:
    """A pending verification of the backup, committed; where there is one already, pending or running, that one.

    Raises RespaldoNotFound, and NotCompleted where there is no file to look at.
    """
    async with transaction(databases) as session:
        respaldo = await repository.get(session, respaldo_id, clinica_id=clinica_id)
        if respaldo.estado != Estado.COMPLETADO:
            raise NotCompleted(
                f"el respaldo {respaldo_id} está {respaldo.estado}; solo se verifica uno completado", respaldo.estado
            )
        return await restauracion_repository.add_verification(
            session, respaldo_id, clinica_id=clinica_id, profundidad=profundidad, actor=actor
        )
