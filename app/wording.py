"""Dates, sizes and counts as people in Bolivia write them."""

from datetime import datetime
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from babel.numbers import format_decimal
from babel.units import format_unit

LOCALE = "es_BO"

# Of CLDR: at most one decimal place.
ONE_PLACE = "0.#"

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def date(timestamp: datetime, time_zone: ZoneInfo) -> str:
    """An aware timestamp on the clinic's clocks: `23 de noviembre de 2026, 02:00`."""
    return format_datetime(timestamp, "d 'de' MMMM 'de' y, HH:mm", tzinfo=time_zone, locale=LOCALE)


def count(number: int) -> str:
    """A whole number: `1.075.000`."""
    return format_decimal(number, locale=LOCALE)


def size(bytes_: int) -> str:
    """A size in the unit that keeps it short: `12,4 MB`."""
    if bytes_ < KIB:
        return f"{bytes_} bytes"
    for unit, name in ((GIB, "GB"), (MIB, "MB")):
        # What would round up to a thousand and more of the smaller unit is told in the larger one.
        if bytes_ >= unit * 0.9995:
            return f"{_decimal(bytes_ / unit)} {name}"
    return f"{_decimal(bytes_ / KIB)} KB"


def duration(seconds: float) -> str:
    """How long something took: `4,2 segundos`, `3 minutos y 5 segundos`."""
    if seconds < 59.95:
        return format_unit(round(seconds, 1), "duration-second", format=ONE_PLACE, locale=LOCALE)
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return _two(minutes, "duration-minute", rest, "duration-second")
    hours, minutes = divmod(round(seconds / 60), 60)
    return _two(hours, "duration-hour", minutes, "duration-minute")


def one_line(text: str, limit: int) -> str:
    """The text without line breaks and other control characters, cut to so many characters."""
    plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return plain if len(plain) <= limit else plain[: limit - 1].rstrip() + "…"


def _decimal(number: float) -> str:
    return format_decimal(number, format=ONE_PLACE, locale=LOCALE)


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    said = format_unit(large, unit, locale=LOCALE)
    return f"{said} y {format_unit(small, small_unit, locale=LOCALE)}" if small else said
