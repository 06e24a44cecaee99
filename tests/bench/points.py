"""What a point of the day costs in which nothing has changed, against a backup with an object of its own."""

import asyncio
import statistics
import time
from collections import Counter, defaultdict
from typing import Any

from app.connections.resources import open_resources
from app.demo.sample.generate import SampleClinic
from app.respaldos.backup.run import crear_respaldo
from app.respaldos.models import TipoRespaldo
from app.settings import Settings
from tests.bench.databases import database_url
from tests.bench.owners_process import at_database, postmaster, processor_seconds
from tests.bench.table import Row

SMALL = SampleClinic(1, "Trescientos", 300)
MIDDLE = SampleClinic(2, "Quince mil", 15_000)
LARGE = SampleClinic(3, "Trescientos mil", 300_000)
CLINICS = (SMALL, MIDDLE, LARGE)

# Of each kind, one after the other, so that a machine that grows slower slows both.
ROUNDS = 7


async def _cost(settings: Settings) -> list[dict[str, Any]]:
    """What each backup took: seconds, seconds of processors, requests to S3 and bytes that were sent there."""
    asked, sent = Counter[str](), Counter[str]()

    def count(event_name: str, request: Any, **_: Any) -> None:
        name = event_name.rsplit(".", 1)[-1]
        asked[name] += 1
        sent[name] += int(request.headers.get("Content-Length") or 0)

    found = []
    server = await postmaster(at_database(settings, database_url(settings).rsplit("/", 1)[1]))
    async with open_resources(settings) as resources:
        resources.storage.client.meta.events.register("before-send.s3", count)
        for clinic in CLINICS:
            for number in range(ROUNDS + 1):
                for kind in (TipoRespaldo.POR_DEMANDA, TipoRespaldo.PUNTO):
                    asked.clear()
                    sent.clear()
                    started, ours, theirs = time.perf_counter(), time.process_time(), processor_seconds(server)
                    respaldo = await crear_respaldo(resources, clinica_id=clinic.id, tipo=kind)
                    one = {
                        "clinic": clinic.records,
                        "kind": kind,
                        "seconds": time.perf_counter() - started,
                        "ours": time.process_time() - ours,
                        "postgresql": processor_seconds(server) - theirs,
                        "requests": dict(asked),
                        "sent": sum(sent.values()),
                    }
                    assert (respaldo.respaldo_base_id is not None) == (kind == TipoRespaldo.PUNTO)
                    # The first ones only warm the process up.
                    if number:
                        found.append(one)
    return found


def measure(settings: Settings) -> tuple[list[Row], dict[str, Any]]:
    """Back each clinic up in both ways; return the lines of the table and the raw numbers behind them."""
    found = asyncio.run(_cost(settings))
    of_each: defaultdict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for one in found:
        of_each[one["clinic"], one["kind"]].append(one)
    rows = []
    for clinic in CLINICS:
        full, point = of_each[clinic.records, "por_demanda"], of_each[clinic.records, "punto"]

        def of(what: str, backups: list[dict[str, Any]]) -> float:
            return float(statistics.median(one[what] for one in backups))

        for what, said, unit, scale in (
            ("seconds", "time", "ms", 1000),
            ("ours", "our processors", "ms", 1000),
            ("postgresql", "PostgreSQL's processors", "ms", 1000),
            ("sent", "sent to S3", "KiB", 1 / 1024),
        ):
            against = f"{of(what, full) * scale:.1f} {unit}"
            name = f"unchanged point of {clinic.records:,} records: {said}"
            rows.append(Row(name, against, of(what, point) * scale, None, unit))
        requests = [sum(one["requests"].values()) for one in (full[0], point[0])]
        name = f"unchanged point of {clinic.records:,} records: requests to S3"
        rows.append(Row(name, f"{requests[0]}", requests[1], 1 if clinic is not LARGE else None, ""))
    return rows, {"backups": found}
