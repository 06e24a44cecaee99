"""Tells people of clinics that have gone without a good backup."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta

from app.respaldos.databases import Databases, transaction
from app.respaldos.schedule import fleet as schedule_fleet
from app.respaldos.schedule.fleet import Among
from app.respaldos.schedule.nights import days_off

# A day, and the two hours over which nights are spread unless the settings say otherwise: a clinic whose place in the
# night moves by more than that, as with a longer window, is told of once.
OVERDUE = timedelta(hours=26)

# Rows of one transaction.
BATCH = 1000


def days_off_of_each(
    nights: Iterable[tuple[int, time | None, list[int] | None]], today: date
) -> dict[int | None, timedelta]:
    """Of each clinic that has no night on some days of the week, how much longer it goes without a backup today."""
    return {clinica_id: days_off(today, dias) for clinica_id, _, dias in nights if dias is not None}


async def vigilar(databases: Databases, *, now: datetime) -> int:
    """Warn of every active clinic, and of the platform, without a good backup for OVERDUE, once a day.

    Tells of how many. `now` is in the clinics' time zone: its date is the day. A clinic that never had a good backup
    counts from its first night, not from before this service knew it. Of one that has no night on some days of the
    week, those do not count. Raises DatabaseError.
    """
    active: Among = [clinic.id for clinic in await databases.clinic.clinics() if clinic.active]
    async with transaction(databases) as session:
        off = days_off_of_each(await schedule_fleet.own_nights(session), now.date())
        found = [
            overdue
            for among in (active, None)
            for overdue in await schedule_fleet.overdue(session, among=among, since=now - OVERDUE)
            if overdue.last is None or overdue.last < now - OVERDUE - off.get(overdue.clinica_id, timedelta(0))
        ]
    warned = 0
    for first in range(0, len(found), BATCH):
        async with transaction(databases) as session:
            warned += await schedule_fleet.warn_overdue(session, now.date(), found[first : first + BATCH])
    return warned
