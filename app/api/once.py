"""A request for a job that is sent again, since its answer was lost on the way, is not done again."""

import hashlib
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from app.api.caller import AdminAccess, Caller, CreateAccess, ServiceDep, VerifyAccess, service_of
from app.connections.policy import retention_policy
from app.connections.service import Service
from app.respaldos.audit import RequestKey
from app.respaldos.backup import queries as backup_queries
from app.respaldos.contract import RespaldoCompleto, RespaldoConMensaje, RestauracionEnLista
from app.respaldos.databases import transaction
from app.respaldos.jobs import queries as job_queries
from app.respaldos.jobs.request import progress_of
from app.respaldos.models import Peticion
from app.respaldos.reading import queries as reading_queries
from app.respaldos.retention.queries import policy_of


class Repeated(Exception):
    """The request has been answered before: what came of it, and whose that is."""

    def __init__(self, first: Peticion, clinica_id: int | None) -> None:
        super().__init__()
        self.first = first
        self.clinica_id = clinica_id


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Una por pedido: si el mismo llega otra vez en 24 horas, responde lo que ya se pidió.",
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]


async def _asking(request: Request, service: ServiceDep, caller: AdminAccess, clave: IdempotencyKey = None) -> Caller:
    return await _perhaps_again(request, service, caller, clave)


async def _creating(
    request: Request, service: ServiceDep, caller: CreateAccess, clave: IdempotencyKey = None
) -> Caller:
    return await _perhaps_again(request, service, caller, clave)


async def _verifying(
    request: Request, service: ServiceDep, caller: VerifyAccess, clave: IdempotencyKey = None
) -> Caller:
    return await _perhaps_again(request, service, caller, clave)


async def _perhaps_again(request: Request, service: Service, caller: Caller, clave: str | None) -> Caller:
    """May do it, and asks for a job: perhaps once more. Raises Repeated, and InvalidRequest."""
    if clave is None:
        return caller
    asked = f"{request.scope['path']} {caller.clinica_id}\n".encode() + await request.body()
    key = RequestKey(caller.principal.usuario or "", clave, hashlib.sha256(asked).hexdigest())
    async with transaction(service.resources) as session:
        first = await job_queries.asked_before(session, key, clinica_id=caller.clinica_id)
    if first is not None:
        raise Repeated(first, caller.clinica_id)
    return replace(caller, actor=replace(caller.actor, key=key))


AskingAccess = Annotated[Caller, Depends(_asking)]
CreatingAccess = Annotated[Caller, Depends(_creating)]
VerifyingAccess = Annotated[Caller, Depends(_verifying)]


def add_handler(app: FastAPI) -> None:
    """Have the app answer a repeated request with what came of the first, as it is now."""
    app.add_exception_handler(Repeated, _answer_again)


async def _answer_again(request: Request, exc: Exception) -> Response:
    if not isinstance(exc, Repeated):
        raise exc
    service, first, clinica_id = service_of(request), exc.first, exc.clinica_id
    answer: RespaldoConMensaje | RestauracionEnLista
    async with transaction(service.resources) as session:
        if first.respaldo_id is not None:
            respaldo = await backup_queries.get(session, first.respaldo_id, clinica_id=clinica_id, deleted=True)
            policy = await policy_of(session, retention_policy(service.settings), clinica_id=clinica_id)
            progreso = await progress_of(session, respaldo)
            answer = RespaldoConMensaje(
                mensaje="El respaldo ya se había pedido",
                respaldo=RespaldoCompleto.of(respaldo, retention_days=policy.days, progreso=progreso),
            )
        else:
            assert first.restauracion_id is not None  # noqa: S101 (note_asked's promise)
            answer = RestauracionEnLista.of(
                await reading_queries.get(session, first.restauracion_id, clinica_id=clinica_id)
            )
    return JSONResponse(answer.model_dump(mode="json"), 202)
