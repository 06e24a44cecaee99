"""The nightly backup of every active clinic and of the platform, once for each local day, however late."""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2b
from zoneinfo import ZoneInfo

from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Respaldo
from app.respaldos.schedule import fleet as schedule_fleet
from app.respaldos.schedule.fleet import Among

# The nights' starts are this far apart for each clinic, so that they do not all read the database at once, and
# all of them are within the window.
SPREAD = timedelta(seconds=5)
WINDOW = timedelta(hours=2)

# How long after the window's end the failed backups of a long one are made again.
LAST_RETRIES = timedelta(hours=2)

# A night that nobody has begun by then is left to the next one, which is nearer.
CATCH_UP = timedelta(hours=22)

# Backups made, and nights put down, by one transaction: it stays well under a second.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Night:
    """The night of a local day: it starts once in UTC, and what fails is tried again until `retries_end`."""

    dia: date
    start: datetime
    retries_end: datetime


def night_at(
    now: datetime, *, time_zone: ZoneInfo, hour: int, minute: int, window: timedelta = WINDOW
) -> Night | None:
    """The night that `now` (aware) belongs to: the last one that has started, unless it is too late for it.

    A local time that the clock skips counts as that long after the skip began; of one that comes twice, the
    first counts.
    """
    dia = _last_started(now, time_zone, hour, minute)
    start = _start(dia, time_zone, hour, minute)
    if now - start >= CATCH_UP:
        return None
    noon = _start(dia, time_zone, 12, 0)
    if noon <= start:
        noon = _start(dia + timedelta(days=1), time_zone, 12, 0)
    # Noon may come before the last of a long window has had a second try.
    return Night(dia, start, max(noon, start + window + LAST_RETRIES))


def proxima_hora(now: datetime, *, time_zone: ZoneInfo, hour: int, minute: int) -> datetime:
    """When the first night after `now` (aware) starts, in UTC; each clinic's backup follows within the window."""
    dia = _last_started(now, time_zone, hour, minute)
    return _start(dia + timedelta(days=1), time_zone, hour, minute)


def planned_start(night: Night, clinica_id: int | None, clinics: int, window: timedelta = WINDOW) -> datetime:
    """When the clinic's backup of that night is due, always at the same place among so many clinics.

    The time that they take grows with their number up to `window`; a single clinic's is due at once.
    """
    return night.start + min(SPREAD * (clinics - 1), window) * place_of(clinica_id)


def place_of(clinica_id: int | None) -> float:
    """The clinic's place among all of them, from 0 to 1; always the same one."""
    return int.from_bytes(blake2b(str(clinica_id).encode(), digest_size=4).digest()) / 2**32


async def programar(
    databases: Databases, *, now: datetime, time_zone: ZoneInfo, hour: int, minute: int, window: timedelta = WINDOW
) -> list[Respaldo]:
    """Make the pending backups that are due `now` (aware), for the caller to announce.

    To be called every minute, which makes BATCH clinics' at most, or as many as the window has in a minute. A clinic
    with something else under way comes later; a failed backup is made anew an hour after it was made, until the
    night's `retries_end`; a cancelled one is not. Raises DatabaseError where either database cannot be read; nothing
    is lost then, the next call goes on.
    """
    night = night_at(now, time_zone=time_zone, hour=hour, minute=minute, window=window)
    if night is None:
        return []
    active = [clinic.id for clinic in await databases.clinic.clinics() if clinic.active]
    made = await _make_due(databases, night, active, now, window)
    # The platform is one more, and no clinic waits for it.
    return made + await _make_due(databases, night, None, now, window)


async def _make_due(
    databases: Databases, night: Night, among: Among, now: datetime, window: timedelta
) -> list[Respaldo]:
    async with transaction(databases) as session:
        missing = await schedule_fleet.unplanned(session, night.dia, among=among)
    clinics = len(among) if among is not None else 1
    for first in range(0, len(missing), BATCH):
        # A night that is begun late is planned for now: the clinic's service is no older than that.
        planned = {
            clinica_id: max(planned_start(night, clinica_id, clinics, window), now)
            for clinica_id in missing[first : first + BATCH]
        }
        async with transaction(databases) as session:
            await schedule_fleet.plan(session, night.dia, planned)
    # Without a window, all of them in one minute.
    limit = max(BATCH, math.ceil(clinics * min(timedelta(minutes=1) / window, 1) if window else clinics))
    made: list[Respaldo] = []
    while len(made) < limit:
        asked = min(BATCH, limit - len(made))
        async with transaction(databases) as session:
            some = await schedule_fleet.start_due(
                session, night.dia, among=among, now=now, retry=now < night.retries_end, limit=asked
            )
        made += some
        if len(some) < asked:
            break
    return made


def _start(dia: date, time_zone: ZoneInfo, hour: int, minute: int) -> datetime:
    # fold=0 reads a skipped time by the offset before the skip, and takes the first of a doubled one.
    return datetime.combine(dia, time(hour, minute), time_zone).astimezone(UTC)


def _last_started(now: datetime, time_zone: ZoneInfo, hour: int, minute: int) -> date:
    # A skip may carry a late evening's start over midnight, so tomorrow's is looked at by itself.
    dia = now.astimezone(time_zone).date() + timedelta(days=1)
    while _start(dia, time_zone, hour, minute) > now:
        dia -= timedelta(days=1)
    return dia
