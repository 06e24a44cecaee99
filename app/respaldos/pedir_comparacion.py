"""Puts a comparison of two backups down as wanted, for a worker to make."""

from app.errors import NotCompleted
from app.respaldos import eventos, repository, restauracion_repository
from app.respaldos.actor import Actor
from app.respaldos.models import Accion, Estado, Restauracion
from app.respaldos.resources import Databases
from app.respaldos.transaction import transaction


async def pedir_comparacion(
    databases: Databases, respaldo_id: int, *, clinica_id: int | None, desde: int, actor: Actor
) -> Restauracion:
    """A pending comparison that tells what changed from backup `desde` to this one, committed.

    Where it was asked for before, that one, unless it failed: the files do not change any more. Raises
    RespaldoNotFound, and NotCompleted where there is no file to look at.
    """
    async with transaction(databases) as session:
        for id_ in (respaldo_id, desde):
            respaldo = await repository.get(session, id_, clinica_id=clinica_id)
            if respaldo.estado != Estado.COMPLETADO:
                raise NotCompleted(
                    f"el respaldo {id_} está {respaldo.estado}; solo se compara uno completado", respaldo.estado
                )
        restauracion, new = await restauracion_repository.add_comparison(
            session, respaldo_id, clinica_id=clinica_id, desde=desde, actor=actor
        )
        if new:
            await eventos.record(
                session,
                Accion.COMPARACION,
                actor,
                clinica_id=clinica_id,
                respaldo_id=respaldo_id,
                restauracion_id=restauracion.id,
                desde=desde,
            )
        return restauracion
