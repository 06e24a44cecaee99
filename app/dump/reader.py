"""Reads the document of docs/format.md piece by piece, in the memory of one piece and one record."""

import hashlib
import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import re2

from app.dump.document import Header, ModelTotal, Section, compact_json, parse_header, parse_seal
from app.dump.seal import Seal
from app.errors import FormatError

# RE2 finds it in a tenth of the time that Python's own search takes.
_END_OF_MODEL = re2.compile(r"\n\]")

# PostgreSQL builds no text longer than 1 GiB, so no record is longer: the most a hostile file makes us hold.
MAX_LINE_BYTES = 1 << 30

# Of any other line: the longest, a header with 10,000 columns, is a tenth of it.
MAX_HEADER_BYTES = 16 << 20

# How long any line may be in a file of which nobody knows its size, and how much longer for each byte of it that has
# been read: text compresses twentyfold, and a bomb a thousandfold. As JSON a line takes forty times its size.
FREE_LINE_BYTES = 4 << 20
LINE_RATIO = 100


@dataclass(frozen=True, slots=True)
class HeaderRead:
    """The first line has been read."""

    header: Header


@dataclass(frozen=True, slots=True)
class ModelBegun:
    """Records of this model follow."""

    section: Section
    name: str


@dataclass(frozen=True, slots=True)
class RecordsRead:
    """Records of the model begun last: whole lines, each one record and its line break."""

    lines: bytes


@dataclass(frozen=True, slots=True)
class ModelEnded:
    """The model begun last is complete; `total` is what was read, not yet compared with the file's totals."""

    section: Section
    name: str
    total: ModelTotal


Event = HeaderRead | ModelBegun | RecordsRead | ModelEnded


class DocumentReader:
    """Feed it the decompressed file; it checks structure, counts and digests, and gives what it has read.

    At the end `seal` is what a sealed file ends with; whether it is good, is not looked at. Without `prove` it checks
    the structure alone, and lines of records keep the comma that separates them.
    """

    def __init__(self, *, prove: bool = True) -> None:
        self._prove = prove
        self._longest_line = MAX_LINE_BYTES
        self.totals: dict[Section, dict[str, ModelTotal]] = {section: {} for section in Section}
        self.seal: Seal | None = None
        self._signed = hashlib.sha256()
        self._buffer = bytearray()
        self._events: list[Event] = []
        self._where = "su primera línea"
        self._complete = False
        self._parser = self._document()
        next(self._parser)

    @property
    def signed(self) -> bytes:
        """The digest of the header and of the totals, by which every record is bound."""
        return self._signed.digest()

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield what the file holds up to here. Raises FormatError, which says what is wrong and where."""
        self._buffer += data
        if not self._complete:
            next(self._parser, None)
        if self._complete and self._buffer:
            raise FormatError("el archivo tiene texto de más después de sus totales")
        events, self._events = self._events, []
        yield from events

    def finish(self) -> None:
        """Check that the document is whole. Raises FormatError."""
        if not self._complete:
            raise FormatError(f"el archivo está cortado: termina antes de completar {self._where}")

    def bound_lines(self, compressed: int) -> None:
        """Bound each line by how much of the compressed file has been read, where nobody knows the file's size."""
        self._longest_line = min(max(FREE_LINE_BYTES, LINE_RATIO * compressed), MAX_LINE_BYTES)

    def _document(self) -> Generator[None, None, None]:
        yield
        line = yield from self._line()
        if not line.endswith(b"},"):
            raise FormatError("no es un archivo de respaldo: su primera línea no lo dice")
        self._signed.update(line + b"\n")
        header = parse_header(self._json(line[:-1] + b"}"))
        self._events.append(HeaderRead(header))
        yield from self._section(Section.DATA, header)
        yield from self._section(Section.REFERENCES, header)
        self._where = "sus totales"
        yield from self._totals("totales_referencias", Section.REFERENCES, b",")
        yield from self._totals("totales", Section.DATA, b"," if header.sealed else b"}")
        if header.sealed:
            self._where = "su sello"
            self.seal = yield from self._read_seal()
        self._complete = True

    def _section(self, section: Section, header: Header) -> Generator[None, None, None]:
        self._where = f"«{section}»"
        yield from self._expect(f'"{section}":{{'.encode())
        line = yield from self._line()
        more = line != b"},"
        while more:
            if not (line.startswith(b'"') and line.endswith(b":[")):
                raise FormatError(f"en {self._where} se esperaba el comienzo de un modelo")
            name = self._json(line[:-2])
            if name not in header.models or name in self.totals[section]:
                raise FormatError(f"el modelo «{name}» de «{section}» sobra: no está en el esquema, o se repite")
            more = yield from self._model(section, name)
            self._where = f"«{section}»"
            line = yield from self._line()
        if line != b"},":
            raise FormatError(f"«{section}» no termina donde debe")

    def _model(self, section: Section, name: str) -> Generator[None, None, bool]:
        """Read a model to its end; return whether another follows."""
        self._where = f"el modelo «{name}»"
        self._events.append(ModelBegun(section, name))
        digest, records, size = hashlib.sha256(), 0, 0
        comma = True
        while True:
            block = yield from self._record_lines()
            if not block:
                break
            if not self._prove:
                self._events.append(RecordsRead(block))
                continue
            # Quicker than to replace, and than to count.
            lines = b"\n".join(block.split(b",\n"))
            commas = len(block) - len(lines)
            count = lines.count(b"\n")
            # Every record but a model's last is followed by a comma.
            if not comma or commas < count - 1:
                raise FormatError(f"{self._where}: falta una coma cerca del registro {records:,}")
            comma = block.endswith(b",\n")
            if comma and commas < count:
                raise FormatError(f"{self._where}: falta una coma cerca del registro {records:,}")
            digest.update(lines)
            records += count
            size += len(lines)
            self._events.append(RecordsRead(lines))
        if records and comma:
            raise FormatError(f"{self._where}: sobra una coma después del último registro")
        total = ModelTotal(records, size, digest.hexdigest())
        self.totals[section][name] = total
        self._events.append(ModelEnded(section, name, total))
        end = yield from self._line()
        if end not in {b"]", b"],"}:
            raise FormatError(f"{self._where} no termina donde debe")
        return end == b"],"

    def _record_lines(self) -> Generator[None, None, bytes]:
        """All whole record lines at hand, at least one; nothing where the model ends."""
        buffer = self._buffer
        scanned = 0
        while True:
            if buffer.startswith(b"]"):
                return b""
            found = _END_OF_MODEL.search(buffer, scanned)
            end = found.start() if found is not None else buffer.rfind(b"\n", scanned)
            if end >= 0:
                return self._take(end + 1)
            scanned = yield from self._more(self._longest_line)

    def _line(self) -> Generator[None, None, bytes]:
        scanned = 0
        while (end := self._buffer.find(b"\n", scanned)) < 0:
            scanned = yield from self._more(min(MAX_HEADER_BYTES, self._longest_line))
        return self._take(end + 1)[:-1]

    def _more(self, longest: int) -> Generator[None, None, int]:
        """Wait for more bytes of a line that may be as long; return how many there were before."""
        size = len(self._buffer)
        if size > longest:
            raise FormatError(f"{self._where}: hay una línea de más de {longest:,} bytes")
        yield
        return size

    def _take(self, size: int) -> bytes:
        with memoryview(self._buffer) as buffer:
            taken = bytes(buffer[:size])
        del self._buffer[:size]
        return taken

    def _expect(self, expected: bytes) -> Generator[None, None, None]:
        line = yield from self._line()
        if line != expected:
            raise FormatError(f"se esperaba el comienzo de {self._where}")

    def _totals(self, key: str, section: Section, end: bytes) -> Generator[None, None, None]:
        prefix = f'"{key}":'.encode()
        line = yield from self._line()
        if not (line.startswith(prefix) and line.endswith(b"}" + end)):
            raise FormatError(f"el archivo no tiene «{key}» donde debe")
        if not self._prove:
            return
        self._signed.update(line + b"\n")
        stated = self._json(line[len(prefix) : -1])
        read = self.totals[section]
        if not isinstance(stated, dict) or list(stated) != list(read):
            raise FormatError(f"los modelos de «{key}» no son los de «{section}»")
        for name, total in read.items():
            if stated[name] != {"registros": total.records, "bytes": total.bytes, "sha256": total.sha256}:
                raise FormatError(
                    f"el modelo «{name}» de «{section}» no coincide con su total:"
                    f" se leyeron {total.records:,} registros, {total.bytes:,} bytes,"
                    f" SHA-256 {total.sha256}, y el archivo declara {compact_json(stated[name])}"
                )

    def _read_seal(self) -> Generator[None, None, Seal]:
        line = yield from self._line()
        prefix = b'"sello":'
        if not (line.startswith(prefix) and line.endswith(b"}}")):
            raise FormatError("el archivo no tiene «sello» donde debe")
        return parse_seal(self._json(line[len(prefix) : -1]))

    def _json(self, text: bytes) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise FormatError(f"{self._where}: el texto no es JSON ({exc})") from exc
