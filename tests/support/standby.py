"""A hot standby of a PostgreSQL server: a copy of its data that replays what the server streams to it."""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from app.demo import embedded
from app.demo.embedded.account import reachable_bin, unprivileged
from tests.support.processes import eventually

# How long the standby's queries may hold up what it replays, before it ends them.
CONFLICT_DELAY = "200ms"


@dataclass(frozen=True, slots=True)
class Standby:
    """Both servers' addresses, the same database in each, and its superuser's connection to the first."""

    primary_url: str = field(repr=False)
    url: str = field(repr=False)
    primary: asyncpg.Connection

    async def catch_up(self) -> None:
        """Wait until the standby has all that has been committed."""
        written = await self.primary.fetchval("SELECT pg_current_wal_flush_lsn()::text")
        other = await asyncpg.connect(self.url)
        try:

            async def replayed() -> bool:
                return bool(await other.fetchval("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", written))

            await eventually(replayed)
        finally:
            await other.close()


@contextmanager
def standby_server(primary_url: str, folder: Path) -> Iterator[str]:
    """Address of a standby of that server, made in a folder inside that one."""
    account = unprivileged()
    programs = reachable_bin(embedded.postgres_bin(), account)
    data = Path(tempfile.mkdtemp(dir=folder))
    if account is not None:
        os.chown(data, account.uid, account.gid)
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]

    def start(*arguments: str) -> "subprocess.Popen[bytes]":
        # Where we are root, the account that PostgreSQL runs as may not pass the folders above.
        return subprocess.Popen(
            [str(programs / arguments[0]), "-D", "/proc/self/cwd", *arguments[1:]],
            cwd=data,
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )

    copy = ("pg_basebackup", "-d", primary_url, "-R", "-X", "stream", "-c", "fast", "--no-sync")
    assert start(*copy).wait(60) == 0
    settings = (f"max_standby_streaming_delay={CONFLICT_DELAY}", "unix_socket_directories=", "fsync=off")
    server = start("postgres", "-h", "127.0.0.1", "-p", str(port), *(p for s in settings for p in ("-c", s)))
    try:
        parts = urlsplit(primary_url)
        yield urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}")))
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


@asynccontextmanager
async def replicated(primary_url: str, standby_url: str) -> AsyncIterator[Standby]:
    """The two servers' addresses with a connection to the first."""
    primary = await asyncpg.connect(primary_url)
    try:

        async def answers() -> bool:
            try:
                await (await asyncpg.connect(standby_url)).close()
            except (OSError, asyncpg.CannotConnectNowError):
                return False
            return True

        await eventually(answers)
        yield Standby(primary_url, standby_url, primary)
    finally:
        await primary.close()
