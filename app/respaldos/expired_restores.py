"""Finds out what became of the restores of dead processes, and ends them."""

import logging

from app.clinic.restore.session import Outcome
from app.errors import DatabaseError, RespaldosError, RestoreInterrupted, RestoreUncertain
from app.respaldos import platform_repository
from app.respaldos.end_restore import end_restore
from app.respaldos.models import Restauracion
from app.respaldos.resources import Resources
from app.respaldos.transaction import transaction

log = logging.getLogger(__name__)

UNDONE = "la restauración se interrumpió y no cambió nada"
UNKNOWN = (
    "la restauración se interrumpió al final, y la base de datos ya no sabe si llegó a cumplirse;"
    " compárela con «respaldos comparar»"
)


async def end_expired_restores(resources: Resources) -> None:
    """End every restore whose lease ran out, as completed where its transaction was committed.

    The session of a process that is frozen, and not dead, is ended first: nothing can be committed after this has
    looked. What cannot be found out now is asked again at the next call. Raises DatabaseError where the service's own
    database fails.
    """
    async with transaction(resources) as session:
        expired = await platform_repository.expired_restores(session)
    for restauracion in expired:
        try:
            outcome = await _outcome(resources, restauracion)
        except DatabaseError as exc:
            log.warning("no se sabe cómo terminó la restauración %s: %s", restauracion.id, exc)
            continue
        if outcome is Outcome.IN_PROGRESS:
            continue
        problem: RespaldosError | None = None
        if outcome is not Outcome.COMMITTED:
            problem = RestoreInterrupted(UNDONE) if outcome is Outcome.ABORTED else RestoreUncertain(UNKNOWN)
        await end_restore(
            resources, restauracion.id, restauracion.intento, clinica_id=restauracion.clinica_id, problem=problem
        )
        log.warning("la restauración %s no daba señales de vida; se dio por terminada", restauracion.id)


async def _outcome(resources: Resources, restauracion: Restauracion) -> Outcome | None:
    if restauracion.destino is not None:
        # Another database, whose address is not kept: it knows, and nobody here.
        return None if restauracion.transaccion is not None else Outcome.ABORTED
    await resources.restore.end_restoring(restauracion.clinica_id)
    if restauracion.transaccion is None:
        return Outcome.ABORTED
    return await resources.restore.outcome(restauracion.transaccion)
