"""Dates, sizes and counts as people read them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from app import wording


def test_a_date_is_told_on_the_clinics_clocks() -> None:
    timestamp = datetime(2026, 1, 1, 3, 5, tzinfo=UTC)
    assert wording.date(timestamp, ZoneInfo("America/La_Paz")) == "31 de diciembre de 2025, 23:05"
    assert wording.date(timestamp, ZoneInfo("Europe/Madrid")) == "1 de enero de 2026, 04:05"


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0"), (999, "999"), (1000, "1.000"), (1_075_000, "1.075.000"), (-1500, "-1.500")]
)
def test_counts(number: int, said: str) -> None:
    assert wording.count(number) == said


@pytest.mark.parametrize(
    ("bytes_", "said"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KB"),
        (1536, "1,5 KB"),
        ((1 << 20) - 1, "1 MB"),
        (13_000_000, "12,4 MB"),
        ((1 << 30) - 1, "1 GB"),
        (5 << 30, "5 GB"),
    ],
)
def test_sizes(bytes_: int, said: str) -> None:
    assert wording.size(bytes_) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0 segundos"),
        (1.0, "1 segundo"),
        (4.44, "4,4 segundos"),
        (59.97, "1 minuto"),
        (61, "1 minuto y 1 segundo"),
        (185, "3 minutos y 5 segundos"),
        (3600, "1 hora"),
        (7_320, "2 horas y 2 minutos"),
        (3_599.9, "1 hora"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert wording.duration(seconds) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [("a\r\nb", "a b"), ("  a\tb\x00c ", "a b c"), ("áéí «ñ» — 1", "áéí «ñ» — 1"), ("a" * 11, "a" * 9 + "…")],
)
def test_one_line(text: str, said: str) -> None:
    assert wording.one_line(text, 10 if len(text) > 10 and text.startswith("aa") else 50) == said
