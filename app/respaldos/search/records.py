"""Records as they are searched: the lines of one model, which of them are looked for, and what they say."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import re2

from app.clinic.catalogue.entries import Catalogue, Entry
from app.clinic.catalogue.introspection import ForeignKey, Table, TableName
from app.clinic.catalogue.secret_columns import HIDDEN, SecretColumns
from app.clinic.reading.look_up import Lookup, Values
from app.dump.columns import ColumnReader
from app.dump.document import ColumnHeader, Form, ModelHeader
from app.printable import printable
from app.respaldos.search.words import Text

# Nobody looks for what these say, and any two digits are in them.
_UNREADABLE = ("bytea", "tsvector", "tsquery", "xid", "pg_lsn")

# A pattern of some thousand keys (bytes).
_PATTERN_BYTES = 256 << 20


class Model:
    """One model's columns in one source, and how its lines are read. `key` is empty where it has none."""

    def __init__(self, name: str, table: TableName, columns: Sequence[ColumnHeader], key: Sequence[str]) -> None:
        self.name = name
        self.table = table
        self.columns = columns
        self.key = tuple(key)
        self._reader = ColumnReader(name, columns)

    @classmethod
    def of_table(cls, entry: Entry, table: Table) -> "Model":
        """As a file of today would describe it."""
        columns = tuple(ColumnHeader(c.name, c.type, c.nullable, c.form) for c in table.columns)
        return cls(entry.model, entry.name, columns, table.key)

    @classmethod
    def of_header(cls, name: str, header: ModelHeader, catalogue: Catalogue) -> "Model":
        """As a file describes it; `schema` is the clinic's own where the file does not say."""
        schema = header.schema if header.schema is not None else catalogue.schema or ""
        return cls(name, TableName(schema, header.table), header.columns, header.key)

    def values(self, line: bytes) -> Values:
        """A record's values by column. Raises FormatError."""
        _, columns = self._reader.read(line + b"\n")
        return {column.name: found[0] for column, found in zip(self.columns, columns, strict=True)}

    def texts(self, values: Values, secrets: SecretColumns) -> Iterator[Text]:
        """What a record says to whoever reads it; no secrets, and no names of columns."""
        for column in self.columns:
            value = values.get(column.name)
            if value is None or column.type in _UNREADABLE or secrets.has(self.table, self.name, column.name):
                continue
            if column.form is Form.JSONB or column.type == "json":
                for leaf in _leaves(secrets.masked(value)):
                    yield Text.of(self.name, column.name, leaf)
            else:
                yield Text.of(self.name, column.name, value)


# A record's table and key.
Id: TypeAlias = tuple[TableName, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Row:
    """A record of one source."""

    model: Model
    line: bytes
    values: Values

    @property
    def key(self) -> tuple[str, ...]:
        """The values of its key; of a record without one its whole line."""
        return tuple(self.values[name] or "" for name in self.model.key) or (self.line.decode(),)

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
        """Its key as a restore takes it."""
        return ",".join(self.key) if self.model.key else None

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


# By columns, the values of records that are looked up.
Wanted: TypeAlias = Mapping[tuple[str, ...], Collection[tuple[str, ...]]]


def finder(model: Model, words: str | None, wanted: Wanted) -> Callable[[bytes], Iterator[bytes]] | None:
    """What gives the lines of a block in which a word, or one of these keys, may be; None where none is looked for.

    `words` is a pattern. Names of columns are passed over.
    """
    patterns = [] if words is None else [words]
    known = {column.name for column in model.columns}
    patterns += [_keys(columns, values) for columns, values in wanted.items() if known.issuperset(columns)]
    if not patterns:
        return None
    options = re2.Options()
    options.max_mem = _PATTERN_BYTES
    options.log_errors = False
    pattern = re2.compile("|".join(f"(?:{each})" for each in patterns), options)
    names = []
    if words is not None:
        word = re2.compile(words, options)
        names = [name for column in model.columns if word.search(name := f"{_json(column.name)}:".encode())]

    def lines(block: bytes) -> Iterator[bytes]:
        searched = block
        for name in names:
            searched = searched.replace(name, b'"' + b"_" * (len(name) - 3) + b'":')
        end = 0
        while (found := pattern.search(searched, end)) is not None:
            start = block.rfind(b"\n", 0, found.start()) + 1
            end = block.find(b"\n", found.start())
            yield block[start:end].removesuffix(b",")

    return lines


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
        # A secret may have been left out of it.
        yield document if document != HIDDEN else ""
        return
    open_: list[Any] = [read]
    while open_:
        match open_.pop():
            case dict() as named:
                open_ += reversed(named.values())
            case list() as listed:
                open_ += reversed(listed)
            case str() as text if text != HIDDEN:
                yield text


class Relations:
    """Which tables' records are one with another's: a patient's with their user's."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._parents: dict[TableName, list[ForeignKey]] = {}
        self._children: dict[TableName, list[tuple[ForeignKey, TableName]]] = {}
        for entry in catalogue.entries.values():
            for fk in catalogue.one_with(entry):
                self._parents.setdefault(entry.name, []).append(fk)
                self._children.setdefault(fk.target, []).append((fk, entry.name))

    def parents(self, table: TableName) -> list[ForeignKey]:
        """The keys by which the table's records are one with what they point to."""
        return self._parents.get(table, [])

    def children(self, table: TableName) -> list[tuple[ForeignKey, TableName]]:
        """The keys by which records of other tables are one with the table's, and these tables."""
        return self._children.get(table, [])

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
