"""Holding a backup: until it is released, neither a person nor its age deletes it."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import HoldOver, NotHeld, RespaldoNotFound
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Accion, Respaldo
from app.respaldos.retention import queries as retention_queries


async def retener_respaldo(
    databases: Databases,
    respaldo_id: int,
    *,
    clinica_id: int | None,
    motivo: str,
    hasta: datetime | None,
    actor: Actor,
) -> Respaldo:
    """Have it kept until then, or without an end; one that is held already gets this reason and end.

    Raises RespaldoNotFound, and HoldOver for an end that has passed.
    """
    now = datetime.now(UTC)
    if hasta is not None and hasta <= now:
        raise HoldOver("ese día ya pasó: ponga uno que no haya pasado, o ninguno")
    async with transaction(databases) as session:
        respaldo = await _live(session, respaldo_id, clinica_id=clinica_id)
        respaldo.retenido, respaldo.retenido_hasta, respaldo.retenido_motivo = now, hasta, motivo
        respaldo.retenido_por = actor.nombre or actor.usuario
        await audit.record(
            session,
            Accion.RETENCION,
            actor,
            clinica_id=clinica_id,
            respaldo_id=respaldo_id,
            motivo=motivo,
            hasta=hasta.isoformat() if hasta is not None else None,
        )
        await session.refresh(respaldo)
        return respaldo


async def liberar_respaldo(
    databases: Databases, respaldo_id: int, *, clinica_id: int | None, actor: Actor
) -> Respaldo:
    """Have it kept no longer than the others. Raises RespaldoNotFound, and NotHeld where it is not held."""
    async with transaction(databases) as session:
        respaldo = await _live(session, respaldo_id, clinica_id=clinica_id)
        if not respaldo.held(datetime.now(UTC)):
            raise NotHeld(f"el respaldo {respaldo_id} no está retenido")
        motivo, respaldo.retenido, respaldo.retenido_hasta = respaldo.retenido_motivo, None, None
        respaldo.retenido_motivo = respaldo.retenido_por = None
        await audit.record(
            session, Accion.LIBERACION, actor, clinica_id=clinica_id, respaldo_id=respaldo_id, motivo=motivo
        )
        await session.refresh(respaldo)
        return respaldo


async def _live(session: AsyncSession, respaldo_id: int, *, clinica_id: int | None) -> Respaldo:
    respaldo = await retention_queries.locked(session, respaldo_id, clinica_id=clinica_id)
    if respaldo.fecha_eliminacion is not None:
        raise RespaldoNotFound(f"no existe el respaldo {respaldo_id}")
    return respaldo
