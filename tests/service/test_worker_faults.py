"""Workers that are killed, frozen, or told to stop, at any moment of a backup; several of them at once."""

import json
import signal
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from app.respaldos.audit import SERVICE
from app.respaldos.backup.request import pedir_respaldo
from app.respaldos.models import TipoRespaldo
from app.respaldos.resources import Resources
from tests.respaldos.conftest import LA_PAZ, LARGE, NEW, SMALL, assert_consistent, row_of
from tests.service.conftest import slowed
from tests.storage.conftest import Store
from tests.support.jobs import running
from tests.support.moments import MOMENTS
from tests.support.processes import eventually, running_worker


async def ask(resources: Resources) -> int:
    """The number of a pending backup of the large clinic. The workers' reconciler finds it."""
    asked = await pedir_respaldo(
        resources, None, clinica_id=LARGE, tipo=TipoRespaldo.POR_DEMANDA, descripcion="", actor=SERVICE
    )
    return asked.id


async def ended(conn: asyncpg.Connection, respaldo_id: int) -> asyncpg.Record:
    """The backup's row, once nobody works on it and nobody will."""

    async def over() -> bool:
        estado = await conn.fetchval("SELECT estado FROM respaldos.respaldo WHERE id = $1", respaldo_id)
        return estado not in ("pendiente", "procesando")

    await eventually(over)
    return await row_of(conn, respaldo_id)


async def assert_one_object(conn: asyncpg.Connection, store: Store, row: asyncpg.Record) -> None:
    """The backup is completed, its object is what the row says, and there is nothing else."""
    assert row["estado"] == "completado"
    await assert_consistent(conn, store)
    assert [(item.key, item.size) async for item in store.storage.list()] == [
        (row["archivo_s3"], row["tamaño_bytes"])
    ]
    assert await running(conn) == 0


async def claimed(conn: asyncpg.Connection) -> None:
    """Return when a worker has begun the backup."""

    async def running() -> bool:
        return bool(await conn.fetchval("SELECT estado = 'procesando' FROM respaldos.respaldo"))

    await eventually(running)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_what_a_killed_worker_left_is_made_by_another(
    resources: Resources,
    conn: asyncpg.Connection,
    store: Store,
    settings: dict[str, str],
    log: Path,
    moment: str,
) -> None:
    respaldo_id = await ask(resources)
    async with slowed(settings) as slow, running_worker(slow.settings, log) as first:
        await claimed(conn)
        async with running_worker(settings, log):
            await MOMENTS[moment](slow, conn, store)
            first.signal(signal.SIGKILL)
            await first.ended()
            slow.drop()
            row = await ended(conn, respaldo_id)
    assert row["intento"] == 2
    await assert_one_object(conn, store, row)


async def test_the_third_attempt_is_the_last(
    resources: Resources, conn: asyncpg.Connection, store: Store, settings: dict[str, str], log: Path
) -> None:
    respaldo_id = await ask(resources)
    await conn.execute("UPDATE respaldos.trabajo SET intento = 2")
    async with slowed(settings) as slow, running_worker(slow.settings, log) as first:
        await claimed(conn)
        async with running_worker(settings, log):
            await MOMENTS["mid-upload"](slow, conn, store)
            first.signal(signal.SIGKILL)
            await first.ended()
            slow.drop()
            row = await ended(conn, respaldo_id)

            async def cleaned() -> bool:
                return await store.leftovers() == []

            await eventually(cleaned)
    assert (row["estado"], row["intento"]) == ("fallido", 3)
    assert json.loads(row["metadata"])["error_type"] == "proceso_muerto"
    assert await conn.fetchval("SELECT count(*) FROM respaldos.aviso WHERE tipo = 'fallo'") == 1


@pytest.mark.parametrize("moment", ["mid-upload", "uploaded"])
async def test_a_worker_back_from_the_dead_changes_nothing(
    resources: Resources,
    conn: asyncpg.Connection,
    store: Store,
    settings: dict[str, str],
    log: Path,
    tmp_path: Path,
    moment: str,
) -> None:
    respaldo_id = await ask(resources)
    async with slowed(settings) as slow, running_worker(slow.settings, log) as frozen:
        await claimed(conn)
        async with running_worker(settings, tmp_path / "other.log"):
            await MOMENTS[moment](slow, conn, store)
            frozen.signal(signal.SIGSTOP)
            slow.restore()
            row = await ended(conn, respaldo_id)
            frozen.signal(signal.SIGCONT)
            await frozen.said(f"respaldo {respaldo_id}: otro proceso se hizo cargo")
    assert row["intento"] == 2
    assert await ended(conn, respaldo_id) == row
    await assert_one_object(conn, store, row)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_worker_that_is_told_to_stop_gives_its_backup_back(
    resources: Resources,
    conn: asyncpg.Connection,
    store: Store,
    settings: dict[str, str],
    log: Path,
    moment: str,
) -> None:
    await ask(resources)
    async with slowed(settings) as slow, running_worker(slow.settings, log) as worker:
        await MOMENTS[moment](slow, conn, store)
        worker.signal(signal.SIGTERM)
        slow.restore()
        assert await worker.ended() == 0, log.read_text()
    found = await conn.fetch("SELECT estado, lease_until FROM respaldos.trabajo")
    assert [tuple(row) for row in found] == [("pendiente", None)]
    assert await store.leftovers() == []


async def test_two_workers_make_each_clinics_night_once(
    conn: asyncpg.Connection, store: Store, settings: dict[str, str], log: Path, tmp_path: Path
) -> None:
    begun = datetime.now(LA_PAZ) - timedelta(minutes=1)
    settings |= {"BACKUP_HOUR": str(begun.hour), "BACKUP_MINUTE": str(begun.minute)}

    async def all_made() -> bool:
        states = [row[0] for row in await conn.fetch("SELECT estado FROM respaldos.respaldo")]
        return len(states) >= 4 and set(states) == {"completado"}

    async with running_worker(settings, log), running_worker(settings, tmp_path / "other.log"):
        await eventually(all_made)
    made = await conn.fetch(
        "SELECT r.clinica_id, tipo_respaldo, intento FROM respaldos.respaldo r"
        " JOIN respaldos.trabajo t ON respaldo_id = r.id ORDER BY 1"
    )
    assert [tuple(row) for row in made] == [(number, "automatico", 1) for number in (LARGE, SMALL, NEW, None)]
    nights = await conn.fetch("SELECT clinica_id, intentos FROM respaldos.programacion ORDER BY 1")
    assert [tuple(row) for row in nights] == [(LARGE, 1), (SMALL, 1), (NEW, 1), (None, 1)]
    await assert_consistent(conn, store)
