"""Single records of today, found by the values of a key."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from typing import NamedTuple, TypeAlias

import asyncpg

from app.clinic.catalogue.base_types import base_types
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


# What a file has may be no value of the column any more, or none that its domain takes; not every type can be
# compared.
_NO_VALUE = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
_NO_EQUALITY = (asyncpg.UndefinedFunctionError, asyncpg.AmbiguousFunctionError)


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
    types = await base_types(connection, table, lookups[0].columns)
    statement = with_lines(table, _matching(table, rows, types), NUMBER)
    open_ = [lookups]
    lines: dict[Lookup, str] = {}
    while open_:
        some = open_.pop()
        values = [list(each) for each in zip(*(lookup.values for lookup in some), strict=True)]
        try:
            async with _tried(connection):
                found = await connection.fetch(statement, *values)
        except _NO_EQUALITY:
            return {}
        except _NO_VALUE:
            half = len(some) // 2
            open_ += [some[:half], some[half:]] if half else []
        else:
            lines |= {some[number - 1]: line for number, line in found}
    return lines


async def pointing(
    connection: asyncpg.Connection, statements: Statements, lookups: Sequence[Lookup], *, limit: int
) -> tuple[int, list[str]]:
    """How many records have the values of one or more of these, and the lines of the first; all are of one table."""
    entry = statements.catalogue.entries[lookups[0].table]
    names = tuple(dict.fromkeys(name for lookup in lookups for name in lookup.columns))
    rows = _rows(statements, entry, names)
    if rows is None:
        return 0, []
    table = statements.described(entry)
    types = await base_types(connection, table, names)
    values: list[str] = []
    either = []
    for lookup in lookups:
        same = []
        for name, value in zip(lookup.columns, lookup.values, strict=True):
            values.append(value)
            same.append(f"x.{quote(name)} = ${len(values)}::text::{types[name]}")
        either.append(f"({' AND '.join(same)})")
    matching = f"SELECT x.* FROM ({rows}) AS x WHERE {' OR '.join(either)}"
    order = ", ".join(f"r.{quote(name)}" for name in table.key) or "1"
    some = f"SELECT r.* FROM ({matching}) AS r ORDER BY {order} LIMIT {limit}"
    try:
        async with _tried(connection):
            count: int = await connection.fetchval(f"SELECT count(*) FROM ({matching}) AS r", *values)
            lines = await connection.fetch(with_lines(table, some), *values) if count else []
    except (*_NO_VALUE, *_NO_EQUALITY):
        return 0, []
    return count, [line for (line,) in lines]


@asynccontextmanager
async def _tried(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """What PostgreSQL refuses in it is undone and raised, and the transaction goes on."""
    await connection.execute("SAVEPOINT busqueda")
    try:
        yield
    except asyncpg.PostgresError:
        await connection.execute("ROLLBACK TO busqueda; RELEASE busqueda")
        raise
    await connection.execute("RELEASE busqueda")


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


def _matching(table: Table, rows: str, types: Mapping[str, str]) -> str:
    """Those of the rows that have one of the values given as arrays of text; NUMBER says which."""
    places = [f"v{number}" for number in range(len(types))]
    given = ", ".join(f"${number}::text[]" for number in range(1, len(types) + 1))
    cast = ", ".join(f"g.{place}::{type_} AS {place}" for place, type_ in zip(places, types.values(), strict=True))
    wanted = f"SELECT {cast}, g.n FROM unnest({given}) WITH ORDINALITY AS g({', '.join(places)}, n)"
    same = " AND ".join(f"x.{quote(name)} = w.{place}" for place, name in zip(places, types, strict=True))
    shown = columns("x", tuple(column.name for column in table.columns))
    return f"SELECT {shown}, w.n AS {quote(NUMBER)} FROM ({rows}) AS x JOIN ({wanted}) AS w ON {same}"
