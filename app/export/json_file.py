"""The backup itself, decrypted where it was encrypted: the gzip member of docs/format.md, byte for byte."""

from collections.abc import Sequence
from pathlib import Path

from app.dump.columns import Column
from app.dump.document import Header, ModelHeader, Section
from app.export.exporter import create
from app.export.format import ExportedModel


class JsonFile:
    """What is read is copied as it comes, and its models are only counted."""

    def __init__(self, path: Path) -> None:
        self._file = create(path)
        self._model: tuple[Section, str, ModelHeader] | None = None
        self._records = 0

    def copy(self, data: bytes) -> None:
        """Append bytes of the member."""
        self._file.write(data)

    def begin_model(self, section: Section, name: str, model: ModelHeader) -> None:
        """Count from nothing."""
        self._model, self._records = (section, name, model), 0

    def count(self, lines: bytes) -> None:
        """Count the records of whole lines."""
        self._records += lines.count(b"\n")

    def write(self, records: int, columns: list[Column]) -> None:  # noqa: ARG002
        """The columns are in what is copied."""
        self._records += records

    def end_model(self) -> ExportedModel:
        """How many there were."""
        assert self._model is not None  # noqa: S101 (between begin_model and end_model)
        section, name, model = self._model
        return ExportedModel(section, name, name, self._records, (), model.key)

    def finish(self, header: Header, models: Sequence[ExportedModel]) -> None:  # noqa: ARG002
        """It says all of itself already."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
