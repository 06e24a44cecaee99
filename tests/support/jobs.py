"""Jobs as PostgreSQL has them, and jobs put straight into its tables."""

import json
from dataclasses import replace
from typing import Any

import asyncpg

from app.respaldos.jobs.kinds import KINDS
from app.respaldos.models import Clase
from app.respaldos.resources import Resources


def with_lease(resources: Resources, **seconds: float) -> Resources:
    """The same with other times of its leases."""
    return replace(resources, lease=replace(resources.lease, **seconds))


async def add_job(conn: asyncpg.Connection, respaldo_id: int, clase: Clase = Clase.RESPALDO, **values: Any) -> int:
    """A job of that kind for the backup, as its row says it is if nothing else is said; its id."""
    kind = KINDS[clase]
    row = await conn.fetchrow("SELECT clinica_id, estado FROM respaldos.respaldo WHERE id = $1", respaldo_id)
    assert row is not None
    given = {
        "clase": clase,
        "respaldo_id": respaldo_id,
        "clinica_id": row["clinica_id"],
        "estado": row["estado"],
        "prioridad": kind.priority,
        "exclusiva": kind.exclusive,
        "reintentable": kind.retried,
        **{name: json.dumps(value) if isinstance(value, dict) else value for name, value in values.items()},
    }
    places = ", ".join(f"${place}" for place in range(1, len(given) + 1))
    id_: int = await conn.fetchval(
        f"INSERT INTO respaldos.trabajo ({', '.join(given)}) VALUES ({places}) RETURNING id", *given.values()
    )
    return id_


async def occupy(conn: asyncpg.Connection, respaldo_id: int, clase: Clase) -> int:
    """The job of another process that holds the backup's clinic: its id."""
    return await add_job(conn, respaldo_id, clase, estado="procesando")


async def add_restauracion(
    conn: asyncpg.Connection, respaldo_id: int, clase: Clase = Clase.VERIFICACION, *, job: Any = None, **values: Any
) -> int:
    """Something to be done with the backup, pending if `job`, columns of that, does not say otherwise; its id."""
    tipo = Clase.RESTAURACION if clase == Clase.SIMULACION else clase
    given = {"respaldo_id": respaldo_id, "tipo": tipo, "simulada": clase == Clase.SIMULACION, **values}
    if clase == Clase.VERIFICACION:
        given.setdefault("profundidad", "rapida")
    places = ", ".join(f"${place}" for place in range(1, len(given) + 1))
    id_: int = await conn.fetchval(
        f"INSERT INTO respaldos.restauracion ({', '.join(given)}, clinica_id) VALUES ({places},"
        " (SELECT clinica_id FROM respaldos.respaldo WHERE id = $1)) RETURNING id",
        *given.values(),
    )
    await add_job(conn, respaldo_id, clase, **({"estado": "pendiente", "restauracion_id": id_} | (job or {})))
    return id_


async def add_exportacion(conn: asyncpg.Connection, respaldo_id: int, *, job: Any = None, **values: Any) -> int:
    """An export of the backup, pending if `job`, columns of that, does not say otherwise; its id."""
    given = {"respaldo_id": respaldo_id, "formato": "csv", "horas": 24, **values}
    places = ", ".join(f"${place}" for place in range(1, len(given) + 1))
    id_: int = await conn.fetchval(
        f"INSERT INTO respaldos.exportacion ({', '.join(given)}, clinica_id) VALUES ({places},"
        " (SELECT clinica_id FROM respaldos.respaldo WHERE id = $1)) RETURNING id",
        *given.values(),
    )
    of_job = {"estado": "pendiente", "exportacion_id": id_} | (job or {})
    await add_job(conn, respaldo_id, Clase.EXPORTACION, **of_job)
    return id_


async def restauracion_row(conn: asyncpg.Connection, restauracion_id: int | None = None) -> dict[str, Any]:
    """What was asked for and its job, in one; of the one that was asked for last if no other is named."""
    row = await conn.fetchrow(
        "SELECT t.*, r.* FROM respaldos.restauracion r JOIN respaldos.trabajo t ON t.restauracion_id = r.id"
        " WHERE $1::bigint IS NULL OR r.id = $1 ORDER BY r.id DESC LIMIT 1",
        restauracion_id,
    )
    assert row is not None
    return {**row, "resultado": json.loads(row["resultado"]) if row["resultado"] is not None else None}


async def expire(conn: asyncpg.Connection) -> None:
    """Let the lease of every job that runs run out."""
    await conn.execute(
        "UPDATE respaldos.trabajo SET lease_until = clock_timestamp() - interval '1 second'"
        " WHERE estado = 'procesando'"
    )


async def running(conn: asyncpg.Connection) -> int:
    """How many jobs are being done."""
    count: int = await conn.fetchval("SELECT count(*) FROM respaldos.trabajo WHERE estado = 'procesando'")
    return count
