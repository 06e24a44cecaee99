"""Backups by day, every so many minutes while clinics are open: for all of them, or as each has it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from app.errors import InvalidRequest
from app.opening_hours import LEAST_MINUTES, MOST_MINUTES, OpeningHours
from app.respaldos import audit
from app.respaldos.audit import Actor
from app.respaldos.contract import PuntosDeClinica
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Accion, Respaldo
from app.respaldos.schedule import fleet as schedule_fleet
from app.respaldos.schedule import queries as schedule_queries
from app.respaldos.schedule.nights import place_of

# Made by one transaction.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Points:
    """How often (0: never), and between which hours of TIME_ZONE."""

    minutes: int
    hours: OpeningHours


@dataclass(frozen=True, slots=True)
class OwnPoints:
    """What a superadmin has said of one clinic; None is as for all clinics."""

    minutes: int | None
    hours: OpeningHours | None

    @classmethod
    def parse(cls, minutes: int | None, hours: str | None) -> "OwnPoints":
        """Raises InvalidRequest where it is not what may be said."""
        if minutes is not None and minutes != 0 and not LEAST_MINUTES <= minutes <= MOST_MINUTES:
            raise InvalidRequest(f"los minutos son 0 (nunca), o de {LEAST_MINUTES} a {MOST_MINUTES}")
        try:
            return cls(minutes, OpeningHours.parse(hours) if hours is not None else None)
        except ValueError as exc:
            raise InvalidRequest(f"«{hours}» no es un horario como 08:00-19:00") from exc

    def over(self, general: Points) -> Points:
        """The same with what is as for all clinics."""
        return Points(general.minutes if self.minutes is None else self.minutes, self.hours or general.hours)

    def shown(self, clinica_id: int, general: Points, time_zone: ZoneInfo) -> PuntosDeClinica:
        """What holds for the clinic of which that has been said."""
        held = self.over(general)
        return PuntosDeClinica(
            clinica_id=clinica_id,
            minutos=held.minutes,
            horario=str(held.hours),
            zona_horaria=time_zone.key,
            como_todas=self == AS_ALL,
        )


AS_ALL = OwnPoints(None, None)


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
    said = {
        clinica_id: OwnPoints(minutos, OpeningHours.parse(horario) if horario is not None else None)
        for clinica_id, minutos, horario in own
    }
    if general.minutes == 0 and not any(each.minutes for each in said.values()):
        return []
    active = [clinic.id for clinic in await databases.clinic.clinics() if clinic.active]
    turns: dict[int, datetime] = {}
    for clinica_id in active:
        points = said.get(clinica_id, AS_ALL).over(general)
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


async def puntos_de(databases: Databases, clinica_id: int) -> OwnPoints:
    """What has been said of the clinic. Raises ClinicNotFound and DatabaseError."""
    await databases.clinic.clinic(clinica_id)
    async with transaction(databases) as session:
        row = await schedule_queries.own_points(session, clinica_id=clinica_id)
    return AS_ALL if row is None else OwnPoints.parse(row.minutos, row.horario)


async def cambiar_puntos(databases: Databases, clinica_id: int, said: OwnPoints, *, actor: Actor) -> None:
    """Have the clinic backed up by day as `said` from its next turn on. Raises ClinicNotFound and DatabaseError."""
    await databases.clinic.clinic(clinica_id)
    hours = str(said.hours) if said.hours is not None else None
    async with transaction(databases) as session:
        await schedule_queries.say_points(session, clinica_id=clinica_id, minutos=said.minutes, horario=hours)
        await audit.record(
            session, Accion.PROGRAMACION, actor, clinica_id=clinica_id, minutos=said.minutes, horario=hours
        )
