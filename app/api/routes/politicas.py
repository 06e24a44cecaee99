"""Each clinic's policy, which a superadmin alone sees by its parts and changes."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends

from app.api.caller import ServiceDep, platform
from app.api.openapi import of_anyone, with_body
from app.api.parameters import ClinicaId
from app.api.schemas import PedidoPolitica
from app.connections.policy import general_policy
from app.respaldos.audit import Actor
from app.respaldos.contract import CambioDePolitica, PoliticaDeClinica
from app.respaldos.policies.answer import changed, shown
from app.respaldos.policies.change import cambiar_politica, politica_de, previsualizar_politica
from app.respaldos.policies.policy import OwnPolicy

_FORBIDDEN: Final = "Solo un superadministrador puede ver lo de todas las clínicas"

router = APIRouter(
    prefix="/plataforma/clinicas/{clinica_id}/politica", tags=["Clínicas"], dependencies=[Depends(platform)]
)


@router.get(
    "/",
    operation_id="plataforma_politica_ver",
    response_model=PoliticaDeClinica,
    summary="Muestra cuándo se respalda una clínica, qué se guarda y a quién se avisa",
    response_description="Lo que vale para ella.",
    responses=of_anyone(_403=_FORBIDDEN),
)
async def ver(service: ServiceDep, clinica_id: ClinicaId) -> Any:
    """Y qué de eso se dijo solo de ella. Solo para el superadministrador."""
    own = await politica_de(service.resources, clinica_id)
    return shown(own, clinica_id, general_policy(service.settings), service.settings.time_zone)


@router.post(
    "/",
    operation_id="plataforma_politica_cambiar",
    response_model=CambioDePolitica,
    summary="Cambia cuándo se respalda una clínica, qué se guarda y a quién se avisa",
    response_description="Lo que vale para ella, y lo que la próxima limpieza elimina con eso.",
    responses=with_body(409, _403=_FORBIDDEN, _409="Se guardaría menos que ahora: mire antes qué se eliminaría"),
)
async def cambiar(
    service: ServiceDep, actor: Annotated[Actor, Depends(platform)], clinica_id: ClinicaId, body: PedidoPolitica
) -> Any:
    """Vale en lugar de lo que se había dicho de la clínica: lo que no se envía es como en todas. Con `simular` solo
    dice qué se eliminaría. Para guardar menos que antes hay que enviar la `huella` de esa respuesta; si entre tanto
    se eliminaría otra cosa, se contesta 409 (`vista_previa_requerida`).

    Ni el último respaldo bueno ni los retenidos se eliminan por ninguna política. Lo que había antes y lo que hay
    ahora queda en la auditoría de la clínica. Solo para el superadministrador.
    """
    settings = service.settings
    said: Final[dict[str, Any]] = {
        "general": general_policy(settings),
        "now": datetime.now(UTC),
        "time_zone": settings.time_zone,
    }
    own = OwnPolicy.parse(**body.model_dump(exclude={"simular", "huella"}))
    if body.simular:
        preview = await previsualizar_politica(service.resources, clinica_id, own, **said)
    else:
        preview = await cambiar_politica(service.resources, clinica_id, own, **said, actor=actor, digest=body.huella)
    return changed(preview, clinica_id, said["general"], settings.time_zone, simulated=body.simular)
