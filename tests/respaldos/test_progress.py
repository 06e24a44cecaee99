"""How far a running backup is, as people are shown it."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from app.respaldos.jobs import heartbeat
from app.respaldos.jobs.run import run_next
from app.respaldos.progress import Etapa, Expected, Progreso, Progress
from app.respaldos.resources import Resources
from app.storage.s3 import S3Storage
from tests.respaldos.conftest import LARGE, SMALL, Held, ask, back_up, row_of
from tests.support.jobs import with_lease


def test_nothing_is_promised_where_nothing_is_known() -> None:
    progress = Progress()
    progress.enter(Etapa.LEYENDO)
    progress.model = "pacientes"
    progress.advance(bytes_=100, records=2)
    assert progress.as_row() == {
        "etapa": "leyendo",
        "modelo": "pacientes",
        "registros": 2,
        "registros_esperados": None,
        "bytes": 100,
        "bytes_esperados": None,
        "porcentaje": None,
    }


def test_the_percentage_never_goes_back_and_ends_at_100() -> None:
    progress = Progress()
    progress.expected = Expected(10, 1000)
    seen = [progress.as_row()["porcentaje"]]
    progress.enter(Etapa.LEYENDO)
    # More than the last time: the clinic has grown.
    for _ in range(12):
        progress.advance(bytes_=100, records=1)
        seen.append(progress.as_row()["porcentaje"])
    for stage in (Etapa.SUBIENDO, Etapa.RELEYENDO):
        progress.enter(stage)
        seen.append(progress.as_row()["porcentaje"])
    for _ in range(4):
        progress.read_back(bytes_=25, of=100)
        seen.append(progress.as_row()["porcentaje"])
    progress.enter(Etapa.COMPROBANDO)
    seen.append(progress.as_row()["porcentaje"])
    known = [percent for percent in seen if percent is not None]
    assert known == sorted(known)
    assert (known[0], known[-1]) == (0, 100)
    assert progress.as_row()["bytes"] == 1200, "what is read again is not counted twice"


def test_a_verification_is_measured_by_the_file() -> None:
    progress = Progress()
    progress.expected = Expected(10, 400)
    progress.enter(Etapa.VERIFICANDO)
    progress.advance(bytes_=100)
    assert progress.as_row()["porcentaje"] == 25


async def progreso(conn: asyncpg.Connection, respaldo_id: int) -> Progreso | None:
    """What the row says."""
    said = (await row_of(conn, respaldo_id))["progreso"]
    found: Progreso | None = json.loads(said) if said is not None else None
    return found


async def test_a_running_backup_says_how_far_it_is(
    resources: Resources, conn: asyncpg.Connection, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = with_lease(resources, heartbeat_seconds=0.02)
    held.released.set()
    before = await back_up(resources, LARGE)
    held.reached.clear()
    held.released.clear()
    held.after = 3
    asked = await ask(resources, LARGE)
    running = asyncio.create_task(run_next(resources))
    await held.reached.wait()
    async with asyncio.timeout(10):
        while (said := await progreso(conn, asked.id)) is None:
            await asyncio.sleep(0.01)
    assert said["etapa"] == "leyendo"
    assert said["registros_esperados"] == before.numero_registros
    assert said["bytes_esperados"] == before.metadata_["tamaño_original_bytes"]
    assert 0 < said["bytes"] < (said["bytes_esperados"] or 0)
    assert 0 < (said["porcentaje"] or 0) < 90
    held.released.set()
    await running
    assert await progreso(conn, asked.id) is None


async def test_reading_back_is_a_stage_of_its_own(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = with_lease(resources, heartbeat_seconds=0.02)
    read_back = S3Storage.read_back
    seen: list[Progreso] = []

    async def watched(storage: S3Storage, stored: Any, **more: Any) -> None:
        await read_back(storage, stored, **more)
        async with asyncio.timeout(10):
            while (said := await progreso(conn, 1)) is None or said["porcentaje"] != 100:
                await asyncio.sleep(0.01)
        seen.append(said)

    monkeypatch.setattr(S3Storage, "read_back", watched)
    await back_up(resources, SMALL)
    assert seen[0]["etapa"] == "releyendo"


async def test_what_stands_still_is_not_written_again(
    resources: Resources, conn: asyncpg.Connection, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = with_lease(resources, heartbeat_seconds=0.02)
    running = asyncio.create_task(back_up(resources, LARGE))
    await held.reached.wait()
    # Which transaction wrote the job last.
    version = "SELECT xmin::text FROM respaldos.trabajo"
    beats = 0
    judge = heartbeat.raise_if_stopped

    def counted(*given: Any) -> None:
        nonlocal beats
        beats += 1
        judge(*given)

    monkeypatch.setattr(heartbeat, "raise_if_stopped", counted)
    async with asyncio.timeout(10):
        while beats < 10:
            await asyncio.sleep(0.01)
        written = await conn.fetchval(version)
        while beats < 20:
            await asyncio.sleep(0.01)
    assert await conn.fetchval(version) == written
    held.released.set()
    await running


async def test_a_quick_backup_is_not_slowed_down_by_telling(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "transaction", None)
    assert (await back_up(resources, SMALL)).estado == "completado"
