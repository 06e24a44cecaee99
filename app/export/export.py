"""An export under way: it takes what is read of the file, and appears only when that has proven to be whole."""

import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from app.dump.columns import ColumnReader
from app.dump.document import Header
from app.dump.reader import Event, HeaderRead, ModelBegun, ModelEnded, RecordsRead
from app.errors import ExportError, FormatError, Interrupted, LocalFileError
from app.export.exporter import Exporter
from app.export.format import Exported, ExportedModel, Formato
from app.export.json_file import JsonFile
from app.export.read_me import MARK, READ_ME_FILE, SCHEMA_FILE


class Export:
    """To be entered before the first event; leaving it without `commit` leaves nothing.

    `target` is a new file or folder; `replace` says that one which is there may go. Everything is written beside
    it, and moved at the end. `take` and `commit` may be called from any thread, and whoever leaves the block
    waits for them to return, which then is soon.
    """

    def __init__(self, target: Path, formato: Formato, *, replace: bool) -> None:
        self._target = target
        # What a link leads to is replaced, not the link.
        self._place = target.resolve()
        self._formato = formato
        self._replace = replace
        self._lock = threading.Lock()
        self._stopped = False
        self._header: Header | None = None
        self._reader: ColumnReader | None = None
        self._models: list[ExportedModel] = []

    def __enter__(self) -> Self:
        """Raises LocalFileError, MissingLibrary."""
        self._formato.require()
        self._may_be_written()
        try:
            # Next to the target, since it moves in one step only within a disk.
            self._folder = TemporaryDirectory(prefix=".respaldos-", dir=self._place.parent)
            self._part = Path(self._folder.name, "export")
            try:
                self._exporter = _exporter(self._formato, self._part, self._proceed)
            except BaseException:
                self._folder.cleanup()
                raise
        except OSError as exc:
            raise self._unwritable(exc) from exc
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped = True
        with self._lock:
            self._exporter.close()
            self._folder.cleanup()

    def take(self, event: Event) -> None:
        """Export what has been read. Raises LocalFileError, ExportError, FormatError; Interrupted after the end."""
        with self._lock:
            self._proceed()
            try:
                self._write(event)
            except OSError as exc:
                raise self._unwritable(exc) from exc
            except UnicodeEncodeError as exc:
                raise ExportError("el respaldo tiene un texto que no es Unicode válido") from exc

    def copy(self, data: bytes) -> None:
        """The same of the file's own bytes, decrypted: for the format that is the backup itself."""
        if not isinstance(self._exporter, JsonFile):
            return
        with self._lock:
            self._proceed()
            try:
                self._exporter.copy(data)
            except OSError as exc:
                raise self._unwritable(exc) from exc

    def commit(self) -> Exported:
        """Put the export in its place; the file has been read to its end, and is whole."""
        with self._lock:
            self._proceed()
            assert self._header is not None  # noqa: S101 (a whole file has one)
            try:
                self._exporter.finish(self._header, self._models)
                size = _flushed(self._part)
                self._move()
            except OSError as exc:
                raise self._unwritable(exc) from exc
            except UnicodeEncodeError as exc:
                raise ExportError("el respaldo tiene un nombre que no es Unicode válido") from exc
        return Exported(self._target, self._formato, self._header, tuple(self._models), size)

    def _write(self, event: Event) -> None:
        if isinstance(event, HeaderRead):
            _check(event.header)
            self._header = event.header
        elif isinstance(event, ModelBegun) and self._header is not None:
            model = self._header.models[event.name]
            self._reader = ColumnReader(event.name, model.columns)
            self._exporter.begin_model(event.section, event.name, model)
        elif isinstance(event, RecordsRead) and isinstance(self._exporter, JsonFile):
            self._exporter.count(event.lines)
        elif isinstance(event, RecordsRead) and self._reader is not None:
            self._exporter.write(*self._reader.read(event.lines))
        elif isinstance(event, ModelEnded):
            self._models.append(self._exporter.end_model())

    def _proceed(self) -> None:
        if self._stopped:
            raise Interrupted("se interrumpió la exportación")

    def _may_be_written(self) -> None:
        if existing_export(self._target, self._formato) and not self._replace:
            raise LocalFileError(f"«{self._target}» ya existe")

    def _move(self) -> None:
        # Again, since it may have come or changed while the export was made.
        self._may_be_written()
        if not self._place.is_dir():
            self._part.replace(self._place)
            return
        former = Path(self._folder.name, "former")
        self._place.replace(former)
        try:
            self._part.replace(self._place)
        except OSError:
            former.replace(self._place)
            raise

    def _unwritable(self, exc: OSError) -> LocalFileError:
        return LocalFileError(f"no se puede escribir «{self._target}»: {exc.strerror or exc}")


def existing_export(target: Path, formato: Formato) -> bool:
    """Whether something is there that the export would replace. Raises LocalFileError where it must not be.

    A folder is replaced only where everything in it was put there by another export.
    """
    if not formato.is_folder:
        if target.exists() and not target.is_file():
            raise LocalFileError(f"«{target}» no es un archivo, y la exportación sí")
        for journal in ("-wal", "-journal"):
            # SQLite would write what is in it into the new file.
            if target.with_name(target.name + journal).exists():
                raise LocalFileError(f"«{target}» está abierto en otro programa («{target}{journal}»); ciérrelo")
        return target.exists()
    if not target.exists():
        return False
    if not target.is_dir():
        raise LocalFileError(f"«{target}» no es una carpeta, y la exportación sí")
    found = {path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir()}
    if strangers := sorted(found - _exported_files(target)):
        raise LocalFileError(
            f"en la carpeta «{target}» está «{strangers[0]}», que no es de una exportación; elija otra carpeta"
        )
    return bool(found)


def _exported_files(folder: Path) -> set[str]:
    """What an export has written in the folder, by what it says of itself; nothing where it was none."""
    try:
        said: Any = json.loads((folder / SCHEMA_FILE).read_bytes())
        if said["hecho_por"] == MARK:
            return {SCHEMA_FILE, READ_ME_FILE, *(str(model["lugar"]) for model in said["modelos"])}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return set()


def _exporter(formato: Formato, path: Path, proceed: Callable[[], None]) -> Exporter:
    if formato is Formato.SQLITE:
        from app.export.sqlite_file import SqliteFile

        return SqliteFile(path)
    if formato is Formato.JSON:
        return JsonFile(path)
    path.mkdir(mode=0o700)
    if formato in (Formato.CSV, Formato.EXCEL):
        from app.export.csv_files import CsvFiles

        return CsvFiles(path, formato)
    from app.export.parquet_files import ParquetFiles

    return ParquetFiles(path, proceed)


def _check(header: Header) -> None:
    """Raise FormatError where names are none, which only a file that was made by hand says."""
    for name, model in header.models.items():
        names = [column.name for column in model.columns]
        texts: Sequence[Any] = [name, *names, *(column.type for column in model.columns)]
        if not all(isinstance(text, str) and text and "\0" not in text for text in texts):
            raise FormatError(f"el modelo «{name}» tiene columnas sin nombre o sin tipo")
        if len(set(names)) < len(names) or not set(model.key) <= set(names):
            raise FormatError(f"el modelo «{name}» repite columnas, o su clave no es de ellas")


def _flushed(path: Path) -> int:
    """Bytes of what is there, all of which are on the disk when this returns."""
    size = 0
    for part in [path, *path.rglob("*")]:
        opened = os.open(part, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
        if part.is_file():
            size += part.stat().st_size
    return size
