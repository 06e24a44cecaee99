"""A worker that is killed while it makes an export leaves nothing of a clinic's data anywhere."""

import os
import signal
import time
from pathlib import Path

import asyncpg

from app.export.format import Formato
from app.respaldos.exports.request import pedir_exportacion
from app.respaldos.resources import Resources
from tests.respaldos.conftest import ANA, LARGE, back_up
from tests.service.conftest import slowed
from tests.storage.conftest import PART, Store
from tests.support.processes import eventually, running_worker
from tests.support.tcp_proxy import Direction


async def test_what_a_killed_worker_left_of_an_export_goes(
    resources: Resources,
    conn: asyncpg.Connection,
    store: Store,
    settings: dict[str, str],
    log: Path,
    tmp_path: Path,
) -> None:
    respaldo = await back_up(resources, LARGE)
    asked = await pedir_exportacion(
        resources, None, respaldo.id, clinica_id=LARGE, formato=Formato.SQLITE, horas=1, actor=ANA
    )
    folder = tmp_path / "trabajo"
    folder.mkdir()

    async def uploading() -> bool:
        return len(await store.uploads()) == 1 and slow.s3.forwarded[Direction.TO_SERVER] > 3 * PART

    async def made() -> bool:
        return bool(await conn.fetchval("SELECT archivo_s3 IS NOT NULL FROM respaldos.exportacion"))

    async def no_folders() -> bool:
        return list(folder.iterdir()) == []

    async def only_the_backup() -> bool:
        return [item.key async for item in store.storage.list()] == [respaldo.archivo_s3]

    async with slowed(settings | {"TMPDIR": str(folder)}) as slow, running_worker(slow.settings, log) as first:
        await eventually(uploading)
        slow.hang()
        (left,) = folder.iterdir()
        first.signal(signal.SIGKILL)
        await first.ended()
        slow.drop()
        assert list(left.iterdir()), "there are patients in it"
        os.utime(left, (time.time() - 3600,) * 2)
        async with running_worker(settings | {"TMPDIR": str(folder)}, log):
            await eventually(made)
            await eventually(no_folders)
            assert await store.uploads() == []
            key = f"exportaciones/{LARGE}/{asked.id}_2"
            assert {item.key async for item in store.storage.list()} == {respaldo.archivo_s3, key}
            await conn.execute("UPDATE respaldos.exportacion SET vence = now()")
            await eventually(only_the_backup)
