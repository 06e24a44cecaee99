"""Makes a file's lines anew for columns that have another type today, where nothing of a value is lost by it."""

from collections.abc import Sequence
from dataclasses import replace

import asyncpg

from app.clinic.catalogue.introspection import Column, Table
from app.clinic.catalogue.sql import columns, literal, quote
from app.clinic.reading.records import LINE, with_lines
from app.clinic.restore.naming import named_keys
from app.clinic.restore.staged_tables import AT, StagedTable, typed_rows
from app.dump.document import JSON_NULL_KEY, Form
from app.errors import SchemaDiffers

OTHER_MODELS = "Restaure los otros modelos (--modelos)"


async def convert_lines(connection: asyncpg.Connection, staged: StagedTable) -> None:
    """Have the model's lines in `stage` be as today's types print them; the file has been verified by then.

    Raises SchemaDiffers where a value would not come back as it was, or today's type does not take it.
    """
    if not staged.cast:
        return
    was = {column.name: column for column in staged.cast}
    today = {column.name: column for column in staged.table.columns}
    changed = ", ".join(f"«{name}» era {column.type} y hoy es {today[name].type}" for name, column in was.items())
    read = replace(
        staged,
        table=replace(
            staged.table,
            columns=tuple(replace(c, form=was[c.name].form if c.name in was else c.form) for c in today.values()),
        ),
    )
    lines = f"SELECT ctid AS {quote(AT)}, {quote(LINE)} FROM {staged.stage}"
    typed = (
        f"SELECT y.*, s.{quote(LINE)} FROM ({typed_rows(read, lines)}) AS y"
        f" JOIN {staged.stage} AS s ON s.ctid = y.{quote(AT)}"
    )
    there = await connection.fetch(
        "SELECT t.name FROM unnest($1::text[]) AS t(name) WHERE to_regtype(t.name) IS NOT NULL",
        [column.type for column in was.values()],
    )
    types = {name for (name,) in there}
    lost = [
        f"{_written(column)} IS DISTINCT FROM {_printed(column, today[column.name], known=column.type in types)}"
        for column in was.values()
        # What a document loses as jsonb (blanks, the order of names) it has lost in every row that is there.
        if not (column.type == "json" and today[column.name].type == "jsonb")
    ]
    # A column that a line lacks would be NULL in both.
    named = ", ".join(literal(name) for name in staged.names)
    lost.append(
        f"ARRAY(SELECT k.name FROM json_object_keys(l.{quote(LINE)}::json) AS k(name)"
        f" WHERE k.name <> {literal(JSON_NULL_KEY)}) <> ARRAY[{named}]::text[]"
    )
    try:
        if found := await named_keys(
            connection,
            staged.key or staged.names,
            f"SELECT {columns('l', staged.names)} FROM ({typed}) AS l WHERE {' OR '.join(lost)}",
        ):
            raise SchemaDiffers(
                f"«{staged.model}»: {changed}, y estos registros perderían algo: {found}. {OTHER_MODELS}"
            )
        await _print_anew(connection, read, staged.table)
    except (asyncpg.DataError, asyncpg.CannotCoerceError, asyncpg.UndefinedFunctionError) as exc:
        raise SchemaDiffers(
            f"«{staged.model}»: {changed}, que no admite un valor del respaldo: {exc}. {OTHER_MODELS}"
        ) from exc


async def keep_columns(connection: asyncpg.Connection, staged: StagedTable, names: Sequence[str]) -> StagedTable:
    """The model with none but these of its columns, in this order, and so its lines in `stage`."""
    by_name = {column.name: column for column in staged.table.columns}
    table = replace(staged.table, columns=tuple(by_name[name] for name in names))
    kept = replace(staged, table=table, key=staged.key if set(staged.key) <= set(names) else ())
    await _print_anew(connection, kept, table)
    return kept


async def _print_anew(connection: asyncpg.Connection, read: StagedTable, table: Table) -> None:
    """Have each line in `stage` be what `table` prints of the values that `read` finds in it."""
    lines = f"SELECT ctid AS {quote(AT)}, {quote(LINE)} FROM {read.stage}"
    anew = with_lines(table, f"SELECT y.* FROM ({typed_rows(read, lines)}) AS y", AT)
    await connection.execute(
        f"UPDATE {read.stage} AS s SET {quote(LINE)} = x.{quote(LINE)} FROM ({anew}) AS x"
        f" WHERE s.ctid = x.{quote(AT)}"
    )


def _written(was: Column) -> str:
    """The value in the file's line of the row `l`, as `_printed` gives it."""
    value = f"(l.{quote(LINE)}::json {{}} {literal(was.name)})"
    return f"{value.format('->')}::text" if was.form is Form.JSONB else value.format("->>")


def _printed(was: Column, now: Column, *, known: bool) -> str:
    """The value of the row `l` as the file's type prints it, where there is that type, else as today's does."""
    value, form = f"l.{quote(was.name)}", now.form
    if known:
        value, form = f"({value}::{was.type})", was.form
    printed = f"to_json({value}) #>> '{{}}'" if form is Form.SCALAR else f"{value}::text"
    return f"coalesce({printed}, 'null')" if was.form is Form.JSONB else printed
