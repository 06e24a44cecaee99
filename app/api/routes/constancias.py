"""Certificates of backups, and of what was done with them."""

from typing import Any, Final

from fastapi import APIRouter, Depends, Response

from app.api.at_once import AtOnce
from app.api.caller import AdminAccess, Caller, ServiceDep
from app.api.openapi import of_anyone
from app.api.parameters import RespaldoId, RestauracionId
from app.api.people import names_of
from app.certificate.issue import emitir_constancia, file_name
from app.connections.service import Service
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import transaction
from app.respaldos.models import Respaldo, Restauracion
from app.respaldos.reading import queries as reading_queries

router = APIRouter(tags=["Constancias"])

PDF: Final = "application/pdf"

# Each reads and checks a whole file.
CERTIFICATES: Final = AtOnce("ya se está emitiendo una constancia", per_clinic=1, in_all=2)

RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {PDF: {"schema": {"type": "string", "format": "binary"}, "example": "%PDF-1.7 …"}}},
    **of_anyone(
        *(409, 410, 429, 501, 502),
        _409="El respaldo 7 está fallido; solo se verifica uno completado",
        _429="Ya se está emitiendo una constancia",
        _501="Para hacer constancias falta la biblioteca typst",
    ),
}


@router.get(
    "/respaldos/{respaldo_id:id}/constancia/",
    response_class=Response,
    summary="Emite la constancia de un respaldo",
    response_description="Un PDF (PDF/A-2b) en español.",
    responses=RESPONSES,
    dependencies=[Depends(CERTIFICATES)],
)
async def de_respaldo(service: ServiceDep, caller: AdminAccess, respaldo_id: RespaldoId) -> Response:
    """Qué se respaldó, cuándo, quién lo pidió y por qué, con el resumen SHA-256 de cada modelo y cómo comprobarlo.
    Para emitirla se lee y comprueba el archivo entero, y queda anotado como una verificación completa."""
    async with transaction(service.resources) as session:
        respaldo = await backup_queries.get(session, respaldo_id, clinica_id=caller.clinica_id)
    return await _issued(service, caller, respaldo)


@router.get(
    "/restauraciones/{restauracion_id:id}/constancia/",
    response_class=Response,
    summary="Emite la constancia de una restauración o de una verificación",
    response_description="Un PDF (PDF/A-2b) en español.",
    responses=RESPONSES,
    dependencies=[Depends(CERTIFICATES)],
)
async def de_restauracion(service: ServiceDep, caller: AdminAccess, restauracion_id: RestauracionId) -> Response:
    """Además de lo que dice la de su respaldo, qué se hizo con él, quién lo pidió, cuánto tardó y qué cambió, sin
    datos de personas."""
    async with transaction(service.resources) as session:
        found = await reading_queries.get(session, restauracion_id, clinica_id=caller.clinica_id)
        respaldo = await backup_queries.get(session, found.respaldo_id, clinica_id=caller.clinica_id, deleted=True)
    return await _issued(service, caller, respaldo, found)


async def _issued(
    service: Service, caller: Caller, respaldo: Respaldo, restauracion: Restauracion | None = None
) -> Response:
    usuarios = {respaldo.usuario, caller.actor.usuario, restauracion.trabajo.usuario if restauracion else None}
    document = await emitir_constancia(
        service.resources,
        respaldo,
        restauracion,
        actor=caller.actor,
        names=await names_of(service, usuarios, clinica_id=caller.clinica_id),
    )
    name = file_name(respaldo, restauracion)
    return Response(document, media_type=PDF, headers={"Content-Disposition": f'attachment; filename="{name}"'})
