"""What is of the platform and of no clinic: for a superadmin alone."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from app.api.caller import ServiceDep, platform
from app.api.openapi import of_anyone, problems, with_body
from app.api.parameters import PAGE_HEADERS, ClinicaId, PageDep
from app.api.routes.eventos import AccionQuery
from app.api.schemas import PedidoPuntos
from app.connections.points import points
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.contract import ClinicaEnLista, EventoEnLista, PuntosDeClinica
from app.respaldos.databases import transaction
from app.respaldos.schedule.points import OwnPoints, cambiar_puntos, puntos_de
from app.respaldos.status.clinics import listar_clinicas
from app.respaldos.status.health import Situacion

router = APIRouter(prefix="/plataforma", dependencies=[Depends(platform)])


@router.get(
    "/eventos/",
    operation_id="plataforma_listar_eventos",
    tags=["Auditoría"],
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
        found, total = await audit.page_of_eventos(session, accion=accion, limit=page.limit, offset=page.offset)
    page.describe(request, response, total)
    return found


@router.get(
    "/clinicas/",
    operation_id="plataforma_clinicas_listar",
    tags=["Clínicas"],
    response_model=list[ClinicaEnLista],
    summary="Lista las clínicas y cómo están sus respaldos",
    response_description="Las clínicas, la que peor está primero.",
    responses={
        200: {"headers": PAGE_HEADERS},
        **problems(*(401, 403, 422, 500, 503), _403="Solo un superadministrador puede ver lo de todas las clínicas"),
    },
)
async def listar(
    request: Request,
    response: Response,
    service: ServiceDep,
    page: PageDep,
    palabra: Annotated[
        Situacion | None, Query(alias="situacion", description="Solo las clínicas que están así.")
    ] = None,
) -> Any:
    """Primero las que no tienen ningún respaldo bueno, después las atrasadas, las que fallan y las que no se han
    verificado; las inactivas al final. Solo para el superadministrador.
    """
    words = tuple(Situacion) if palabra is None else (palabra,)
    found, counts = await listar_clinicas(
        service.resources,
        await service.directory.clinics(),
        now=datetime.now(UTC),
        time_zone=service.settings.time_zone,
        words=words,
        limit=page.limit,
        offset=page.offset,
    )
    page.describe(request, response, sum(counts[each] for each in words))
    return found


@router.get(
    "/clinicas/{clinica_id}/puntos/",
    operation_id="plataforma_puntos_ver",
    tags=["Clínicas"],
    response_model=PuntosDeClinica,
    summary="Muestra cada cuánto se respalda una clínica de día",
    response_description="Lo que vale para ella.",
    responses=of_anyone(_403="Solo un superadministrador puede ver lo de todas las clínicas"),
)
async def ver_puntos(service: ServiceDep, clinica_id: ClinicaId) -> Any:
    """Además del respaldo de cada noche. Solo para el superadministrador."""
    said = await puntos_de(service.resources, clinica_id)
    return said.shown(clinica_id, points(service.settings), service.settings.time_zone)


@router.post(
    "/clinicas/{clinica_id}/puntos/",
    operation_id="plataforma_puntos_cambiar",
    tags=["Clínicas"],
    response_model=PuntosDeClinica,
    summary="Cambia cada cuánto se respalda una clínica de día",
    response_description="Lo que vale para ella desde ahora.",
    responses=with_body(_403="Solo un superadministrador puede ver lo de todas las clínicas"),
)
async def cambiar(
    service: ServiceDep, actor: Annotated[Actor, Depends(platform)], clinica_id: ClinicaId, body: PedidoPuntos
) -> Any:
    """Lo que se pide queda en la auditoría de la clínica. Solo para el superadministrador."""
    said = OwnPoints.parse(body.minutos, body.horario)
    await cambiar_puntos(service.resources, clinica_id, said, actor=actor)
    return said.shown(clinica_id, points(service.settings), service.settings.time_zone)
