"""Every clinic and how its backups stand, the worst first."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from app.clinic.clinic import Clinic
from app.folded import fold
from app.respaldos.contract import ClinicaEnLista
from app.respaldos.databases import Databases, transaction
from app.respaldos.schedule import fleet as schedule_fleet
from app.respaldos.schedule.overdue import days_off_of_each
from app.respaldos.status import fleet as status_fleet
from app.respaldos.status.health import WORST_FIRST, BackupHealth, Situacion, situacion
from app.respaldos.status.statistics import ultima_verificacion, ultimo_bueno

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ClinicsPage:
    """A page of the clinics, how many are on such pages in all, and of all there are, how many are how."""

    shown: list[ClinicaEnLista]
    total: int
    counts: Counter[Situacion]


async def listar_clinicas(
    databases: Databases,
    clinics: list[Clinic],
    *,
    now: datetime,
    time_zone: ZoneInfo,
    words: Collection[Situacion] = tuple(Situacion),
    named: str = "",
    limit: int,
    offset: int,
) -> ClinicsPage:
    """`limit` of those that are as one of `words` and have `named` in their name or number, from number `offset` on.

    The worst comes first; of those that are as bad, whose last good backup is older. All are looked at for that,
    since the list of clinics and their backups may be in two databases.
    """
    known: dict[int | None, Clinic] = {clinic.id: clinic for clinic in clinics}
    async with transaction(databases) as session:
        found = await status_fleet.summaries(session, among=[clinic.id for clinic in clinics])
        off = days_off_of_each(await schedule_fleet.own_nights(session), now.astimezone(time_zone).date())
        judged = [
            (
                situacion(
                    each,
                    active=known[each.clinica_id].active,
                    now=now,
                    off=off.get(each.clinica_id, timedelta(0)),
                ),
                each,
            )
            for each in found
        ]
        wanted = sorted(
            (WORST_FIRST[said], each.taken_at or _NEVER, each.clinica_id or 0, said)
            for said, each in judged
            if said in words and (not named or fold(named) in _called(known[each.clinica_id]))
        )
        page = {clinica_id: said for _, _, clinica_id, said in wanted[offset : offset + limit]}
        shown = {each.clinica_id: each for each in await status_fleet.health_of_each(session, among=list(page))}
    return ClinicsPage(
        [_shown(known[clinica_id], said, shown[clinica_id], time_zone) for clinica_id, said in page.items()],
        len(wanted),
        Counter(said for said, _ in judged),
    )


def _called(clinic: Clinic) -> str:
    return fold(f"{clinic.name or ''} {clinic.id}")


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
        ultimo_error=health.last_error,
    )
