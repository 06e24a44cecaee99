"""Every clinic and how its backups stand, the worst first."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from app.clinic.clinic import Clinic
from app.respaldos.contract import ClinicaEnLista
from app.respaldos.databases import Databases, transaction
from app.respaldos.status import fleet as status_fleet
from app.respaldos.status.health import WORST_FIRST, BackupHealth, Situacion, situacion
from app.respaldos.status.statistics import ultima_verificacion, ultimo_bueno

_NEVER = datetime.min.replace(tzinfo=UTC)


async def listar_clinicas(
    databases: Databases, clinics: list[Clinic], *, now: datetime, time_zone: ZoneInfo, limit: int, offset: int
) -> list[ClinicaEnLista]:
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
    return [_shown(known[each.clinica_id], word, each, time_zone) for word, each in judged[offset : offset + limit]]


def _shown(clinic: Clinic, word: Situacion, health: BackupHealth, time_zone: ZoneInfo) -> ClinicaEnLista:
    return ClinicaEnLista(
        clinica_id=clinic.id,
        nombre=clinic.name,
        activa=clinic.active,
        zona_horaria=time_zone.key,
        situacion=word,
        ultimo_bueno=ultimo_bueno(health),
        ultima_verificacion=ultima_verificacion(health),
        en_curso=health.running,
        fallos_seguidos=health.failures,
    )
