"""What a backup can be exported to."""

from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from app.dump.document import Header, Section
from app.errors import MissingLibrary


class Formato(StrEnum):
    """The formats of `exportar`, by the name that a person gives."""

    CSV = "csv"
    EXCEL = "excel"
    SQLITE = "sqlite"
    PARQUET = "parquet"
    JSON = "json"

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder with a file per model, and not one file."""
        return self not in (Formato.SQLITE, Formato.JSON)

    def name_for(self, backup: str) -> str:
        """What the export of a backup's file of that name is called where nobody has said."""
        stem = backup.removesuffix(".cifrado").removesuffix(".gz").removesuffix(".json")
        if self is Formato.JSON:
            return f"{stem}.json.gz"
        return f"{stem}_{self}" if self.is_folder else f"{stem}.{self}"

    def require(self) -> None:
        """Raise MissingLibrary where what it needs is not installed."""
        if self is Formato.PARQUET and find_spec("pyarrow") is None:
            raise MissingLibrary(
                "para exportar a Parquet falta la biblioteca pyarrow; instálela con: pip install 'respaldos[parquet]'"
            )


@dataclass(frozen=True, slots=True)
class ExportedColumn:
    """A column as it was exported; `name` differs from `original` where the format has no such name."""

    original: str
    name: str
    postgresql: str
    type: str


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A model as it was exported: `place` is its file within the folder, or its table.

    `as_text` are the columns that a value kept from being of their own type.
    """

    section: Section
    name: str
    place: str
    records: int
    columns: tuple[ExportedColumn, ...]
    key: tuple[str, ...]
    as_text: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exported:
    """A whole export; `size` in bytes."""

    target: Path
    formato: Formato
    header: Header
    models: tuple[ExportedModel, ...]
    size: int

    def records(self, section: Section) -> int:
        """The number of exported records of a section."""
        return sum(model.records for model in self.models if model.section is section)
