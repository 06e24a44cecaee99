"""PostgreSQL, Redis and S3 for one machine: real servers from wheels, on loopback, started once and shared.

Each server has a folder in RESPALDOS_HOME, and a process of its own that keeps it running for everybody who
uses that home and ends with the last of them.
"""

import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from app.demo.embedded.client import ServerClient
from app.demo.embedded.folder import DATABASE, TITLES, Record
from app.demo.embedded.programs import postgres_bin
from app.errors import EmbeddedServerError

if TYPE_CHECKING:
    # The supervisor comes through here, and pydantic would cost it 0.3 s and its memory.
    from app.settings import EmbeddedServer

__all__ = ["Addresses", "postgres_bin", "running"]

# A recovery after a crash takes up to two minutes, and a supervisor that was stopping comes before it (seconds).
WAIT_SECONDS = 210
# How often those who wait look (seconds).
LOOK_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers are and how to enter; a field is None where its server was not asked for."""

    database_url: str | None = field(default=None, repr=False)
    redis_url: str | None = field(default=None, repr=False)
    s3_endpoint_url: str | None = None
    s3_access_key_id: str | None = None
    s3_secret_access_key: str | None = field(default=None, repr=False)


@contextmanager
def running(
    home: Path,
    servers: "Collection[EmbeddedServer] | None" = None,
    *,
    postgres_version: Literal[16, 18] = 18,
) -> Iterator[Addresses]:
    """Addresses of the servers (all of them by default), which run at least until the context is left.

    Data, ports and passwords are kept in `home`, so that addresses are the same the next time, unless something
    else took the port. Any number of users, in threads and processes, share the servers. Leaving is immediate;
    they stop by themselves when the last user has left or died, and who comes while they stop waits for that
    and starts them again. One that dies is started again on its port. A start blocks, for two minutes where
    PostgreSQL recovers from a crash; joining what runs takes a millisecond or two.

    Raises EmbeddedServerError, with the reason and the end of its log, where a server cannot be started.
    """
    with ExitStack() as stack:
        clients = [
            stack.enter_context(ServerClient(name, home.absolute() / name, postgres_version))
            for name in TITLES
            if servers is None or name in servers
        ]
        yield _addresses(_wait_for(clients))


def _wait_for(clients: list[ServerClient]) -> dict[str, Record]:
    records: dict[str, Record] = {}
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        for client in clients:
            if client.name not in records and (record := client.look()):
                records[client.name] = record
        if len(records) == len(clients):
            return records
        if time.monotonic() > deadline:
            missing = ", ".join(client.title for client in clients if client.name not in records)
            raise EmbeddedServerError(f"{missing}: no estuvo listo en {WAIT_SECONDS} s; vea los registros")
        time.sleep(LOOK_SECONDS)


def _addresses(records: dict[str, Record]) -> Addresses:
    addresses = Addresses()
    if record := records.get("postgres"):
        login = f"{record.user}:{record.secret}@127.0.0.1:{record.port}"
        addresses = replace(addresses, database_url=f"postgresql+asyncpg://{login}/{DATABASE}")
    if record := records.get("redis"):
        addresses = replace(addresses, redis_url=f"redis://:{record.secret}@127.0.0.1:{record.port}/0")
    if record := records.get("s3"):
        addresses = replace(
            addresses,
            s3_endpoint_url=f"http://127.0.0.1:{record.port}",
            s3_access_key_id=record.user,
            s3_secret_access_key=record.secret,
        )
    return addresses
