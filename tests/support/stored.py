"""Backups put straight into the tables, of any age and state, without anything being backed up."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import transaction
from app.respaldos.models import Estado, Evento, Intento, Respaldo, TipoRespaldo
from app.respaldos.resources import Resources

PERSON = Actor("7", "Ana Pérez", "203.0.113.9")

_clinics = itertools.count(1000)
_serial = itertools.count(1)


def unused_clinic() -> int:
    """A clinic that has nothing yet, not even a line in the audit trail, which outlives a test's backups."""
    return next(_clinics)


async def stored(
    resources: Resources, clinica_id: int | None, *, days: float = 0, content: bytes | None = None, **values: Any
) -> int:
    """The id of a backup that many days old, completed and good unless `values` say otherwise.

    With `content` its object is in the bucket.
    """
    key = f"backups/{clinica_id}/2026/01/backup_20260101_{next(_serial):06}.json.gz"
    moment = datetime.now(UTC) - timedelta(days=days)
    given: dict[str, Any] = {
        "clinica_id": clinica_id,
        "tipo_respaldo": TipoRespaldo.AUTOMATICO,
        "estado": Estado.COMPLETADO,
        "archivo_s3": key,
        "fecha_respaldo": moment,
        "fecha_creacion": moment,
        "tamaño_bytes": len(content) if content is not None else 100,
        "numero_registros": 10,
        **values,
    }
    if given["estado"] != Estado.COMPLETADO and "archivo_s3" not in values:
        given["archivo_s3"] = None
    if content is not None:
        await put(resources, key, content)
    async with transaction(resources) as session:
        respaldo = Respaldo(**given)
        session.add(respaldo)
        await session.flush()
        session.add(Intento(respaldo_id=respaldo.id, numero=1, archivo_s3=key, inicio=moment, fin=moment))
        return respaldo.id


async def put(resources: Resources, key: str, content: bytes) -> None:
    """An object, whoever may know of it."""
    storage = resources.storage
    await storage.client.put_object(Bucket=storage.options.bucket, Key=key, Body=content)


async def keys(resources: Resources) -> set[str]:
    """What is in the bucket."""
    return {item.key async for item in resources.storage.list()}


async def row(resources: Resources, respaldo_id: int) -> Respaldo:
    """A backup as the database has it."""
    async with transaction(resources) as session:
        found = await session.get(Respaldo, respaldo_id)
    assert found is not None
    return found


async def live_ids(resources: Resources, clinica_id: int | None) -> list[int]:
    """The clinic's backups that are not deleted."""
    async with transaction(resources) as session:
        found, _ = await backup_queries.page(session, clinica_id=clinica_id, limit=1000, offset=0)
        return sorted(respaldo.id for respaldo in found)


async def trail(resources: Resources, clinica_id: int | None) -> list[Evento]:
    """The clinic's audit trail, oldest first."""
    async with transaction(resources) as session:
        found, _ = await audit.page(session, clinica_id=clinica_id, accion=None, limit=1000, offset=0)
    return list(reversed(found))


async def waiting_for_a_lock(conn: asyncpg.Connection) -> None:
    """Return once somebody waits for what this connection has locked."""
    async with asyncio.timeout(30):
        while not await conn.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        ):
            await conn.execute("SELECT pg_stat_clear_snapshot()")
            await asyncio.sleep(0.01)
