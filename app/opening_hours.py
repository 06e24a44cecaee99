"""When clinics are open, as people write it, and how often they may be backed up by then."""

import re
from dataclasses import dataclass
from datetime import time
from typing import Self

# A small clinic's backup takes a tenth of a second of processors. More often than this, archiving PostgreSQL's WAL
# costs less and loses less (minutes).
LEAST_MINUTES = 15
MOST_MINUTES = 24 * 60

_WRITTEN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """From `start` to `end` on the clock of the wall, of one day; an `end` of None is midnight."""

    start: time
    end: time | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`08:00-19:00`, or to `24:00`. Raises ValueError where it is not that, or ends no later than it begins."""
        match = _WRITTEN.fullmatch(text.strip())
        if match is None:
            raise ValueError(text)
        start = time(int(match[1]), int(match[2]))
        end = time(int(match[3]), int(match[4])) if match[3] is not None else None
        if end is not None and end <= start:
            raise ValueError(text)
        return cls(start, end)

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{'24:00' if self.end is None else format(self.end, '%H:%M')}"
