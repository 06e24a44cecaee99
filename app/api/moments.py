"""Dates and times of a query, as a person or a program writes them."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_WRITTEN: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)

# No backup is older or newer, and no time zone leads from here out of what a date can be.
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9000, 1, 1, tzinfo=UTC)


def _checked(text: str) -> str:
    if not _WRITTEN.fullmatch(text):
        raise PydanticCustomError("momento", "neither a date nor a date with a time")
    try:
        datetime.fromisoformat(text.upper())
    except ValueError as exc:
        raise PydanticCustomError("momento", "no such date") from exc
    return text


Momento = Annotated[
    str,
    AfterValidator(_checked),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}),
]


@dataclass(frozen=True, slots=True)
class Period:
    """From `start`, which is in it, to `end`, which is not; None where it is open. Both are UTC."""

    start: datetime | None
    end: datetime | None


def period(desde: str | None, hasta: str | None, time_zone: ZoneInfo) -> Period:
    """What two checked moments enclose. A date is that whole day in `time_zone`; so is a time without offset."""
    return Period(
        _instant(desde, time_zone, day_after=False) if desde is not None else None,
        _instant(hasta, time_zone, day_after=True) if hasta is not None else None,
    )


def _instant(text: str, time_zone: ZoneInfo, *, day_after: bool) -> datetime:
    found = datetime.fromisoformat(text.upper())
    if not _FIRST.year < found.year < _LAST.year:
        return _FIRST if found.year <= _FIRST.year else _LAST
    if len(text) == len(date.min.isoformat()):
        day = found.date() + timedelta(days=1 if day_after else 0)
        found = datetime.combine(day, time.min)
    return (found if found.tzinfo is not None else found.replace(tzinfo=time_zone)).astimezone(UTC)
