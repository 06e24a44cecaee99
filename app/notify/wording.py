"""Dates, sizes and counts as people in Bolivia write them."""

from datetime import datetime
from zoneinfo import ZoneInfo

MONTHS = (
    *("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio"),
    *("agosto", "septiembre", "octubre", "noviembre", "diciembre"),
)
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def date(timestamp: datetime, time_zone: ZoneInfo) -> str:
    """An aware timestamp on the clinic's clocks: `23 de noviembre de 2026, 02:00`."""
    local = timestamp.astimezone(time_zone)
    return f"{local.day} de {MONTHS[local.month - 1]} de {local.year}, {local:%H:%M}"


def count(number: int) -> str:
    """A whole number: `1.075.000`."""
    return f"{number:,}".replace(",", ".")


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
        return f"{_decimal(seconds)} {'segundo' if _decimal(seconds) == '1' else 'segundos'}"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return _two(minutes, "minuto", rest, "segundo")
    hours, minutes = divmod(round(seconds / 60), 60)
    return _two(hours, "hora", minutes, "minuto")


def one_line(text: str, limit: int) -> str:
    """The text without line breaks and other control characters, cut to so many characters."""
    plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return plain if len(plain) <= limit else plain[: limit - 1].rstrip() + "…"


def _decimal(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0").replace(".", ",")


def _two(large: int, large_name: str, small: int, small_name: str) -> str:
    said = f"{large} {large_name}{'s' if large != 1 else ''}"
    return f"{said} y {small} {small_name}{'s' if small != 1 else ''}" if small else said
