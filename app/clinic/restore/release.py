"""What a release of the clinics' system has brought since a backup: tables and columns that the file lacks."""

from collections.abc import Iterable

import asyncpg

from app.clinic.catalogue.entries import Catalogue
from app.clinic.catalogue.sql import qualified
from app.clinic.reading.platform_statements import Statements
from app.clinic.restore.staged_tables import StagedTable, table_of
from app.dump.document import Header

# What a column of a new row holds where nobody says it; None where that is nothing.
DEFAULTS_SQL = """
SELECT a.attname, CASE WHEN a.attidentity <> '' THEN 'el número que sigue'
                       ELSE coalesce(pg_get_expr(d.adbin, d.adrelid), y.typdefault) END
FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1::text::regclass AND a.attname = ANY ($2::text[])
"""


async def unknown_tables(
    connection: asyncpg.Connection, catalogue: Catalogue, statements: Statements, header: Header
) -> dict[str, int]:
    """Tables of today that the file does not know, by model, and how many rows each has.

    Only the clinic's rows, or the platform's, as `statements` have them.
    """
    known = {table_of(model, header, catalogue) for model in header.models}
    return {
        entry.model: int(
            await connection.fetchval(f"SELECT count(*) FROM ({statements.owned(entry, ('ctid',))}) AS x")
        )
        for entry in statements.own_entries
        if entry.name not in known
    }


async def unknown_columns(connection: asyncpg.Connection, staged_tables: Iterable[StagedTable]) -> list[str]:
    """A sentence for each of these models whose table has columns that the file does not know."""
    said = {}
    for staged in staged_tables:
        if not staged.extra:
            continue
        names = [column.name for column in staged.extra]
        rows = await connection.fetch(DEFAULTS_SQL, qualified(staged.entry.table), names)
        defaults = {name: default for name, default in rows}
        given = (
            f"{column.name}: {defaults[column.name] or ('vacío' if column.nullable else 'no hay, y es obligatoria')}"
            for column in staged.extra
        )
        said[staged.entry.name] = (
            f"«{staged.model}»: columnas que el respaldo no conoce: {', '.join(names)}. Los registros que se corrigen"
            f" conservan lo que tienen en ellas; los que se agregan reciben el valor por omisión ({'; '.join(given)})"
        )
    return list(said.values())


def staying(rows: int) -> str:
    """So many rows, and that they stay, in words."""
    match rows:
        case 0:
            return "sin registros"
        case 1:
            return "1 registro, que se deja como está"
        case _:
            return f"{rows:,} registros, que se dejan como están"
