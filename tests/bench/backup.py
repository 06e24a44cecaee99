"""A backup of a clinic of one million records: its time, size and memory against other ways."""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from app.clinic.catalogue.entries import TableClass
from app.clinic.reading.statements import ClinicStatements
from app.clinic.session_settings import SESSION_SQL
from app.connections.databases import clinic_database
from app.demo import embedded
from app.settings import Settings
from tests.bench.databases import FIFTEEN_THOUSAND, MILLION, TEN_THOUSAND, database_url
from tests.bench.table import Row, say

# Each round measures every way once, one after the other, so that a machine that grows slower slows them all.
ROUNDS = 3


def seconds(work: Callable[[], object]) -> float:
    """How long the call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def run(*command: str) -> None:
    """The command's output is thrown away; its failure ends the bench."""
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


# The settings with which files are encrypted, by any key.
ENCRYPTED = {"ENCRYPTION": "on", "MASTER_KEYS": f"bench:{'A' * 43}="}


def running_process(*clinics: int, **settings: str) -> list[dict[str, Any]]:
    """What backups in a running process took."""
    command = [sys.executable, "-m", "tests.bench.running_process", *map(str, clinics)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ | settings)
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def crear(clinic: int, **settings: str) -> tuple[float, float]:
    """Wall seconds and peak memory (MiB) of the whole command."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("respaldos")),
            "crear",
            "--clinica",
            str(clinic),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | settings,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit("respaldos crear failed")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


async def selects(settings: Settings) -> str:
    """Every SELECT of the million-record backup, as a script for psql."""
    async with clinic_database(settings).snapshot(MILLION.id) as snapshot:
        statements = [snapshot.statements.owned_records(e) for e in snapshot.catalogue.of_class(TableClass.OWNED)]
        for entry in snapshot.catalogue.entries.values():
            if (statement := snapshot.statements.referenced_records(entry)) is not None:
                statements.append(statement)
        assert isinstance(snapshot.statements, ClinicStatements)
        listings = (*snapshot.statements.own_lists((), doubting=False), *snapshot.statements.reference_lists(()))
        lists = "".join(f"{listing.statement};\n" for listing in listings)
    copies = "".join(f"COPY ({statement}) TO STDOUT;\n" for statement in statements)
    return f"{SESSION_SQL};\nBEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;\n{lists}{copies}COMMIT;\n"


def measure(settings: Settings, folder: Path) -> tuple[list[Row], dict[str, Any]]:
    """Run everything; return the lines of the table and the raw numbers behind them."""
    url = database_url(settings)
    script = folder / "selects.sql"
    script.write_text(asyncio.run(selects(settings)))
    psql = str(embedded.postgres_bin() / "psql")
    pg_dump = str(embedded.postgres_bin() / "pg_dump")

    times: dict[str, list[float]] = {"psql": [], "backup": [], "crear": [], "pg_dump": [], "encrypted": []}
    backups = []
    peak_million = peak_encrypted = 0.0
    for number in range(ROUNDS):
        say(f"round {number + 1} of {ROUNDS}")
        times["psql"].append(seconds(lambda: run(psql, "-qXv", "ON_ERROR_STOP=1", "-f", str(script), url)))
        backups += running_process(MILLION.id)
        times["backup"].append(float(backups[-1]["seconds"]))
        times["encrypted"].append(float(running_process(MILLION.id, **ENCRYPTED)[0]["seconds"]))
        peak_encrypted = max(peak_encrypted, crear(MILLION.id, **ENCRYPTED)[1])
        wall, peak = crear(MILLION.id)
        times["crear"].append(wall)
        peak_million = max(peak_million, peak)
        times["pg_dump"].append(
            seconds(lambda: run("bash", "-c", f"set -o pipefail; '{pg_dump}' --data-only '{url}' | gzip -6"))
        )
    say("how it was done before")
    old = {}
    for way in ("orm", "driver"):
        started = time.perf_counter()
        run(sys.executable, "-m", "tests.bench.baseline", way, str(MILLION.id))
        old[way] = time.perf_counter() - started
    small = running_process(*[FIFTEEN_THOUSAND.id] * ROUNDS)
    peak_small = max(crear(TEN_THOUSAND.id)[1] for _ in range(ROUNDS))
    say("file size")
    gzip_size = compressed_by_gzip(settings, str(backups[-1]["key"]), folder)

    def ratio(way: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(times[way], times[other], strict=True))

    fastest_small = statistics.median(float(one["seconds"]) for one in small)
    rows = [
        Row("a backup in a running process", "psql, the same SELECTs", ratio("backup", "psql"), 1.5, "×"),
        Row("an encrypted backup in a running process", "the same in plain", ratio("encrypted", "backup"), 1.15, "×"),
        Row("`respaldos crear`, the whole command", "psql, the same SELECTs", ratio("crear", "psql"), 2.0, "×"),
        Row("a backup in a running process", "pg_dump | gzip -6", ratio("backup", "pg_dump"), 1.1, "×"),
        Row(
            "how it was done before: rows as dicts, json.dumps(indent=2), gzip",
            "a backup in a running process",
            old["orm"] / statistics.median(times["backup"]),
            10,
            "×",
            at_least=True,
        ),
        Row(
            "the same, with rows straight from the driver instead of through SQLAlchemy",
            "a backup in a running process",
            old["driver"] / statistics.median(times["backup"]),
            None,
            "×",
        ),
        Row("file size", "gzip -6 of the same JSON", float(backups[-1]["bytes"]) / gzip_size, 1.2, "×"),
        Row(
            "peak memory of `respaldos crear`",
            "the same on 10,000 records",
            peak_million - peak_small,
            40,
            "MiB more",
        ),
        Row("peak memory of `respaldos crear`", "", peak_million, 200, "MiB"),
        Row("the same of an encrypted backup", "in plain", peak_encrypted - peak_million, 10, "MiB more"),
        Row("15,000 records in a running process", "", fastest_small, 1.0, "s"),
    ]
    raw = {"times": times, "old_way": old, "backups": backups, "small": small, "gzip_size": gzip_size}
    return rows, raw


def compressed_by_gzip(settings: Settings, key: str, folder: Path) -> int:
    """Bytes that `gzip -6` makes of a backup's JSON."""
    from app.connections.resources import open_resources

    async def fetch() -> Path:
        async with open_resources(settings) as resources, resources.storage.download(key) as chunks:
            with (folder / "backup.json.gz").open("wb") as file:
                async for chunk in chunks:
                    file.write(chunk)
        return folder / "backup.json.gz"

    path = asyncio.run(fetch())
    counted = subprocess.run(
        ["bash", "-c", f"set -o pipefail; gunzip -c '{path}' | gzip -6 | wc -c"], stdout=subprocess.PIPE, check=True
    )
    return int(counted.stdout)


def show_stages(raw: dict[str, Any]) -> None:
    """Where a backup's time goes."""
    for title, name in (("million records", "backups"), ("15,000 records", "small")):
        shares = Table(title=f"Where a backup's time goes, {title}: seconds")
        stages = list(raw[name][0]["stages"])
        for header in ("", "whole", *stages):
            shares.add_column(header, justify="right")
        for number, one in enumerate(raw[name], 1):
            shares.add_row(str(number), f"{one['seconds']:.2f}", *(f"{one['stages'][stage]:.3f}" for stage in stages))
        Console().print(shares)
