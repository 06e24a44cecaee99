"""Traces, sent by the API and by a worker, each a process of its own, to a collector."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.respaldos.conftest import LARGE
from tests.support.api_client import ask, completed, log_in
from tests.support.collector import Collector, Received, running_collector
from tests.support.processes import eventually, running_api, running_worker

CALLER, SEARCHER = "0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Where the traces are sent to."""
    with running_collector() as found:
        yield found


@pytest.fixture
def tracing(settings: dict[str, str], collector: Collector) -> dict[str, str]:
    """Settings of processes that send traces."""
    return settings | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}


async def trace_of(collector: Collector, last: str, trace_id: str | None = None) -> list[Received]:
    """The spans of the trace that has the span `last`, once that has come."""

    def found() -> list[str]:
        return [span.trace_id for span in collector.spans if span.name == last and trace_id in (None, span.trace_id)]

    async def there() -> bool:
        return bool(found())

    await eventually(there)
    return collector.of(found()[0])


async def test_a_backup_is_one_trace_from_the_request_to_what_was_read_back(
    tracing: dict[str, str], collector: Collector, conn: asyncpg.Connection, log: Path
) -> None:
    async with running_api(tracing, log) as api, running_worker(tracing, log):
        header = await log_in(api) | {"traceparent": f"00-{CALLER}-b7ad6b7169203331-01"}
        respaldo_id = await ask(api, header)
        await completed(api, header, respaldo_id)
        trace = await trace_of(collector, "job respaldo", CALLER)
        await api.get("/metrics")
        header["traceparent"] = f"00-{SEARCHER}-b7ad6b7169203331-01"
        await api.get("/api/v1/respaldos/?busqueda=Quispe", headers=header)
        (search,) = await trace_of(collector, "GET /api/v1/respaldos/", SEARCHER)
    assert search.attributes["url.query"] == "REDACTED"
    spans = {span.span_id: span for span in collector.of(CALLER)}
    job = next(span for span in trace if span.name == "job respaldo")
    assert job.service == "respaldos-worker"
    assert job.attributes == {
        "respaldos.trabajo_id": job.attributes["respaldos.trabajo_id"],
        "respaldos.clinica_id": LARGE,
        "respaldos.respaldo_id": respaldo_id,
        "respaldos.intento": 1,
    }
    request = spans[job.parent_id]
    assert (request.service, request.parent_id) == ("respaldos-api", "b7ad6b7169203331")
    assert request.attributes["http.route"] == "/api/v1/respaldos/crear_respaldo_manual/"
    assert request.attributes["http.response.status_code"] == 202
    steps = Counter(span.name for span in trace if span.parent_id == job.span_id)
    assert steps == {"snapshot": 1, "upload": 1, "read back": 1}
    upload = next(span for span in trace if span.name == "upload")
    copied = [span.attributes["respaldos.modelo"] for span in trace if span.parent_id == upload.span_id]
    assert {"usuarios", "pacientes"} <= set(copied)
    assert not any(span.failed for span in trace)

    everything = "".join(span.said for span in collector.spans)
    assert not re.search("Quispe|SELECT|COPY|eyJ|demo1234|@clinica", everything)
    # Nobody wants to know of these.
    assert "/metrics" not in everything
    assert "/salud" not in everything


async def test_a_job_that_fails_says_so_without_its_sentence(
    tracing: dict[str, str], collector: Collector, conn: asyncpg.Connection, log: Path
) -> None:
    tracing["AWS_BACKUP_BUCKET_NAME"] = "no-existe"
    async with running_api(tracing, log) as api, running_worker(tracing, log):
        await ask(api, await log_in(api))
        trace = await trace_of(collector, "job respaldo")
    failed = {span.name: span.attributes["error.type"] for span in trace if span.failed}
    assert failed == {"upload": "bucket_inexistente", "job respaldo": "bucket_inexistente"}
    assert "no-existe" not in "".join(span.said for span in trace)
