"""A running backup's progress as server-sent events, for as long as somebody looks."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.api.at_once import AtOnce
from app.api.caller import Caller, ReadAccess, ServiceDep, recheck_access
from app.api.openapi import of_anyone
from app.api.parameters import RespaldoId
from app.connections.full import in_full
from app.connections.service import Service
from app.errors import RespaldosError
from app.respaldos.backup import queries as backup_queries
from app.respaldos.contract import ESTADO_DISPLAY
from app.respaldos.databases import transaction
from app.respaldos.jobs.request import progress_of
from app.respaldos.models import Estado, Respaldo
from app.respaldos.progress import Progreso

router = APIRouter(prefix="/respaldos", tags=["Respaldos"])

# Each stream asks the database once in this time; a person sees no difference in less (seconds).
POLL_SECONDS: Final = 1.0

# So that looking never takes the database from working.
STREAMS: Final = AtOnce("hay demasiadas pantallas siguiendo respaldos a la vez", per_clinic=10, in_all=100)

_EXAMPLE: Final = (
    'event: progreso\ndata: {"id": 7, "estado": "procesando", "estado_display": "Procesando", "progreso":'
    ' {"etapa": "leyendo", "modelo": "pacientes", "registros": 1200, "registros_esperados": 5000, "bytes": 480000,'
    ' "bytes_esperados": 2000000, "porcentaje": 24.0}}\n\n: ping\n\nevent: fin\ndata: {"id": 7, "estado":'
    ' "completado", …}\n\n'
)


# A backup, and how far it is while it runs.
Watched: TypeAlias = tuple[Respaldo, Progreso | None]


async def _watched(
    request: Request, service: ServiceDep, caller: ReadAccess, respaldo_id: RespaldoId
) -> AsyncIterator[Watched]:
    """The backup as it is before the stream begins, while an error can still be answered with its status."""
    respaldo = await _get(service, respaldo_id, caller)
    with STREAMS.one(request, caller.clinica_id):
        yield respaldo


@router.get(
    "/{respaldo_id:id}/progreso/",
    operation_id="progreso_progreso",
    response_class=EventSourceResponse,
    summary="Sigue un respaldo en curso",
    response_description="Eventos `progreso` mientras avanza, y un último evento `fin`.",
    responses={
        200: {"content": {"text/event-stream": {"example": _EXAMPLE}}},
        **of_anyone(429, _429="Hay demasiadas pantallas siguiendo respaldos a la vez"),
    },
)
async def progreso(
    service: ServiceDep, caller: ReadAccess, watched: Annotated[Watched, Depends(_watched)]
) -> AsyncIterator[ServerSentEvent]:
    """Un evento `progreso` cuando algo cambió, uno por segundo como mucho, y al final `fin`, con el respaldo.

    Si deja de poder seguirse (venció el token, la base de datos no responde) el último evento es `problema`. Se lee
    con `fetch`, porque `EventSource` no envía el token.
    """
    (respaldo, progreso), shown = watched, ""
    while respaldo.estado in {Estado.PENDIENTE, Estado.PROCESANDO}:
        seen = _json(
            {
                "id": respaldo.id,
                "estado": respaldo.estado,
                "estado_display": ESTADO_DISPLAY[Estado(respaldo.estado)],
                "progreso": progreso,
            }
        )
        if seen != shown:
            yield ServerSentEvent(event="progreso", raw_data=seen)
            shown = seen
        await asyncio.sleep(POLL_SECONDS)
        try:
            await recheck_access(service, caller)
            respaldo, progreso = await _get(service, respaldo.id, caller)
        except RespaldosError as exc:
            yield ServerSentEvent(event="problema", raw_data=_json({"codigo": exc.code, "status": exc.status}))
            return
    ended = await in_full(service.resources, service.settings, respaldo)
    yield ServerSentEvent(event="fin", raw_data=_json(ended.model_dump(mode="json")))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


async def _get(service: Service, respaldo_id: int, caller: Caller) -> Watched:
    async with transaction(service.resources) as session:
        respaldo = await backup_queries.get(session, respaldo_id, clinica_id=caller.clinica_id)
        return respaldo, await progress_of(session, respaldo)
