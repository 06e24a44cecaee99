"""What a running process takes on a database of `tests.bench.owners`, as JSON. `python -m … DATABASE WHAT`."""

import asyncio
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg
import psutil
import uvloop
from pydantic import SecretStr

from app.clinic.catalogue.entries import TableClass
from app.clinic.catalogue.ownership import stray_keys
from app.clinic.owners.find import find_owners, find_references
from app.clinic.reading.statements import ClinicStatements
from app.clinic.session_settings import SESSION_SQL
from app.connections.databases import clinic_database
from app.connections.embedded import embedded_servers
from app.connections.resources import open_resources
from app.respaldos.backup.run import crear_respaldo
from app.respaldos.models import TipoRespaldo
from app.respaldos.resources import Resources
from app.respaldos.restore.request import RestoreRequest
from app.respaldos.restore.run import restaurar_respaldo
from app.settings import Settings, load_settings
from tests.bench.databases import FIFTEEN_THOUSAND, TEN_THOUSAND, database_url

# How often what takes a moment is repeated.
TIMES = 5


def at_database(settings: Settings, name: str) -> Settings:
    """The same servers, with the clinics in that database."""
    address = SecretStr(f"{database_url(settings).rsplit('/', 1)[0]}/{name}")
    return settings.model_copy(update={"clinic_database_url": address, "clinic_restore_database_url": address})


async def timed(work: Callable[[], Awaitable[object]], times: int = TIMES) -> list[float]:
    """Seconds of each of so many times, after one that does not count."""
    found = []
    for _ in range(times + 1):
        started = time.perf_counter()
        await work()
        found.append(time.perf_counter() - started)
    return found[1:]


async def backups(resources: Resources, settings: Settings, clinic: int, times: int) -> dict[str, Any]:
    """Seconds of a clinic's backups, and of PostgreSQL's processors for each of them."""
    server = await postmaster(settings)

    async def back_up() -> None:
        await crear_respaldo(resources, clinica_id=clinic, tipo=TipoRespaldo.POR_DEMANDA)

    await crear_respaldo(resources, clinica_id=TEN_THOUSAND.id if clinic != 1 else clinic, tipo=TipoRespaldo.MANUAL)
    before = processor_seconds(server)
    found = await timed(back_up, times)
    # timed() has made one more.
    return {"seconds": found, "postgresql": (processor_seconds(server) - before) / (times + 1)}


async def restores(resources: Resources) -> dict[str, list[float]]:
    """Seconds of the backup, the preview and the restore of a clinic that has not changed."""
    clinic = FIFTEEN_THOUSAND.id
    made = await crear_respaldo(resources, clinica_id=clinic, tipo=TipoRespaldo.MANUAL)

    async def back_up() -> None:
        await crear_respaldo(resources, clinica_id=clinic, tipo=TipoRespaldo.MANUAL)

    return {
        "backup": await timed(back_up),
        "preview": await timed(lambda: restaurar_respaldo(resources, made, RestoreRequest(simulada=True)), 3),
        "restore": await timed(lambda: restaurar_respaldo(resources, made, RestoreRequest()), 3),
    }


async def statements(settings: Settings) -> dict[str, Any]:
    """The longest statement (bytes), the planning of all (seconds), and what the backend's memory grew by (bytes)."""
    database = clinic_database(settings)
    async with database.snapshot(FIFTEEN_THOUSAND.id) as snapshot:
        catalogue = snapshot.catalogue
    assert settings.clinic_database_url is not None
    connection = await asyncpg.connect(settings.clinic_database_url.get_secret_value())
    try:
        backend = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
        await connection.execute(SESSION_SQL)
        said: list[str] = []
        before = backend.memory_full_info().uss
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        with connection.query_logger(lambda query: said.append(query.query)):
            found = await find_owners(connection, catalogue, FIFTEEN_THOUSAND.id, references=True)
            await find_references(connection, found)
        assert isinstance(found, ClinicStatements)
        for entry in catalogue.of_class(TableClass.OWNED):
            said.append(found.owned_records(entry))
            if keys := list(stray_keys(catalogue, entry)):
                said.append(found.count_foreign(entry, keys))
        said += [s for e in found.catalogue.entries.values() if (s := found.referenced_records(e)) is not None]
        single = [each for text in said for each in text.split(";\n") if re.match("(SELECT|WITH)", each)]
        planning = 0.0
        for text in single:
            (plan,) = json.loads(await connection.fetchval(f"EXPLAIN (SUMMARY, FORMAT JSON) {text}"))
            planning += plan["Planning Time"] / 1000
            await connection.execute(text)
        await connection.execute("COMMIT")
        grown = backend.memory_full_info().uss - before
    finally:
        await connection.close()
    longest = max(len(text.encode()) for text in single)
    return {
        "longest": longest,
        "all": sum(map(len, single)),
        "planning": planning,
        "memory": grown,
        "number": len(single),
    }


async def postmaster(settings: Settings) -> psutil.Process:
    """The process whose children serve the clinics' database."""
    assert settings.clinic_database_url is not None
    connection = await asyncpg.connect(settings.clinic_database_url.get_secret_value())
    try:
        parent = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()")).parent()
    finally:
        await connection.close()
    assert parent is not None
    return parent


def processor_seconds(postmaster: psutil.Process) -> float:
    """What PostgreSQL's processes have used, those that have ended by now included."""
    total = 0.0
    for child in postmaster.children():
        # What ends meanwhile is in the postmaster's own sum afterwards.
        with suppress(psutil.NoSuchProcess):
            own = child.cpu_times()
            total += own.user + own.system
    spent = postmaster.cpu_times()
    return float(total + spent.user + spent.system + spent.children_user + spent.children_system)


async def main(database: str, what: str, *arguments: str) -> object:
    """One measurement."""
    with embedded_servers(load_settings()) as served:
        settings = at_database(served, database)
        if what == "statements":
            return await statements(settings)
        async with open_resources(settings) as resources:
            await asyncio.sleep(0)
            if what == "restores":
                return await restores(resources)
            return await backups(resources, settings, int(arguments[0]), int(arguments[1]))


if __name__ == "__main__":
    json.dump(uvloop.run(main(*sys.argv[1:])), sys.stdout)
