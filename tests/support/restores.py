"""A clinic that is damaged and put back, on a database of the test's own."""

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from app.clinic.clinic import Tenancy
from app.respaldos.models import Respaldo, Restauracion
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from app.respaldos.restore.request import RestoreRequest
from app.respaldos.restore.run import restaurar_respaldo
from app.settings import DEMO_RULES
from tests.respaldos.conftest import ANA, SMALL, connected, opened
from tests.storage.conftest import Store
from tests.support.jobs import restauracion_row, running
from tests.support.sample_ownership import digest

TENANCY = Tenancy(rules=json.loads(DEMO_RULES))

DAMAGE = f"""
DELETE FROM pago_en_linea WHERE idconsulta IN (SELECT c.id FROM consulta c JOIN paciente p
    ON p.codusuario = c.codpaciente WHERE p.clinica_id = {SMALL});
UPDATE factura SET razon_social = razon_social || '!' WHERE clinica_id = {SMALL} AND id % 2 = 0;
INSERT INTO bitacora (accion, modelo, descripcion, ip_address, user_agent, fecha, clinica_id)
    VALUES ('x', 'y', 'z', '10.0.0.1', 'w', now(), {SMALL});
"""

# A new app with a model, and a new column of an old one: as the clinics' system migrates when a release comes.
RELEASE = f"""
INSERT INTO django_migrations (app, name, applied) VALUES ('recetas', '0001_initial', now());
CREATE TABLE receta (id int PRIMARY KEY, paciente_id int NOT NULL REFERENCES paciente DEFERRABLE INITIALLY DEFERRED);
INSERT INTO receta SELECT codusuario, codusuario FROM paciente WHERE clinica_id = {SMALL} LIMIT 2;
ALTER TABLE paciente ADD grupo_sanguineo text;
"""
RELEASED = [
    "«django_migrations»: migraciones que se aplicaron después del respaldo: recetas, que es nueva (0001_initial)",
    "«receta», tabla que el respaldo no conoce: 2 registros, que se dejan como están",
    "«pacientes»: columnas que el respaldo no conoce: grupo_sanguineo. Los registros que se corrigen conservan lo que"
    " tienen en ellas; los que se agregan reciben el valor por omisión (grupo_sanguineo: vacío)",
]
"""What a restore then says."""


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


async def everybody(resources: Resources) -> dict[str, str]:
    """What every table holds now, to the last digit: a digest of its rows, by name."""
    async with resources.sessions() as session:
        raw = await (await session.connection()).get_raw_connection()
        assert isinstance(raw.driver_connection, asyncpg.Connection)
        return await digest(raw.driver_connection)


async def restore(resources: Resources, respaldo: Respaldo, **request: Any) -> Restauracion:
    """As the command line does."""
    await reconciliar(resources)
    return await restaurar_respaldo(resources, respaldo, RestoreRequest(**request), actor=ANA)


async def newest(conn: asyncpg.Connection) -> dict[str, Any]:
    """The `restauracion` that was asked for last, with its job."""
    return await restauracion_row(conn)


async def assert_refused(conn: asyncpg.Connection, code: str) -> None:
    """The newest restore failed for that reason, told people so, and keeps nothing from the clinic."""
    row = await newest(conn)
    assert (row["estado"], row["error_type"], row["lease_until"]) == ("fallido", code, None), row["error"]
    assert await running(conn) == 0
    news = await conn.fetchval("SELECT tipo FROM respaldos.aviso ORDER BY id DESC LIMIT 1")
    assert news == "restauracion_fallida"
