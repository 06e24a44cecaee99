"""Finds whose the rows are, once for a moment of the database; every later statement goes by what was found."""

from collections.abc import Callable, Collection, Iterable
from functools import partial
from itertools import groupby
from typing import Any

import asyncpg

from app.clinic.catalogue.classification import narrowed, undecided
from app.clinic.catalogue.entries import Catalogue, TableClass
from app.clinic.catalogue.introspection import TableName
from app.clinic.catalogue.ownership import ANY_WAY, BY_HASH, Listing, rule_errors
from app.clinic.catalogue.sql import from_table, quote
from app.clinic.owners.all_clinics import AllOwners
from app.clinic.owners.counts import TOGETHER, Count, count_together
from app.clinic.reading.checks import OnStep
from app.clinic.reading.platform_statements import PlatformStatements, Statements
from app.clinic.reading.statements import ClinicStatements, Foreign, Keys

# Rows. Comparing a thousand with a thousand takes a tenth of a second.
LONG_LIST = 1000


async def find_owners(
    connection: asyncpg.Connection, catalogue: Catalogue, clinica_id: int | None, on_step: OnStep | None = None
) -> Statements:
    """The statements for one clinic, or for the platform, for this transaction and its rows as they are now.

    It writes nothing, and so also works in a read-only transaction, or on a hot standby. What it finds holds as long
    as the rows do: in a transaction that sees other rows later on, it has to be asked again. Raises RuleFailed.

    For the platform every clinic's rows are looked at: `on_step` is called after each table.
    """
    narrow = narrowed(catalogue, await find_nulls(connection, catalogue))
    if clinica_id is None:
        return await _find_platforms(connection, narrow, on_step or (lambda: None))
    statements = ClinicStatements(narrow, clinica_id)
    await _fill_own(connection, statements, doubting=False)
    if any(statements.foreign.values()):
        await _fill_own(connection, statements, doubting=True)
    return statements


async def find_references(connection: asyncpg.Connection, statements: Statements) -> None:
    """Of what `find_owners` found, find the rows that belong into `referencias`, too; in the same transaction."""
    if isinstance(statements, ClinicStatements):
        statements.keep_foreign(await _count_foreign(connection, statements, statements.nobodys_keys()))
        await _fill(connection, statements, statements.reference_lists)


async def _fill_own(connection: asyncpg.Connection, statements: ClinicStatements, *, doubting: bool) -> None:
    await _fill(connection, statements, partial(statements.own_lists, doubting=doubting))
    sizes = statements.sizes()
    statements.keep_sizes(dict(zip(sizes, await _ask(connection, list(sizes.values())), strict=True)))
    statements.foreign = await _count_foreign(connection, statements, statements.deciding_keys())


async def _fill(
    connection: asyncpg.Connection,
    statements: ClinicStatements,
    lists: Callable[[Collection[str]], Iterable[Listing]],
) -> None:
    careful: set[str] = set()
    while listings := list(lists(careful)):
        # In as few round trips as can be, but a rule by itself, so that it can be named where it fails.
        for _, together in groupby(listings, key=lambda listing: listing.rule):
            some = list(together)
            with rule_errors(some[0]):
                await connection.execute(";\n".join([BY_HASH, *(listing.statement for listing in some), ANY_WAY]))
        asked = [listing.name for listing in listings if listing.name not in careful]
        doubtful = await _ask(connection, [statements.is_doubtful(name) for name in asked])
        again = {name for name, doubt in zip(asked, doubtful, strict=True) if doubt}
        if not again:
            return
        careful |= again


async def _count_foreign(connection: asyncpg.Connection, statements: ClinicStatements, keys: Keys) -> Foreign:
    """How many of the clinic's rows point by each of these keys to a row that is not its own."""
    counts = [
        Count(statements.count_foreign(statements.catalogue.entries[name], some), len(some))
        for name, some in keys.items()
    ]
    if statements.longest > LONG_LIST:
        # PostgreSQL expects ten rows of a list, however long it is, and compares each of them with every other. For a
        # short one that is quick, and without it the children of few rows would be looked for in the whole table.
        await connection.execute("SET LOCAL enable_nestloop = off")
        counted = await count_together(connection, counts)
        await connection.execute("SET LOCAL enable_nestloop TO DEFAULT")
    else:
        counted = await count_together(connection, counts)
    return {
        (name, key): rows
        for (name, some), counts in zip(keys.items(), counted, strict=True)
        for key, rows in zip(some, counts, strict=True)
    }


async def _find_platforms(connection: asyncpg.Connection, narrow: Catalogue, on_step: OnStep) -> PlatformStatements:
    owners = AllOwners(narrow)
    for _, listing in owners.lists():
        with rule_errors(listing):
            await connection.execute(f"{BY_HASH};\n{listing.statement};\n{ANY_WAY}")
        on_step()
    # The entry of the shared schema is no clinic, and rows may be its.
    missing = narrow.schema_column is not None
    for entry in narrow.of_class(TableClass.OWNED):
        doubt = owners.names_no_clinic(entry)
        missing = missing or (doubt is not None and await connection.fetchval(doubt))
        on_step()
    return PlatformStatements(narrow, owners, missing=missing)


async def find_nulls(connection: asyncpg.Connection, catalogue: Catalogue) -> dict[tuple[TableName, str], bool]:
    """Whether each nullable column that an owner may be found by holds a NULL now, of those of which it matters."""
    nulls: dict[tuple[TableName, str], bool] = {}
    while asked := sorted(undecided(catalogue, nulls)):
        # Without statistics PostgreSQL expects a NULL in every two hundred rows, and reads a table that has none to
        # its end, although an index would say so at once.
        await connection.execute("SET LOCAL enable_seqscan = off")
        answers = await _ask(connection, [_holds_null(catalogue, table, column) for table, column in asked])
        await connection.execute("SET LOCAL enable_seqscan TO DEFAULT")
        nulls |= dict(zip(asked, answers, strict=True))
    return nulls


async def _ask(connection: asyncpg.Connection, questions: list[str]) -> list[Any]:
    answers: list[Any] = []
    for start in range(0, len(questions), TOGETHER):
        row = await connection.fetchrow(f"SELECT {', '.join(questions[start : start + TOGETHER])}")
        answers += row or ()
    return answers


def _holds_null(catalogue: Catalogue, table: TableName, column: str) -> str:
    return f"EXISTS (SELECT FROM {from_table(catalogue.entries[table].table)} AS x WHERE x.{quote(column)} IS NULL)"
