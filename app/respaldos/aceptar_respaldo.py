"""A person says that a suspicious backup is as it should be; from then on it counts as good."""

from datetime import UTC, datetime

from app.errors import NotSuspicious, RespaldoNotFound
from app.respaldos import eventos, retention_repository
from app.respaldos.actor import Actor
from app.respaldos.models import Accion, Respaldo
from app.respaldos.resources import Databases
from app.respaldos.transaction import transaction


async def aceptar_respaldo(
    databases: Databases, respaldo_id: int, *, clinica_id: int | None, actor: Actor
) -> Respaldo:
    """Raises RespaldoNotFound, and NotSuspicious where there is nothing to accept any more or never was."""
    async with transaction(databases) as session:
        respaldo = await retention_repository.locked(session, respaldo_id, clinica_id=clinica_id)
        if respaldo.fecha_eliminacion is not None:
            raise RespaldoNotFound(f"no existe el respaldo {respaldo_id}")
        if respaldo.aceptado is not None:
            raise NotSuspicious(f"el respaldo {respaldo_id} ya se aceptó")
        if not respaldo.sospechoso:
            raise NotSuspicious(f"el respaldo {respaldo_id} no es sospechoso")
        respaldo.aceptado = datetime.now(UTC)
        await eventos.record(session, Accion.ACEPTACION, actor, clinica_id=clinica_id, respaldo_id=respaldo_id)
        await session.refresh(respaldo)
        return respaldo
