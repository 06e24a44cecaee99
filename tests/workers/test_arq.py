"""arq's own command, and nothing else beside the servers, is a whole worker."""

import asyncio
import sys
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg

from app.broker.queue import open_queue
from app.respaldos.resources import Resources
from tests.respaldos.conftest import LA_PAZ, LARGE, NEW, SMALL, ask, assert_consistent
from tests.storage.conftest import Store
from tests.support.processes import eventually
from tests.support.program import environment
from tests.support.redis import RedisServer

ARQ = str(Path(sys.executable).with_name("arq"))


async def test_it_makes_a_requested_backup_and_starts_the_night(
    settings: dict[str, str],
    resources: Resources,
    redis: RedisServer,
    store: Store,
    conn: asyncpg.Connection,
    log: Path,
) -> None:
    begun = datetime.now(LA_PAZ) - timedelta(minutes=1)
    settings |= {"BACKUP_HOUR": str(begun.hour), "BACKUP_MINUTE": str(begun.minute)}
    await ask(resources, LARGE)

    async def made() -> bool:
        found = await conn.fetch("SELECT clinica_id FROM respaldos.respaldo WHERE estado = 'completado'")
        return {LARGE, SMALL, NEW, None} <= {row["clinica_id"] for row in found}

    async with open_queue(redis.url) as queue:
        await queue.announce()

        async def healthy() -> bool:
            return await queue.silent_workers() is None

        with log.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                *(ARQ, "workers.settings.WorkerSettings"), env=environment(**settings), stdout=out, stderr=out
            )
        try:
            await eventually(made)
            await eventually(healthy)
        finally:
            # arq loses a SIGTERM now and then, and ends with an error where a job is just ending.
            process.kill()
            await process.wait()
    assert "Traceback" not in log.read_text()
    rows = await conn.fetch("SELECT clinica_id, tipo_respaldo FROM respaldos.respaldo")
    made_for = {tuple(row) for row in rows}
    assert made_for >= {(LARGE, "por_demanda"), (SMALL, "automatico"), (NEW, "automatico"), (None, "automatico")}
    await assert_consistent(conn, store)
