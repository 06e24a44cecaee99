"""What each format does with the models of a backup, and the files that it does it in."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol

from app.dump.columns import Column
from app.dump.document import Header, ModelHeader, Section
from app.export.format import ExportedModel

NO_COLUMNS = "sin_columnas"
"""The column, always NULL, of a table that has none: no format keeps rows without one."""


class Exporter(Protocol):
    """Writes one model after the other into a folder of its own; errors of the disk are OSErrors."""

    def begin_model(self, section: Section, name: str, model: ModelHeader) -> None:
        """Records of this model follow."""

    def write(self, records: int, columns: list[Column]) -> None:
        """Some records of the open model, at least one; no columns where the model has none."""

    def end_model(self) -> ExportedModel:
        """The open model is complete."""

    def finish(self, header: Header, models: Sequence[ExportedModel]) -> None:
        """Everything is written; what the file says of itself is added."""

    def close(self) -> None:
        """Let go of every file, whether whole or not. May be called more than once."""


def create(path: Path) -> IO[bytes]:
    """A new file that only this user may read: it holds patients' data."""
    return open(path, "xb", opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
