"""A clinic put back from its backup, from the object in S3 to the rows, the audit trail and the news."""

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from app.clinic.catalogue import Tenancy
from app.respaldos.models import Respaldo, Restauracion
from app.respaldos.resources import Resources
from app.respaldos.restaurar_respaldo import restaurar_respaldo
from app.respaldos.restore_attempt import RestoreRequest
from app.settings import DEMO_RULES
from tests.clinic.backup import Backup
from tests.clinic.backup import back_up as read_clinic
from tests.respaldos.conftest import (
    ANA,
    LARGE,
    NEW,
    SMALL,
    assert_consistent,
    back_up,
    connected,
    opened,
    told,
    trail,
)
from tests.storage.conftest import Store

TENANCY = Tenancy(rules=json.loads(DEMO_RULES))


@pytest.fixture
async def resources(store: Store, own_database: str) -> AsyncIterator[Resources]:
    """Everything, on a database of the test's own."""
    async with opened(store, service=own_database, tenancy=TENANCY) as found:
        yield found


@pytest.fixture
async def conn(own_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it, outside of the service."""
    async with connected(own_database) as connection:
        yield connection


DAMAGE = f"""
DELETE FROM pago_en_linea WHERE idconsulta IN (SELECT c.id FROM consulta c JOIN paciente p
    ON p.codusuario = c.codpaciente WHERE p.clinica_id = {SMALL});
UPDATE factura SET razon_social = razon_social || '!' WHERE clinica_id = {SMALL} AND id % 2 = 0;
INSERT INTO bitacora (accion, modelo, descripcion, ip_address, user_agent, fecha, clinica_id)
    VALUES ('x', 'y', 'z', '10.0.0.1', 'w', now(), {SMALL});
"""


async def everybody(resources: Resources) -> dict[int, Backup]:
    """Each clinic's rows now."""
    return {clinica_id: await read_clinic(resources.clinic, clinica_id) for clinica_id in (LARGE, SMALL, NEW)}


async def restore(resources: Resources, respaldo: Respaldo, **request: Any) -> Restauracion:
    """As the command line does."""
    return await restaurar_respaldo(resources, respaldo, RestoreRequest(**request), actor=ANA)


async def test_the_preview_changes_nothing_and_is_what_then_happens(
    resources: Resources, store: Store, conn: asyncpg.Connection
) -> None:
    before = await everybody(resources)
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    damaged = await everybody(resources)
    shown = await restore(resources, respaldo, simulada=True)
    assert (shown.estado, shown.respaldo_previo, shown.fecha_fin is not None) == ("completado", None, True)
    now = await everybody(resources)
    assert {id_: each.lines for id_, each in now.items()} == {id_: each.lines for id_, each in damaged.items()}

    done = await restore(resources, respaldo)
    assert done.resultado == shown.resultado
    after = await everybody(resources)
    assert {id_: each.lines for id_, each in after.items()} == {id_: each.lines for id_, each in before.items()}
    assert {id_: each.verified.totals for id_, each in after.items()} == {
        id_: each.verified.totals for id_, each in before.items()
    }
    previous = await conn.fetchrow("SELECT * FROM respaldos.respaldo WHERE id = $1", done.respaldo_previo)
    assert previous is not None
    assert (previous["estado"], previous["tipo_respaldo"]) == ("completado", "por_demanda")
    assert previous["descripcion"] == f"Antes de restaurar el respaldo {respaldo.id}"
    await assert_consistent(conn, store)
    assert await conn.fetchval("SELECT count(*) FROM respaldos.operacion") == 0
    news = dict(await told(conn))["restauracion"]
    assert {name: news[name] for name in ("insertados", "actualizados", "eliminados")} == {
        name: sum(changes[name] for changes in (done.resultado or {}).values())
        for name in ("insertados", "actualizados", "eliminados")
    }
    assert [detail["estado"] for action, who, detail in await trail(conn) if action == "restauracion"] == [
        *("pendiente", "completado"),
        *("pendiente", "completado"),
    ]


async def test_the_safety_backup_brings_back_what_the_restore_took(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    damaged = await everybody(resources)
    done = await restore(resources, respaldo)
    previous = await resources_respaldo(resources, done.respaldo_previo or 0)
    await restore(resources, previous)
    assert (await everybody(resources))[SMALL].lines == damaged[SMALL].lines


async def resources_respaldo(resources: Resources, respaldo_id: int) -> Respaldo:
    """The row of a backup."""
    async with resources.sessions() as session:
        found = await session.get(Respaldo, respaldo_id)
    assert found is not None
    return found
