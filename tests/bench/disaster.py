"""How long it takes until everything is back from the bucket alone: `python -m tests.bench.disaster 1 100`."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
from pydantic import SecretStr

from app.connections.resources import open_resources
from app.demo.sample.generate import numbered_clinics
from app.respaldos.backup.run import crear_respaldo
from app.respaldos.models import TipoRespaldo
from app.settings import Settings
from tests.bench.databases import database_url, measured_ground
from tests.bench.fleet import ADDRESSES, RECORDS
from tests.bench.table import say
from tests.support.program import PROGRAM, environment

AT_ONCE = 2

# How far migrations have come is the new database's own affair.
TABLES = (
    "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables"
    " WHERE schemaname = 'public' AND tablename <> 'django_migrations'"
)


async def _back_up(settings: Settings, clinics: int) -> None:
    left: Iterator[int | None] = iter([None, *range(1, clinics + 1)])
    async with open_resources(settings) as resources:

        async def some() -> None:
            for clinica_id in left:
                await crear_respaldo(resources, clinica_id=clinica_id, tipo=TipoRespaldo.MANUAL)

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def _lose(settings: Settings) -> int:
    """Empty every table and drop the service's own; return how many rows there were."""
    connection = await asyncpg.connect(database_url(settings))
    try:
        rows = await _rows(connection)
        await connection.execute("DROP SCHEMA respaldos CASCADE")
        await connection.execute(f"TRUNCATE {await connection.fetchval(TABLES)}")
    finally:
        await connection.close()
    return rows


async def _rows(connection: asyncpg.Connection) -> int:
    names = (await connection.fetchval(TABLES)).split(", ")
    return sum([await connection.fetchval(f"SELECT count(*) FROM {name}") for name in names])


async def _count(settings: Settings) -> int:
    connection = await asyncpg.connect(database_url(settings))
    try:
        return await _rows(connection)
    finally:
        await connection.close()


def measure(clinics: int) -> None:
    """Print the seconds of each command, and how busy the machine was."""
    with (
        tempfile.TemporaryDirectory(prefix="desastre", ignore_cleanup_errors=True) as home,
        measured_ground(Path(home), list(numbered_clinics(clinics, RECORDS))) as settings,
    ):
        began = time.perf_counter()
        asyncio.run(_back_up(settings, clinics))
        say(f"{clinics} clinics backed up in {time.perf_counter() - began:.0f} s")
        rows = asyncio.run(_lose(settings))
        named = {name: getattr(settings, name.lower()) for name in ADDRESSES}
        given = environment(
            **{
                name: one.get_secret_value() if isinstance(one, SecretStr) else str(one)
                for name, one in named.items()
                if one is not None
            }
        )
        for command in (("migrar",), ("reindexar", "--json"), ("restaurar", "--todas", "--si", "--json")):
            began = time.perf_counter()
            subprocess.run([PROGRAM, *command], cwd=home, env=given, check=True, stdout=subprocess.DEVNULL)
            seconds, load = time.perf_counter() - began, os.getloadavg()[0]
            say(f"{clinics} clinics: {' '.join(command)}: {seconds:.1f} s, load {load:.1f}")
        assert asyncio.run(_count(settings)) == rows


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        measure(int(argument))
