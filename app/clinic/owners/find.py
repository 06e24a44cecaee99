"""Finds whose the rows are, once for a moment of the database; every later statement goes by what was found."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
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
from app.clinic.owners.counts import TOGETHER, Count, in_order, in_parts, together
from app.clinic.reading.checks import COUNT_SECONDS, OnStep
from app.clinic.reading.platform_statements import PlatformStatements, Statements
from app.clinic.reading.statements import ClinicStatements, Foreign, Keys
from app.errors import DatabaseError

# Rows. Comparing a thousand with a thousand takes a tenth of a second.
LONG_LIST = 1000

# How long one statement may take. None can be left out, so each has what the lease allows without progress (seconds).
OWNERS_SECONDS = 300


async def find_owners(
    connection: asyncpg.Connection,
    catalogue: Catalogue,
    clinica_id: int | None,
    on_step: OnStep = lambda: None,
    *,
    references: bool = False,
) -> Statements:
    """The statements for one clinic, or for the platform, for this transaction and its rows as they are now.

    No statement takes longer than OWNERS_SECONDS, and `on_step` is called after each. It writes nothing, and so also
    works in a read-only transaction, or on a hot standby. What it finds holds as long as the rows do: in a
    transaction that sees other rows later on, it has to be asked again. `references` says that `find_references`
    comes next: then what is asked here of the rows is what it needs, and takes longer than without. Raises
    RuleFailed, and DatabaseError where a statement takes longer.
    """
    async with _limited(connection):
        narrow = narrowed(catalogue, await find_nulls(connection, catalogue, on_step))
        if clinica_id is None:
            return await _find_platforms(connection, narrow, on_step)
        statements = ClinicStatements(narrow, clinica_id)
        await _fill_own(connection, statements, on_step, doubting=False)
        if references:
            statements.foreign = await _count_foreign(connection, statements, statements.deciding_keys(), on_step)
            doubtful = any(statements.foreign.values())
        else:
            doubtful = any(await _ask(connection, statements.lead_elsewhere(), on_step))
        if doubtful:
            # What has been counted may be of rows that are not the clinic's.
            statements.foreign = {}
            await _fill_own(connection, statements, on_step, doubting=True)
        return statements


async def find_references(
    connection: asyncpg.Connection, statements: Statements, on_step: OnStep = lambda: None
) -> None:
    """Of what `find_owners` found, find the rows that belong into `referencias`, too; in the same transaction."""
    if isinstance(statements, ClinicStatements):
        async with _limited(connection):
            statements.keep_foreign(await _count_foreign(connection, statements, statements.nobodys_keys(), on_step))
            await _fill(connection, statements, statements.reference_lists, on_step)


@asynccontextmanager
async def _limited(connection: asyncpg.Connection) -> AsyncIterator[None]:
    await connection.execute(_limit(OWNERS_SECONDS))
    try:
        yield
    except asyncpg.QueryCanceledError as exc:
        raise DatabaseError(
            f"no se supo en {OWNERS_SECONDS:g} segundos de quién son los registros ({exc}); la orden `respaldos"
            " catalogo` dice qué índices faltan"
        ) from exc
    await connection.execute(_limit(0))


def _limit(seconds: float) -> str:
    return f"SET LOCAL statement_timeout = {round(seconds * 1000)}"


async def _fill_own(
    connection: asyncpg.Connection, statements: ClinicStatements, on_step: OnStep, *, doubting: bool
) -> None:
    await _fill(connection, statements, partial(statements.own_lists, doubting=doubting), on_step)
    sizes = statements.sizes()
    statements.keep_sizes(dict(zip(sizes, await _ask(connection, list(sizes.values()), on_step), strict=True)))


async def _fill(
    connection: asyncpg.Connection,
    statements: ClinicStatements,
    lists: Callable[[Collection[str]], Iterable[Listing]],
    on_step: OnStep,
) -> None:
    careful: set[str] = set()
    while listings := list(lists(careful)):
        # In as few round trips as can be, but a rule by itself, so that it can be named where it fails.
        for _, alike in groupby(listings, key=lambda listing: listing.rule):
            some = list(alike)
            with rule_errors(some[0]):
                await connection.execute(";\n".join([BY_HASH, *(listing.statement for listing in some), ANY_WAY]))
            on_step()
        asked = [listing.name for listing in listings if listing.name not in careful]
        doubtful = await _ask(connection, [statements.is_doubtful(name) for name in asked], on_step)
        again = {name for name, doubt in zip(asked, doubtful, strict=True) if doubt}
        if not again:
            return
        careful |= again


async def _count_foreign(
    connection: asyncpg.Connection, statements: ClinicStatements, keys: Keys, on_step: OnStep
) -> Foreign:
    """How many of the clinic's rows point by each of these keys to a row that is not its own."""
    counts = [
        Count(statements.count_foreign(statements.catalogue.entries[name], some), len(some))
        for name, some in keys.items()
    ]
    if statements.longest > LONG_LIST:
        # PostgreSQL expects ten rows of a list, however long it is, and compares each of them with every other. For a
        # short one that is quick, and without it the children of few rows would be looked for in the whole table.
        await connection.execute("SET LOCAL enable_nestloop = off")
        counted = await _count_together(connection, counts, on_step)
        await connection.execute("SET LOCAL enable_nestloop TO DEFAULT")
    else:
        counted = await _count_together(connection, counts, on_step)
    return {
        (name, key): rows
        for (name, some), counts in zip(keys.items(), counted, strict=True)
        for key, rows in zip(some, counts, strict=True)
    }


async def _count_together(
    connection: asyncpg.Connection, counts: Sequence[Count], on_step: OnStep
) -> list[list[int]]:
    """The counts of each, in few round trips; one by one where that takes longer than COUNT_SECONDS."""
    answers = []
    for some in in_parts(counts):
        await connection.execute(f"SAVEPOINT conteo; {_limit(COUNT_SECONDS)}")
        try:
            answers += in_order(await connection.fetch(together(some)))
            await connection.execute(f"RELEASE SAVEPOINT conteo; {_limit(OWNERS_SECONDS)}")
        except asyncpg.QueryCanceledError:
            # The limit is again what it was before it.
            await connection.execute("ROLLBACK TO SAVEPOINT conteo; RELEASE SAVEPOINT conteo")
            for one in some:
                on_step()
                answers += in_order(await connection.fetch(together([one])))
        on_step()
    return answers


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


async def find_nulls(
    connection: asyncpg.Connection, catalogue: Catalogue, on_step: OnStep = lambda: None
) -> dict[tuple[TableName, str], bool]:
    """Whether each nullable column that an owner may be found by holds a NULL now, of those of which it matters."""
    nulls: dict[tuple[TableName, str], bool] = {}
    while asked := sorted(undecided(catalogue, nulls)):
        # Without statistics PostgreSQL expects a NULL in every two hundred rows, and reads a table that has none to
        # its end, although an index would say so at once.
        await connection.execute("SET LOCAL enable_seqscan = off")
        answers = await _ask(connection, [_holds_null(catalogue, *each) for each in asked], on_step)
        await connection.execute("SET LOCAL enable_seqscan TO DEFAULT")
        nulls |= dict(zip(asked, answers, strict=True))
    return nulls


async def _ask(connection: asyncpg.Connection, questions: list[str], on_step: OnStep) -> list[Any]:
    answers: list[Any] = []
    for start in range(0, len(questions), TOGETHER):
        row = await connection.fetchrow(f"SELECT {', '.join(questions[start : start + TOGETHER])}")
        answers += row or ()
        on_step()
    return answers


def _holds_null(catalogue: Catalogue, table: TableName, column: str) -> str:
    return f"EXISTS (SELECT FROM {from_table(catalogue.entries[table].table)} AS x WHERE x.{quote(column)} IS NULL)"
