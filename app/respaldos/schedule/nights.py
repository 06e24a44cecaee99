"""The nightly backup of every active clinic and of the platform, once for each local day, however late."""

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2b
from typing import TypeAlias
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


EVERY_DAY = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Nightly:
    """At which time on the clock of the wall, and on which days of the week (0 is Monday), a night begins."""

    hour: int
    minute: int
    days: frozenset[int] = EVERY_DAY

    def over(self, hora: time | None, dias: Collection[int] | None) -> "Nightly":
        """The same with what has been said of one clinic; None is as for all."""
        hour, minute = (self.hour, self.minute) if hora is None else (hora.hour, hora.minute)
        return Nightly(hour, minute, self.days if dias is None else frozenset(dias))


@dataclass(frozen=True, slots=True)
class Night:
    """The night of a local day: it starts once in UTC, and what fails is tried again until `retries_end`."""

    dia: date
    start: datetime
    retries_end: datetime


# Of each clinic its night, how many clinics begin theirs together, and within how long.
_Due: TypeAlias = dict[int | None, tuple[Night, int, timedelta]]


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


def next_night(now: datetime, nightly: Nightly, *, time_zone: ZoneInfo) -> datetime:
    """When the first night after `now` (aware) starts, in UTC; each clinic's backup follows within the window."""
    dia = _last_started(now, time_zone, nightly.hour, nightly.minute) + timedelta(days=1)
    while dia.weekday() not in nightly.days:
        dia += timedelta(days=1)
    return _start(dia, time_zone, nightly.hour, nightly.minute)


def days_off(today: date, days: Collection[int]) -> timedelta:
    """How much longer than otherwise a clinic goes without a backup, since it has nights on these days of the week.

    That is the days without one that have come one after the other until today, or until yesterday.
    """
    last = today if today.weekday() not in days else today - timedelta(days=1)
    off = timedelta(0)
    while (last - off).weekday() not in days:
        off += timedelta(days=1)
    return off


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
    night's `retries_end`; a cancelled one is not. `hour` and `minute` are of clinics of which nothing else was said.
    Raises DatabaseError where either database cannot be read; nothing is lost then, the next call goes on.
    """
    general = Nightly(hour, minute)
    async with transaction(databases) as session:
        own = await schedule_fleet.own_nights(session)
    said = {clinica_id: general.over(hora, dias) for clinica_id, hora, dias in own}
    active = [clinic.id for clinic in await databases.clinic.clinics() if clinic.active]
    together: dict[Nightly, list[int]] = defaultdict(list)
    for clinica_id in active:
        together[said.get(clinica_id, general)].append(clinica_id)
    # What is asked is asked for a day, and not for each time at which somebody's night begins.
    nights: dict[tuple[date, bool], _Due] = defaultdict(dict)
    for nightly, clinics in together.items():
        _add_due(nights, nightly, clinics, now, time_zone, window)
    # Without a window, all of them in one minute.
    limit = max(BATCH, math.ceil(len(active) * min(timedelta(minutes=1) / window, 1) if window else len(active)))
    made: list[Respaldo] = []
    for (dia, retry), due in nights.items():
        made += await _make_due(
            databases, dia, due, [each for each in due if each is not None], now, retry=retry, limit=limit - len(made)
        )
    # The platform is one more, and no clinic waits for it.
    platform: dict[tuple[date, bool], _Due] = defaultdict(dict)
    _add_due(platform, general, [None], now, time_zone, window)
    for (dia, retry), due in platform.items():
        made += await _make_due(databases, dia, due, None, now, retry=retry, limit=1)
    return made


def _add_due(
    nights: dict[tuple[date, bool], _Due],
    nightly: Nightly,
    clinics: Sequence[int | None],
    now: datetime,
    time_zone: ZoneInfo,
    window: timedelta,
) -> None:
    """Put these clinics to the day of their night, and whether what fails is still tried again."""
    night = night_at(now, time_zone=time_zone, hour=nightly.hour, minute=nightly.minute, window=window)
    if night is not None and night.dia.weekday() in nightly.days:
        nights[night.dia, now < night.retries_end] |= dict.fromkeys(clinics, (night, len(clinics), window))


async def _make_due(
    databases: Databases, dia: date, due: _Due, among: Among, now: datetime, *, retry: bool, limit: int
) -> list[Respaldo]:
    async with transaction(databases) as session:
        missing = await schedule_fleet.unplanned(session, dia, among=among)
    for first in range(0, len(missing), BATCH):
        # A night that is begun late is planned for now: the clinic's service is no older than that.
        planned = {
            clinica_id: max(planned_start(night, clinica_id, clinics, window), now)
            for clinica_id in missing[first : first + BATCH]
            for night, clinics, window in (due[clinica_id],)
        }
        async with transaction(databases) as session:
            await schedule_fleet.plan(session, dia, planned)
    made: list[Respaldo] = []
    while len(made) < limit:
        asked = min(BATCH, limit - len(made))
        async with transaction(databases) as session:
            some = await schedule_fleet.start_due(session, dia, among=among, now=now, retry=retry, limit=asked)
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
