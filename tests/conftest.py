"""Real servers for every test: PostgreSQL, Redis and S3 from wheels, started once for the whole run."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import hypothesis
import pytest

from app import embedded
from app.embedded import Addresses

# How long an example takes is the machine's affair.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

_serial = itertools.count(1)


def unique_name(prefix: str) -> str:
    """A name that no other test of this run uses, for a database, a role or a bucket."""
    return f"{prefix}-{os.getpid()}-{next(_serial)}"


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    """Addresses of the embedded servers, one set for all processes of the run."""
    base = tmp_path_factory.getbasetemp()
    home: Path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "servers"
    with embedded.running(home) as addresses:
        yield addresses


def plain_url(url: str) -> str:
    """The address as asyncpg and psql want it, without SQLAlchemy's driver name."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


@pytest.fixture
async def empty_database(servers: Addresses) -> AsyncIterator[str]:
    """Address of a new, empty database, dropped afterwards."""
    assert servers.database_url is not None
    name = unique_name("test")
    admin = await asyncpg.connect(plain_url(servers.database_url))
    try:
        await admin.execute(f'CREATE DATABASE "{name}"')
        yield servers.database_url.rsplit("/", 1)[0] + f"/{name}"
        await asyncio.wait_for(admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'), 30)
    finally:
        await admin.close()
