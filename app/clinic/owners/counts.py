"""Many counts asked for in one statement."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import asyncpg

# Values that are asked for at once: a small clinic's backup is made of round trips.
TOGETHER = 500


@dataclass(frozen=True, slots=True)
class Count:
    """A SELECT that gives one row of so many counts."""

    statement: str
    width: int


def together(counts: Sequence[Count]) -> str:
    """The SELECT that gives a row for each of them: see `in_order`.

    Each is planned by itself: as a join of so many rows of one, planning them takes longer than counting.
    """
    selects = []
    for number, count in enumerate(counts):
        names = [f"c{place}" for place in range(count.width)]
        values = ", ".join(f"q.{name}" for name in names)
        selects.append(
            f"SELECT {number} AS number, ARRAY[{values}]::text AS counts"
            f" FROM ({count.statement}) AS q({', '.join(names)})"
        )
    return " UNION ALL ".join(selects)


def in_order(rows: Sequence[asyncpg.Record]) -> list[list[int]]:
    """What `together` counted, each row's counts, in the order of what was asked."""
    return [[int(count) for count in counts.strip("{}").split(",")] for _, counts in sorted(map(tuple, rows))]


def in_parts(counts: Sequence[Count]) -> Iterator[list[Count]]:
    """The same in parts of TOGETHER values at most; a count of more is a part of its own."""
    some: list[Count] = []
    for count in counts:
        if some and sum(other.width for other in some) + count.width > TOGETHER:
            yield some
            some = []
        some.append(count)
    if some:
        yield some
