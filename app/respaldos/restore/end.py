"""How a restore ends, whoever ends it: its row, the audit trail, and what people are told."""

import logging
from collections.abc import Mapping
from typing import Any

from app.clinic.restore.session import Outcome
from app.errors import DatabaseError, RespaldosError, RestoreInterrupted, RestoreUncertain
from app.respaldos import audit, notices
from app.respaldos.audit import Actor
from app.respaldos.models import Accion, Estado, Restauracion, TipoAviso
from app.respaldos.reading import fleet as reading_fleet
from app.respaldos.reading import queries as reading_queries
from app.respaldos.resources import Databases, Resources, transaction


async def end_restore(
    databases: Databases,
    restauracion_id: int,
    intento: int,
    *,
    clinica_id: int | None,
    problem: RespaldosError | None,
) -> Restauracion | None:
    """End the attempt for good; None, and nothing done, where it is another's by now.

    Without a `problem` it is completed: committed or, of a simulation, taken back as it should be.
    """
    error = {"error": str(problem), "error_type": problem.code} if problem is not None else {}
    async with transaction(databases) as session:
        ended = await reading_queries.finish(
            session,
            restauracion_id,
            intento,
            clinica_id=clinica_id,
            estado=Estado.FALLIDO if problem is not None else Estado.COMPLETADO,
            **({"error": None, "error_type": None} | error),
        )
        if ended is None:
            return None
        await audit.record(
            session,
            Accion.RESTAURACION,
            Actor(ended.usuario, None, ended.direccion),
            clinica_id=clinica_id,
            respaldo_id=ended.respaldo_id,
            restauracion_id=ended.id,
            estado=ended.estado,
            simulada=ended.simulada,
            **error,
        )
        if not ended.simulada:
            await notices.record(
                session,
                TipoAviso.RESTAURACION_FALLIDA if problem is not None else TipoAviso.RESTAURACION,
                clinica_id=clinica_id,
                respaldo_id=ended.respaldo_id,
                restauracion_id=ended.id,
                **error,
                **(_totals(ended.resultado) if problem is None else {}),
            )
    return ended


def _totals(resultado: Mapping[str, Mapping[str, Any]] | None) -> dict[str, int]:
    counted = ("insertados", "actualizados", "eliminados")
    return {name: sum(int(model[name]) for model in (resultado or {}).values()) for name in counted}


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
        expired = await reading_fleet.expired_restores(session)
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
