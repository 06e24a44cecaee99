"""Checks a whole backup file while it streams by: hash, gzip to its end, structure, counts and digests."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from app.dump.document import JSON_NULL_KEY, Header, ModelTotal, Section
from app.dump.encryption import Decryptor
from app.dump.gzip_member import GzipReader
from app.dump.reader import DocumentReader, Event, HeaderRead, ModelBegun, RecordsRead
from app.dump.seal import SealKeys
from app.errors import FormatError


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(text)


# Numbers stay text: a numeric of PostgreSQL may have more digits than Python turns into an int (4,300). NaN and
# Infinity, which Python takes for numbers, are no JSON.
_RECORDS = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """What a whole and unchanged file says; sizes in bytes, `md5` and `sha256` of the file as it is stored.

    `seal` is the id of the key that it is sealed with, if it is; `seal_checked` says that this key was at hand. `key`
    is the id of the clinic's key that it is encrypted with, if it is.
    """

    header: Header
    totals: dict[str, ModelTotal]
    reference_totals: dict[str, ModelTotal]
    md5: str
    sha256: str
    compressed_size: int
    original_size: int
    seal: str | None
    seal_checked: bool
    key: str | None

    @property
    def records(self) -> int:
        """The clinic's own records, as `numero_registros` counts them."""
        return sum(total.records for total in self.totals.values())


class FileVerifier:
    """Feed it the file as it is stored.

    `max_size` (bytes) bounds the decompressed whole; without it, a bomb is noticed by how much it grows.

    `on_event` is called with what has been read, each time after that has been checked; only `finish` can say that
    the whole is a backup. Without `parse_data` the records of `datos` are taken as they come, for whoever is told of
    them to parse, and to prove by their digests. Where `seals` has keys, a seal is to be of one of them, and with
    `sealed` a file without one is refused. With `decryption` the file is to be encrypted; then some of it is read by
    `finish` alone. `on_plain` is called with the pieces of the gzip member.
    """

    def __init__(
        self,
        seals: SealKeys,
        *,
        sealed: bool,
        max_size: int | None = None,
        on_event: Callable[[Event], None] | None = None,
        parse_data: bool = True,
        decryption: Decryptor | None = None,
        on_plain: Callable[[bytes], object] | None = None,
    ) -> None:
        self._seals = seals
        self._sealed = sealed
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._decryption = decryption
        self._on_plain = on_plain
        self._gzip = GzipReader(max_size)
        self._size_known = max_size is not None
        self._document = DocumentReader()
        self._compressed = 0
        self._original = 0
        self._problem: FormatError | None = None
        self._header: Header | None = None
        self._model = ""
        self._columns: list[str] = []
        self._records = 0
        self._on_event = on_event
        self._parse_data = parse_data
        self._parsing = True

    def feed(self, data: bytes) -> None:
        """Check the next bytes of the file; what is wrong with them is told by `finish`."""
        self._md5.update(data)
        self._sha256.update(data)
        self._compressed += len(data)
        if self._problem is None:
            try:
                for plain in (data,) if self._decryption is None else self._decryption.feed(data):
                    self._read(plain)
            except FormatError as exc:
                # Of a file that was changed or damaged, the hash says so most plainly, so it is read to its end.
                self._problem = exc

    def _read(self, data: bytes) -> None:
        if not self._size_known:
            self._document.bound_lines(self._compressed)
        if self._on_plain is not None:
            self._on_plain(data)
        for piece in self._gzip.feed(data):
            self._original += len(piece)
            for event in self._document.feed(piece):
                if isinstance(event, HeaderRead):
                    self._header = event.header
                elif isinstance(event, ModelBegun) and self._header is not None:
                    self._model = event.name
                    self._parsing = self._parse_data or event.section is not Section.DATA
                    self._columns = [column.name for column in self._header.models[event.name].columns]
                    self._records = 0
                elif isinstance(event, RecordsRead) and self._parsing:
                    self._check_records(event.lines)
                if self._on_event is not None:
                    self._on_event(event)

    @property
    def md5(self) -> str:
        """The hash (hex) of what it was fed so far."""
        return self._md5.hexdigest()

    def finish(self, md5: str | None = None) -> VerifiedFile:
        """Check that the file is whole and, where given, that `md5` (hex) is its hash. Raises FormatError."""
        read = self.md5
        try:
            if self._problem is not None:
                raise self._problem
            if self._decryption is not None:
                self._read(self._decryption.finish())
            self._gzip.finish()
            self._document.finish()
        except FormatError as exc:
            if md5 is None or md5.lower() == read:
                raise
            raise FormatError(f"{_changed(read, md5)}; además, {exc}") from exc
        if md5 is not None and md5.lower() != read:
            raise FormatError(_changed(read, md5))
        if self._header is None:
            raise FormatError("el archivo está vacío")
        if self._decryption is not None:
            self._decryption.check_content(self._header.clinica_id, self._header.origin.id)
        seal = self._document.seal
        self._seals.check(seal, self._document.signed, required=self._sealed)
        return VerifiedFile(
            header=self._header,
            totals=self._document.totals[Section.DATA],
            reference_totals=self._document.totals[Section.REFERENCES],
            md5=read,
            sha256=self._sha256.hexdigest(),
            compressed_size=self._compressed,
            original_size=self._original,
            seal=seal.key_id if seal is not None else None,
            seal_checked=seal is not None and bool(self._seals.public),
            key=self._decryption.key_id if self._decryption is not None else None,
        )

    def _check_records(self, lines: bytes) -> None:
        try:
            records = _RECORDS.decode("[" + lines[:-1].replace(b"\n", b",").decode() + "]")
        except RecursionError:
            # PostgreSQL nests jsonb deeper than Python parses; the digest still tells any change.
            self._records += lines.count(b"\n")
            return
        except ValueError as exc:
            raise FormatError(
                f"el modelo «{self._model}» tiene un registro que no es JSON"
                f" después del registro {self._records:,} ({exc})"
            ) from exc
        if len(records) != lines.count(b"\n"):
            raise FormatError(
                f"el modelo «{self._model}» no tiene un registro por línea después del registro {self._records:,}"
            )
        for record in records:
            self._records += 1
            if not isinstance(record, dict):
                raise FormatError(f"el registro {self._records:,} de «{self._model}» no es un objeto")
            names = list(record)
            if names[-1:] == [JSON_NULL_KEY]:
                names.pop()
            if names != self._columns:
                raise FormatError(
                    f"el registro {self._records:,} de «{self._model}» no tiene las columnas del esquema"
                )


def _changed(read: str, stated: str) -> str:
    return f"el archivo cambió: su hash MD5 es {read} y debería ser {stated.lower()}"
