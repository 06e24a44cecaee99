"""Records as they are searched: the lines of one model, which of them are looked for, and what they say."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import re2

from app.clinic.catalogue.entries import Catalogue, Entry, TableClass
from app.clinic.catalogue.introspection import ForeignKey, Table, TableName
from app.clinic.catalogue.secret_columns import HIDDEN, SecretColumns
from app.clinic.reading.look_up import Lookup, Values
from app.dump.columns import ColumnReader
from app.dump.document import ColumnHeader, Form, ModelHeader
from app.errors import FormatError
from app.printable import printable
from app.respaldos.search.words import Text

# Nobody looks for what these say, and any two digits are in them.
_UNREADABLE = ("bytea", "tsvector", "tsquery", "xid", "pg_lsn")

# What RE2 may keep for one pattern (bytes); one of five thousand keys takes a tenth of it.
_PATTERN_BYTES = 128 << 20


class Model:
    """One model's columns in one source, and how its lines are read. `key` is empty where it has none.

    `secret` are the names of those of its columns whose values nobody is shown.
    """

    def __init__(
        self,
        name: str,
        table: TableName,
        columns: Sequence[ColumnHeader],
        key: Sequence[str],
        secrets: SecretColumns,
    ) -> None:
        self.name = name
        self.secrets = secrets
        self.secret = frozenset(column.name for column in columns if secrets.has(table, name, column.name))
        self.table = table
        self.columns = columns
        self.key = tuple(key)
        self._reader = ColumnReader(name, columns)

    @classmethod
    def of_table(cls, entry: Entry, table: Table, secrets: SecretColumns) -> "Model":
        """As a file of today would describe it."""
        columns = tuple(ColumnHeader(c.name, c.type, c.nullable, c.form) for c in table.columns)
        return cls(entry.model, entry.name, columns, table.key, secrets)

    @classmethod
    def of_header(cls, name: str, header: ModelHeader, catalogue: Catalogue, secrets: SecretColumns) -> "Model":
        """As a file describes it; `schema` is the clinic's own where the file does not say."""
        schema = header.schema if header.schema is not None else catalogue.schema or ""
        return cls(name, TableName(schema, header.table), header.columns, header.key, secrets)

    def values(self, lines: Sequence[bytes]) -> Sequence[Values]:
        """The records' values by column. Raises FormatError."""
        if not lines:
            return []
        names = [column.name for column in self.columns]
        try:
            _, columns = self._reader.read(b"\n".join(lines) + b"\n")
            records = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
            if len(records) != len(lines):
                raise ValueError("not one record a line")
            return records
        except (ValueError, AttributeError, TypeError, IndexError, RecursionError) as exc:
            # The reader trusts a file that has been verified, and this one has not.
            raise FormatError(f"un registro de «{self.name}» no está escrito como debe") from exc

    def rows(self, lines: Sequence[bytes]) -> list["Row"]:
        """The records of these lines. Raises FormatError."""
        return [Row(self, values, self.digest(line)) for line, values in zip(lines, self.values(lines), strict=True)]

    def digest(self, line: bytes) -> int:
        """What tells a line from all others, within this process."""
        return hash((self.name, line))

    def texts(self, values: Values) -> Iterator[Text]:
        """What a record says to whoever reads it; no secrets, and no names of columns."""
        for column in self.columns:
            value = values.get(column.name)
            if value is None or column.type in _UNREADABLE or column.name in self.secret:
                continue
            shown = self.secrets.shown(value)
            document = column.form is Form.JSONB or column.type == "json"
            for said in _leaves(shown) if document else (shown,):
                # What stands for a secret is nothing that the record says.
                for part in filter(None, said.split(HIDDEN)):
                    yield Text.of(self.name, column.name, part)


# A record's table and key.
Id: TypeAlias = tuple[TableName, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Row:
    """A record of one source; `digest` is its line's."""

    model: Model
    values: Values
    digest: int

    @property
    def key(self) -> tuple[str, ...]:
        """The values of its key; of a record without one, what tells it from all others."""
        return tuple(self.values[name] or "" for name in self.model.key) or (str(version([self])),)

    @property
    def id(self) -> Id:
        """Table and key."""
        return self.model.table, self.key

    @property
    def own(self) -> Lookup | None:
        """What finds it by its key."""
        return Lookup(self.model.table, self.model.key, self.key) if self.model.key else None

    @property
    def clave(self) -> str | None:
        """Its key as a restore takes it; None where it has none, or where that is a secret."""
        key, secrets = self.model.key, self.model.secrets
        if not key or not self.model.secret.isdisjoint(key) or any(secrets.shown(v) != v for v in self.key):
            return None
        return ",".join(self.key)

    @property
    def name(self) -> str:
        """What it is called where nothing names it."""
        return printable(f"{self.model.name} {self.clave or ''}".strip())

    def pointing(self, fk: ForeignKey) -> Lookup | None:
        """What the record points to by that key; None where to nothing."""
        return self._lookup(fk.target, fk.columns, fk.target_columns)

    def pointed_to(self, fk: ForeignKey, child: TableName) -> Lookup | None:
        """The record of `child` that points to this one by that key, which is unique there."""
        return self._lookup(child, fk.target_columns, fk.columns)

    def values_of(self, columns: Sequence[str]) -> tuple[str, ...]:
        """The values of these columns; fewer where one is NULL, or is not there."""
        return tuple(value for name in columns if (value := self.values.get(name)) is not None)

    def _lookup(self, table: TableName, own: Sequence[str], columns: Sequence[str]) -> Lookup | None:
        values = self.values_of(own)
        return Lookup(table, tuple(columns), values) if len(values) == len(own) else None


def version(rows: Sequence[Row | None]) -> int:
    """What tells one state of these rows from another, within this process.

    A column that a table got since, and that holds nothing, is no other state.
    """
    return hash(
        tuple(
            frozenset((name, value) for name, value in row.values.items() if value is not None)
            for row in rows
            if row is not None
        )
    )


# By columns, the values of records that are looked up.
Wanted: TypeAlias = Mapping[tuple[str, ...], Collection[tuple[str, ...]]]


def finder(model: Model, words: str | None, wanted: Wanted) -> Callable[[bytes], Iterator[bytes]] | None:
    """What gives the lines of a block in which a word, or one of these keys, may be; None where none is looked for.

    `words` is a pattern; what columns are called is not searched for it.
    """
    known = {column.name for column in model.columns}
    keys = [_keys(columns, values) for columns, values in wanted.items() if known.issuperset(columns)]
    if words is None and not keys:
        return None
    patterns = [] if words is None else [words]
    quoted = [f"{_json(column.name)}:".encode() for column in model.columns]
    names = [name for name in quoted if any(_compiled([each]).search(name) for each in patterns)]
    # Keys are found by the names of their columns; one reading finds both where no word is in a name.
    searches = [(_compiled([*patterns, *keys]), names)]
    if names and keys:
        searches = [(_compiled(patterns), names), (_compiled(keys), [])]

    def lines(block: bytes) -> Iterator[bytes]:
        for end in sorted({end for pattern, without in searches for end in _ends(pattern, _blanked(block, without))}):
            yield block[block.rfind(b"\n", 0, end) + 1 : end].removesuffix(b",")

    return lines


def _blanked(block: bytes, names: Sequence[bytes]) -> bytes:
    for name in names:
        block = block.replace(name, b'"' + b"_" * (len(name) - 3) + b'":')
    return block


def _compiled(patterns: Sequence[str]) -> Any:
    options = re2.Options()
    options.max_mem = _PATTERN_BYTES
    options.log_errors = False
    return re2.compile("|".join(f"(?:{each})" for each in patterns), options)


def _ends(pattern: Any, block: bytes) -> Iterator[int]:
    """Where the lines end in which the pattern is found."""
    end = 0
    while (found := pattern.search(block, end)) is not None:
        end = block.find(b"\n", found.start())
        yield end


def forget_patterns() -> None:
    """Let go of what was looked for: RE2 keeps the last patterns, with names and keys in them."""
    re2.purge()


def _keys(columns: Sequence[str], wanted: Collection[tuple[str, ...]]) -> str:
    # A clinic's number is the same in all of its keys: of several columns, the one that tells most apart.
    place = max(range(len(columns)), key=lambda each: len({values[each] for values in wanted}))
    either = "|".join(f"{re2.escape(v)}|{re2.escape(_json(v))}" for v in sorted({values[place] for values in wanted}))
    return f"{re2.escape(_json(columns[place]))}:(?:{either})[,}}]"


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _leaves(document: str) -> Iterator[str]:
    """The texts and numbers in a document, and none of its names."""
    try:
        read: Any = json.loads(document, parse_int=str, parse_float=str, parse_constant=str)
    except RecursionError:
        # PostgreSQL nests deeper than Python reads.
        yield document
        return
    except ValueError:
        # All of it may be a secret.
        yield document
        return
    open_: list[Any] = [read]
    while open_:
        match open_.pop():
            case dict() as named:
                open_ += reversed(named.values())
            case list() as listed:
                open_ += reversed(listed)
            case str() as text:
                yield text


class Relations:
    """Which tables' records are one with another's: a patient's with their user's.

    Logins are not among them: files have those that they need, and today's are shown to nobody.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._parents: dict[TableName, list[ForeignKey]] = {}
        self._children: dict[TableName, list[tuple[ForeignKey, TableName]]] = {}
        kinds = {entry.name: entry.kind for entry in catalogue.entries.values()}
        self._shared = {name for name, kind in kinds.items() if kind is TableClass.REFERENCED}
        for entry in catalogue.entries.values():
            for fk in catalogue.one_with(entry):
                if TableClass.ACCESS in (entry.kind, kinds[fk.target]):
                    continue
                self._parents.setdefault(entry.name, []).append(fk)
                self._children.setdefault(fk.target, []).append((fk, entry.name))

    def parents(self, table: TableName) -> list[ForeignKey]:
        """The keys by which the table's records are one with what they point to."""
        return self._parents.get(table, [])

    def children(self, table: TableName) -> list[tuple[ForeignKey, TableName]]:
        """The keys by which records of other tables are one with the table's, and these tables."""
        return self._children.get(table, [])

    def shared(self, table: TableName) -> bool:
        """Whether rows of the table that are not the clinic's own are there for all clinics."""
        return table in self._shared

    def alone(self, table: TableName) -> bool:
        """Whether no record of the table is one with another."""
        return table not in self._parents and table not in self._children

    def above(self, table: TableName) -> set[TableName]:
        """The tables whose records are one with the table's, and so on upward."""
        found: set[TableName] = set()
        open_ = [table]
        while open_:
            for fk in self.parents(open_.pop()):
                if fk.target not in found:
                    found.add(fk.target)
                    open_.append(fk.target)
        return found
