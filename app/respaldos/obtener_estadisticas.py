"""How a clinic's backups have gone."""

from typing import TypedDict

from app.respaldos import repository
from app.respaldos.resources import Databases
from app.respaldos.transaction import transaction
from app.respaldos.views import MIB


class UltimoRespaldo(TypedDict):
    """The newest completed backup. `fecha` is ISO 8601 in UTC."""

    id: int
    fecha: str
    tamaño_mb: float


class Estadisticas(TypedDict):
    """Counts, MiB, and the share of ended backups that were completed, in percent (null where none has ended)."""

    total_respaldos: int
    completados: int
    fallidos: int
    tamaño_total_mb: float
    ultimo_respaldo: UltimoRespaldo | None
    tasa_exito: float | None


async def obtener_estadisticas(databases: Databases, *, clinica_id: int) -> Estadisticas:
    """Raises ClinicNotFound: a mistyped clinic must not look like one without backups."""
    await databases.clinic.clinic(clinica_id)
    async with transaction(databases) as session:
        totals = await repository.totals(session, clinica_id=clinica_id)
        last = await repository.last_completed(session, clinica_id=clinica_id, suspicious=True)
    ended = totals.completed + totals.failed
    return {
        "total_respaldos": totals.all,
        "completados": totals.completed,
        "fallidos": totals.failed,
        "tamaño_total_mb": round(totals.bytes / MIB, 2),
        "ultimo_respaldo": {
            "id": last.id,
            "fecha": last.fecha_respaldo.isoformat(),
            "tamaño_mb": round((last.tamaño_bytes or 0) / MIB, 2),
        }
        if last is not None
        else None,
        "tasa_exito": round(100 * totals.completed / ended, 1) if ended else None,
    }
