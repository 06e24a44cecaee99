"""How many of many are done, on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.cli.output import number


@contextmanager
def fleet_bar(title: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """What shows how many of `total` have come to an end, and how many of those are not done."""
    if not sys.stderr.isatty():
        yield lambda _ended, _bad: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    with Bar(*columns, *times, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def show(ended: int, bad: int) -> None:
            bar.update(task, completed=ended, description=f"{number(bad)} sin hacer" if bad else "")

        yield show
