"""The JSON document of docs/format.md: what its parts are, and its bytes as they are written."""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import NoneType
from typing import Any, Final

from app.dump.seal import NO_SEALS, Seal, SealKeys
from app.errors import FormatError

FORMAT: Final = "respaldo-clinica"

# The second ends with a seal.
PLAIN: Final = 1
SEALED: Final = 2

# The last key of a record, which names its jsonb columns that hold JSON null.
JSON_NULL_KEY: Final = "$jsonnull"


class Section(StrEnum):
    """The two parts of the document that hold records."""

    DATA = "datos"
    REFERENCES = "referencias"


class Form(StrEnum):
    """How a column's values stand in a record."""

    SCALAR = "escalar"
    JSONB = "jsonb"
    TEXT = "texto"


@dataclass(frozen=True, slots=True)
class ColumnHeader:
    """A column as the file describes it; `type` is PostgreSQL's `format_type`."""

    name: str
    type: str
    nullable: bool
    form: Form


@dataclass(frozen=True, slots=True)
class ModelHeader:
    """A model's table as the file describes it; `schema` is None for the clinic's own schema."""

    schema: str | None
    table: str
    columns: tuple[ColumnHeader, ...]
    key: tuple[str, ...]
    owner: str | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Which attempt of which backup wrote the file."""

    id: int
    attempt: int
    kind: str
    user: str | None
    description: str


@dataclass(frozen=True, slots=True)
class Header:
    """The document's first line; without `clinica_id` the file is the platform's. `sealed`: it ends with a seal."""

    clinica_id: int | None
    taken_at: datetime
    service: str
    origin: Origin
    postgresql: str
    tenancy: str
    migrations: dict[str, list[str]]
    models: dict[str, ModelHeader] = field(default_factory=dict)
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class ModelTotal:
    """A model's number of records, their bytes and SHA-256, each record counted with its line break."""

    records: int
    bytes: int
    sha256: str


def compact_json(value: object) -> str:
    """JSON without spaces, non-ASCII text as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class DocumentWriter:
    """Gives the document's bytes part by part; sections and models must come in the file's order.

    `written` is the number of records of all models so far. A file whose header says that it is sealed needs `seals`
    to sign with.
    """

    def __init__(self, seals: SealKeys = NO_SEALS) -> None:
        self.written = 0
        self._seals = seals
        self._signed = hashlib.sha256()
        self._header: Header | None = None
        self._totals: dict[Section, dict[str, ModelTotal]] = {section: {} for section in Section}
        self._section = Section.DATA
        self._model = ""
        self._digest = hashlib.sha256()
        self._records = 0
        self._bytes = 0

    @property
    def totals(self) -> dict[str, ModelTotal]:
        """What `datos` holds so far, by model."""
        return self._totals[Section.DATA]

    @property
    def fingerprint(self) -> str:
        """That of the finished document; see `fingerprint`."""
        assert self._header is not None  # noqa: S101 (it has been begun)
        return fingerprint(self._header, self._totals[Section.DATA], self._totals[Section.REFERENCES])

    def begin(self, header: Header) -> bytes:
        """The header line, and `datos` opened."""
        self._header = header
        line = f"{compact_json(_header_json(header))[:-1]},\n".encode()
        self._signed.update(line)
        return line + b'"datos":{\n'

    def begin_references(self) -> bytes:
        """`datos` closed and `referencias` opened."""
        closing = self._close_section()
        self._section = Section.REFERENCES
        return closing + b',\n"referencias":{\n'

    def begin_model(self, name: str) -> bytes:
        """A model opened; it stays open until `end_model`."""
        separator = ",\n" if self._totals[self._section] else ""
        self._model = name
        self._digest = hashlib.sha256()
        self._records = 0
        self._bytes = 0
        return f"{separator}{compact_json(name)}:[\n".encode()

    def records(self, lines: bytes) -> bytes:
        """Records of the open model: whole lines, each one record and its line break."""
        self._digest.update(lines)
        separator = b",\n" if self._records else b""
        separated = lines.replace(b"\n", b",\n")
        # Counting the line breaks takes longer than putting a comma before each.
        count = len(separated) - len(lines)
        self._records += count
        self._bytes += len(lines)
        self.written += count
        return separator + memoryview(separated)[:-2]

    def end_model(self) -> bytes:
        """The open model closed and its total kept."""
        total = ModelTotal(self._records, self._bytes, self._digest.hexdigest())
        self._totals[self._section][self._model] = total
        return b"\n]" if self._records else b"]"

    def finish(self) -> bytes:
        """`referencias` closed, the totals, and the seal."""
        references = _totals_json(self._totals[Section.REFERENCES])
        data = _totals_json(self._totals[Section.DATA])
        start = self._close_section() + b",\n"
        totals = f'"totales_referencias":{references},\n"totales":{data}'.encode()
        assert self._header is not None  # noqa: S101 (it has been begun)
        if not self._header.sealed:
            return start + totals + b"}\n"
        totals += b",\n"
        self._signed.update(totals)
        return start + totals + f'"sello":{_seal_json(self._seals.sign(self._signed.digest()))}}}\n'.encode()

    def _close_section(self) -> bytes:
        return b"\n}" if self._totals[self._section] else b"}"


def _seal_json(seal: Seal) -> str:
    """The seal as it stands in the document."""
    return compact_json({"clave": seal.key_id, "firma": b64encode(seal.signature).decode()})


def parse_seal(document: Any) -> Seal:
    """The seal from its parsed JSON. Raises FormatError where it has another shape."""
    try:
        if document.keys() != {"clave", "firma"} or not isinstance(document["clave"], str):
            raise ValueError(document.keys())
        return Seal(document["clave"], b64decode(document["firma"], validate=True))
    except (AttributeError, TypeError, ValueError) as exc:
        raise FormatError("el sello del archivo no tiene la forma debida") from exc


def fingerprint(header: Header, totals: Mapping[str, ModelTotal], reference_totals: Mapping[str, ModelTotal]) -> str:
    """Hex SHA-256 of all that a document says, its records by their digests, but when and for whom it was written."""
    said = _header_json(header)
    del said["fecha"], said["respaldo"]
    parts = (compact_json(said), _totals_json(totals), _totals_json(reference_totals))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _totals_json(totals: Mapping[str, ModelTotal]) -> str:
    return compact_json(
        {
            name: {"registros": total.records, "bytes": total.bytes, "sha256": total.sha256}
            for name, total in totals.items()
        }
    )


def _header_json(header: Header) -> dict[str, Any]:
    return {
        "formato": FORMAT,
        "version": SEALED if header.sealed else PLAIN,
        "clinica_id": header.clinica_id,
        "fecha": header.taken_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "servicio": header.service,
        "respaldo": {
            "id": header.origin.id,
            "attempt": header.origin.attempt,
            "tipo": header.origin.kind,
            "usuario": header.origin.user,
            "descripcion": header.origin.description,
        },
        "esquema": {
            "postgresql": header.postgresql,
            "tenancy": header.tenancy,
            "migraciones": header.migrations,
            "modelos": {
                name: {
                    "schema": model.schema,
                    "tabla": model.table,
                    "columnas": [
                        {
                            "nombre": column.name,
                            "tipo": column.type,
                            "nulo": column.nullable,
                            "forma": column.form,
                        }
                        for column in model.columns
                    ],
                    "clave": list(model.key),
                    "dueño": model.owner,
                }
                for name, model in header.models.items()
            },
        },
    }


def parse_header(document: Any) -> Header:
    """The header from its parsed JSON. Raises FormatError where it is another format, version or shape."""
    if not isinstance(document, dict) or document.get("formato") != FORMAT:
        raise FormatError("no es un archivo de respaldo: su primera línea no lo dice")
    version = document.get("version")
    if type(version) is not int or version not in {PLAIN, SEALED}:
        raise FormatError(f"la versión {version!r} del formato no se conoce; se leen la {PLAIN} y la {SEALED}")
    try:
        origin, schema = document["respaldo"], document["esquema"]
        if type(document["clinica_id"]) not in {int, NoneType}:
            raise TypeError("clinica_id")
        return Header(
            clinica_id=document["clinica_id"],
            taken_at=datetime.strptime(document["fecha"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC),
            service=document["servicio"],
            origin=Origin(origin["id"], origin["attempt"], origin["tipo"], origin["usuario"], origin["descripcion"]),
            postgresql=schema["postgresql"],
            tenancy=schema["tenancy"],
            migrations={table: [str(head) for head in heads] for table, heads in schema["migraciones"].items()},
            models={
                name: ModelHeader(
                    schema=model["schema"],
                    table=model["tabla"],
                    columns=tuple(
                        ColumnHeader(column["nombre"], column["tipo"], column["nulo"], Form(column["forma"]))
                        for column in model["columnas"]
                    ),
                    key=tuple(model["clave"]),
                    owner=model["dueño"],
                )
                for name, model in schema["modelos"].items()
            },
            sealed=version == SEALED,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise FormatError(f"la primera línea del archivo no tiene la forma debida ({exc!r})") from exc
