"""Parquet: a file per model, with the type of each column where every value is one of its type."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from app.dump.columns import Column
from app.dump.document import Header, ModelHeader, Section
from app.errors import ExportError
from app.export.exporter import NO_COLUMNS, create
from app.export.format import ExportedColumn, ExportedModel, Formato
from app.export.names import UniqueNames, file_stem
from app.export.parquet_types import TEXT, parquet_type, typed
from app.export.read_me import REFERENCES_FOLDER, write_description

# Bytes of values, as text, that make a row group: some ten thousand records. They stand in memory three times over:
# as they came, in one piece, and with their types.
ROW_GROUP_BYTES: Final = 4 << 20


class ParquetFiles:
    """Writes a folder. `proceed` is called between pieces of long work, and raises where it is to stop."""

    def __init__(self, folder: Path, proceed: Callable[[], None]) -> None:
        self._folder = folder
        self._proceed = proceed
        self._names = {section: UniqueNames(file_stem) for section in Section}
        self._open: _ModelFile | None = None

    def begin_model(self, section: Section, name: str, model: ModelHeader) -> None:
        """Open the model's file."""
        place = f"{self._names[section].take(name)}.parquet"
        if section is Section.REFERENCES:
            place = f"{REFERENCES_FOLDER}/{place}"
            (self._folder / REFERENCES_FOLDER).mkdir(mode=0o700, exist_ok=True)
        self._open = _ModelFile(self._folder, place, section, name, model, self._proceed)

    def write(self, records: int, columns: list[Column]) -> None:
        """Append records."""
        assert self._open is not None  # noqa: S101 (between begin_model and end_model)
        self._open.write(records, columns)

    def end_model(self) -> ExportedModel:
        """Complete the model's file."""
        assert self._open is not None  # noqa: S101 (between begin_model and end_model)
        exported = self._open.finish()
        self._open = None
        return exported

    def finish(self, header: Header, models: Sequence[ExportedModel]) -> None:
        """Say what is in the folder."""
        write_description(self._folder, Formato.PARQUET, header, models)

    def close(self) -> None:
        """Close the open files, if there are any."""
        if self._open is not None:
            self._open.close()
            self._open = None


class _ModelFile:
    """One model's file, and beside it, while it is written, a copy with all values as text.

    What a column holds is known only at its end. Where a value turns up that the column's type does not admit, the
    whole column is text, and the file is written again from the copy.
    """

    def __init__(
        self,
        folder: Path,
        place: str,
        section: Section,
        name: str,
        model: ModelHeader,
        proceed: Callable[[], None],
    ) -> None:
        self._place, self._section, self._name, self._model = place, section, name, model
        self._proceed = proceed
        self._path = folder / place
        self._columns = [column.name for column in model.columns] or [NO_COLUMNS]
        self._types = [parquet_type(column) for column in model.columns] or [TEXT]
        self._as_text: set[int] = set()
        self._waiting: list[list[Any]] = []
        self._waiting_bytes = 0
        self._records = 0
        self._copy_path = folder / ".texto"
        self._copy_schema = pa.schema([pa.field(str(number), TEXT) for number in range(len(self._columns))])
        self._copy_file = create(self._copy_path)
        self._copy = pa.ipc.new_stream(
            self._copy_file, self._copy_schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
        )
        self._file: Any = None
        self._parquet: Any = None
        self._start()

    def write(self, records: int, columns: list[Column]) -> None:
        """Keep the records for the next row group."""
        self._records += records
        with self._errors():
            # At once, because Python's strings take several times as much.
            arrays = [pa.array(column, TEXT) for column in columns] or [pa.nulls(records, TEXT)]
        self._waiting.append(arrays)
        self._waiting_bytes += sum(array.nbytes for array in arrays)
        if self._waiting_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def finish(self) -> ExportedModel:
        """Write what is waiting, and the file again where a column has turned out to be text."""
        if self._waiting:
            self._flush()
        with self._errors():
            self._copy.close()
            self._copy_file.close()
            if self._as_text:
                self._write_again()
            self._parquet.close()
            self._file.close()
        self._copy_path.unlink()
        columns = tuple(
            ExportedColumn(column.name, column.name, column.type, str(self._type(number)))
            for number, column in enumerate(self._model.columns)
        )
        as_text = tuple(self._columns[number] for number in sorted(self._as_text))
        return ExportedModel(self._section, self._name, self._place, self._records, columns, self._model.key, as_text)

    def close(self) -> None:
        """Close everything, whole or not."""
        for opened in (self._copy, self._copy_file, self._parquet, self._file):
            with suppress(OSError, ValueError):
                opened.close()

    def _type(self, number: int) -> Any:
        return TEXT if number in self._as_text else self._types[number]

    def _schema(self) -> Any:
        metadata = [{"postgresql": column.type} for column in self._model.columns] or [{}]
        return pa.schema(
            [
                pa.field(name, self._type(number), metadata=metadata[number])
                for number, name in enumerate(self._columns)
            ]
        )

    def _start(self) -> None:
        with self._errors():
            self._file = create(self._path)
            self._parquet = pq.ParquetWriter(self._file, self._schema())

    def _flush(self) -> None:
        self._proceed()
        with self._errors():
            texts = [pa.concat_arrays(pieces) for pieces in zip(*self._waiting, strict=True)]
            self._waiting, self._waiting_bytes = [], 0
            self._copy.write_batch(pa.record_batch(texts, schema=self._copy_schema))
            group = []
            for number, array in enumerate(texts):
                try:
                    group.append(typed(array, self._type(number)))
                except ValueError:
                    self._as_text.add(number)
            # Once a column is text, all of the file will be written again.
            if not self._as_text:
                self._parquet.write_table(pa.table(group, schema=self._schema()))
        # Arrow would keep some 15 MB of it.
        pa.default_memory_pool().release_unused()

    def _write_again(self) -> None:
        self._parquet.close()
        self._file.close()
        self._path.unlink()
        self._start()
        with pa.OSFile(str(self._copy_path), "rb") as file, pa.ipc.open_stream(file) as batches:
            for batch in batches:
                self._proceed()
                group = [typed(array, self._type(number)) for number, array in enumerate(batch.columns)]
                self._parquet.write_table(pa.table(group, schema=self._schema()))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except UnicodeEncodeError:
            raise
        except (pa.ArrowException, ValueError, TypeError) as exc:
            if isinstance(exc, OSError):
                raise
            raise ExportError(f"Parquet no puede guardar el modelo «{self._name}»: {exc}") from exc
