"""Backups in a process that is already running; prints what each took as JSON. `python -m … CLINIC [CLINIC …]`."""

import asyncio
import json
import sys
import time

import uvloop

from app.connections.embedded import embedded_servers
from app.connections.resources import open_resources
from app.respaldos.backup.run import crear_respaldo
from app.respaldos.models import TipoRespaldo
from app.settings import load_settings
from tests.bench.databases import TEN_THOUSAND


async def measure(clinics: list[int]) -> list[dict[str, object]]:
    """Seconds from claim to `completado`, the file's sizes (bytes), and seconds by stage, for each clinic."""
    found = []
    with embedded_servers(load_settings()) as settings:
        async with open_resources(settings) as resources:
            for clinic in [TEN_THOUSAND.id, *clinics]:
                await asyncio.sleep(0)
                started = time.perf_counter()
                respaldo = await crear_respaldo(resources, clinica_id=clinic, tipo=TipoRespaldo.POR_DEMANDA)
                found.append(
                    {
                        "seconds": time.perf_counter() - started,
                        "stages": respaldo.metadata_["segundos"],
                        "bytes": respaldo.tamaño_bytes,
                        "original": respaldo.metadata_["tamaño_original_bytes"],
                        "key": respaldo.archivo_s3,
                    }
                )
    # The first one only warms the process up.
    return found[1:]


if __name__ == "__main__":
    json.dump(uvloop.run(measure([int(argument) for argument in sys.argv[1:]])), sys.stdout)
