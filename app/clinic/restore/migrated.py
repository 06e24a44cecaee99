"""Whether the clinics' system was migrated after the restore had read its catalogue."""

from collections.abc import Sequence

import asyncpg

from app.clinic.catalogue.entries import Catalogue
from app.clinic.catalogue.introspection import CATALOGUE_SQL, TableName, parse
from app.clinic.catalogue.sql import qualified
from app.clinic.restore.constraints import CONSTRAINTS_SQL, Constraints, parse_constraints
from app.clinic.restore.difference import Difference
from app.errors import SchemaChanged


async def refuse_migrated(
    connection: asyncpg.Connection,
    difference: Difference,
    catalogue: Catalogue,
    constraints: Constraints,
    other_schemas: Sequence[str],
) -> None:
    """Keep migrations from the tables that are about to be written, and see that they are as they were.

    The lock is the one that writing them takes anyway. It keeps away whoever would alter such a table, and whoever
    would point a foreign key to it: where those are switched off, nobody else would look at that one. Tables that
    are only read are of no matter here, nor are new ones. Raises SchemaChanged, naming the table.
    """
    tables = [staged.entry.table for staged in difference.staged_tables if any(await difference.count(staged))]
    if not tables:
        return
    # In one order for all restores, so that none waits for another that waits for it.
    named = {table.name: qualified(table) for table in tables}
    locked = ", ".join(f"ONLY {named[name]}" for name in sorted(named))
    await connection.execute(f"LOCK TABLE {locked} IN ROW EXCLUSIVE MODE")
    text = await connection.fetchval(CATALOGUE_SQL, other_schemas)
    found = parse_constraints(await connection.fetchval(CONSTRAINTS_SQL, other_schemas))
    now = parse(text).tables if text != catalogue.text else {table.name: table for table in tables}
    for table in tables:
        if now.get(table.name) != table or _about(found, table.name) != _about(constraints, table.name):
            raise SchemaChanged(
                f"el esquema de la base de datos cambió mientras se restauraba («{table.name}», o lo que apunta"
                " a ella) y no se cambió nada; vuelva a intentarlo"
            )


def _about(constraints: Constraints, table: TableName) -> tuple[object, ...]:
    return constraints.of(table), set(constraints.of_child(table)), set(constraints.to(table))
