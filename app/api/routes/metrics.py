"""Numbers for Prometheus."""

import asyncio
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.api.caller import ServiceDep
from app.api.client_address import is_local
from app.api.openapi import problems
from app.connections.service import Service
from app.dump.whose import named
from app.errors import DatabaseUnavailable, NotAllowed, QueueUnavailable, TokenRefused
from app.respaldos.copies import fleet as copy_fleet
from app.respaldos.databases import transaction
from app.respaldos.models import EstadoCopia
from app.respaldos.schedule import fleet as schedule_fleet
from app.respaldos.schedule.overdue import days_off_of_each
from app.respaldos.status import fleet as status_fleet
from app.respaldos.status.fleet import Backlog, Group, Newest

router = APIRouter(tags=["Salud"])

# Rather no numbers than a database that works for the numbers (seconds).
TIMEOUT_SECONDS = 5.0


@router.get(
    "/metrics",
    response_class=Response,
    summary="Métricas para Prometheus",
    response_description="El formato de texto de Prometheus.",
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": "respaldos_cola_trabajos 0.0\n"}}},
        **problems(
            *(401, 403, 500, 503),
            _401="Las métricas necesitan el secreto de METRICS_TOKEN, en «Authorization: Bearer»",
            _403="Sin METRICS_TOKEN, las métricas se dan solo a programas de esta misma máquina",
        ),
    },
)
async def metrics(request: Request, service: ServiceDep) -> Response:
    """Con `METRICS_TOKEN`, a quien lo envía como `Authorization: Bearer`. Sin él, a programas de esta misma máquina,
    y a nadie por medio de un proxy que diga serlo: las métricas nombran a todas las clínicas."""
    _authorize(request, service)
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            # By two connections, and each is written out while the other still asks: with ten thousand clinics either
            # takes a fifth of a second.
            parts = await asyncio.gather(_newest_good(service), _the_rest(service))
    except TimeoutError as exc:
        raise DatabaseUnavailable(
            f"las métricas tardaron más de {TIMEOUT_SECONDS:g} segundos (DATABASE_URL)"
        ) from exc
    return Response(b"".join(parts), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _newest_good(service: Service) -> bytes:
    async with transaction(service.resources) as session:
        newest = await status_fleet.newest_good(session)
        without = await status_fleet.without_good(session)
        nights = await schedule_fleet.own_nights(session)
    off = days_off_of_each(nights, datetime.now(service.settings.time_zone).date())
    return await _text(partial(_newest_families, newest, without, off))


async def _the_rest(service: Service) -> bytes:
    async with transaction(service.resources) as session:
        unproven = await status_fleet.unproven(session)
        groups = await status_fleet.groups(session)
        backlog = await status_fleet.backlog(session)
        uncopied = {each.destino: each for each in await copy_fleet.backlogs(session)}
    # Of a bucket that is not wanted any more nobody wants to hear.
    copies = {bucket.name: uncopied.get(bucket.name) for bucket in service.resources.copies}
    health = await _worker_health(service)
    return await _text(partial(_other_families, unproven, groups, backlog, copies, health))


def _authorize(request: Request, service: Service) -> None:
    secret = service.settings.metrics_token
    if secret is None:
        if not is_local(request):
            raise NotAllowed("sin METRICS_TOKEN, las métricas se dan solo a programas de esta misma máquina")
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    # Starlette reads the bytes of a header as Latin-1.
    expected = secret.get_secret_value().encode()
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), expected):
        raise TokenRefused("las métricas necesitan el secreto de METRICS_TOKEN, en «Authorization: Bearer»")


async def _worker_health(service: Service) -> tuple[bool, bool] | None:
    """As `Queue.worker_health`; None where Redis does not answer."""
    try:
        return await service.require_queue().worker_health()
    except QueueUnavailable:
        return None


async def _text(families: Callable[[], Iterator[Metric]]) -> bytes:
    """What Prometheus reads, written by a thread: others want to be answered meanwhile."""
    registry = CollectorRegistry()
    registry.register(_Families(families))
    return await asyncio.to_thread(generate_latest, registry)


@dataclass(frozen=True, eq=False)
class _Families(Collector):
    """The numbers for one answer: what is counted lives in the database, not in this process.

    As families: a Gauge for each answer would make an object for each clinic's number, twice the work.
    """

    families: Callable[[], Iterator[Metric]]

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        return self.families()


def _newest_families(
    newest: Sequence[Newest],
    without: Sequence[tuple[int | None, float]],
    off: Mapping[int | None, timedelta],
) -> Iterator[Metric]:
    age = _gauge(
        "ultimo_bueno_edad_segundos",
        "Age of the clinic's newest good backup; of its first night, where it never had one.",
        "clinica_id",
    )
    took = _gauge("ultimo_bueno_duracion_segundos", "How long the clinic's newest good backup took.", "clinica_id")
    size = _gauge("ultimo_bueno_bytes", "Size of the newest good backup.", "clinica_id")
    for backup in newest:
        clinic = [named(backup.clinica_id)]
        age.add_metric(clinic, backup.age)
        if backup.seconds is not None:
            took.add_metric(clinic, backup.seconds)
        if backup.bytes is not None:
            size.add_metric(clinic, backup.bytes)
    for clinica_id, seconds in without:
        age.add_metric([named(clinica_id)], seconds)
    paused = _gauge(
        "noches_omitidas_segundos",
        "How much older the clinic's newest good backup may be today, as it has no night on some days of the week.",
        "clinica_id",
    )
    for clinica_id, longer in off.items():
        paused.add_metric([named(clinica_id)], longer.total_seconds())
    yield from (age, took, size, paused)


def _other_families(
    unproven: Sequence[tuple[int | None, float]],
    groups: Sequence[Group],
    backlog: Backlog,
    copies: Mapping[str, copy_fleet.Backlog | None],
    worker_health: tuple[bool, bool] | None,
) -> Iterator[Metric]:
    counts = _gauge("total", "Backups that are not deleted.", "estado", "tipo")
    for group in groups:
        counts.add_metric([group.estado, group.tipo_respaldo], group.backups)
    trial = _gauge(
        "ultimo_ensayo_edad_segundos",
        "Time since a trial of the clinic's ended well; since its oldest good backup, where none has.",
        "clinica_id",
    )
    for clinica_id, seconds in unproven:
        trial.add_metric([named(clinica_id)], seconds)
    worker = _gauge("trabajador_disponible", "Whether Redis has lately heard of one that does this.", "tarea")
    taking_jobs, periodic = worker_health or (False, False)
    worker.add_metric(["trabajos"], taking_jobs)
    worker.add_metric(["periodicas"], periodic)
    uncopied = _gauge("copias_faltantes", "Backups without their second copy in that bucket.", "destino", "estado")
    late = _gauge(
        "copia_atraso_segundos",
        "Age of the oldest backup without its second copy in that bucket; 0: none.",
        "destino",
    )
    now = datetime.now(UTC)
    for destino, lacking in copies.items():
        uncopied.add_metric([destino, EstadoCopia.PENDIENTE], lacking.pending if lacking is not None else 0)
        uncopied.add_metric([destino, EstadoCopia.FALLIDA], lacking.failed if lacking is not None else 0)
        late.add_metric([destino], max((now - lacking.oldest).total_seconds(), 0.0) if lacking is not None else 0)
    yield from (counts, trial, worker, uncopied, late)
    for name, said, value in (
        ("bytes", "Bytes of all backups in the bucket.", backlog.stored),
        ("avisos_pendientes", "Notices that wait to be sent.", backlog.pending_notices),
        ("redis_disponible", "Whether Redis answers.", float(worker_health is not None)),
        ("cola_trabajos", "Backups and verifications that wait for a worker.", backlog.waiting),
    ):
        gauge = _gauge(name, said)
        gauge.add_metric([], value)
        yield gauge
    yield CounterMetricFamily(
        "respaldos_arriendos_vencidos", "Attempts whose lease ran out.", value=backlog.expired_leases
    )


def _gauge(name: str, said: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"respaldos_{name}", said, labels=labels)
