"""The weekly proof: a trial of each clinic's newest good backup, and of the platform's, spread over the week."""

from datetime import datetime, timedelta

from app.respaldos.audit import SERVICE
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Profundidad, Restauracion
from app.respaldos.reading import queries as reading_queries
from app.respaldos.schedule import fleet as schedule_fleet
from app.respaldos.schedule.nights import place_of

WEEK = timedelta(days=7)

# Those that are late, as after an upgrade, are made up for in this share of a week's, each hour.
HOURS_TO_CATCH_UP = 84

# Any Monday: where the weeks are counted from.
_EPOCH = datetime.fromisoformat("2024-01-01T00:00:00+00:00")


def last_turn(clinica_id: int | None, now: datetime) -> datetime:
    """When the clinic's place in the week was last reached, at or before `now` (aware); always the same place."""
    return now - (now - _EPOCH - WEEK * place_of(clinica_id)) % WEEK


async def programar_ensayos(databases: Databases, *, now: datetime) -> list[Restauracion]:
    """Ask for the trials that are due `now` (aware), for the caller to announce; to be called every hour.

    A clinic is due whose place in the week has come since its last trial; one that has never had one, at once. So a
    service that was down makes up for it. Raises DatabaseError; nothing is lost then, the next call goes on.
    """
    active = [clinic.id for clinic in await databases.clinic.clinics() if clinic.active]
    async with transaction(databases) as session:
        candidates = await schedule_fleet.newest_good_and_trial(session, among=active)
    due = [
        each for each in candidates if each.last_trial is None or each.last_trial < last_turn(each.clinica_id, now)
    ]
    due.sort(key=lambda each: (each.last_trial or _EPOCH, each.clinica_id or 0))
    made = []
    for each in due[: -(-(len(active) + 1) // HOURS_TO_CATCH_UP)]:
        async with transaction(databases) as session:
            made.append(
                await reading_queries.add_verification(
                    session,
                    each.respaldo_id,
                    clinica_id=each.clinica_id,
                    profundidad=Profundidad.ENSAYO,
                    actor=SERVICE,
                )
            )
    return made
