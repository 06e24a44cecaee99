"""What the service itself posts to WEBHOOK_URL, for its OpenAPI document."""

from typing import Annotated, Final

from fastapi import APIRouter, Header

from app.respaldos.contract import AvisoEnviado
from app.respaldos.models import TipoAviso

_BODY: Final = {"$ref": f"#/components/schemas/{AvisoEnviado.__name__}"}

_SAID: Final = {
    TipoAviso.FALLO: ("Falló un respaldo", "`datos`: `error`, y `error_type`, que es para programas."),
    TipoAviso.RECUPERACION: ("Volvió a salir bien", "El primer respaldo bueno después de una falla."),
    TipoAviso.EXITO: ("Se hizo un respaldo", "Según NOTIFY_SUCCESS. `datos`: `registros`, `bytes`, `segundos`."),
    TipoAviso.SOSPECHOSO: (
        "Un respaldo es sospechoso",
        "Está vacío o tiene mucho menos que el anterior. `datos`: `motivo`.",
    ),
    TipoAviso.ATRASADO: (
        "Una clínica no tiene un respaldo reciente",
        "`datos`: `ultimo`, la fecha del último bueno, o null.",
    ),
    TipoAviso.VERIFICACION_FALLIDA: (
        "Falló una verificación",
        "`datos`: `error`, `profundidad`, y `sin_ensayo` si no se pudo hacer: entonces nada dice del respaldo.",
    ),
    TipoAviso.RESTAURACION: (
        "Se restauró una clínica",
        "`datos`: `restauracion_id`, `motivo`, los primeros `registros` pedidos si se pidieron algunos, por modelo y"
        " clave, y cuántos se cambiaron: `insertados`, `actualizados` y `eliminados`.",
    ),
    TipoAviso.RESTAURACION_FALLIDA: (
        "Falló una restauración",
        "`datos`: `restauracion_id`, `motivo`, `registros` si se pidieron algunos, `error`, `error_type`.",
    ),
    TipoAviso.ELIMINACION: (
        "Una persona eliminó un respaldo",
        "Hasta que se borra su archivo se puede recuperar. `datos`: `quien` y `desde`, una dirección.",
    ),
    TipoAviso.COPIA_FALLIDA: (
        "Faltan copias en otro almacén",
        "Es de la plataforma, y se dice una vez mientras no se ponga al día. `datos`: `destino`, cuántos `faltan`,"
        " `desde_respaldo`, la fecha del más viejo de ellos, y `error`.",
    ),
}


async def _receive(
    evento: Annotated[TipoAviso, Header(alias="X-Respaldos-Evento", description="`tipo`.")],
    entrega: Annotated[int, Header(alias="X-Respaldos-Entrega", description="`id`: el mismo si llega otra vez.")],
    firma: Annotated[
        str,
        Header(alias="X-Respaldos-Firma", description="`sha256=` y el HMAC-SHA256 del cuerpo, con WEBHOOK_SECRET."),
    ],
    webhook_id: Annotated[str, Header(description="`id`, como lo llama Standard Webhooks.")],
    webhook_timestamp: Annotated[int, Header(description="Cuándo se envía, en segundos desde 1970.")],
    webhook_signature: Annotated[
        str, Header(description="`v1,` y la firma de Standard Webhooks, de `id.timestamp.cuerpo`.")
    ],
) -> None:
    """Never called: whoever is told answers."""


def describe(webhooks: APIRouter) -> None:
    """Put each notice among them."""
    for tipo, (summary, description) in _SAID.items():
        webhooks.add_api_route(
            tipo,
            _receive,
            methods=["POST"],
            status_code=204,
            operation_id=f"aviso_{tipo}",
            summary=summary,
            description=description,
            tags=["Avisos"],
            response_description="Recibido, como cualquier 2xx.",
            # FastAPI would show what is read of a body, and not what is sent.
            openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}},
            responses={
                "4XX": {"description": "No se vuelve a enviar, salvo con 408, 425 y 429."},
                "5XX": {"description": "Se vuelve a enviar, hasta tres días."},
            },
        )
