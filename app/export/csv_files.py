"""CSV: a file per model, as PostgreSQL's COPY reads it, or as Excel does where decimals have a comma."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any, Final

from app.dump.columns import Column
from app.dump.document import Header, ModelHeader, Section
from app.export.column_kind import Kind, kind_of
from app.export.exporter import NO_COLUMNS, create
from app.export.format import ExportedColumn, ExportedModel, Formato
from app.export.names import UniqueNames, file_stem
from app.export.read_me import REFERENCES_FOLDER, write_description

# What Excel splits at where numbers have a decimal comma, as in Bolivia. With a comma, all would be one column.
SEPARATOR: Final = ";"


# What Excel takes a text for a formula by. It is what people are advised to look for: owasp.org, "CSV Injection".
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

_DECIMAL: Final = {Kind.NUMERIC, Kind.FLOAT32, Kind.FLOAT64}


class _Null:
    """Written as nothing, without quotes: the writer quotes all that is no number, and takes this for one."""

    def __float__(self) -> float:
        raise TypeError

    def __str__(self) -> str:
        return ""


_NULL: Final = _Null()


class CsvFiles:
    """Every value in quotes as the backup has it, so that NULL, without them, is told from an empty text.

    For EXCEL, texts that would be formulas have an apostrophe before them, and numbers a decimal comma.
    """

    def __init__(self, folder: Path, formato: Formato) -> None:
        self._folder = folder
        self._formato = formato
        self._kinds: list[Kind] = []
        self._names = {section: UniqueNames(file_stem) for section in Section}
        self._file: IO[str] | None = None
        self._writer: Any = None
        self._model: tuple[Section, str, ModelHeader, str] | None = None
        self._records = 0

    def begin_model(self, section: Section, name: str, model: ModelHeader) -> None:
        """Open the model's file and write the line of its columns' names."""
        place = f"{self._names[section].take(name)}.csv"
        if section is Section.REFERENCES:
            place = f"{REFERENCES_FOLDER}/{place}"
            (self._folder / REFERENCES_FOLDER).mkdir(mode=0o700, exist_ok=True)
        # The mark at the beginning is how Excel knows UTF-8.
        self._file = io.TextIOWrapper(create(self._folder / place), encoding="utf-8-sig", newline="")
        self._writer = csv.writer(self._file, delimiter=SEPARATOR, quoting=csv.QUOTE_NONNUMERIC)
        self._writer.writerow([column.name for column in model.columns] or [NO_COLUMNS])
        self._model = (section, name, model, place)
        self._kinds = [kind_of(column).kind for column in model.columns]
        self._records = 0

    def write(self, records: int, columns: list[Column]) -> None:
        """Append records."""
        assert self._file is not None  # noqa: S101 (between begin_model and end_model)
        self._records += records
        if self._formato is Formato.EXCEL:
            columns = [_for_excel(kind, column) for kind, column in zip(self._kinds, columns, strict=True)]
        if len(columns) > 1:
            self._writer.writerows(zip(*map(_with_null, columns), strict=True))
            return
        for value in columns[0] if columns else [None] * records:
            if value is None:
                # The writer would put quotes, which mean an empty text.
                self._file.write("\r\n")
            else:
                self._writer.writerow([value])

    def end_model(self) -> ExportedModel:
        """Close the model's file."""
        assert self._model is not None  # noqa: S101 (between begin_model and end_model)
        section, name, model, place = self._model
        self.close()
        columns = tuple(ExportedColumn(c.name, c.name, c.type, "texto") for c in model.columns)
        return ExportedModel(section, name, place, self._records, columns, model.key)

    def finish(self, header: Header, models: Sequence[ExportedModel]) -> None:
        """Say what is in the folder."""
        write_description(self._folder, self._formato, header, models)

    def close(self) -> None:
        """Close the open file, if there is one."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()


def _with_null(column: Column) -> Iterable[object]:
    return [_NULL if value is None else value for value in column] if None in column else column


def _for_excel(kind: Kind, column: Column) -> Column:
    if kind in _DECIMAL:
        return [value.replace(".", ",") if value is not None else None for value in column]
    if kind is Kind.TEXT:
        return [f"'{value}" if value is not None and value.startswith(_FORMULA) else value for value in column]
    return column
