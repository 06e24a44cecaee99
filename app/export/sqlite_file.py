"""SQLite: one file with a table per model."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from app.dump.columns import Column
from app.dump.document import Header, ModelHeader, Section
from app.errors import ExportError
from app.export.column_kind import Kind, kind_of
from app.export.exporter import NO_COLUMNS, create
from app.export.format import ExportedColumn, ExportedModel
from app.export.names import UniqueNames, sqlite_name
from app.export.read_me import facts

Value = str | int | float | bytes | None

_BOOLEANS: Final = {"true": 1, "false": 0}


def _float(text: str) -> Value:
    # SQLite makes NULL of a NaN, so it stays text.
    return text if text == "NaN" else float(text)


def _bytes(text: str) -> Value:
    return bytes.fromhex(text.removeprefix("\\x"))


# The types that columns are declared with. Everything else is text, numeric too: a REAL has no exact cents. Dates are
# text that SQLite's own functions read. No other type is used, since SQLite would make numbers of texts in it.
_INTEGER: tuple[str, Callable[[str], Value]] = ("INTEGER", int)
# Its values are REAL; declared as such, a column makes 0 of -0.
_REAL: tuple[str, Callable[[str], Value]] = ("", _float)
_TYPES: Final[dict[Kind, tuple[str, Callable[[str], Value]]]] = {
    Kind.BOOLEAN: ("INTEGER", _BOOLEANS.__getitem__),
    Kind.INT16: _INTEGER,
    Kind.INT32: _INTEGER,
    Kind.INT64: _INTEGER,
    Kind.FLOAT32: _REAL,
    Kind.FLOAT64: _REAL,
    Kind.BINARY: ("BLOB", _bytes),
}
_TEXT: Final = "TEXT"


class SqliteFile:
    """Writes `path`, a new file, through SQLite."""

    def __init__(self, path: Path) -> None:
        create(path).close()
        # The calls come one after the other, but from any thread.
        self._sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # A file that is thrown away where anything fails needs no journal.
        self._sql.execute("PRAGMA journal_mode = OFF")
        self._sql.execute("PRAGMA synchronous = OFF")
        self._tables = UniqueNames(sqlite_name)
        self._model: tuple[Section, str, ModelHeader, str] | None = None
        self._columns: tuple[ExportedColumn, ...] = ()
        self._convert: list[Callable[[str], Value] | None] = []
        self._insert = ""
        self._records = 0

    def begin_model(self, section: Section, name: str, model: ModelHeader) -> None:
        """Create the model's table, with its primary key."""
        table = self._tables.take(name)
        self._model = (section, name, model, table)
        self._records = 0
        names = UniqueNames(sqlite_name)
        types = [_TYPES.get(kind_of(column).kind) for column in model.columns]
        self._convert = [found[1] if found else None for found in types]
        self._columns = tuple(
            ExportedColumn(column.name, names.take(column.name), column.type, found[0] if found else _TEXT)
            for column, found in zip(model.columns, types, strict=True)
        )
        exported = {column.original: column.name for column in self._columns}
        limit = self._sql.getlimit(sqlite3.SQLITE_LIMIT_COLUMN)
        if len(self._columns) > limit:
            raise self._wrong(f"tiene {len(self._columns):,} columnas y SQLite admite {limit:,}")
        parts = [f"{_quoted(column.name)} {column.type}".rstrip() for column in self._columns] or [NO_COLUMNS]
        if model.key:
            parts.append(f"PRIMARY KEY ({', '.join(_quoted(exported[column]) for column in model.key)})")
        with self._errors():
            self._sql.execute(f"CREATE TABLE {_quoted(table)} ({', '.join(parts)})")
            self._sql.execute("BEGIN")
        places = ", ".join("?" * (len(self._columns) or 1))
        self._insert = f"INSERT INTO {_quoted(table)} VALUES ({places})"  # noqa: S608 (quoted above)

    def write(self, records: int, columns: list[Column]) -> None:
        """Append records."""
        self._records += records
        converted: list[Sequence[Value]] = [
            self._converted(index, column) for index, column in enumerate(columns)
        ] or [[None] * records]
        with self._errors():
            self._sql.executemany(self._insert, zip(*converted, strict=True))

    def end_model(self) -> ExportedModel:
        """Commit the model's records."""
        assert self._model is not None  # noqa: S101 (between begin_model and end_model)
        section, name, model, table = self._model
        with self._errors():
            self._sql.execute("COMMIT")
        return ExportedModel(section, name, table, self._records, self._columns, model.key)

    def finish(self, header: Header, models: Sequence[ExportedModel]) -> None:
        """Say in two more tables what the file is, and what its tables and columns are."""
        about, columns = self._tables.take("_respaldo"), self._tables.take("_columnas")
        rows = [
            (
                model.section,
                model.name,
                model.place,
                position,
                c.original,
                c.name,
                c.postgresql,
                c.original in model.key,
            )
            for model in models
            for position, c in enumerate(model.columns, 1)
        ]
        with self._errors():
            self._sql.execute("BEGIN")
            self._sql.execute(f"CREATE TABLE {_quoted(about)} (dato TEXT PRIMARY KEY, valor)")
            self._sql.executemany(f"INSERT INTO {_quoted(about)} VALUES (?, ?)", facts(header).items())  # noqa: S608
            self._sql.execute(
                f"CREATE TABLE {_quoted(columns)} (seccion TEXT, modelo TEXT, tabla TEXT, posicion INTEGER,"
                " columna_original TEXT, columna TEXT, tipo_postgresql TEXT, es_clave INTEGER)"
            )
            self._sql.executemany(f"INSERT INTO {_quoted(columns)} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)  # noqa: S608
            self._sql.execute("COMMIT")
        self.close()

    def close(self) -> None:
        """Close the database."""
        with suppress(sqlite3.Error):
            self._sql.close()

    def _converted(self, index: int, column: Column) -> Sequence[Value]:
        convert = self._convert[index]
        if convert is None:
            return column
        try:
            values = [None if value is None else convert(value) for value in column]
        except (ValueError, KeyError) as exc:
            raise self._wrong(
                f"la columna «{self._columns[index].original}» tiene un valor que no es de su tipo"
            ) from exc
        return values

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorname.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")):
                raise OSError(str(exc)) from exc
            raise self._wrong(str(exc)) from exc
        except sqlite3.IntegrityError as exc:
            raise self._wrong("tiene dos registros con la misma clave") from exc
        except OverflowError as exc:
            raise self._wrong("tiene un número entero de más de 64 bits") from exc
        except sqlite3.Error as exc:
            raise self._wrong(str(exc)) from exc

    def _wrong(self, reason: str) -> ExportError:
        name = self._model[1] if self._model is not None else ""
        return ExportError(f"SQLite no puede guardar el modelo «{name}»: {reason}; pruebe con --formato csv")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
