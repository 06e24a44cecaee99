"""How a restore ends, whoever ends it: its row, the audit trail, and what people are told."""

from collections.abc import Mapping
from typing import Any

from app.errors import RespaldosError
from app.respaldos import avisos, eventos, restauracion_repository
from app.respaldos.actor import Actor
from app.respaldos.models import Accion, Estado, Restauracion, TipoAviso
from app.respaldos.resources import Databases
from app.respaldos.transaction import transaction


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
        ended = await restauracion_repository.finish(
            session,
            restauracion_id,
            intento,
            clinica_id=clinica_id,
            estado=Estado.FALLIDO if problem is not None else Estado.COMPLETADO,
            **({"error": None, "error_type": None} | error),
        )
        if ended is None:
            return None
        await eventos.record(
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
            await avisos.record(
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
