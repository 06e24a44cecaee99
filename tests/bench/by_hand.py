"""One clinic, and one deleted patient, brought back among two hundred, against what people do without Respaldos.

What those ways leave to be done by hand is not measured: finding the rows of one clinic or patient in the copy, and
bringing them back in an order that foreign keys allow, past what has been written since.
"""

import asyncio
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import asyncpg

from app.demo import embedded
from app.settings import Settings
from tests.bench.backup import run, seconds
from tests.bench.databases import MANY_HOME, database_url
from tests.bench.restore import respaldos
from tests.bench.table import Row, say
from tests.support.patients import add_appointment, add_patient, remove_patient
from tests.support.standby import replicated, standby_server

# Each round measures every way once, one after the other, so that a machine that grows slower slows them all.
ROUNDS = 3

CLINIC = 100

# Where pg_dump's copy of the database is restored beside it.
COPY = "copia"


async def add(url: str) -> int:
    """A patient of the clinic with two appointments; her number."""
    connection = await asyncpg.connect(url)
    try:
        number = await add_patient(connection, CLINIC, "Zenobia")
        for motivo in ("Control", "Limpieza"):
            await add_appointment(connection, CLINIC, number, motivo)
    finally:
        await connection.close()
    return number


async def remove(url: str, patient: int) -> None:
    """Have nothing left of her."""
    connection = await asyncpg.connect(url)
    try:
        await remove_patient(connection, patient)
    finally:
        await connection.close()


async def restored_copy(url: str, dump: Path) -> float:
    """Seconds that pg_restore takes to have the whole database again, beside it."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {COPY} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {COPY}")
    finally:
        await connection.close()
    program = str(embedded.postgres_bin() / "pg_restore")
    return seconds(lambda: run(program, "-d", f"{url.rsplit('/', 1)[0]}/{COPY}", str(dump)))


async def clone(url: str) -> float:
    """Seconds until a copy of the whole server answers, with no write-ahead log to be replayed."""
    started = time.perf_counter()
    with standby_server(url, MANY_HOME / "postgres") as address:
        async with replicated(url, address):
            return time.perf_counter() - started


def measure(settings: Settings, folder: Path) -> tuple[list[Row], dict[str, Any]]:
    """Run everything; return the lines of the table and the raw numbers behind them."""
    url = database_url(settings)
    programs, dump = embedded.postgres_bin(), folder / "todo.dump"
    times: dict[str, list[float]] = {}

    def took(what: str, value: float) -> None:
        times.setdefault(what, []).append(value)

    made: Any = None
    for number in range(ROUNDS):
        say(f"round {number + 1} of {ROUNDS}")
        patient = asyncio.run(add(url))
        wall, _, made = respaldos("crear", "--clinica", str(CLINIC))
        took("backup", wall)
        took("dump", seconds(lambda: run(str(programs / "pg_dump"), "-Fc", "-f", str(dump), url)))
        asyncio.run(remove(url, patient))
        record = ("--registro", f"paciente:{patient}", "--solo", "faltantes")
        took("patient", respaldos("restaurar", str(made["id"]), "--si", *record)[0])
        took("clinic", respaldos("restaurar", str(made["id"]), "--si")[0])
        took("copy", asyncio.run(restored_copy(url, dump)))
        took("clone", asyncio.run(clone(url)))
    size = dump.stat().st_size
    subprocess.run([programs / "dropdb", "--maintenance-db", url, COPY], check=True)

    def ratio(way: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(times[way], times[other], strict=True))

    middle = {what: statistics.median(values) for what, values in times.items()}
    ours = "one clinic of 2,000 records among 200"
    rows = [
        Row("`respaldos crear` of one clinic", ours, middle["backup"], None, "s"),
        Row("`respaldos restaurar` of one deleted patient", ours, middle["patient"], None, "s"),
        Row("`respaldos restaurar` of the clinic", ours, middle["clinic"], None, "s"),
        Row("pg_dump of the whole database", "`respaldos crear`", ratio("dump", "backup"), None, "×"),
        Row("pg_restore of it beside, before anything is found", "the patient", ratio("copy", "patient"), None, "×"),
        Row("a clone of the server, before anything is found", "the patient", ratio("clone", "patient"), None, "×"),
        Row("the dump's size", "one clinic's backup", size / (made["tamaño_bytes"]), None, "×"),
    ]
    return rows, {"times": times, "dump": size}
