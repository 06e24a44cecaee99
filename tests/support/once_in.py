"""Something that happens once while a model is read."""

from collections.abc import Callable

from app.respaldos.progress import Progress


def once_in(model: str, act: Callable[[], None]) -> Progress:
    """A progress that acts when the first records of the model have passed."""
    pending = [act]

    def look(progress: Progress) -> None:
        if progress.model == model and pending:
            pending.pop()()

    return Progress(look)
