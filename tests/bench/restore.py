"""Restoring a clinic of one million records: its time and memory against psql, and how both grow."""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg

from app.clinic.catalogue.entries import TableClass
from app.clinic.catalogue.sql import qualified
from app.clinic.owners.find import find_owners
from app.connections.databases import clinic_database
from app.demo import embedded
from app.demo.sample.generate import SampleClinic
from app.settings import Settings
from tests.bench.backup import run, seconds
from tests.bench.databases import HUNDRED_THOUSAND, MILLION, RESTORED_HOME, TEN_THOUSAND, database_url
from tests.bench.table import Row, say

# Each round measures every way once, one after the other, so that a machine that grows slower slows them all.
ROUNDS = 3

# Databases beside the clinics': all tables and no row, with the million alone, and what psql fills.
EMPTY, ALONE, FILLED = "vacia", "sola", "llena"

SIZES = (TEN_THOUSAND, HUNDRED_THOUSAND, MILLION)


def respaldos(*arguments: str) -> tuple[float, float, Any]:
    """Wall seconds and peak memory (MiB) of a whole command, and what it answered in JSON."""
    started = time.perf_counter()
    program = str(Path(sys.executable).with_name("respaldos"))
    process = subprocess.Popen([program, *arguments, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"respaldos {' '.join(arguments)} failed: {said.decode()}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024, json.loads(said)


def restored(respaldo_id: int, *arguments: str) -> tuple[float, float]:
    """Wall seconds and peak memory (MiB) of `respaldos restaurar`, verification and safety backup included."""
    wall, peak, _ = respaldos("restaurar", str(respaldo_id), "--si", *arguments)
    return wall, peak


def whole_backup(clinic: SampleClinic) -> int:
    """The id of a new backup of the clinic. One that a run which was stopped has left empty measures nothing."""
    _, _, made = respaldos("crear", "--clinica", str(clinic.id))
    if made["numero_registros"] < clinic.records:
        raise SystemExit(
            f"clinic {clinic.id} has {made['numero_registros']:,} records and should have {clinic.records:,}:"
            f" a run was stopped in the middle; remove {RESTORED_HOME} and measure again"
        )
    number: int = made["id"]
    return number


async def empty(settings: Settings, clinic: SampleClinic) -> None:
    """Delete every row of the clinic but its own, children first, and let PostgreSQL know."""
    async with clinic_database(settings).snapshot(clinic.id) as snapshot:
        catalogue = snapshot.catalogue
    connection = await asyncpg.connect(database_url(settings))
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")
            found = await find_owners(connection, catalogue, clinic.id)
            for entry in reversed(catalogue.of_class(TableClass.OWNED)):
                if entry.name != catalogue.tenant_table:
                    places = found.owned(entry, ("ctid",))
                    await connection.execute(f"DELETE FROM {qualified(entry.table)} WHERE ctid IN ({places})")
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def statements(url: str, *said: str) -> None:
    """Carry them out, each by itself."""
    connection = await asyncpg.connect(url)
    try:
        for statement in said:
            await connection.execute(statement)
    finally:
        await connection.close()


def dump_alone(settings: Settings, respaldo_id: int, folder: Path) -> Path:
    """A data-only pg_dump of the million's rows and of what they refer to."""
    url, programs = database_url(settings), embedded.postgres_bin()
    base = url.rsplit("/", 1)[0]
    asyncio.run(
        statements(
            url,
            *(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in (EMPTY, ALONE, FILLED)),
            f"CREATE DATABASE {EMPTY}",
        )
    )
    schema, data = folder / "schema.sql", folder / "data.sql"
    with schema.open("wb") as file:
        subprocess.run([programs / "pg_dump", "--schema-only", "-N", "respaldos", url], stdout=file, check=True)
    run(str(programs / "psql"), "-qXv", "ON_ERROR_STOP=1", "-f", str(schema), f"{base}/{EMPTY}")
    asyncio.run(statements(url, f"CREATE DATABASE {ALONE} TEMPLATE {EMPTY}"))
    restored(respaldo_id, "--con-clinica", "--destino", f"{base}/{ALONE}")
    with data.open("wb") as file:
        subprocess.run([programs / "pg_dump", "--data-only", f"{base}/{ALONE}"], stdout=file, check=True)
    return data


def by_psql(settings: Settings, data: Path) -> float:
    """Seconds that psql takes to restore the dump into empty tables with the same indexes and constraints."""
    url = database_url(settings)
    base = url.rsplit("/", 1)[0]
    asyncio.run(
        statements(
            url,
            f"DROP DATABASE IF EXISTS {FILLED} WITH (FORCE)",
            f"CREATE DATABASE {FILLED} TEMPLATE {EMPTY}",
            "CHECKPOINT",
        )
    )
    psql = str(embedded.postgres_bin() / "psql")
    return seconds(lambda: run(psql, "-qXv", "ON_ERROR_STOP=1", "-f", str(data), f"{base}/{FILLED}"))


def measure(settings: Settings, folder: Path) -> tuple[list[Row], dict[str, Any]]:
    """Run everything; return the lines of the table and the raw numbers behind them."""
    say("a backup of each clinic")
    ids = {clinic.records: whole_backup(clinic) for clinic in SIZES}
    million = ids[MILLION.records]
    say("a dump of the million alone")
    data = dump_alone(settings, million, folder)
    times: dict[str, list[float]] = {"psql": [], "unchanged": [], "emptied": []}
    peaks: dict[int, float] = {}
    for number in range(ROUNDS):
        say(f"round {number + 1} of {ROUNDS}")
        times["psql"].append(by_psql(settings, data))
        wall, peak = restored(million)
        times["unchanged"].append(wall)
        peaks[MILLION.records] = max(peaks.get(MILLION.records, 0.0), peak)
        asyncio.run(empty(settings, MILLION))
        wall, peak = restored(million)
        times["emptied"].append(wall)
        peaks[MILLION.records] = max(peaks[MILLION.records], peak)
    growth = {MILLION.records: statistics.median(times["emptied"])}
    for clinic in (TEN_THOUSAND, HUNDRED_THOUSAND):
        walls = []
        for _ in range(ROUNDS):
            asyncio.run(empty(settings, clinic))
            wall, peak = restored(ids[clinic.records])
            walls.append(wall)
            peaks[clinic.records] = max(peaks.get(clinic.records, 0.0), peak)
        growth[clinic.records] = statistics.median(walls)
    return _rows(times, peaks, growth), {"times": times, "peaks": peaks, "growth": growth}


def _rows(times: dict[str, list[float]], peaks: dict[int, float], growth: dict[int, float]) -> list[Row]:
    def ratio(way: str) -> float:
        return statistics.median(a / b for a, b in zip(times[way], times["psql"], strict=True))

    against = "psql, a data-only pg_dump into empty tables"
    # What a million takes beside ten times a hundred thousand; the start of the program is in both.
    slope = growth[MILLION.records] / (10 * growth[HUNDRED_THOUSAND.records])
    return [
        Row("`respaldos restaurar`, an unchanged clinic", against, ratio("unchanged"), 1.5, "×"),
        Row("`respaldos restaurar`, an emptied clinic", against, ratio("emptied"), 2.5, "×"),
        Row(
            "peak memory of restoring 1,000,000 records",
            "10,000 records",
            peaks[MILLION.records] - peaks[TEN_THOUSAND.records],
            40,
            "MiB more",
        ),
        Row("1,000,000 records restored", "ten times what 100,000 take", slope, 1.5, "×"),
        *(
            Row(f"{records:,} records restored, emptied before", "", growth[records], None, "s")
            for records in sorted(growth)
        ),
    ]
