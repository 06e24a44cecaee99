"""What routes take from the address: numbers of rows, pages, ranges of time."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Depends, Path, Query, Request, Response
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError
from starlette.convertors import Convertor, register_url_convertor

from app.api.caller import LARGEST_ID
from app.api.problems import path_of

DEFAULT_LIMIT: Final = 100
LARGEST_LIMIT: Final = 1000
LARGEST_OFFSET: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Page:
    """`limit` entries from number `offset` on."""

    limit: int
    offset: int

    def describe(self, request: Request, response: Response, total: int) -> None:
        """Put X-Total-Count and Link (RFC 8288, with addresses relative to this host) on the answer."""
        response.headers["X-Total-Count"] = str(total)
        last = max(total - 1, 0) // self.limit * self.limit
        places = {"first": 0, "last": last}
        if self.offset > 0:
            places["prev"] = min(max(self.offset - self.limit, 0), last)
        if self.offset + self.limit < total:
            places["next"] = self.offset + self.limit
        others = [(key, value) for key, value in request.query_params.multi_items() if key not in {"limit", "offset"}]
        links = []
        for name in ("first", "prev", "next", "last"):
            if name in places:
                query = urlencode([*others, ("limit", self.limit), ("offset", places[name])])
                links.append(f'<{path_of(request)}?{query}>; rel="{name}"')
        response.headers["Link"] = ", ".join(links)


LimitQuery = Annotated[int, Query(ge=1, le=LARGEST_LIMIT, description="Cuántos se quieren, como máximo.")]


def _page(
    limit: LimitQuery = DEFAULT_LIMIT,
    offset: Annotated[int, Query(ge=0, le=LARGEST_OFFSET, description="Cuántos se saltan antes.")] = 0,
) -> Page:
    return Page(limit, offset)


PageDep = Annotated[Page, Depends(_page)]

PAGE_HEADERS: Final[dict[str, Any]] = {
    "X-Total-Count": {"description": "Cuántos hay en total.", "schema": {"type": "integer", "minimum": 0}},
    "Link": {
        "description": "RFC 8288: dónde están la primera página, la anterior, la siguiente y la última.",
        "schema": {"type": "string"},
        "example": '</api/v1/respaldos/?limit=100&offset=100>; rel="next"',
    },
}


NEXT_HEADERS: Final[dict[str, Any]] = {
    "Link": {
        "description": "RFC 8288: dónde está lo que sigue, si hay más.",
        "schema": {"type": "string"},
        "example": '</api/v1/plataforma/eventos/?antes=41>; rel="next"',
    },
}


def link_next(request: Request, response: Response, **key: int) -> None:
    """Put a Link on the answer that leads on from that key."""
    others = [(name, value) for name, value in request.query_params.multi_items() if name not in key]
    response.headers["Link"] = f'<{path_of(request)}?{urlencode([*others, *key.items()])}>; rel="next"'


_WRITTEN: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)

# No backup is older or newer, and no time zone leads from here out of what a date can be.
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9000, 1, 1, tzinfo=UTC)


def _checked(text: str) -> str:
    if not _WRITTEN.fullmatch(text):
        raise PydanticCustomError("timestamp", "neither a date nor a date with a time")
    try:
        datetime.fromisoformat(text.upper())
    except ValueError as exc:
        raise PydanticCustomError("timestamp", "no such date") from exc
    return text


Timestamp = Annotated[
    str,
    AfterValidator(_checked),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}),
]


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `start`, which is in it, to `end`, which is not; None where it is open. Both are UTC."""

    start: datetime | None
    end: datetime | None


def time_range(desde: str | None, hasta: str | None, time_zone: ZoneInfo) -> TimeRange:
    """What two checked timestamps enclose. A date is that whole day in `time_zone`; so is a time without offset."""
    return TimeRange(
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


def day_of(day: date, time_zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When it begins there, and when the next does, as far as a backup or a line of the trail may be away (UTC)."""
    text = day.isoformat()
    return _instant(text, time_zone, day_after=False), _instant(text, time_zone, day_after=True)


class _Identifier(Convertor[int]):
    """Starlette's own for whole numbers fails, beyond 4300 digits, in a way that is answered with 500."""

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("id", _Identifier())

RespaldoId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="El número del respaldo.", examples=[1])]
RestauracionId = Annotated[
    int,
    Path(ge=1, le=LARGEST_ID, description="El número de la restauración, verificación o comparación.", examples=[1]),
]

ExportacionId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="El número de la exportación.", examples=[1])]

ClaveId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="El número de la clave.", examples=[1])]

ClinicaId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="El número de la clínica.", examples=[1])]

OfRespaldo = Annotated[
    int | None, Query(ge=1, le=LARGEST_ID, description="Solo lo que es de este respaldo.", examples=[1])
]
