"""Every clinic and how its backups stand, the worst first."""

from datetime import UTC, datetime
from typing import TypedDict

from app.clinic.clinic import Clinic
from app.respaldos.contract import UltimaVerificacion, UltimoBueno, ultima_verificacion, ultimo_bueno
from app.respaldos.databases import Databases, transaction
from app.respaldos.status import fleet as status_fleet
from app.respaldos.status.health import WORST_FIRST, BackupHealth, Situacion, situacion

_NEVER = datetime.min.replace(tzinfo=UTC)


class ClinicaVista(TypedDict):
    """A clinic and how its backups stand. `en_curso` is `respaldo`, `restauracion` or null."""

    clinica_id: int
    nombre: str | None
    activa: bool
    situacion: Situacion
    ultimo_bueno: UltimoBueno | None
    ultima_verificacion: UltimaVerificacion | None
    en_curso: str | None
    fallos_seguidos: int


async def listar_clinicas(
    databases: Databases, clinics: list[Clinic], *, now: datetime, limit: int, offset: int
) -> list[ClinicaVista]:
    """`limit` of them from number `offset` on; of those that are as bad, whose last good backup is older comes first.

    All are looked at for that, since the list of clinics and their backups may be in two databases.
    """
    known: dict[int | None, Clinic] = {clinic.id: clinic for clinic in clinics}
    async with transaction(databases) as session:
        found = await status_fleet.health_of_each(session, among=[clinic.id for clinic in clinics])
    judged = [(situacion(each, active=known[each.clinica_id].active, now=now), each) for each in found]

    def badness(pair: tuple[Situacion, BackupHealth]) -> tuple[int, datetime, int]:
        good = pair[1].newest_good
        return WORST_FIRST[pair[0]], good.taken_at if good is not None else _NEVER, pair[1].clinica_id or 0

    judged.sort(key=badness)
    return [_view(known[each.clinica_id], word, each) for word, each in judged[offset : offset + limit]]


def _view(clinic: Clinic, word: Situacion, health: BackupHealth) -> ClinicaVista:
    return {
        "clinica_id": clinic.id,
        "nombre": clinic.name,
        "activa": clinic.active,
        "situacion": word,
        "ultimo_bueno": ultimo_bueno(health),
        "ultima_verificacion": ultima_verificacion(health),
        "en_curso": health.running,
        "fallos_seguidos": health.failures,
    }
