"""The rows that differ, one by one, as people see them."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import asyncpg

from app.clinic.catalogue.introspection import Column
from app.clinic.catalogue.secret_columns import HIDDEN, SecretColumns
from app.clinic.catalogue.sql import columns, literal, quote
from app.clinic.restore.staged_tables import FILE, KIND, TODAY, Kind, StagedTable
from app.dump.document import Form

Change = Literal["insertados", "actualizados", "eliminados"]
OPPOSITE: dict[Change, Change] = {
    "insertados": "eliminados",
    "actualizados": "actualizados",
    "eliminados": "insertados",
}

Value = str | int | bool | None

# A value that is shown to people is cut to so many characters; where two differ later, so many of them come before
# that place.
SHOWN_CHARACTERS = 200
BEFORE_CHARACTERS = 40

# The same in bytes of UTF-8, where a character has at most four; and what is fetched of a value, enough for both.
SHOWN_BYTES = 4 * SHOWN_CHARACTERS
BEFORE_BYTES = 4 * BEFORE_CHARACTERS
FETCHED_BYTES = 2 * SHOWN_BYTES + BEFORE_BYTES

# A document that may hold secrets is fetched whole, since what is a secret is told by what comes before it. A longer
# one is not shown. Many rows are on their way at once.
DOCUMENT_BYTES = 65_536

# PostgreSQL looks for names in pieces of so many bytes: its regular expressions take sixteen times the memory.
PIECE_BYTES = 1_048_576
NAME_BYTES = 256

# How many rows are on their way at once: constant memory, and few round trips. Whole ones may be long.
PREFETCH = 200
PREFETCH_WHOLE = 10

# What every JSON reader takes for the same number, JavaScript's too: not -0, nor what has more digits.
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,14}")


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """What is done with one row; `fields` of an updated one: name → its value before and after.

    The key of a row of a table without one is all of it. Texts, documents and all but short whole numbers are as
    PostgreSQL prints them; of a secret both sides are HIDDEN. `label` is what the row is called, empty where nothing
    says; of fields that point to another row, `field_labels` say what that is called.
    """

    kind: Change
    key: dict[str, Value]
    fields: dict[str, tuple[Value, Value]]
    label: str = ""
    field_labels: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)

    def reversed(self) -> "ChangedRow":
        """What undoes it."""
        fields = {name: (after, before) for name, (before, after) in self.fields.items()}
        labels = {name: (after, before) for name, (before, after) in self.field_labels.items()}
        return ChangedRow(OPPOSITE[self.kind], self.key, fields, self.label, labels)

    def shown(self) -> dict[str, Any]:
        """As a document for people."""
        shown: dict[str, Any] = {"clave": self.key}
        if self.label:
            shown["etiqueta"] = self.label
        if self.fields:
            shown["campos"] = {name: self._shown_field(name) for name in self.fields}
        return shown

    def _shown_field(self, name: str) -> dict[str, Value]:
        before, after = self.fields[name]
        shown = {"antes": before, "despues": after}
        for key, label in zip(("etiqueta_antes", "etiqueta_despues"), self.field_labels.get(name, ()), strict=False):
            if label is not None:
                shown[key] = label
        return shown


async def changed_rows(
    connection: asyncpg.Connection,
    staged: StagedTable,
    secrets: SecretColumns,
    *,
    limit: int | None = None,
    whole: bool = False,
) -> AsyncIterator[ChangedRow]:
    """Those of one model, by kind and then by key, at most `limit` of each kind; within the comparing transaction.

    Long values are cut, by PostgreSQL already, around the first difference, unless they are wanted `whole`.
    """
    printed = Printed(staged, secrets, whole)
    key = staged.key or staged.names
    # Not every type can be sorted; those of a key can.
    cast = "" if staged.key else "::text"
    order = ", ".join(f"t.{quote(name)}{cast}" for name in key) or "t.ctid"
    end = f" LIMIT {limit}" if limit is not None else ""
    prefetch = PREFETCH_WHOLE if whole else PREFETCH
    keys = [column for column in staged.table.columns if column.name in key]
    sides: tuple[tuple[Change, str, str], ...] = (
        ("insertados", staged.file, FILE),
        ("eliminados", staged.today, TODAY),
    )
    for kind, table, side in sides:
        rows = (
            f"SELECT {columns('t', key)} FROM {table} AS t WHERE NOT EXISTS"
            f" (SELECT FROM {staged.pairs} AS p WHERE p.{quote(side)} = t.ctid) ORDER BY {order}{end}"
        )
        statement = f"SELECT k.* FROM ({rows}) AS x CROSS JOIN LATERAL ({printed.select(keys, 'x')}) AS k"
        async for found in connection.cursor(statement, prefetch=prefetch):
            yield ChangedRow(kind, printed.key(keys, tuple(found)), {})
    if staged.key:
        pairs = (
            f"SELECT p.{quote(FILE)}, p.{quote(TODAY)}, {columns('f', key)} FROM {staged.pairs} AS p"
            f" JOIN {staged.file} AS f ON f.ctid = p.{quote(FILE)} WHERE p.{quote(KIND)} <> '{Kind.REINSERT}'"
            f" ORDER BY {columns('f', key)}{end}"
        )
        both = (
            f"{staged.file} AS f CROSS JOIN {staged.today} AS t"
            f" WHERE f.ctid = x.{quote(FILE)} AND t.ctid = x.{quote(TODAY)}"
        )
        statement = (
            f"SELECT k.*, d.* FROM ({pairs}) AS x CROSS JOIN LATERAL ({printed.select(keys, 'x')}) AS k"
            f" CROSS JOIN LATERAL ({printed.select(staged.table.columns, 'f', 't', both)}) AS d"
        )
        async for found in connection.cursor(statement, prefetch=prefetch):
            half = len(found) // 2
            fields = printed.fields(staged.table.columns, found[half:])
            yield ChangedRow("actualizados", printed.key(keys, found[:half]), fields)


class Printed:
    """Has PostgreSQL print values of a model, no more of each than will be shown, and makes of them what is shown."""

    def __init__(self, staged: StagedTable, secrets: SecretColumns, whole: bool) -> None:
        self._shape = staged
        self._secrets = secrets
        self._whole = whole

    def select(self, shown: Sequence[Column], new: str, old: str | None = None, source: str | None = None) -> str:
        """One row of arrays, with an element for each of the columns; with `old`, for each that differs.

        `new` and `old` are aliases of rows, `source` what follows FROM where the query itself has to find them.
        """
        kinds = ", ".join(f"'{self._kind(column)}'" for column in shown)
        news, olds = (
            ", ".join(_text(alias, column) for column in shown) if alias is not None else "" for alias in (new, old)
        )
        values = f"SELECT ARRAY[{news}]::bytea[] AS news, ARRAY[{olds}]::bytea[] AS olds"
        at, new_part, old_part = "1", "v.new", "v.old"
        long = "false"
        if not self._whole:
            at = f"CASE WHEN h.how = 'cut' AND {_same_beginning()} THEN {_first_difference()} ELSE 1 END"
            new_part, old_part = (
                f"CASE h.how WHEN 'cut' THEN substr({value}, w.at, {FETCHED_BYTES}) WHEN 'masked' THEN {value} END"
                for value in ("v.new", "v.old")
            )
            long = f"greatest(octet_length(v.new), octet_length(v.old)) > {DOCUMENT_BYTES}"
        # Without OFFSET, PostgreSQL would work out `how` and `at` once for each place where they stand.
        return (
            f"SELECT array_agg(v.n), array_agg(h.how), array_agg(w.at), array_agg({new_part}), array_agg({old_part})"
            f" FROM ({values}{f' FROM {source}' if source is not None else ''} OFFSET 0) AS r"
            f" CROSS JOIN LATERAL unnest(r.news, r.olds, ARRAY[{kinds}]::text[])"
            " WITH ORDINALITY AS v(new, old, kind, n)"
            " CROSS JOIN LATERAL (SELECT CASE WHEN v.kind = 'hidden' THEN 'hidden'"
            f" WHEN v.kind = 'plain' OR NOT ({self._named('v.new')} OR {self._named('v.old')}) THEN 'cut'"
            f" WHEN {long} THEN 'hidden' ELSE 'masked' END AS how OFFSET 0) AS h"
            f" CROSS JOIN LATERAL (SELECT {at} AS at OFFSET 0) AS w"
            + (" WHERE v.new IS DISTINCT FROM v.old" if old is not None else "")
        )

    def key(self, shown: Sequence[Column], found: Sequence[Any]) -> dict[str, Value]:
        """By name, what `select` gives of one row."""
        return {column.name: new for column, new, _ in self._read(shown, found)}

    def fields(self, shown: Sequence[Column], found: Sequence[Any]) -> dict[str, tuple[Value, Value]]:
        """By name, before and after, what `select` gives of two rows."""
        return {column.name: (old, new) for column, new, old in self._read(shown, found)}

    def may_hide(self, row: str, column: Column) -> str:
        """Whether what an expression makes of the column of the row `row` may be a secret."""
        if column.form is not Form.SCALAR or self._kind(column) == "hidden":
            return "true"
        return f"({self._named(_text(row, column))}) IS TRUE" if column.collated else "false"

    def _read(self, shown: Sequence[Column], found: Sequence[Any]) -> list[tuple[Column, Value, Value]]:
        numbers, *rest = (each or () for each in found)
        return [
            (shown[number - 1], *self._pair(shown[number - 1], *each))
            for number, *each in sorted(zip(numbers, *rest, strict=True), key=lambda each: each[0])
        ]

    def _pair(self, column: Column, how: str, at: int, new: bytes | None, old: bytes | None) -> tuple[Value, Value]:
        if how == "hidden":
            return HIDDEN, HIDDEN
        # A part of a value may begin and end within a character.
        texts = [value.decode("utf-8", "ignore") if value is not None else None for value in (new, old)]
        if how == "masked":
            texts = [self._secrets.shown(text) if text is not None else None for text in texts]
            if new is not None and old is not None and texts[0] == texts[1]:
                return HIDDEN, HIDDEN
        first, second = texts if self._whole else cut_both(*texts, begun=at == 1)
        return shown_value(column.type, column.number, first), shown_value(column.type, column.number, second)

    def _kind(self, column: Column) -> str:
        if self._secrets.has(self._shape.entry.name, self._shape.model, column.name):
            return "hidden"
        return "document" if column.form is not Form.SCALAR or column.collated else "plain"

    def _named(self, value: str) -> str:
        """Whether the value has a secret's name in it."""
        piece = f"substr({value}, s.at, {PIECE_BYTES + NAME_BYTES})"
        return (
            f"EXISTS (SELECT FROM generate_series(1, octet_length({value}), {PIECE_BYTES}) AS s(at)"
            f" WHERE encode({piece}, 'escape') ~* {literal(self._secrets.pattern)})"
        )


def _text(alias: str, column: Column) -> str:
    """As the file's lines have it, but for JSON's quotes. In bytes, whose parts are found at once."""
    value = f"{alias}.{quote(column.name)}"
    text = f"to_json({value}) #>> '{{}}'" if column.form is Form.SCALAR else f"{value}::text"
    return f"convert_to({text}, 'UTF8')"


def _same_beginning() -> str:
    return (
        f"least(octet_length(v.new), octet_length(v.old)) > {SHOWN_BYTES}"
        f" AND substr(v.new, 1, {SHOWN_BYTES}) = substr(v.old, 1, {SHOWN_BYTES})"
    )


def _first_difference() -> str:
    """Where the part begins that shows the first byte that differs: found by halves, since a value may be long."""
    return (
        "(WITH RECURSIVE half(same, most) AS ("
        f"SELECT {SHOWN_BYTES}, least(octet_length(v.new), octet_length(v.old))"
        " UNION ALL SELECT CASE WHEN m.equal THEN m.middle ELSE half.same END,"
        " CASE WHEN m.equal THEN half.most ELSE m.middle - 1 END"
        " FROM half CROSS JOIN LATERAL (SELECT middle,"
        " substr(v.new, half.same + 1, middle - half.same) = substr(v.old, half.same + 1, middle - half.same)"
        " AS equal FROM (SELECT (half.same + half.most + 1) / 2 AS middle) AS c OFFSET 0) AS m"
        f" WHERE half.same < half.most) SELECT max(half.same) + 1 - {BEFORE_BYTES} FROM half)"
    )


def cut_both(one: str | None, other: str | None, *, begun: bool = True) -> tuple[str | None, str | None]:
    """The same part of both, with the first difference in it; `begun`: the texts begin where the values do."""
    texts = (one or "", other or "")
    start = 0
    if not begun or max(map(len, texts)) > SHOWN_CHARACTERS:
        both = zip(*texts, strict=False)
        same = next((place for place, (a, b) in enumerate(both) if a != b), min(map(len, texts)))
        start = same - BEFORE_CHARACTERS if same >= SHOWN_CHARACTERS - BEFORE_CHARACTERS else 0
    end = start + SHOWN_CHARACTERS
    first, second = (
        f"{'' if begun and not start else '…'}{text[start:end]}{'…' if len(text) > end else ''}" for text in texts
    )
    return first if one is not None else None, second if other is not None else None


def text_of(value: Value) -> str:
    """A value as the file's record has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def shown_value(type_: str, number: bool, text: str | None) -> Value:
    """A value of a column as programs take it; `number` says that it compares with an integer."""
    if text is None:
        return None
    if type_ == "boolean":
        return text == "true"
    return int(text) if number and _INTEGER.fullmatch(text) else text
