"""Backups by day, every so many minutes while clinics are open: for all of them, or as each has it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from app.opening_hours import OpeningHours
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Respaldo
from app.respaldos.schedule import fleet as schedule_fleet
from app.respaldos.schedule.nights import place_of

# Made by one transaction.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Points:
    """How often (0: never), and between which hours of TIME_ZONE."""

    minutes: int
    hours: OpeningHours

    def over(self, minutos: int | None, horario: str | None) -> "Points":
        """The same with what has been said of one clinic; None is as for all."""
        return Points(
            self.minutes if minutos is None else minutos,
            self.hours if horario is None else OpeningHours.parse(horario),
        )


def turn_at(now: datetime, points: Points, *, time_zone: ZoneInfo, clinica_id: int) -> datetime | None:
    """Since when it is the clinic's turn, in UTC; None while it is closed, and before its first turn of the day.

    Each turn lasts to the next one, the last to the closing. A clinic's are at the same minutes of the interval
    whoever else there is: a turn that moved would come twice.
    """
    if points.minutes == 0:
        return None
    today = now.astimezone(time_zone).date()
    opening = datetime.combine(today, points.hours.start, time_zone).astimezone(UTC)
    after, closing_time = (today, points.hours.end) if points.hours.end else (today + timedelta(days=1), None)
    closing = datetime.combine(after, closing_time or datetime.min.time(), time_zone).astimezone(UTC)
    interval = timedelta(minutes=points.minutes)
    first = opening + min(interval, closing - opening) * place_of(clinica_id)
    if not first <= now < closing:
        return None
    return first + interval * ((now - first) // interval)


async def programar_puntos(
    databases: Databases, *, now: datetime, time_zone: ZoneInfo, general: Points
) -> list[Respaldo]:
    """Make the pending points whose turn it is `now` (aware), for the caller to announce; to be called every minute.

    A turn that passes without a worker, or while the clinic has something else under way, is not made up for. A
    clinic whose night is due and has not been begun has that first. Raises DatabaseError.
    """
    async with transaction(databases) as session:
        own = await schedule_fleet.own_points(session)
    said = {clinica_id: general.over(minutos, horario) for clinica_id, minutos, horario in own}
    if general.minutes == 0 and not any(each.minutes for each in said.values()):
        return []
    active = [clinic.id for clinic in await databases.clinic.clinics() if clinic.active]
    turns: dict[int, datetime] = {}
    for clinica_id in active:
        points = said.get(clinica_id, general)
        turn = turn_at(now, points, time_zone=time_zone, clinica_id=clinica_id)
        if turn is not None:
            turns[clinica_id] = turn
    made: list[Respaldo] = []
    while turns:
        async with transaction(databases) as session:
            some = await schedule_fleet.start_points(session, turns, now=now, limit=BATCH)
        made += some
        if len(some) < BATCH:
            break
    return made
