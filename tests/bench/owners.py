"""What finding the owners costs: nullable tenant columns, rows without clinic, and many other clinics."""

import asyncio
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg

from app.clinic.catalogue.sql import qualified, quote
from app.clinic.session_settings import SESSION_SQL
from app.connections.databases import clinic_database
from app.demo import embedded
from app.demo.sample.generate import (
    GrownOptions,
    SampleClinic,
    create_grown_schema,
    create_schema,
    fill,
    fill_grown,
    numbered_clinics,
)
from app.settings import Settings
from tests.bench.backup import run, seconds
from tests.bench.databases import FIFTEEN_THOUSAND, MILLION, TEN_THOUSAND, database_url
from tests.bench.owners_process import at_database
from tests.bench.table import Row, say

ROUNDS = 3

# The grown schema, by how many rows have a NULL in the tenant column; the second without a nullable one.
FRACTIONS = {"grown_none": 0.0, "grown_not_null": 0.0, "grown_thousandth": 0.001, "grown_tenth": 0.1}

# The same with a clinic of a million records beside.
MILLIONS = {"million_none": 0.0, "million_thousandth": 0.001}

FEW, MANY = 200, 10_000
FLEETS = {f"{schema}_{number}": (schema, number) for schema in ("tidy", "grown") for number in (FEW, MANY)}

# Records of one clinic of a fleet, and how often each is backed up.
FLEET_RECORDS, FLEET_TIMES = 300, 20


def process(database: str, what: str, *arguments: object) -> Any:
    """What a process of its own measured."""
    command = [sys.executable, "-m", "tests.bench.owners_process", database, what, *map(str, arguments)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


async def prepare(settings: Settings) -> None:
    """Make the databases that are not there yet."""
    clinics = (TEN_THOUSAND, FIFTEEN_THOUSAND)
    for name, fraction in FRACTIONS.items():
        await make_database(settings, name, "grown", clinics, fraction, not_null=name == "grown_not_null")
    for name, fraction in MILLIONS.items():
        await make_database(settings, name, "grown", (MILLION, *clinics), fraction)
    for name, (schema, number) in FLEETS.items():
        await make_database(settings, name, schema, numbered_clinics(number, FLEET_RECORDS), 0.001)


async def make_database(
    settings: Settings, name: str, schema: str, clinics: Any, fraction: float, *, not_null: bool = False
) -> None:
    """Make the database where it is not there yet, with the indexes that `respaldos catalogo` asks for."""
    url = database_url(settings)
    server = await asyncpg.connect(url)
    try:
        if await server.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
            return
        say(f"making {name}")
        await server.execute("DROP DATABASE IF EXISTS en_obras WITH (FORCE)")
        await server.execute("CREATE DATABASE en_obras")
    finally:
        await server.close()
    connection = await asyncpg.connect(f"{url.rsplit('/', 1)[0]}/en_obras")
    try:
        # The generator's keys point where they should: checking each of three million rows takes an hour.
        await connection.execute("SET session_replication_role = replica")
        if schema == "tidy":
            await create_schema(connection)
            await fill(connection, clinics)
        else:
            await create_grown_schema(connection, tenant_not_null=not_null)
            await fill_grown(connection, clinics, options=GrownOptions(null_fraction=fraction))
        await connection.execute("VACUUM ANALYZE")
        census = await clinic_database(at_database(settings, "en_obras")).census()
        # As its engineer would: without these, tables of all clinics are read whole in each backup.
        for advice in census.advice:
            for statement in advice.statements:
                if statement.startswith(("CREATE INDEX", "ANALYZE")):
                    await connection.execute(statement)
    finally:
        await connection.close()
    server = await asyncpg.connect(url)
    try:
        # Only what is whole gets the name.
        await server.execute(f"ALTER DATABASE en_obras RENAME TO {name}")
    finally:
        await server.close()


async def plain_selects(settings: Settings, clinic: SampleClinic) -> str:
    """The clinic's rows in the order of their keys as anybody would ask for them, as a script for psql.

    Every table of the grown schema has the tenant column, and no NULL is in it.
    """
    copies = []
    async with clinic_database(settings).snapshot(clinic.id) as snapshot:
        for entry in snapshot.catalogue.entries.values():
            column = "id" if entry.name.name == "clinica" else "clinica_id"
            if entry.table.column(column) is None or not entry.candidates:
                continue
            order = ", ".join(f"x.{quote(name)}" for name in entry.table.key)
            copies.append(
                f"COPY (SELECT row_to_json(x) FROM {qualified(entry.table)} AS x"
                f" WHERE x.{column} = {clinic.id}{f' ORDER BY {order}' if order else ''}) TO STDOUT;\n"
            )
    return f"{SESSION_SQL};\n{''.join(copies)}"


def measure(settings: Settings, folder: Path) -> tuple[list[Row], dict[str, Any]]:
    """Run everything; return the lines of the table and the raw numbers behind them."""
    url = database_url(settings)
    asyncio.run(prepare(settings))
    raw: dict[str, Any] = {}
    script = folder / "plain.sql"
    script.write_text(asyncio.run(plain_selects(at_database(settings, "million_none"), MILLION)))
    psql = str(embedded.postgres_bin() / "psql")
    base = url.rsplit("/", 1)[0]
    times: dict[str, list[float]] = {name: [] for name in ("psql", *MILLIONS)}
    for number in range(ROUNDS):
        say(f"a million records, round {number + 1} of {ROUNDS}")
        times["psql"].append(
            seconds(lambda: run(psql, "-qXv", "ON_ERROR_STOP=1", "-f", str(script), f"{base}/million_none"))
        )
        for name in MILLIONS:
            times[name] += process(name, "backups", MILLION.id, 1)["seconds"]
    raw["million"] = times
    say("the grown schema, 15,000 records")
    raw["statements"] = {name: process(name, "statements") for name in FRACTIONS}
    raw["restores"] = {name: process(name, "restores") for name in FRACTIONS}
    say("a small clinic among many")
    raw["fleets"] = {name: process(name, "backups", number // 2, FLEET_TIMES) for name, (_, number) in FLEETS.items()}
    return _rows(raw), raw


def _rows(raw: dict[str, Any]) -> list[Row]:
    def ratio(one: list[float], other: list[float]) -> float:
        return statistics.median(a / b for a, b in zip(one, other, strict=True))

    times, restores = raw["million"], raw["restores"]
    worst = raw["statements"]["grown_tenth"]
    against = "the same rows with NOT NULL columns"
    rows = [
        Row(
            "a backup in a running process, tenant column nullable",
            "psql's COPY of the rows in key order",
            ratio(times["million_none"], times["psql"]),
            1.5,
            "×",
        ),
        Row(
            "the same, NULL in 1 row of 1,000",
            "without",
            ratio(times["million_thousandth"], times["million_none"]),
            1.2,
            "×",
        ),
        Row("15,000 records, NULL in 1 row of 10: longest statement", "", worst["longest"] / 1024, 64, "KiB"),
        Row("the same: planning of all statements", "", worst["planning"], 0.3, "s"),
        Row("the same: growth of the backend's memory", "", worst["memory"] / 2**20, 100, "MiB"),
    ]
    for name, what in (("grown_none", "no NULL"), ("grown_thousandth", "1 in 1,000"), ("grown_tenth", "1 in 10")):
        for operation in ("backup", "preview", "restore"):
            took = [statistics.median(restores[where][operation]) for where in (name, "grown_not_null")]
            rows.append(Row(f"15,000 records, {what}: {operation}", against, took[0] / took[1], 1.3, "×"))
    for schema in ("tidy", "grown"):
        few, many = (raw["fleets"][f"{schema}_{number}"]["postgresql"] for number in (FEW, MANY))
        rows.append(
            Row(
                f"{schema} schema, a clinic among {MANY:,}: PostgreSQL's time a backup",
                f"among {FEW}",
                many / few,
                1.2,
                "×",
            )
        )
    return rows
