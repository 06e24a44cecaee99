"""`make fleet`: whole nights of fleets of small clinics, and what each clinic's backup cost in them.

Every night is run by worker processes to its end, or for as long as the time allows, which the table says then. What
has been made is kept, so that the next run comes further.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from app.demo.sample.generate import create_tenant_schema, numbered_clinics
from app.settings import Settings
from tests.bench.databases import HOME, OWNERS_HOME, database_url, measured_ground
from tests.bench.owners import make_database
from tests.bench.owners_process import at_database, postmaster, processor_seconds
from tests.bench.table import say

RESULTS = HOME / "fleet.json"

SIZES = (200, 2_000, 10_000)
RECORDS = 300
WORKERS = (1, 2)

# A database that cannot be made in this, or a night of which not even this is left, is left out (seconds).
LEAST = 20

ADDRESSES = (
    *("DATABASE_URL", "CLINIC_DATABASE_URL", "REDIS_URL"),
    *("AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_BACKUP_BUCKET_NAME"),
)

# What a night leaves in the service's tables.
FORGET = "TRUNCATE respaldos.respaldo, respaldos.programacion, respaldos.trabajo CASCADE"


@dataclass(frozen=True, slots=True)
class Fleet:
    """So many clinics of RECORDS records; where they share tables, in today's schema (tidy) or the grown one."""

    tenancy: str
    schema: str
    clinics: int

    @property
    def database(self) -> str:
        """Its name; `make bench` measures those where clinics share tables, too."""
        return f"{self.schema}_{self.clinics}" if self.tenancy == "column" else f"schemas_{self.clinics}"


FLEETS = [
    Fleet(tenancy, schema, number)
    for number in SIZES
    for tenancy, schema in (("column", "tidy"), ("column", "grown"), ("schema", "tidy"))
]


@dataclass(frozen=True, slots=True)
class Night:
    """What so many clinics' backups took in all: seconds, MiB and numbers."""

    fleet: Fleet
    workers: int
    done: int
    failed: int
    seconds: float
    ours: float
    postgresql: float
    transactions: int
    sessions: int
    connections: int
    memory: float
    requests: dict[str, int]


async def _make(settings: Settings, fleet: Fleet) -> None:
    if fleet.tenancy == "column":
        clinics = numbered_clinics(fleet.clinics, RECORDS)
        await make_database(settings, fleet.database, fleet.schema, clinics, 0.001)
        return
    url = database_url(settings)
    server = await asyncpg.connect(url)
    try:
        if not await server.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", fleet.database):
            await server.execute(f"CREATE DATABASE {fleet.database}")
    finally:
        await server.close()
    connection = await asyncpg.connect(f"{url.rsplit('/', 1)[0]}/{fleet.database}")
    try:
        await connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        # One that was begun in another run is gone on with.
        there = 0
        if await connection.fetchval("SELECT to_regclass('clinica')") is not None:
            there = await connection.fetchval("SELECT count(*) FROM clinica WHERE schema_name <> 'public'")
        for clinic in list(numbered_clinics(fleet.clinics, RECORDS))[there:]:
            await create_tenant_schema(connection, clinic)
        if there < fleet.clinics:
            await connection.execute("ANALYZE")
    finally:
        await connection.close()


@contextmanager
def _workers(settings: Settings, number: int) -> Iterator[list[dict[str, Any]]]:
    """So many worker processes; what each of them used, once the block has ended."""
    begun = datetime.now(UTC) - timedelta(minutes=1)
    # Servers that this process serves are addresses to a worker: its clinics are in another database of theirs.
    given = {name: getattr(settings, name.lower()) for name in ADDRESSES}
    environment = os.environ | {
        **{name: one.get_secret_value() if isinstance(one, SecretStr) else one for name, one in given.items()},
        "TENANCY": settings.tenancy,
        "TIME_ZONE": "UTC",
        "BACKUP_HOUR": str(begun.hour),
        "BACKUP_MINUTE": str(begun.minute),
        "BACKUP_WINDOW_MINUTES": "0",
    }
    used: list[dict[str, Any]] = []
    with ExitStack() as logs:
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.bench.fleet_worker"],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=logs.enter_context((OWNERS_HOME / f"worker{one}.log").open("w")),
            )
            for one in range(number)
        ]
        try:
            yield used
        finally:
            for process in running:
                process.terminate()
            answers = [process.communicate()[0] for process in running]
            used += [json.loads(answer) for answer in answers if answer]


async def _counters(connection: asyncpg.Connection) -> tuple[int, int]:
    """Transactions and sessions of all databases by now."""
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    ((transactions, sessions),) = await connection.fetch(
        "SELECT sum(xact_commit + xact_rollback)::bigint, sum(sessions)::bigint FROM pg_stat_database"
    )
    return transactions, sessions


async def run_night(settings: Settings, fleet: Fleet, workers: int, until: float) -> Night:
    """A night of the fleet, to its end or until then (`time.monotonic`)."""
    at_fleet = at_database(settings, fleet.database).model_copy(update={"tenancy": fleet.tenancy})
    connection = await asyncpg.connect(database_url(settings))
    try:
        await connection.execute(FORGET)
        await connection.execute("CHECKPOINT")
        server = await postmaster(at_fleet)
        before, spent = await _counters(connection), processor_seconds(server)
        connections = done = failed = 0
        with _workers(at_fleet, workers) as used:
            while time.monotonic() < until:
                await asyncio.sleep(1)
                ((done, failed, running),) = await connection.fetch(
                    "SELECT count(*) FILTER (WHERE estado = 'completado'),"
                    " count(*) FILTER (WHERE estado = 'fallido'),"
                    " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') - 1"
                    " FROM respaldos.respaldo WHERE clinica_id IS NOT NULL"
                )
                connections = max(connections, running)
                if done + failed >= fleet.clinics:
                    break
        after, spent = await _counters(connection), processor_seconds(server) - spent
        ((seconds,),) = await connection.fetch(
            "SELECT extract(epoch FROM max(fin) - min(inicio))::float FROM respaldos.intento"
        )
    finally:
        await connection.close()
    requests: Counter[str] = Counter()
    for one in used:
        requests.update(one["requests"])
    return Night(
        fleet,
        workers,
        done,
        failed,
        seconds or 0.0,
        sum(one["processor"] for one in used),
        spent,
        after[0] - before[0],
        after[1] - before[1],
        connections,
        max((one["memory"] for one in used), default=0.0),
        dict(requests),
    )


def show(nights: list[Night], left_out: list[str]) -> None:
    """The table, for each night what one clinic's backup took of it."""
    table = Table(title=f"A night, by clinic of {RECORDS} records; {os.cpu_count()} cores")
    headers = ("clinics", "workers", "backed up", "ms", "our CPU ms", "PostgreSQL CPU ms", "transactions")
    for header in (*headers, "sessions", "at once", "MiB a worker", "S3 requests", "failed"):
        table.add_column(header, justify="right")
    for night in nights:
        fleet, made = night.fleet, night.done or 1
        each = (1000 * night.seconds / made, 1000 * night.ours / made, 1000 * night.postgresql / made)
        table.add_row(
            f"{fleet.tenancy}, {fleet.schema}, {fleet.clinics:,}",
            str(night.workers),
            f"{night.done:,}",
            *(f"{value:.1f}" for value in each),
            f"{night.transactions / made:.1f}",
            f"{night.sessions / made:.2f}",
            str(night.connections),
            f"{night.memory:.0f}",
            f"{sum(night.requests.values()) / made:.2f}",
            str(night.failed),
        )
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    for what in left_out:
        console.print(f"Left out for time: {what}")


def measure(settings: Settings, minutes: float, numbers: Sequence[int] = WORKERS) -> tuple[list[Night], list[str]]:
    """Every night for which there is time, and what there was none for."""
    end = time.monotonic() + 60 * minutes
    nights: list[Night] = []
    left_out = []
    for place, fleet in enumerate(FLEETS):
        # What is left, shared by those that are left: a large fleet is not to take what the next needs.
        share = max(LEAST, (end - time.monotonic()) / (len(FLEETS) - place))
        until = min(end, time.monotonic() + share)
        say(f"{fleet.database}: {until - time.monotonic():.0f} s")
        if until - time.monotonic() < LEAST:
            left_out.append(fleet.database)
            continue
        try:
            asyncio.run(_within(_make(settings, fleet), until))
        except TimeoutError:
            left_out.append(f"{fleet.database}: its database is not made yet")
            continue
        for workers in numbers:
            half = until if workers == numbers[-1] else time.monotonic() + (until - time.monotonic()) / len(numbers)
            night = asyncio.run(run_night(settings, fleet, workers, half))
            nights.append(night)
            if night.done + night.failed < fleet.clinics:
                left = fleet.clinics - night.done - night.failed
                left_out.append(f"{fleet.database}, {workers} workers: the last {left:,} clinics of the night")
    return nights, left_out


async def _within(work: Any, until: float) -> None:
    async with asyncio.timeout(until - time.monotonic()):
        await work


def main() -> int:
    """Measure, print, keep the numbers in .bench/fleet.json; exit 1 where a backup failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--only", help="one fleet, by the name of its database: tidy_200")
    parser.add_argument("--workers", type=int, choices=WORKERS, help="with so many alone, not with each number")
    arguments = parser.parse_args()
    if arguments.only:
        FLEETS[:] = [fleet for fleet in FLEETS if fleet.database == arguments.only]
    with measured_ground(OWNERS_HOME, ()) as settings:
        nights, left_out = measure(settings, arguments.minutes, [arguments.workers] if arguments.workers else WORKERS)
    show(nights, left_out)
    with suppress(OSError):
        RESULTS.write_text(json.dumps([_plain(night) for night in nights], indent=2))
    return 1 if any(night.failed for night in nights) else 0


def _plain(night: Night) -> dict[str, Any]:
    values = {name: getattr(night, name) for name in Night.__slots__}
    return values | {"fleet": night.fleet.database}


if __name__ == "__main__":
    sys.exit(main())
