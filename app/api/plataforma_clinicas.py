"""All clinics at a glance: for a superadmin alone."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from app.api.caller import ServiceDep, platform
from app.api.documentation import problems
from app.api.pages import PAGE_HEADERS, PageDep
from app.api.schemas import ClinicaEnLista
from app.respaldos.listar_clinicas import listar_clinicas

router = APIRouter(prefix="/plataforma/clinicas", tags=["Clínicas"], dependencies=[Depends(platform)])


@router.get(
    "/",
    response_model=list[ClinicaEnLista],
    summary="Lista las clínicas y cómo están sus respaldos",
    response_description="Las clínicas, la que peor está primero.",
    responses={
        200: {"headers": PAGE_HEADERS},
        **problems(*(401, 403, 422, 500, 503), _403="Solo un superadministrador puede ver lo de todas las clínicas"),
    },
)
async def listar(request: Request, response: Response, service: ServiceDep, page: PageDep) -> Any:
    """Primero las que no tienen ningún respaldo bueno, después las atrasadas, las que fallan y las que no se han
    verificado; las inactivas al final. Solo para el superadministrador.
    """
    clinics = await service.directory.clinics()
    found = await listar_clinicas(
        service.resources, clinics, now=datetime.now(UTC), limit=page.limit, offset=page.offset
    )
    page.describe(request, response, len(clinics))
    zone = service.settings.time_zone.key
    return [{**clinic, "zona_horaria": zone} for clinic in found]
