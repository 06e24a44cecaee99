"""Real servers for every test: PostgreSQL, Redis and S3 from wheels, started once for the whole run."""

import asyncio
import gc
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import hypothesis
import pytest
from hypothesis.configuration import set_hypothesis_home_dir
from xdist.scheduler import LoadScopeScheduling

from app.demo import embedded
from app.demo.embedded import Addresses

# In the checkout, where it would be, pytest warns of it, and not every user may write there.
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / f"hypothesis-{os.getuid()}")

# How long an example takes is the machine's affair.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

_serial = itertools.count(1)


def unique_name(prefix: str) -> str:
    """A name that no other test of this run uses, for a database, a role or a bucket."""
    return f"{prefix}-{os.getpid()}-{next(_serial)}"


# The processes of a run find here the folder of their servers.
_SERVERS = "RESPALDOS_TEST_SERVERS"

# Where Linux keeps files in memory, and what our servers need there (bytes). Most of what a database of a test's own
# costs is the making and removing of its files.
_MEMORY, _ROOM = Path("/dev/shm"), 4 * 2**30


# Fixtures that start a server, and tests that start programs themselves. The others are `fast`: see `_alone`.
_STARTING = {
    *(
        "servers",
        "any_database",
        "postgres16",
        "redis_server",
        "_redis",
        "rclone_server",
        "moto_server",
        "store",
        "ceph_store",
    ),
    *("demo", "demo_folder", "busy_home", "browser", "two_servers"),
}
_STARTED_BY_TESTS = (
    *("tests/auth/test_jwks.py", "tests/cli/", "tests/dump/test_document.py", "tests/notify/test_mail.py"),
    *(
        "tests/panel/",
        "tests/sample/test_command.py",
        "tests/storage/test_upload.py::test_a_f",
        "tests/deploy/test_systemd.py::test_systemd",
        "tests/test_embedded.py",
        "tests/test_compose.py::test_the_secret",
        "tests/respaldos/exports/test_folder.py",
        "tests/service/test_campaign.py",
    ),
    *(
        "tests/test_imports.py::test_the_layers_are_kept",
        "tests/workers/",
        "tests/clinic/restore/test_whole_clinic.py",
    ),
)

# What looks at a large file again and again: 3 s and more of a processor each.
_LONG = (
    "tests/dump/test_verifier.py::test_every_flipped_bit",
    "tests/export/test_export.py::test_memory_does_not_grow",
    "tests/respaldos/schedule/test_nights.py::test_each_local_day",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `fast` what needs neither server nor program: `make check` runs that alone."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if not names & _STARTING and not item.nodeid.startswith((*_STARTED_BY_TESTS, *_LONG)):
            item.add_marker("fast")


# Whether a fast test runs.
_fast = False


def _alone(event: str, arguments: tuple[Any, ...]) -> None:
    """Keep fast tests from starting or asking anybody else: such a one is to be left out of them, above."""
    if _fast and event in {"subprocess.Popen", "os.fork", "os.posix_spawn", "socket.connect"}:
        raise RuntimeError(f"{event} {arguments}: not in a test that is marked as fast")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Watch fast tests, their fixtures included."""
    global _fast
    _fast = item.get_closest_marker("fast") is not None
    try:
        return (yield)
    finally:
        _fast = False


def pytest_configure(config: pytest.Config) -> None:
    """Make a folder for the run's servers, in memory where there is room."""
    config.addinivalue_line("markers", "fast: needs neither server nor program (given by the fixtures of a test)")
    sys.addaudithook(_alone)
    if not hasattr(config, "workerinput"):
        roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM
        folder = tempfile.TemporaryDirectory(prefix="respaldos-", dir=_MEMORY if roomy else None)
        os.environ[_SERVERS] = folder.name
        config.add_cleanup(folder.cleanup)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Have xdist say nothing of the processes that it starts, as `-q` asks."""
    reporter = session.config.pluginmanager.getplugin("terminaldistreporter")
    if reporter is not None:
        reporter.ensure_show_status = lambda: None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import the tests and what they test without the garbage collector, which finds none: a tenth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Have the garbage collector leave alone what is there by now, and come seldom: it took a tenth of a run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


# What is dear to start, or, like a demo's port, there but once; and what waits more than it works, so that the other
# processes have the processors meanwhile.
_SHARING = (
    *("tests/panel/", "tests/cli/test_commands.py", "tests/cli/test_service_commands.py"),
    "tests/clinic/test_standby.py",
    *("tests/service/", "tests/test_embedded.py"),
)


class _Together(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives tests that share something to one process of the run, the others to whichever is free.

    xdist's own `loadgroup` groups nothing with pytest 9: it renames tests in a way that pytest no longer has.
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((shared for shared in _SHARING if shared in nodeid), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Together:
    """How tests are given to the processes of the run."""
    return _Together(config, log)


@pytest.fixture(scope="session")
def servers() -> Iterator[Addresses]:
    """Addresses of the embedded servers, one set for all processes of the run."""
    home = servers_folder("servers")
    with embedded.running(home) as addresses:
        make_cheap(home, addresses)
        yield addresses


def servers_folder(name: str) -> Path:
    """Where servers of that name keep their data during the run."""
    return Path(os.environ[_SERVERS]) / name


# What a server of the tests need not have. No test turns the machine off, so it is left to the kernel when things get
# to the disk; a killed server loses nothing by that. When something is vacuumed is chance, and no test waits for it.
# A password's usual 4,096 rounds, which asyncpg counts in Python, were most of a connection.
_CHEAP = """
fsync = off
full_page_writes = off
autovacuum = off
max_wal_size = '4GB'
scram_iterations = 1
"""


def make_cheap(home: Path, addresses: Addresses) -> None:
    """Have the PostgreSQL of `home` do without what only a production server needs."""
    data = home / "postgres" / "data"
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write(_CHEAP)
    os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGHUP)
    # Each process of the run does it; what asks for a server may be in an event loop.
    url = plain_url(addresses.database_url or "")
    anew = f"ALTER ROLE CURRENT_USER PASSWORD '{urlsplit(url).password}'"
    said = f"SELECT pg_advisory_lock(1); SET scram_iterations = 1; {anew}"
    psql = [str(embedded.postgres_bin() / "psql"), url, "-qXAto", os.devnull, "-v", "ON_ERROR_STOP=1"]
    subprocess.run(psql, input=said, text=True, check=True)


FILES = "STRATEGY FILE_COPY"
"""For CREATE DATABASE: what it copies, it copies by file; by the log, as is usual, costs four times as much."""


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
        await admin.execute(f'CREATE DATABASE "{name}" {FILES}')
        yield servers.database_url.rsplit("/", 1)[0] + f"/{name}"
        await asyncio.wait_for(admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'), 30)
    finally:
        await admin.close()
