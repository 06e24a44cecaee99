"""A clinic's audit trail."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.api.caller import AdminAccess, ServiceDep
from app.api.openapi import of_anyone
from app.api.parameters import PAGE_HEADERS, OfRespaldo, PageDep
from app.api.people import names_of
from app.respaldos import audit as trail
from app.respaldos.contract import EventoDeClinica
from app.respaldos.databases import transaction
from app.respaldos.models import Accion

router = APIRouter(prefix="/eventos", tags=["Auditoría"])

AccionQuery = Annotated[Accion | None, Query(description="Solo las líneas de esto.")]


@router.get(
    "/",
    response_model=list[EventoDeClinica],
    summary="Lista la auditoría",
    response_description="Lo ocurrido, de lo más nuevo a lo más antiguo.",
    responses={200: {"headers": PAGE_HEADERS}, **of_anyone()},
)
async def listar(
    request: Request,
    response: Response,
    service: ServiceDep,
    caller: AdminAccess,
    page: PageDep,
    accion: AccionQuery = None,
    respaldo_id: OfRespaldo = None,
) -> Any:
    """Cada creación, descarga, verificación, restauración, eliminación, ingreso y acceso rechazado de la clínica."""
    async with transaction(service.resources) as session:
        found, total = await trail.page(
            session,
            clinica_id=caller.clinica_id,
            accion=accion,
            respaldo_id=respaldo_id,
            limit=page.limit,
            offset=page.offset,
        )
    page.describe(request, response, total)
    names = await names_of(service, {evento.usuario for evento in found}, clinica_id=caller.clinica_id)
    return [EventoDeClinica.of(evento, names) for evento in found]
