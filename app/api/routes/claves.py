"""Keys for a clinic's programs."""

from typing import Any

from fastapi import APIRouter

from app.api.caller import AdminAccess, Caller, RecentAccess, ServiceDep
from app.api.openapi import of_anyone, with_body
from app.api.parameters import ClaveId
from app.api.schemas import PedidoClave
from app.errors import InvalidRequest
from app.respaldos.access.keys import crear_clave, listar_claves, revocar_clave
from app.respaldos.contract import ClaveEnLista, ClaveNueva

router = APIRouter(prefix="/claves", tags=["Claves"])


@router.post(
    "/",
    response_model=ClaveNueva,
    status_code=201,
    summary="Crea una clave para un programa",
    response_description="La clave, que no se vuelve a mostrar.",
    responses=with_body(),
)
async def crear(service: ServiceDep, caller: RecentAccess, body: PedidoClave) -> Any:
    """Va en `Authorization: Bearer` como un token. Vale en esta clínica, para lo que dice `permisos` y hasta `vence`;
    no restaura, no elimina y no muestra datos de pacientes, pero un respaldo que descarga los tiene todos.
    """
    text, row = await crear_clave(
        service.resources,
        body.nombre,
        body.permisos,
        clinica_id=_clinic(caller),
        dias=body.dias,
        actor=caller.actor,
    )
    return ClaveNueva(clave=text, **ClaveEnLista.model_validate(row).model_dump())


@router.get(
    "/",
    response_model=list[ClaveEnLista],
    summary="Lista las claves",
    response_description="De la más nueva a la más antigua, también las que ya no valen.",
    responses=of_anyone(),
)
async def listar(service: ServiceDep, caller: AdminAccess) -> Any:
    """De cada una, todo menos la clave: nadie la tiene ya."""
    found = await listar_claves(service.resources, clinica_id=_clinic(caller))
    return [ClaveEnLista.model_validate(row) for row in found]


@router.post(
    "/{clave_id:id}/revocar/",
    response_model=ClaveEnLista,
    summary="Revoca una clave",
    response_description="La clave, que ya no vale.",
    responses=of_anyone(),
)
async def revocar(service: ServiceDep, caller: AdminAccess, clave_id: ClaveId) -> Any:
    """Deja de valer en el acto, y para siempre."""
    found = await revocar_clave(service.resources, clave_id, clinica_id=_clinic(caller), actor=caller.actor)
    return ClaveEnLista.model_validate(found)


def _clinic(caller: Caller) -> int:
    if caller.clinica_id is None:
        raise InvalidRequest("clinica_id: una clave es de una clínica, y la plataforma no tiene")
    return caller.clinica_id
