"""How far a command has come, on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from app.printable import printable
from app.respaldos.progress import Progress


@contextmanager
def progress_bar(title: str, *, total: int | None = None) -> Iterator[Progress]:
    """A progress that is shown on a terminal; `total` bytes where they are known, else what has passed so far."""
    if not sys.stderr.isatty():
        yield Progress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    said = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), said, BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)

        def show(progress: Progress) -> None:
            bar.update(task, completed=progress.bytes, description=printable(f"{title} {progress.model}".rstrip()))

        yield Progress(show)
