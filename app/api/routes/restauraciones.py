"""What is done with a clinic's backups: verifications, restores, comparisons."""

from typing import Any

from fastapi import APIRouter, Request, Response

from app.api.caller import ReadAccess, ServiceDep, may_see_rows
from app.api.openapi import of_anyone
from app.api.parameters import PAGE_HEADERS, OfRespaldo, PageDep, RestauracionId
from app.respaldos.contract import RestauracionEnLista
from app.respaldos.databases import transaction
from app.respaldos.reading import queries as reading_queries

router = APIRouter(prefix="/restauraciones", tags=["Restauraciones"])


@router.get(
    "/",
    response_model=list[RestauracionEnLista],
    summary="Lista las restauraciones, verificaciones y comparaciones",
    response_description="De la más nueva a la más antigua.",
    responses={200: {"headers": PAGE_HEADERS}, **of_anyone()},
)
async def listar(
    request: Request,
    response: Response,
    service: ServiceDep,
    caller: ReadAccess,
    page: PageDep,
    respaldo_id: OfRespaldo = None,
) -> Any:
    """Las pedidas, las que están en curso y las terminadas."""
    async with transaction(service.resources) as session:
        found, total = await reading_queries.page(
            session, clinica_id=caller.clinica_id, respaldo_id=respaldo_id, limit=page.limit, offset=page.offset
        )
    page.describe(request, response, total)
    return [RestauracionEnLista.of(each, examples=may_see_rows(caller), listed=True) for each in found]


@router.get(
    "/{restauracion_id:id}/",
    response_model=RestauracionEnLista,
    summary="Muestra una restauración, verificación o comparación",
    response_description="Cómo está, y qué encontró.",
    responses=of_anyone(),
)
async def ver(service: ServiceDep, caller: ReadAccess, restauracion_id: RestauracionId) -> Any:
    """Si falló, `error` dice por qué, y no cambió nada. Los ejemplos de registros los ve quien administra."""
    async with transaction(service.resources) as session:
        found = await reading_queries.get(session, restauracion_id, clinica_id=caller.clinica_id)
    return RestauracionEnLista.of(found, examples=may_see_rows(caller))
