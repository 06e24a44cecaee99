"""Numbers for Prometheus."""

import asyncio
import hmac
from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from app.api.caller import ServiceDep
from app.api.client_address import is_local
from app.api.openapi import problems
from app.connections.service import Service
from app.dump.whose import named
from app.errors import DatabaseUnavailable, NotAllowed, QueueUnavailable, TokenRefused
from app.respaldos.databases import transaction
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
        async with asyncio.timeout(TIMEOUT_SECONDS), transaction(service.resources) as session:
            groups = await status_fleet.groups(session)
            newest = await status_fleet.newest_good(session)
            without = await status_fleet.without_good(session)
            unproven = await status_fleet.unproven(session)
            backlog = await status_fleet.backlog(session)
    except TimeoutError as exc:
        raise DatabaseUnavailable(
            f"las métricas tardaron más de {TIMEOUT_SECONDS:g} segundos (DATABASE_URL)"
        ) from exc
    return Response(
        generate_latest(_registry(groups, newest, without, unproven, backlog, await _worker_health(service))),
        headers={"Content-Type": CONTENT_TYPE_LATEST},
    )


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


def _registry(
    groups: Sequence[Group],
    newest: Sequence[Newest],
    without: Sequence[tuple[int | None, float]],
    unproven: Sequence[tuple[int | None, float]],
    backlog: Backlog,
    worker_health: tuple[bool, bool] | None,
) -> CollectorRegistry:
    """A registry for one answer: what is counted lives in the database, not in this process."""
    registry = CollectorRegistry()

    def gauge(name: str, said: str, *labels: str) -> Gauge:
        return Gauge(f"respaldos_{name}", said, labels, registry=registry)

    counts = gauge("total", "Backups that are not deleted.", "estado", "tipo")
    for group in groups:
        counts.labels(group.estado, group.tipo_respaldo).set(group.backups)
    age = gauge(
        "ultimo_bueno_edad_segundos",
        "Age of the clinic's newest good backup; of its first night, where it never had one.",
        "clinica_id",
    )
    took = gauge("ultimo_bueno_duracion_segundos", "How long the clinic's newest good backup took.", "clinica_id")
    size = gauge("ultimo_bueno_bytes", "Size of the clinic's newest good backup.", "clinica_id")
    for backup in newest:
        clinic = named(backup.clinica_id)
        age.labels(clinic).set(backup.age)
        if backup.seconds is not None:
            took.labels(clinic).set(backup.seconds)
        if backup.bytes is not None:
            size.labels(clinic).set(backup.bytes)
    for clinica_id, seconds in without:
        age.labels(named(clinica_id)).set(seconds)
    trial = gauge(
        "ultimo_ensayo_edad_segundos",
        "Time since a trial of the clinic's ended well; since its oldest good backup, where none has.",
        "clinica_id",
    )
    for clinica_id, seconds in unproven:
        trial.labels(named(clinica_id)).set(seconds)
    gauge("bytes", "Bytes of all backups in the bucket.").set(backlog.stored)
    expired = Counter("respaldos_arriendos_vencidos", "Attempts whose lease ran out.", registry=registry)
    expired.inc(backlog.expired_leases)
    gauge("avisos_pendientes", "Notices that wait to be sent.").set(backlog.pending_notices)
    gauge("redis_disponible", "Whether Redis answers.").set(worker_health is not None)
    worker = gauge("trabajador_disponible", "Whether Redis has lately heard of a worker that does this.", "tarea")
    taking_jobs, periodic = worker_health or (False, False)
    worker.labels("trabajos").set(taking_jobs)
    worker.labels("periodicas").set(periodic)
    gauge("cola_trabajos", "Backups and verifications that wait for a worker.").set(backlog.waiting)
    return registry
