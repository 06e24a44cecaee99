"""What is counted so that nothing is left out in silence: rows without owner, and rows that point astray."""

from dataclasses import dataclass

import asyncpg

from app.clinic.catalogue import Catalogue, TableClass, WholeTable
from app.clinic.introspection import ForeignKey, TableName
from app.clinic.ownership import Ownership, stray_keys
from app.clinic.sql import from_table


@dataclass(frozen=True, slots=True)
class Stray:
    """Rows of a table that point, by a foreign key, to rows of another clinic."""

    table: TableName
    foreign_key: ForeignKey
    rows: int

    def __str__(self) -> str:
        return (
            f"{self.table}: registros cuyo {', '.join(self.foreign_key.columns)} apunta"
            f" a {self.foreign_key.target} de otra clínica: {self.rows:,}"
            f" (si {self.foreign_key.target} es de todas, dígalo en OWNERSHIP_RULES)"
        )


@dataclass(frozen=True, slots=True)
class Unowned:
    """Rows of an owned table that no clinic owns."""

    table: TableName
    rows: int

    def __str__(self) -> str:
        return f"{self.table}: registros que no son de ninguna clínica: {self.rows:,}"


def unclassified(catalogue: Catalogue) -> list[str]:
    """A sentence for each table of which nobody has said whose it is."""
    return [
        f"{entry.name}: tabla sin clasificar, no está en el respaldo (use OWNERSHIP_RULES o EXCLUDE_TABLES)"
        for entry in catalogue.of_class(TableClass.UNCLASSIFIED)
    ]


async def count_unowned(connection: asyncpg.Connection, catalogue: Catalogue) -> list[Unowned]:
    """The tables with rows that no clinic owns, or one that does not exist, over the whole database."""
    ownership = Ownership(catalogue)
    owned = catalogue.of_class(TableClass.OWNED)
    doubts = [statement for entry in owned if (statement := ownership.names_no_clinic(entry)) is not None]
    # Only then can rows be lost that have an owner; to look for them in every table is slow.
    missing = any([await connection.fetchval(statement) for statement in doubts])
    count = ownership.count_without_clinic if missing else ownership.count_unowned
    counts = [
        Unowned(entry.name, await connection.fetchval(count(entry)))
        for entry in owned
        if not isinstance(entry.candidates[0], WholeTable) and (missing or not entry.definite)
    ]
    return [count for count in counts if count.rows]


async def count_strays(connection: asyncpg.Connection, catalogue: Catalogue) -> list[Stray]:
    """The foreign keys by which rows point into another clinic, over the whole database."""
    ownership = Ownership(catalogue)
    counts = [
        Stray(entry.name, key, await connection.fetchval(ownership.count_strays(entry, key)))
        for entry in catalogue.of_class(TableClass.OWNED)
        for key in stray_keys(catalogue, entry)
    ]
    return [count for count in counts if count.rows]


async def count_rows(connection: asyncpg.Connection, catalogue: Catalogue) -> dict[TableName, int | None]:
    """Each table's number of rows, whoever owns them; None where this role may not read the table."""
    return {
        entry.name: await connection.fetchval(f"SELECT count(*) FROM {from_table(entry.table)}")
        if entry.table.readable
        else None
        for entry in catalogue.entries.values()
    }
