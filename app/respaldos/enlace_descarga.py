"""An address from which whoever has it can download a backup for an hour."""

from typing import TypedDict

from app.errors import NotCompleted
from app.respaldos import eventos, repository
from app.respaldos.actor import Actor
from app.respaldos.models import Accion, Estado
from app.respaldos.resources import Resources
from app.respaldos.transaction import transaction
from app.respaldos.views import MIB

# The HTTP contract; signatures of S3 last a week at most.
LINK_SECONDS = 3600


class Enlace(TypedDict):
    """`archivo` is the name under which a browser saves it; `tamaño_mb` is in MiB."""

    url: str
    expira_en_segundos: int
    archivo: str
    tamaño_mb: float


async def enlace_descarga(resources: Resources, respaldo_id: int, *, clinica_id: int | None, actor: Actor) -> Enlace:
    """The link, whose making is on record before anybody has it. Whether the object is there is not looked at.

    Raises RespaldoNotFound, and NotCompleted with the backup's `estado`.
    """
    async with transaction(resources) as session:
        respaldo = await repository.get(session, respaldo_id, clinica_id=clinica_id)
    if respaldo.estado != Estado.COMPLETADO or respaldo.archivo_s3 is None:
        raise NotCompleted(
            f"el respaldo {respaldo_id} está {respaldo.estado}; solo se descarga uno completado", respaldo.estado
        )
    archivo = respaldo.archivo_s3.rpartition("/")[2]
    url = await resources.storage.presign(respaldo.archivo_s3, seconds=LINK_SECONDS, filename=archivo)
    async with transaction(resources) as session:
        await eventos.record(
            session,
            Accion.ENLACE_DESCARGA,
            actor,
            clinica_id=clinica_id,
            respaldo_id=respaldo_id,
            archivo=archivo,
            segundos=LINK_SECONDS,
        )
    return {
        "url": url,
        "expira_en_segundos": LINK_SECONDS,
        "archivo": archivo,
        "tamaño_mb": round((respaldo.tamaño_bytes or 0) / MIB, 2),
    }
