"""What is of the platform and of no clinic: for a superadmin alone."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from app.api.caller import LARGEST_ID, ServiceDep, platform
from app.api.openapi import problems, with_body
from app.api.parameters import (
    DEFAULT_LIMIT,
    NEXT_HEADERS,
    PAGE_HEADERS,
    ClinicaId,
    LimitQuery,
    PageDep,
    day_of,
    link_next,
)
from app.api.routes.eventos import AccionQuery
from app.api.schemas import Mensaje, PedidoCierre, PedidoDestruccion
from app.respaldos import audit
from app.respaldos.access.sessions import cerrar_sesiones
from app.respaldos.audit import Actor
from app.respaldos.contract import ClinicaEnLista, DestruccionDeClave, EventoEnLista
from app.respaldos.databases import transaction
from app.respaldos.keys.destroy import confirmar_destruccion, pedir_destruccion
from app.respaldos.status.clinics import listar_clinicas
from app.respaldos.status.health import Situacion

_COUNTS: Final[dict[str, Any]] = {
    "X-Situaciones": {
        "description": "Cuántas clínicas hay de cada situación, entre todas.",
        "schema": {"type": "string"},
        "example": "sin_respaldo=0, atrasada=2, fallando=0, sin_verificar=1, al_dia=97, inactiva=4",
    }
}

router = APIRouter(prefix="/plataforma", dependencies=[Depends(platform)])


@router.get(
    "/eventos/",
    operation_id="plataforma_listar_eventos",
    tags=["Auditoría"],
    response_model=list[EventoEnLista],
    summary="Lista la auditoría de todas las clínicas",
    response_description="Lo ocurrido, de lo más nuevo a lo más antiguo.",
    responses={
        200: {"headers": NEXT_HEADERS},
        **problems(*(401, 403, 422, 500, 503), _403="Solo un superadministrador puede ver lo de todas las clínicas"),
    },
)
async def listar_eventos(
    request: Request,
    response: Response,
    service: ServiceDep,
    limit: LimitQuery = DEFAULT_LIMIT,
    antes: Annotated[
        int | None, Query(ge=1, le=LARGEST_ID, description="Solo las líneas anteriores a la de este número.")
    ] = None,
    accion: AccionQuery = None,
    clinica_id: Annotated[
        int | None, Query(ge=1, le=LARGEST_ID, description="Solo lo de esta clínica.", examples=[1])
    ] = None,
    dia: Annotated[date | None, Query(description="Solo lo de ese día, en TIME_ZONE.")] = None,
) -> Any:
    """También lo que no es de ninguna clínica: los tokens que no valen, y los ingresos de quien no se conoce. `Link`
    lleva a lo que sigue; cuántas son en total no se cuenta.

    Solo para el superadministrador.
    """
    async with transaction(service.resources) as session:
        found, more = await audit.page_of_eventos(
            session,
            accion=accion,
            clinica_id=clinica_id,
            day=day_of(dia, service.settings.time_zone) if dia is not None else None,
            before=antes,
            limit=limit,
        )
    if more:
        link_next(request, response, antes=found[-1].id)
    return found


@router.get(
    "/clinicas/",
    operation_id="plataforma_clinicas_listar",
    tags=["Clínicas"],
    response_model=list[ClinicaEnLista],
    summary="Lista las clínicas y cómo están sus respaldos",
    response_description="Las clínicas, la que peor está primero.",
    responses={
        200: {"headers": PAGE_HEADERS | _COUNTS},
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
    buscar: Annotated[
        str, Query(max_length=200, description="Solo las que tienen esto en nombre o número.", examples=["illimani"])
    ] = "",
) -> Any:
    """Primero las que no tienen ningún respaldo bueno, después las atrasadas, las que fallan y las que no se han
    verificado; las inactivas al final. Solo para el superadministrador.
    """
    words = tuple(Situacion) if palabra is None else (palabra,)
    found = await listar_clinicas(
        service.resources,
        await service.directory.clinics(),
        now=datetime.now(UTC),
        time_zone=service.settings.time_zone,
        words=words,
        named=buscar.strip(),
        limit=page.limit,
        offset=page.offset,
    )
    page.describe(request, response, found.total)
    response.headers["X-Situaciones"] = ", ".join(f"{each}={found.counts[each]}" for each in Situacion)
    return found.shown


@router.post(
    "/cerrar-sesiones/",
    operation_id="plataforma_cerrar_sesiones",
    tags=["Ingreso"],
    response_model=Mensaje,
    summary="Cierra todas las sesiones de una persona",
    response_description="Ninguno de los tokens que tenía vale ya.",
    responses=with_body(_403="Solo un superadministrador puede ver lo de todas las clínicas"),
)
async def cerrar_las_sesiones(
    service: ServiceDep, actor: Annotated[Actor, Depends(platform)], body: PedidoCierre
) -> dict[str, str]:
    """También los tokens que dio el sistema de la clínica. Puede volver a ingresar: quien no deba, se desactiva allí.

    Solo para el superadministrador.
    """
    if body.clinica_id is not None:
        await service.directory.clinic(body.clinica_id)
    await cerrar_sesiones(service.resources, body.usuario, clinica_id=body.clinica_id, actor=actor)
    return {"mensaje": "Se cerraron sus sesiones"}


@router.post(
    "/clinicas/{clinica_id}/destruir-clave/",
    operation_id="plataforma_destruir_clave",
    tags=["Clínicas"],
    response_model=DestruccionDeClave,
    summary="Destruye la clave con que se cifran los respaldos de una clínica",
    response_description="Que se pidió, o que se hizo.",
    responses=with_body(
        409,
        _403="Solo un superadministrador puede ver lo de todas las clínicas",
        _409="Lo pidió la misma persona: tiene que confirmarlo otra",
    ),
)
async def destruir_clave(
    service: ServiceDep,
    actor: Annotated[Actor, Depends(platform)],
    clinica_id: ClinicaId,
    body: PedidoDestruccion,
) -> Any:
    """Nadie podrá leer nunca más los respaldos cifrados de la clínica. Un superadministrador lo pide, y otro lo
    `confirma` en las 24 horas siguientes; también puede pedirlo quien opera el servicio, con su línea de comandos.

    La clínica no tiene que existir todavía: si ya no está, su nombre es su número.
    """
    assert actor.usuario is not None  # noqa: S101 (every token has a subject)
    who: Final[dict[str, Any]] = {"clinica_id": clinica_id, "nombre": body.nombre, "por": actor.usuario}
    if not body.confirmar:
        await pedir_destruccion(service.resources, **who, actor=actor)
        return DestruccionDeClave(clinica_id=clinica_id, etapa="pedida", persona=actor.usuario)
    gone = await confirmar_destruccion(service.resources, **who, actor=actor)
    return DestruccionDeClave(
        clinica_id=clinica_id, etapa="hecha", persona=actor.usuario, claves=gone.keys, pendiente=gone.left
    )
