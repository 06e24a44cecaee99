"""The rows that differ, one by one, as people see them."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import asyncpg

from app.clinic.introspection import Table
from app.clinic.records import with_lines
from app.clinic.restore.shapes import FILE, KIND, TODAY, Kind, Shape
from app.clinic.sql import columns, quote

Change = Literal["insertados", "actualizados", "eliminados"]
OPPOSITE: dict[Change, Change] = {
    "insertados": "eliminados",
    "actualizados": "actualizados",
    "eliminados": "insertados",
}

# A value that is shown to people is cut after so many characters.
SHOWN_CHARACTERS = 200

# How many are on their way at once: constant memory, and few round trips.
PREFETCH = 200


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """What is done with one row; `fields` of an updated one: name → its value before and after.

    The key of a row of a table without one is all of it. Numbers stay as PostgreSQL printed them.
    """

    kind: Change
    key: dict[str, Any]
    fields: dict[str, tuple[Any, Any]]

    def reversed(self) -> "ChangedRow":
        """What undoes it."""
        fields = {name: (after, before) for name, (before, after) in self.fields.items()}
        return ChangedRow(OPPOSITE[self.kind], self.key, fields)

    def shown(self) -> dict[str, Any]:
        """As a document for people, long values cut."""
        shown: dict[str, Any] = {"clave": {name: cut(value) for name, value in self.key.items()}}
        if self.fields:
            shown["campos"] = {
                name: {"antes": cut(before), "despues": cut(after)} for name, (before, after) in self.fields.items()
            }
        return shown


async def changed_rows(
    connection: asyncpg.Connection, shape: Shape, *, limit: int | None = None
) -> AsyncIterator[ChangedRow]:
    """Those of one model, by kind and then by key, at most `limit` of each kind; within the comparing transaction."""
    key = shape.key or shape.names
    # Not every type can be sorted; those of a key can.
    cast = "" if shape.key else "::text"
    order = ", ".join(f"t.{quote(name)}{cast}" for name in key) or "t.ctid"
    end = f" LIMIT {limit}" if limit is not None else ""
    keys = replace(shape.table, columns=tuple(column for column in shape.table.columns if column.name in key), key=())
    sides: tuple[tuple[Change, str, str], ...] = (
        ("insertados", shape.file, FILE),
        ("eliminados", shape.today, TODAY),
    )
    for kind, table, side in sides:
        rows = (
            f"SELECT {columns('t', key)} FROM {table} AS t WHERE NOT EXISTS"
            f" (SELECT FROM {shape.pairs} AS p WHERE p.{quote(side)} = t.ctid) ORDER BY {order}{end}"
        )
        async for (line,) in connection.cursor(with_lines(keys, rows), prefetch=PREFETCH):
            yield ChangedRow(kind, _parsed(line), {})
    if shape.key:
        async for key_line, new, old in connection.cursor(_pairs(shape, keys, end), prefetch=PREFETCH):
            yield ChangedRow("actualizados", _parsed(key_line), _fields(_parsed(old), _parsed(new)))


def _pairs(shape: Shape, keys: Table, end: str) -> str:
    paired = (
        f"SELECT p.{quote(FILE)}, p.{quote(TODAY)}, {columns('f', shape.key)} FROM {shape.pairs} AS p"
        f" JOIN {shape.file} AS f ON f.ctid = p.{quote(FILE)} WHERE p.{quote(KIND)} <> '{Kind.AGAIN}'"
        f" ORDER BY {columns('f', shape.key)}{end}"
    )
    return (
        f"SELECT ({with_lines(keys, 'SELECT x.*')}), ({_line_of(shape, shape.file, FILE)}),"
        f" ({_line_of(shape, shape.today, TODAY)}) FROM ({paired}) AS x"
    )


def _line_of(shape: Shape, table: str, side: str) -> str:
    rows = f"SELECT {columns('t', shape.names)} FROM {table} AS t WHERE t.ctid = x.{quote(side)}"
    return with_lines(shape.table, rows)


def _fields(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys((*after, *before))
    return {
        name: (before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name) or (name in before) != (name in after)
    }


def _parsed(line: str) -> dict[str, Any]:
    # 1.0 and 1.00 differ.
    record: dict[str, Any] = json.loads(line, parse_float=str)
    return record


def cut(value: Any) -> Any:
    """The value, or the beginning of its text where that is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
