"""The running service: the list of many backups, many clinics through two workers, clients beside a backup."""

import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from app.settings import Settings
from tests.bench.databases import HOME, MANY_CLINICS, MANY_HOME, MILLION, TEN_THOUSAND, database_url
from tests.bench.table import Row, say

RESPALDOS = str(Path(sys.executable).with_name("respaldos"))

PAGE_REQUESTS = 1_000
CLIENTS = 50
WORKERS = 2

# Backups in the table of one clinic of a hundred, beside those of all.
FEW, EACH, CLINICS = 100, 1_000, 100


@contextmanager
def service(home: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A `respaldos` command that stays, on the servers of that home; stopped at the end."""
    # The last night began 23 hours ago, too long for a worker to make up for it.
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    night = {"TIME_ZONE": "UTC", "BACKUP_HOUR": str(in_an_hour.hour), "BACKUP_MINUTE": str(in_an_hour.minute)}
    with (home / f"{arguments[0]}.log").open("w") as log:
        process = subprocess.Popen(
            [RESPALDOS, *arguments],
            env=os.environ | night | {"RESPALDOS_HOME": str(home)},
            stdout=log,
            stderr=log,
            text=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def token(home: Path, clinic: int | None) -> str:
    """A token of the clinic's administrator; without one, a superadmin's."""
    command = [RESPALDOS, "token", *(("--clinica", str(clinic)) if clinic is not None else ("--superadmin",))]
    found = subprocess.run(
        command, env=os.environ | {"RESPALDOS_HOME": str(home)}, stdout=subprocess.PIPE, check=True, text=True
    )
    return str(re.findall(r"ey[\w-]+\.[\w-]+\.[\w-]+", found.stdout)[0])


@asynccontextmanager
async def client(port: int, bearer: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the API that answers at that port, once it does."""
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{port}/", headers={"Authorization": f"Bearer {bearer}"}
    ) as session:
        while True:
            try:
                async with session.get("/salud/lista") as answer:
                    if answer.status == 200:
                        break
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)
        yield session


async def timed_list(session: aiohttp.ClientSession) -> float:
    """Seconds that the first page takes; a failed request ends the bench."""
    started = time.perf_counter()
    async with session.get("/api/v1/respaldos/") as answer:
        body = await answer.json()
        if answer.status != 200 or not body:
            raise SystemExit(f"GET /respaldos/ answered {answer.status}: {body}")
    return time.perf_counter() - started


def quantile(values: list[float], share: float) -> float:
    """The value that this share of all does not pass."""
    return sorted(values)[min(len(values) - 1, round(share * len(values)))]


async def list_times(port: int, url: str) -> dict[str, list[float]]:
    """Seconds of each request for a page of 100, with 100 rows in the table and with 100,000."""
    found = {}
    connection = await asyncpg.connect(url)
    async with client(port, token(MANY_HOME, 1)) as session:
        for name, clinics, each in (("few", 1, FEW), ("many", CLINICS, EACH)):
            await connection.execute("TRUNCATE respaldos.respaldo CASCADE")
            await connection.execute(FILL, clinics, each)
            await connection.execute("ANALYZE respaldos.respaldo")
            for _ in range(100):
                await timed_list(session)
            found[name] = [await timed_list(session) for _ in range(PAGE_REQUESTS)]
    await connection.execute("TRUNCATE respaldos.respaldo CASCADE")
    await connection.close()
    return found


FILL = """
INSERT INTO respaldos.respaldo (clinica_id, archivo_s3, fecha_respaldo, tamaño_bytes, hash_md5, numero_registros,
    tiempo_ejecucion, estado, tipo_respaldo, descripcion, metadata)
SELECT clinic, format('bench/%s/%s', clinic, number), now() - number * interval '1 hour', 100000 + number,
    md5(number::text), 2000, interval '1 second', 'completado', 'automatico', 'Respaldo de la noche',
    '{"modelos_respaldados": [], "avisos": []}'
FROM generate_series(1, $1::int) AS clinic, generate_series(1, $2::int) AS number
"""


async def many_clinics(url: str) -> dict[str, Any]:
    """One backup of each small clinic through two worker processes: seconds, by clinic and in all; connections."""
    connection = await asyncpg.connect(url)
    await connection.execute("TRUNCATE respaldos.respaldo CASCADE")
    wanted = len(MANY_CLINICS)
    with service(MANY_HOME, "worker"), service(MANY_HOME, "worker"):
        await asyncio.sleep(5)
        started = time.perf_counter()
        # The reconciler finds them, as it finds whatever Redis has forgotten.
        await connection.execute(
            "WITH asked AS (INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo)"
            " SELECT id, 'automatico' FROM clinica ORDER BY id RETURNING id, clinica_id)"
            " INSERT INTO respaldos.trabajo (clase, respaldo_id, clinica_id, prioridad, exclusiva, reintentable)"
            " SELECT 'respaldo', id, clinica_id, 30, true, true FROM asked"
        )
        connections = 0
        while True:
            ((done, failed, running),) = await connection.fetch(
                "SELECT count(*) FILTER (WHERE estado = 'completado'), count(*) FILTER (WHERE estado = 'fallido'),"
                " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') - 1"
                " FROM respaldos.respaldo"
            )
            connections = max(connections, running)
            if failed:
                raise SystemExit(f"{failed} backups failed")
            if done == wanted:
                break
            await asyncio.sleep(0.05)
        elapsed = time.perf_counter() - started
    ((first, last),) = await connection.fetch("SELECT min(inicio), max(fin) FROM respaldos.intento")
    rows = await connection.fetch(
        "SELECT extract(epoch FROM i.fin - i.inicio)::float,"
        " (SELECT sum(value::float) FROM jsonb_each_text(r.metadata->'segundos')"
        " WHERE key IN ('apertura', 'postgresql', 'compresion', 'envio'))"
        " FROM respaldos.respaldo r JOIN respaldos.intento i ON i.respaldo_id = r.id"
    )
    await connection.close()
    return {
        "seconds": elapsed,
        "working": (last - first).total_seconds(),
        "overheads": [whole - dump for whole, dump in rows],
        "connections": connections,
    }


async def clients_beside_a_backup(port: int) -> dict[str, list[float]]:
    """Seconds of each request of many clients at once, while nothing else runs and while a million are backed up."""
    found: dict[str, list[float]] = {"idle": [], "busy": []}
    async with client(port, token(HOME, TEN_THOUSAND.id)) as session:
        subprocess.run([RESPALDOS, "crear", "--clinica", str(TEN_THOUSAND.id)], stdout=subprocess.DEVNULL, check=True)

        async def ask(times: list[float], until: asyncio.Event) -> None:
            while not until.is_set():
                times.append(await timed_list(session))

        async def run_clients(times: list[float], work: "asyncio.Future[Any]") -> None:
            until = asyncio.Event()
            asking = [asyncio.create_task(ask(times, until)) for _ in range(CLIENTS)]
            await work
            until.set()
            await asyncio.gather(*asking)

        await timed_list(session)
        await run_clients(found["idle"], asyncio.ensure_future(asyncio.sleep(5)))
        backup = await asyncio.create_subprocess_exec(
            RESPALDOS, "crear", "--clinica", str(MILLION.id), stdout=subprocess.DEVNULL
        )
        await run_clients(found["busy"], asyncio.ensure_future(backup.wait()))
        if backup.returncode:
            raise SystemExit("the backup beside the clients failed")
    return found


def measure(many: Settings) -> tuple[list[Row], dict[str, Any]]:
    """Run everything; return the lines of the table and the raw numbers behind them."""
    port = 8765
    say("the list over 100,000 backups")
    with service(MANY_HOME, "serve", "--puerto", str(port)):
        lists = asyncio.run(list_times(port, database_url(many)))
    say("200 small clinics through two workers")
    small = asyncio.run(many_clinics(database_url(many)))
    say("50 clients beside a backup")
    with service(HOME, "serve", "--puerto", str(port)):
        clients = asyncio.run(clients_beside_a_backup(port))
    rows = [
        Row(
            "p99 of GET /respaldos/, 100,000 rows over 100 clinics",
            "the same with 100 rows",
            quantile(lists["many"], 0.99) / quantile(lists["few"], 0.99),
            2,
            "×",
        ),
        Row(
            f"{len(MANY_CLINICS)} clinics of 2,000 records, {WORKERS} workers",
            "",
            60 * len(MANY_CLINICS) / small["working"],
            None,
            "a minute",
        ),
        Row(
            "overhead of such a backup, median",
            "its dump alone",
            1000 * statistics.median(small["overheads"]),
            150,
            "ms",
        ),
        Row("database connections meanwhile, at most", "", small["connections"], None, ""),
        Row(
            f"p95 of GET /respaldos/, {CLIENTS} clients at once, beside a backup of 1,000,000",
            "the same while nothing else runs",
            quantile(clients["busy"], 0.95) / quantile(clients["idle"], 0.95),
            3,
            "×",
        ),
    ]
    return rows, {"lists": lists, "many_clinics": small, "clients": clients}
