"""Single records of today, found by the values of a key."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple, TypeAlias

import asyncpg

from app.clinic.catalogue.entries import Entry, TableClass
from app.clinic.catalogue.introspection import Table, TableName
from app.clinic.catalogue.sql import columns, from_table, quote
from app.clinic.reading.platform_statements import PlatformStatements, Statements
from app.clinic.reading.records import RESERVED, with_lines
from app.dump.columns import ColumnReader
from app.dump.document import ColumnHeader

# A record's values by column, as ColumnReader gives them.
Values: TypeAlias = Mapping[str, str | None]

# Which of the values that were asked for a row has.
NUMBER = f"{RESERVED}numero"


class Lookup(NamedTuple):
    """The record of a table that has these values, as the file writes them, in these columns."""

    table: TableName
    columns: tuple[str, ...]
    values: tuple[str, ...]


async def look_up(
    connection: asyncpg.Connection, statements: Statements, lookups: Collection[Lookup]
) -> dict[Lookup, str]:
    """The lines of those that are there, of the clinic's own rows and of tables that clinics share.

    To be called in the transaction of `statements`. Of several records with the same values, one.
    """
    found: dict[Lookup, str] = {}
    for (name, names), some in groupby(sorted(lookups), key=lambda each: each[:2]):
        entry = statements.catalogue.entries.get(name)
        rows = _rows(statements, entry, names) if entry is not None else None
        if entry is not None and rows is not None:
            found |= await look_up_among(connection, statements.described(entry), rows, list(some))
    return found


async def look_up_among(
    connection: asyncpg.Connection, table: Table, rows: str, lookups: Sequence[Lookup]
) -> dict[Lookup, str]:
    """The same among the rows of a query over all columns of one table; the lookups are by the same columns."""
    values = [list(each) for each in zip(*(lookup.values for lookup in lookups), strict=True)]
    statement = with_lines(table, _matching(table, rows, lookups[0].columns), NUMBER)
    await connection.execute("SAVEPOINT busqueda")
    try:
        found = await connection.fetch(statement, *values)
    except (asyncpg.DataError, asyncpg.SyntaxOrAccessError):
        # What a file has may be no value of the column any more, and not every type has an equality.
        await connection.execute("ROLLBACK TO busqueda; RELEASE busqueda")
        if len(lookups) == 1:
            return {}
        half = len(lookups) // 2
        return {
            **await look_up_among(connection, table, rows, lookups[:half]),
            **await look_up_among(connection, table, rows, lookups[half:]),
        }
    await connection.execute("RELEASE busqueda")
    return {lookups[number - 1]: line for number, line in found}


async def pointing(
    connection: asyncpg.Connection, statements: Statements, lookup: Lookup, *, limit: int
) -> tuple[int, list[str]]:
    """How many records have these values, of a table of which several may, and the lines of the first of them."""
    entry = statements.catalogue.entries[lookup.table]
    rows = _rows(statements, entry, lookup.columns)
    if rows is None:
        return 0, []
    table = statements.described(entry)
    matching = _matching(table, rows, lookup.columns)
    values = [[value] for value in lookup.values]
    count: int = await connection.fetchval(f"SELECT count(*) FROM ({matching}) AS r", *values)
    order = ", ".join(f"r.{quote(name)}" for name in table.key) or "1"
    some = f"SELECT r.* FROM ({matching}) AS r ORDER BY {order} LIMIT {limit}"
    lines = await connection.fetch(with_lines(table, some), *values) if count else []
    return count, [line for (line,) in lines]


def record_values(table: Table, line: str) -> Values:
    """A record's values by column. Raises FormatError."""
    columns_ = [ColumnHeader(c.name, c.type, c.nullable, c.form) for c in table.columns]
    _, read = ColumnReader(table.name.name, columns_).read(f"{line}\n".encode())
    return {column.name: values[0] for column, values in zip(columns_, read, strict=True)}


def _rows(statements: Statements, entry: Entry, names: tuple[str, ...]) -> str | None:
    """A query over the described columns of the rows that may be shown; None where there are none with these."""
    shown = tuple(column.name for column in statements.described(entry).columns)
    if not set(names) <= set(shown):
        return None
    if entry.kind is TableClass.OWNED or isinstance(statements, PlatformStatements):
        return statements.owned(entry, shown)
    if entry.kind is TableClass.REFERENCED:
        return f"SELECT {columns('x', shown)} FROM {from_table(entry.table)} AS x"
    return None


def _matching(table: Table, rows: str, names: tuple[str, ...]) -> str:
    """Those of the rows that have one of the values given as arrays of text; NUMBER says which."""
    types = {column.name: column.type for column in table.columns}
    places = [f"v{number}" for number in range(len(names))]
    given = ", ".join(f"${number}::text[]" for number in range(1, len(names) + 1))
    cast = ", ".join(f"g.{place}::{_type(types[name])} AS {place}" for place, name in zip(places, names, strict=True))
    wanted = f"SELECT {cast}, g.n FROM unnest({given}) WITH ORDINALITY AS g({', '.join(places)}, n)"
    same = " AND ".join(f"x.{quote(name)} = w.{place}" for place, name in zip(places, names, strict=True))
    shown = columns("x", tuple(column.name for column in table.columns))
    return f"SELECT {shown}, w.n AS {quote(NUMBER)} FROM ({rows}) AS x JOIN ({wanted}) AS w ON {same}"


def _type(name: str) -> str:
    # A cast to a length cuts, and what is cut is another value.
    return "character varying" if name.startswith("character varying") else name
