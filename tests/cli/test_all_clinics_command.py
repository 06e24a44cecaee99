"""`crear --todas`: a backup of every active clinic, made by the workers."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from app.demo.sample.generate import SampleClinic, create_tenant_schema
from app.migrate import migrate
from app.respaldos.jobs.kinds import KINDS
from app.respaldos.models import Clase
from tests.cli.conftest import addresses_of
from tests.respaldos.conftest import connected
from tests.storage.conftest import Store
from tests.support.killed import killed_at_the_end
from tests.support.processes import eventually
from tests.support.program import Ran, ended, respaldos, start
from tests.support.redis import RedisServer


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform with a schema per clinic, and the program set up for it."""

    sql: asyncpg.Connection
    folder: Path
    settings: dict[str, str]

    async def run(self, *arguments: str) -> Ran:
        return await asyncio.to_thread(respaldos, *arguments, cwd=self.folder, **self.settings)

    async def requested(self, count: int) -> None:
        """Return when so many are pending."""

        async def there() -> bool:
            found = await self.sql.fetchval("SELECT count(*) FROM respaldos.trabajo WHERE estado = 'pendiente'")
            return bool(found == count)

        await eventually(there)


@pytest.fixture
async def platform(store: Store, empty_database: str, redis: RedisServer, tmp_path: Path) -> AsyncIterator[Platform]:
    """Clinics 1 and 2, in use, 3, closed, and 4, whose schema is not there. No night is due: they have all begun."""
    async with connected(empty_database) as sql:
        for clinic in (
            SampleClinic(1, "Uno", 1),
            SampleClinic(2, "Dos", 1),
            SampleClinic(3, "Tres", 1, activa=False),
            SampleClinic(4, "Cuatro", 1),
        ):
            await create_tenant_schema(sql, clinic)
        await sql.execute("DROP SCHEMA clinica4 CASCADE")
        await migrate(empty_database)
        await sql.execute(
            "INSERT INTO respaldos.programacion (clinica_id, dia, previsto, intentos)"
            " SELECT whose.id, day::date, day, 1"
            " FROM (SELECT id FROM clinica UNION ALL SELECT NULL) AS whose,"
            " generate_series(now() - interval '2 days', now() + interval '1 day', '1 day') AS day"
        )
        settings = addresses_of(store, empty_database) | {"TENANCY": "schema", "REDIS_URL": redis.url}
        yield Platform(sql, tmp_path, settings)


async def test_workers_make_them_and_what_came_of_each_is_told(platform: Platform) -> None:
    await platform.sql.execute(
        "WITH busy AS (INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo, estado)"
        " VALUES (2, 'manual', 'procesando') RETURNING id)"
        " INSERT INTO respaldos.trabajo (clase, respaldo_id, clinica_id, estado, prioridad, exclusiva, reintentable,"
        " lease_until) SELECT 'respaldo', id, 2, 'procesando', 20, true, true, now() + interval '1 hour' FROM busy"
    )
    command = await start("worker", cwd=platform.folder, **platform.settings)
    async with killed_at_the_end(command) as worker:
        ran = await platform.run("crear", "--todas", "--descripcion", "antes de migrar", "--json")
        worker.terminate()
        said = await ended(worker)
    assert ran.code == 1, ran
    found = ran.json
    assert (found["pedidos"], found["completados"], found["omitidos"]) == (2, 1, [2])
    (failed,) = found["fallidos"]
    assert (failed["clinica_id"], failed["estado"]) == (4, "fallido")
    assert failed["error"]
    rows = await platform.sql.fetch(
        "SELECT clinica_id, descripcion, tipo_respaldo FROM respaldos.respaldo ORDER BY 1"
    )
    assert [tuple(row) for row in rows if row[0] != 2] == [
        (1, "antes de migrar", "manual"),
        (4, "antes de migrar", "manual"),
    ]
    events = await platform.sql.fetch("SELECT clinica_id, direccion FROM respaldos.evento WHERE accion = 'creacion'")
    assert sorted(map(tuple, events)) == [(1, "línea de comandos"), (4, "línea de comandos")]
    # The worker's log has a line of each, and no other.
    lines = [line for line in said.err.splitlines() if " de la clínica " in line]
    assert len(lines) == 2, said.err
    assert any("de la clínica 1: completado, " in line for line in lines)
    assert any("de la clínica 4: falló, " in line for line in lines)
    assert "Traceback" not in said.err


async def test_ctrl_c_stops_the_waiting_alone(platform: Platform) -> None:
    command = await start("crear", "--todas", cwd=platform.folder, **platform.settings)
    async with killed_at_the_end(command) as process:
        await platform.requested(3)
        await asyncio.sleep(0.5)
        process.send_signal(signal.SIGINT)
        ran = await ended(process)
    assert ran.code == 130, ran
    assert "no hay noticias de quien hace los respaldos" in ran.err
    assert "los trabajadores siguen con los 3 respaldos pedidos" in ran.err
    assert "Traceback" not in ran.err
    await platform.requested(3)
    again = await platform.run("crear", "--todas", "--json")
    assert (again.code, again.json["pedidos"], again.json["omitidos"]) == (1, 0, [1, 2, 4])


async def test_thousands_are_asked_for_at_once_and_after_whoever_asks_for_one(platform: Platform) -> None:
    await platform.sql.execute(
        "INSERT INTO clinica"
        " SELECT (jsonb_populate_record(uno, jsonb_build_object('id', n, 'schema_name', 'c' || n))).*"
        " FROM clinica AS uno, generate_series(10000, 12499) AS n WHERE uno.id = 1"
    )
    command = await start("crear", "--todas", cwd=platform.folder, **platform.settings)
    async with killed_at_the_end(command) as process:
        await platform.requested(2_503)
        # Redis is told of the last of them, and then it waits.
        await asyncio.sleep(0.5)
        process.send_signal(signal.SIGINT)
        ran = await ended(process)
    assert "los 2,503 respaldos pedidos" in ran.err
    priorities = await platform.sql.fetch("SELECT DISTINCT prioridad FROM respaldos.trabajo")
    assert [row[0] for row in priorities] == [KINDS[Clase.RESPALDO].unattended]


async def test_it_is_refused_where_it_makes_no_sense(platform: Platform) -> None:
    for more in (("--clinica", "1"), ("--plataforma",)):
        assert (await platform.run("crear", "--todas", *more)).code == 2
    settings = {name: value for name, value in platform.settings.items() if name != "REDIS_URL"}
    ran = await asyncio.to_thread(respaldos, "crear", "--todas", cwd=platform.folder, **settings)
    assert (ran.code, ran.err) == (1, "✗ REDIS_URL: falta\n")
