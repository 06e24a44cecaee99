"""The databases that are measured on, in embedded servers of the bench's own, kept between runs."""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from app.connections.embedded import embedded_servers
from app.connections.resources import open_resources
from app.database import asyncpg_url
from app.demo.sample.generate import SampleClinic, create_schema, fill
from app.migrate import migrate
from app.settings import Settings, demo_settings
from app.storage.bucket import configure_bucket
from tests.bench.table import say

HOME = Path(".bench")

# Apart from the others: pg_dump, which a backup is measured against, would dump them too.
MANY_HOME = HOME / "many"

# Restores change it, which must not change what the others measure.
RESTORED_HOME = HOME / "restored"

# Thirty backups of one clinic, through which a record is looked for.
SEARCHED_HOME = HOME / "searched"

# The databases of what finding the owners costs.
OWNERS_HOME = HOME / "owners"

# Ten thousand clinics, of which the service's own tables are full, and nothing else.
MANY_BACKUPS_HOME = HOME / "many_backups"

# Small clinics and a large one, whose points are measured against backups with an object of their own.
POINTS_HOME = HOME / "points"

MILLION = SampleClinic(1, "Un millón", 1_000_000)
TEN_THOUSAND = SampleClinic(2, "Diez mil", 10_000)
HUNDRED_THOUSAND = SampleClinic(4, "Cien mil", 100_000)
FIFTEEN_THOUSAND = SampleClinic(3, "Quince mil", 15_000)
MANY_CLINICS = tuple(SampleClinic(number, f"Clínica {number}", 2_000) for number in range(1, 201))


@contextmanager
def measured_ground(home: Path, clinics: Sequence[SampleClinic]) -> Iterator[Settings]:
    """Settings of servers in that home that hold the clinics."""
    os.environ["RESPALDOS_HOME"] = str(home)
    with embedded_servers(demo_settings()) as settings:
        asyncio.run(_prepare(settings, clinics))
        yield settings


def database_url(settings: Settings) -> str:
    """The address as asyncpg and psql take it."""
    assert settings.database_url is not None
    return asyncpg_url(settings.database_url.get_secret_value())


async def _prepare(settings: Settings, clinics: Sequence[SampleClinic]) -> None:
    connection = await asyncpg.connect(database_url(settings))
    try:
        if await connection.fetchval("SELECT to_regclass('public.clinica')") is None:
            started = time.perf_counter()
            async with connection.transaction():
                await create_schema(connection)
                await fill(connection, clinics)
            await connection.execute("VACUUM ANALYZE")
            await connection.execute("CHECKPOINT")
            records = sum(clinic.records for clinic in clinics)
            say(f"made {records:,} records in {time.perf_counter() - started:.1f} s")
    finally:
        await connection.close()
    await migrate(asyncpg_url(database_url(settings)).replace("postgresql://", "postgresql+asyncpg://", 1))
    async with open_resources(settings) as resources:
        await configure_bucket(resources.storage)
