"""What is of the platform and of no clinic: for a superadmin alone."""

from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from app.api.caller import ServiceDep, platform
from app.api.documentation import problems
from app.api.eventos import AccionQuery
from app.api.pages import PAGE_HEADERS, PageDep
from app.api.schemas import EventoEnLista
from app.respaldos import platform_repository
from app.respaldos.transaction import transaction
from app.respaldos.views import evento_vista

router = APIRouter(prefix="/plataforma", tags=["Auditoría"], dependencies=[Depends(platform)])


@router.get(
    "/eventos/",
    response_model=list[EventoEnLista],
    summary="Lista la auditoría de todas las clínicas",
    response_description="Lo ocurrido, de lo más nuevo a lo más antiguo.",
    responses={
        200: {"headers": PAGE_HEADERS},
        **problems(*(401, 403, 422, 500, 503), _403="Solo un superadministrador puede ver lo de todas las clínicas"),
    },
)
async def listar_eventos(
    request: Request, response: Response, service: ServiceDep, page: PageDep, accion: AccionQuery = None
) -> Any:
    """También lo que no es de ninguna clínica: los tokens que no valen, y los ingresos de quien no se conoce.

    Solo para el superadministrador.
    """
    async with transaction(service.resources) as session:
        found, total = await platform_repository.page_of_eventos(
            session, accion=accion, limit=page.limit, offset=page.offset
        )
    page.describe(request, response, total)
    return [evento_vista(evento) for evento in found]
