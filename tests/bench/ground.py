"""The database that is measured on: three clinics in embedded servers of the bench's own, kept between runs."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from app.connections import embedded_servers, open_resources
from app.database import asyncpg_url
from app.migrate import migrate
from app.sample.generate import SampleClinic, create_schema, fill
from app.settings import Settings, demo_settings
from app.storage.bucket import configure_bucket

HOME = Path(".bench")

MILLION = SampleClinic(1, "Un millón", 1_000_000)
TEN_THOUSAND = SampleClinic(2, "Diez mil", 10_000)
FIFTEEN_THOUSAND = SampleClinic(3, "Quince mil", 15_000)


@contextmanager
def measured_ground() -> Iterator[Settings]:
    """Settings of servers that hold the clinics. RESPALDOS_HOME must name HOME, for this process and its children."""
    with embedded_servers(demo_settings()) as settings:
        asyncio.run(_prepare(settings))
        yield settings


def database_url(settings: Settings) -> str:
    """The address as asyncpg and psql take it."""
    assert settings.database_url is not None
    return asyncpg_url(settings.database_url.get_secret_value())


async def _prepare(settings: Settings) -> None:
    connection = await asyncpg.connect(database_url(settings))
    try:
        if await connection.fetchval("SELECT to_regclass('public.clinica')") is None:
            started = time.perf_counter()
            async with connection.transaction():
                await create_schema(connection)
                await fill(connection, [MILLION, TEN_THOUSAND, FIFTEEN_THOUSAND])
            await connection.execute("VACUUM ANALYZE")
            await connection.execute("CHECKPOINT")
            print(f"made 1,025,000 records in {time.perf_counter() - started:.1f} s")  # noqa: T201
    finally:
        await connection.close()
    await migrate(asyncpg_url(database_url(settings)).replace("postgresql://", "postgresql+asyncpg://", 1))
    async with open_resources(settings) as resources:
        await configure_bucket(resources.storage)
