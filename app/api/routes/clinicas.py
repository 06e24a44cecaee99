"""The clinic of who asks."""

from typing import Any

from fastapi import APIRouter

from app.api.caller import ReadAccess, ServiceDep, may_see_rows
from app.api.openapi import of_anyone
from app.connections.policy import general_policy
from app.errors import InvalidRequest
from app.respaldos.contract import ClinicaPropia
from app.respaldos.policies.change import politica_de
from app.respaldos.policies.words import in_words

router = APIRouter(prefix="/clinica", tags=["Clínicas"])


@router.get(
    "/",
    operation_id="clinica_ver",
    response_model=ClinicaPropia,
    summary="Muestra la clínica de quien pregunta",
    response_description="Cómo se llama, qué hora es en ella, y qué se puede hacer.",
    responses=of_anyone(),
)
async def ver(service: ServiceDep, caller: ReadAccess) -> Any:
    """Con lo que una pantalla necesita: el nombre, la zona horaria de las fechas, y si quien pregunta administra."""
    settings = service.settings
    if caller.clinic is None:
        raise InvalidRequest("plataforma: no es una clínica; diga cuál, por ejemplo ?clinica_id=1")
    own = await politica_de(service.resources, caller.clinic.id)
    held = own.over(general_policy(settings))
    return {
        "clinica_id": caller.clinic.id,
        "nombre": caller.clinic.name,
        "activa": caller.clinic.active,
        "zona_horaria": settings.time_zone.key,
        "respaldo_diario": f"{held.nightly.hour:02d}:{held.nightly.minute:02d}",
        "politica": in_words(held),
        "puede_administrar": may_see_rows(caller),
        "puede_programar": caller.principal.superadmin,
    }
