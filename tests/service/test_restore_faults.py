"""A worker that is killed or frozen while it restores: the clinic is as before or as restored, and the row tells."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from app.respaldos.models import Respaldo
from app.respaldos.resources import Resources
from app.respaldos.restore.request import RestoreRequest, pedir_restauracion
from app.settings import DEMO_RULES
from tests.respaldos.conftest import ANA, SMALL, back_up, connected, opened, own_database
from tests.service.conftest import Slowed, settings_for, slowed
from tests.storage.conftest import Store
from tests.support.jobs import running
from tests.support.processes import eventually, running_worker
from tests.support.redis import RedisServer
from tests.support.restores import DAMAGE, TENANCY, everybody

__all__ = ["own_database"]


@pytest.fixture
async def resources(store: Store, own_database: str) -> AsyncIterator[Resources]:
    """What the operations of this process work with."""
    async with opened(store, service=own_database, tenancy=TENANCY) as found:
        yield found


@pytest.fixture
async def conn(own_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the clinics, outside of the service."""
    async with connected(own_database) as connection:
        yield connection


@pytest.fixture
def settings(store: Store, own_database: str, redis: RedisServer) -> dict[str, str]:
    """Variables for the workers."""
    return settings_for(store, own_database, redis) | {"OWNERSHIP_RULES": DEMO_RULES}


# A worker begins with the week's trials that are due; those are not what this is about.
RESTORES = "respaldos.trabajo WHERE clase = 'restauracion'"


async def ask(resources: Resources, respaldo: Respaldo) -> int:
    """The number of a pending restore; the workers' reconciler finds it."""
    # The safety backup is another story, and a slow one behind proxies.
    request = RestoreRequest(sin_respaldo_previo=True)
    asked = await pedir_restauracion(resources, None, respaldo.id, clinica_id=SMALL, request=request, actor=ANA)
    return asked.id


async def reached(slow: Slowed, conn: asyncpg.Connection, stage: str) -> None:
    """Return when the restore says that it is there; each stage takes a tenth of a second at least."""
    slow.clinic.delay(0.005)

    async def there() -> bool:
        return bool(await conn.fetchval(f"SELECT progreso ->> 'etapa' = $1 FROM {RESTORES}", stage))

    await eventually(there)


async def ended(conn: asyncpg.Connection) -> asyncpg.Record:
    """The restore's row, once nobody works on it and nobody will."""

    async def over() -> bool:
        estado = await conn.fetchval(f"SELECT estado FROM {RESTORES}")
        return estado not in ("pendiente", "procesando")

    await eventually(over)
    row = await conn.fetchrow(f"SELECT * FROM {RESTORES}")
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("aplicando", signal.SIGKILL),
        ("comprobando", signal.SIGSTOP),
        ("confirmando", signal.SIGKILL),
        ("confirmando", signal.SIGSTOP),
    ],
)
async def test_the_row_says_what_became_of_it(
    resources: Resources,
    conn: asyncpg.Connection,
    settings: dict[str, str],
    log: Path,
    stage: str,
    number: signal.Signals,
) -> None:
    before = await everybody(resources)
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    damaged = await everybody(resources)
    await ask(resources, respaldo)
    async with slowed(settings) as slow, running_worker(slow.settings, log) as first:
        await reached(slow, conn, stage)
        first.signal(number)
        if number == signal.SIGKILL:
            await first.ended()
        async with running_worker(settings, log):
            row = await ended(conn)
            found = await everybody(resources)
            if number == signal.SIGSTOP:
                first.signal(signal.SIGCONT)
    assert found == (before if row["estado"] == "completado" else damaged)
    assert await everybody(resources) == found, "what comes back from the dead changes nothing"
    assert await conn.fetchval(f"SELECT estado FROM {RESTORES}") == row["estado"]
    if row["estado"] == "fallido":
        assert row["error_type"] == "restauracion_interrumpida"
    assert await running(conn) == 0
    assert row["intento"] == 1, "a restore is never tried again by itself"


async def test_a_stop_takes_all_of_it_back(
    resources: Resources, conn: asyncpg.Connection, settings: dict[str, str], log: Path
) -> None:
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    damaged = await everybody(resources)
    await ask(resources, respaldo)
    async with slowed(settings) as slow, running_worker(slow.settings, log) as worker:
        await reached(slow, conn, "aplicando")
        worker.signal(signal.SIGTERM)
        row = await ended(conn)
    assert (row["estado"], row["error_type"]) == ("fallido", "restauracion_interrumpida")
    assert await everybody(resources) == damaged
