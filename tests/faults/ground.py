"""The servers and processes of a campaign, and what each of them can be made to do."""

import asyncio
import os
import resource
import secrets
import signal
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import psutil

from app.demo import embedded
from app.demo.sample.generate import SampleClinic, create_schema, fill
from app.migrate import migrate
from app.settings import DEMO_RULES, EmbeddedServer
from tests.conftest import make_cheap, plain_url
from tests.support.processes import Worker, eventually, running_api, running_worker
from tests.support.rclone import KEY, SECRET, Rclone, rclone
from tests.support.redis import RedisServer, running_redis
from tests.support.s3_proxy import Behaviour, S3Proxy, s3_proxy
from tests.support.tcp_proxy import TcpProxy, tcp_proxy, through

T = TypeVar("T")

# What says that PostgreSQL is away, or has just cut us off.
AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

ZONE = ZoneInfo("America/La_Paz")
BUCKET = "campana"

# Nobody but one person writes to these, who restores them.
RESTORED = (1, 2, 3)

# To these others write all the time.
WRITTEN = (4, 5)

LARGE = 6

CLINICS = (
    *(SampleClinic(number, f"Clínica {number}", 300) for number in (*RESTORED, *WRITTEN)),
    SampleClinic(LARGE, "Clínica grande", 4_000),
)

# The first of them is never killed or frozen: whether it grows is looked at.
WORKERS = 3


@dataclass(slots=True)
class WorkerSlot:
    """A worker that is started again when it has ended, until it is `closed`."""

    settings: dict[str, str]
    log: Path
    worker: Worker | None = None
    closed: bool = False
    started: int = 0

    async def keep(self) -> None:
        """Run it, and another one when it ends."""
        while not self.closed:
            async with running_worker(self.settings, self.log, own_log=True) as worker:
                self.worker, self.started = worker, self.started + 1
                await worker.ended()
            await asyncio.sleep(0.2)

    def signal(self, number: int) -> None:
        """Send it a signal, if one runs."""
        if self.worker is not None:
            self.worker.signal(number)

    def memory(self) -> int:
        """How much it holds now (bytes)."""
        assert self.worker is not None
        return int(psutil.Process(self.worker.process.pid).memory_info().rss)


@dataclass(slots=True)
class ApiSlot:
    """`respaldos serve`, started again when it has ended."""

    settings: dict[str, str]
    log: Path
    client: httpx.AsyncClient | None = None
    closed: bool = False
    started: int = 0
    _again: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(self) -> None:
        """Run it, and another one when it is told to."""
        while not self.closed:
            async with running_api(self.settings, self.log) as client:
                self.client, self.started = client, self.started + 1
                self._again.clear()
                await self._again.wait()
                self.client = None

    def restart(self) -> None:
        """Stop it, and have it started again."""
        self._again.set()

    def close(self) -> None:
        """Stop it for good."""
        self.closed = True
        self._again.set()


@dataclass(slots=True)
class Ground:
    """Everything; `url` is the database's, by which the campaign itself looks and writes, past the proxies."""

    home: Path
    url: str
    postgres: TcpProxy
    redis: RedisServer
    redis_proxy: TcpProxy
    store: Rclone
    s3: S3Proxy
    api: ApiSlot
    workers: list[WorkerSlot]
    log: Path
    ends: list[float] = field(default_factory=list)

    @property
    def steady(self) -> WorkerSlot:
        """The worker that nothing is done to but what befalls the servers."""
        return self.workers[0]

    @property
    def bucket(self) -> Path:
        """Where the store keeps what it is given."""
        return self.store.folder / BUCKET

    def signal_postgres(self, number: int) -> None:
        """Have PostgreSQL end, whose supervisor starts it again: SIGINT cuts every connection, SIGQUIT is a crash."""
        self.ends.append(time.monotonic())
        pid_file = self.home / "postgres" / "data" / "postmaster.pid"
        os.kill(int(pid_file.read_text().split()[0]), number)

    @property
    def may_end_postgres(self) -> bool:
        """Whether its supervisor will start it again: it gives up on a server that ends four times in a minute."""
        return sum(time.monotonic() - at < 60 for at in self.ends) < 3

    async def postgres_back(self) -> None:
        """Return when it answers again."""

        async def answers() -> bool:
            try:
                await (await asyncpg.connect(self.url)).close()
            except (OSError, asyncpg.PostgresError):
                return False
            return True

        await eventually(answers)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection past the proxies."""
        connection = await asyncpg.connect(self.url)
        try:
            yield connection
        finally:
            await connection.close()

    async def look(self, ask: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """What `ask` finds, asked again for as long as PostgreSQL is away or has just cut us off."""
        while True:
            try:
                async with self.connected() as connection:
                    return await ask(connection)
            except AWAY:
                await asyncio.sleep(0.1)

    async def heal(self) -> None:
        """Have everything behave, and return when it answers."""
        self.s3.behaviour = Behaviour.WELL
        self.limit_files(None)
        self.postgres.restore()
        self.redis_proxy.restore()
        for proxy in (self.postgres, self.redis_proxy):
            await proxy.listen()
        for slot in self.workers:
            slot.signal(signal.SIGCONT)
        await self.postgres_back()

    def limit_files(self, size: int | None) -> None:
        """Let the store write no file larger than this (bytes), as where its disk is full."""
        limit = resource.RLIM_INFINITY if size is None else size
        resource.prlimit(self.store.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def restart_redis(self, *, emptied: bool) -> None:
        """Kill it, and start it with what it held, or with nothing."""
        self.redis.kill()
        self.redis.start()
        if emptied:
            with self.redis.client() as client:
                client.flushall()


@asynccontextmanager
async def campaign_ground(folder: Path) -> AsyncIterator[Ground]:
    """Servers, an API and workers that have begun, with a night that is due."""
    home, log = folder / "home", folder / "log"
    async with AsyncExitStack() as stack:
        addresses = stack.enter_context(embedded.running(home, {EmbeddedServer.POSTGRES}))
        make_cheap(home, addresses)
        assert addresses.database_url is not None
        url = await _filled(plain_url(addresses.database_url))
        redis = stack.enter_context(running_redis(_made(folder / "redis")))
        store = stack.enter_context(rclone(folder / "s3"))
        parts = urlsplit(url)
        postgres = await stack.enter_async_context(tcp_proxy(parts.hostname or "", parts.port or 0))
        redis_proxy = await stack.enter_async_context(tcp_proxy("127.0.0.1", redis.port))
        s3 = await stack.enter_async_context(s3_proxy(store.url))
        now = datetime.now(ZONE)
        settings = {
            "DATABASE_URL": through(url, postgres),
            "REDIS_URL": f"redis://127.0.0.1:{redis_proxy.port}/0",
            "AWS_ENDPOINT_URL_S3": s3.url,
            "AWS_BACKUP_BUCKET_NAME": BUCKET,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "JWT_SECRET": secrets.token_hex(32),
            "SEAL_KEYS": f"campana:{b64encode(secrets.token_bytes(32)).decode()}",
            "OWNERSHIP_RULES": DEMO_RULES,
            "TIME_ZONE": ZONE.key,
            "BACKUP_HOUR": str(now.hour),
            "BACKUP_MINUTE": str(now.minute),
            "BACKUP_WINDOW_MINUTES": "0",
        }
        (store.folder / BUCKET).mkdir()
        api = ApiSlot(settings, log)
        workers = [WorkerSlot(settings, log) for _ in range(WORKERS)]
        keeping = [asyncio.create_task(api.keep()), *(asyncio.create_task(slot.keep()) for slot in workers)]
        ground = Ground(home, url, postgres, redis, redis_proxy, store, s3, api, workers, log)
        try:
            yield ground
        finally:
            await ground.heal()
            api.close()
            for slot in workers:
                slot.closed = True
                slot.signal(signal.SIGTERM)
            await asyncio.gather(*keeping)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def _filled(url: str) -> str:
    """Address of a new database with the clinics and the service's tables."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE DATABASE campana")
    finally:
        await connection.close()
    url = f"{url.rsplit('/', 1)[0]}/campana"
    await migrate(url.replace("postgresql://", "postgresql+asyncpg://", 1))
    connection = await asyncpg.connect(url)
    try:
        await create_schema(connection)
        await fill(connection, CLINICS)
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
    return url
