"""How soon a record is found in thirty backups of a clinic of 100,000 records, against zcat and grep."""

import asyncio
import os
import statistics
import subprocess
import time
from contextlib import aclosing
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete

from app.connections.resources import open_resources
from app.dump.gzip_member import GzipReader, GzipWriter
from app.respaldos.backup.run import crear_respaldo
from app.respaldos.databases import transaction
from app.respaldos.models import Estado, Respaldo, TipoRespaldo
from app.respaldos.resources import Resources
from app.respaldos.search.contract import FinDeBusqueda
from app.respaldos.search.history import historia_de_registro
from app.respaldos.search.search import SearchRequest, buscar_registros
from app.settings import Settings
from tests.bench.databases import HUNDRED_THOUSAND
from tests.bench.table import Row, say

BACKUPS = 30
ROUNDS = 3

# Of a patient who is in the older half of the backups only.
GONE = "Zacarías Ñandúquispe"

# What somebody looks for, and for grep the one word of it that is found the least.
SEARCHES = {
    "a deleted patient, by name": ("zacarias nanduquispe", "Ñandúquispe"),
    "a common name": ("maria", "María"),
    "a word of nearly as many records as are looked through": ("sangrado", "sangrado"),
    "a word of more": ("consulta", "consulta"),
    "what nobody is called": ("xylofonista", "xylofonista"),
}


@dataclass(frozen=True, slots=True)
class Found:
    """Seconds to the first result, None where there is none, and to the end; of our processor; how many records."""

    first: float | None
    end: float
    cpu: float
    records: int


async def _search(resources: Resources, texto: str) -> Found:
    started, cpu = time.perf_counter(), time.process_time()
    first = None
    records = set()
    async with aclosing(buscar_registros(resources, SearchRequest(texto), clinica_id=HUNDRED_THOUSAND.id)) as lines:
        async for line in lines:
            if not isinstance(line, FinDeBusqueda):
                first = first or time.perf_counter() - started
                records.add(line.numero)
    return Found(first, time.perf_counter() - started, time.process_time() - cpu, len(records))


async def _make_backups(resources: Resources) -> None:
    """One real backup, and its file with some rows changed in the place of twenty-nine others."""
    clinica_id = HUNDRED_THOUSAND.id
    async with transaction(resources) as session:
        await session.execute(delete(Respaldo).where(Respaldo.clinica_id == clinica_id))
    made = await crear_respaldo(resources, clinica_id=clinica_id, tipo=TipoRespaldo.MANUAL)
    reader = GzipReader()
    text = b""
    async with resources.storage.download(made.archivo_s3 or "") as chunks:
        text = b"".join([piece async for chunk in chunks for piece in reader.feed(chunk)])
    say(f"a file of {len(text) / 1e6:.0f} MB, {(made.tamaño_bytes or 0) / 1e6:.1f} MB compressed")
    head, _, users = text.partition(b'"usuarios":[\n')
    gone = users[: users.index(b"\n")].replace(b'"codigo":', b'"codigo":9')
    name = '"nombre":"Zacarías","apellido":"Ñandúquispe",'.encode()
    start, end = gone.index(b'"nombre":'), gone.index(b'"correoelectronico":')
    gone = gone[:start] + name + gone[end:]
    key = f"{(made.archivo_s3 or '').removesuffix('.json.gz')}_bench"
    for number in range(1, BACKUPS):
        # Some rows are different every day, and in each of the large models.
        changed = users.replace(b'"activo":true', b'"activo":false', number)
        changed = changed.replace(b'"observaciones":"', f'"observaciones":"{number} '.encode(), 40 * number)
        parts = [head, b'"usuarios":[\n', *([gone, b"\n"] if number > BACKUPS // 2 else []), changed]
        writer = GzipWriter(resources.compression)
        file = b"".join([*(writer.feed(part) for part in parts), writer.finish()])
        storage = resources.storage
        await storage.client.put_object(Bucket=storage.options.bucket, Key=f"{key}_{number:02}.json.gz", Body=file)
        async with transaction(resources) as session:
            session.add(
                Respaldo(
                    clinica_id=clinica_id,
                    estado=Estado.COMPLETADO,
                    tipo_respaldo=TipoRespaldo.AUTOMATICO,
                    archivo_s3=f"{key}_{number:02}.json.gz",
                    fecha_respaldo=datetime.now(UTC) - timedelta(hours=20 * number),
                    tamaño_bytes=len(file),
                    hash_md5=writer.md5,
                    numero_registros=made.numero_registros,
                    metadata_={"tamaño_original_bytes": writer.original_size},
                )
            )


def _grep(settings: Settings, word: str) -> float:
    """What zcat and grep take for the same files."""
    started = time.perf_counter()
    files = f"find '{settings.respaldos_home}' -name 'backup_*.json.gz' -print0"
    script = f"{files} | xargs -0 zcat | grep -ic '{word}' || true"
    subprocess.run(
        ["bash", "-c", script], stdout=subprocess.DEVNULL, check=True, env=os.environ | {"LC_ALL": "C.UTF-8"}
    )
    return time.perf_counter() - started


async def _measure(settings: Settings) -> tuple[list[Row], dict[str, Any]]:
    rows: list[Row] = []
    raw: dict[str, Any] = {}
    async with open_resources(settings) as resources:
        await _make_backups(resources)
        for what, (texto, word) in SEARCHES.items():
            times: list[tuple[Found, float]] = []
            for _ in range(ROUNDS):
                found = await _search(resources, texto)
                times.append((found, await asyncio.to_thread(_grep, settings, word)))
            raw[what] = [(*astuple(found), grep) for found, grep in times]
            say(f"{what}: {raw[what]}")
            firsts = [found.first for found, _ in times if found.first is not None]
            # Of what is in older backups only, the first result is there when they are read.
            if what != "a deleted patient, by name" and firsts:
                rows.append(Row(f"{what}: the first result", "", statistics.median(firsts), 1, "s"))
            rows.append(Row(f"{what}: all", "", statistics.median(found.end for found, _ in times), 6, "s"))
            ratio = statistics.median(found.end / grep for found, grep in times)
            rows.append(Row(f"{what}: all", "zcat | grep -i of the same files", ratio, 1, "×"))
        started = time.perf_counter()
        await historia_de_registro(resources, "usuarios", "1", dias=30, clinica_id=HUNDRED_THOUSAND.id)
        rows.append(Row("the history of a record", "", time.perf_counter() - started, 6, "s"))
    return rows, raw


def measure(settings: Settings) -> tuple[list[Row], dict[str, Any]]:
    """Run everything; return the lines of the table and the raw numbers behind them."""
    return asyncio.run(_measure(settings))
