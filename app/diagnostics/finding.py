"""What a look at one thing has found."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """WARNING: it works, and somebody should know; WRONG: something will not."""

    GOOD = "bien"
    WARNING = "aviso"
    WRONG = "mal"


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` is what was looked at, `detail` how it is, `remedy` the line that mends it; all of them Spanish."""

    subject: str
    level: Level
    detail: str
    remedy: str | None = None


def good(subject: str, detail: str) -> Finding:
    """Nothing is wrong."""
    return Finding(subject, Level.GOOD, detail)


def warning(subject: str, detail: str, remedy: str | None = None) -> Finding:
    """It works."""
    return Finding(subject, Level.WARNING, detail, remedy)


def wrong(subject: str, detail: str, remedy: str | None = None) -> Finding:
    """It does not."""
    return Finding(subject, Level.WRONG, detail, remedy)
