"""What the measurements have in common: lines with a value and a bound."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `value` in `unit`, to be at most (or at least) `target`, where it has one."""

    what: str
    against: str
    value: float
    target: float | None
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        if self.target is None:
            return True
        return self.value >= self.target if self.at_least else self.value <= self.target


def say(text: str) -> None:
    """What is being done now, apart from the result."""
    print(text, file=sys.stderr)  # noqa: T201
