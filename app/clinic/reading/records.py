"""The SELECTs that print rows as the file's record lines."""

from app.clinic.catalogue.introspection import Column, Table
from app.clinic.catalogue.sql import literal, quote
from app.dump.document import JSON_NULL_KEY, Form

# What `with_lines` gives a record's line as. A table's own columns may be called anything, but nobody calls one so.
LINE = "respaldos$linea"

# How all names begin that a restore gives to columns of its own.
RESERVED = "respaldos$"

# PostgreSQL has no table of more than 1,600, and a restore gives a clinic's rows of today three of its own.
MOST_COLUMNS = 1_600 - 3


def record_lines(table: Table, rows: str) -> str:
    """The rows of a query over all the table's columns as record lines, in the file's order (docs/format.md)."""
    row = _alias(table)
    values = ", ".join(_value(column) for column in table.columns)
    read = f"SELECT {values} FROM ({rows}) AS q"
    line = _line(table, row)
    if not table.key:
        return f'SELECT line FROM (SELECT {line} AS line FROM ({read}) AS {row}) AS l ORDER BY line COLLATE "C"'
    collated = {column.name for column in table.columns if column.collated}
    order = ", ".join(f"q.{quote(name)}" + (' COLLATE "C"' if name in collated else "") for name in table.key)
    # The sort stays below the JSON: sorting the finished lines would carry them through temporary files.
    return f"SELECT {line} FROM ({read} ORDER BY {order}) AS {row}"


def with_lines(table: Table, rows: str, *carried: str) -> str:
    """For each row of a query over all the table's columns, those it carries beside them, and its line as LINE."""
    row = _alias(table)
    values = ", ".join(_value(column) for column in table.columns)
    beside = "".join(f"q.{quote(name)}, " for name in carried)
    return (
        f"SELECT {beside}l.{quote(LINE)} FROM ({rows}) AS q"
        f" CROSS JOIN LATERAL (SELECT {_line(table, row)} AS {quote(LINE)} FROM (SELECT {values}) AS {row}) AS l"
    )


def _alias(table: Table) -> str:
    """A name for a whole row that none of its columns has."""
    row = "r"
    while table.column(row) is not None:
        row += "_"
    return row


def _line(table: Table, row: str) -> str:
    documents = [column for column in table.columns if column.form is Form.JSONB]
    if not documents:
        return f"row_to_json({row})::text"
    is_null = {column: f"{row}.{quote(column.name)} = 'null'::jsonb" for column in documents}
    names = ", ".join(f"CASE WHEN {test} THEN {literal(c.name)} END" for c, test in is_null.items())
    return (
        f"CASE WHEN {' OR '.join(is_null.values())} THEN left(row_to_json({row})::text, -1)"
        f" || ',\"{JSON_NULL_KEY}\":' || array_to_json(array_remove(ARRAY[{names}], NULL))::text || '}}'"
        f" ELSE row_to_json({row})::text END"
    )


def _value(column: Column) -> str:
    name = quote(column.name)
    return f"q.{name}::text AS {name}" if column.form is Form.TEXT else f"q.{name}"
