"""What is counted so that nothing is left out in silence: rows of nobody, and rows that point to another clinic."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import asyncpg

from app.clinic.catalogue.entries import ByForeignKey, Catalogue, Entry, TableClass, WholeTable
from app.clinic.catalogue.introspection import ForeignKey, TableName
from app.clinic.catalogue.ownership import ANY_WAY, BY_HASH, Listing, rule_errors, stray_keys
from app.clinic.catalogue.sql import from_table
from app.clinic.owners.all_clinics import AllOwners
from app.clinic.owners.counts import Count, in_order, in_parts, together
from app.clinic.reading.records import MOST_COLUMNS, RESERVED
from app.clinic.reading.statements import ClinicStatements

OnStep = Callable[[], None]

# How long one count may hold up a backup. A fifth of what the lease allows without progress: rows may be lost by
# a backup that is not made, and none by a check that `respaldos catalogo` makes as well (seconds).
COUNT_SECONDS = 60

# Where PostgreSQL has a row for each large object, which every role may read.
LARGE_OBJECTS = TableName("pg_catalog", "pg_largeobject_metadata")


@dataclass(frozen=True, slots=True)
class CrossTenantReference:
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


@dataclass(frozen=True, slots=True)
class LargeObjects(Unowned):
    """PostgreSQL's large objects: they belong to the database, so no clinic owns one and no backup has it."""

    def __str__(self) -> str:
        return f"objetos grandes de PostgreSQL (pg_largeobject), que no están en ningún respaldo: {self.rows:,}"


@dataclass(frozen=True, slots=True)
class Lost:
    """Rows of an owned table that should be in a backup and are not."""

    table: TableName
    reason: str
    rows: int

    @classmethod
    def of(cls, entry: Entry, rows: int) -> Self:
        """Of the table, with the reason why there may be any."""
        if entry.overruled is not None:
            return cls(entry.name, f"su {entry.overruled} dice que lo son y OWNERSHIP_RULES dice que no", rows)
        ways = [way.foreign_key for way in entry.candidates if isinstance(way, ByForeignKey)]
        nowhere = " y ".join(f"su {', '.join(fk.columns)} apunta a un registro de {fk.target}" for fk in ways)
        return cls(entry.name, f"{nowhere} que no existe", rows)

    def __str__(self) -> str:
        return f"{self.table}: registros que no están en el respaldo, porque {self.reason}: {self.rows:,}"


class Check(StrEnum):
    """What a table is searched for, in the words of Unchecked."""

    UNOWNED = "registros que no son de ninguna clínica"
    CROSS_TENANT = "registros que apuntan a otra clínica"
    FILES = "archivos que ningún respaldo tiene"
    LOST = "registros que deberían estar en el respaldo y no están"


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A table whose rows could not be counted within `seconds`."""

    table: TableName
    check: Check
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.table}: no se pudo comprobar en {self.seconds:g} segundos si hay {self.check};"
            " la orden `respaldos catalogo` lo comprueba sin límite de tiempo"
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be counted, of which table and what for."""

    table: TableName
    check: Check
    count: Count


class Counter:
    """Asks a connection for counts, within its `async with` block. `on_step` is called after each answer.

    With `seconds`, each may take as long at most, and the connection has to be in a transaction, which survives one
    that takes longer: a small clinic's backup is made of round trips, so these have one savepoint in common.
    """

    def __init__(
        self, connection: asyncpg.Connection, *, seconds: float | None = None, on_step: OnStep | None = None
    ) -> None:
        self._connection = connection
        self._seconds = seconds
        self._on_step = on_step
        self.unchecked: list[Unchecked] = []

    async def __aenter__(self) -> Self:
        if self._seconds is not None:
            milliseconds = max(1, round(self._seconds * 1000))
            # In this order: rolling back to the savepoint keeps what was set before it.
            await self._connection.execute(f"SET LOCAL statement_timeout = {milliseconds}; SAVEPOINT conteo")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        # After an error the transaction is of no more use.
        if self._seconds is not None and kind is None:
            await self._connection.execute("RELEASE SAVEPOINT conteo; SET LOCAL statement_timeout = 0")

    async def ask(self, table: TableName, check: Check, statement: str) -> Any:
        """The statement's one value, or None where it took too long; then `unchecked` says so, once for a table."""
        rows = await self._rows(statement)
        if rows is not None:
            return rows[0][0]
        self.leave(table, check)
        return None

    def leave(self, table: TableName, check: Check) -> None:
        """Say, once for a table, that it has not been checked."""
        unchecked = Unchecked(table, check, self._seconds or 0)
        if unchecked not in self.unchecked:
            self.unchecked.append(unchecked)

    async def keep(self, listing: Listing) -> bool:
        """Whether the listing, which later statements need, ended in time. Raises RuleFailed."""
        await self._connection.execute(BY_HASH)
        with rule_errors(listing):
            if await self._rows(listing.statement) is None:
                return False
        await self._connection.execute(ANY_WAY)
        if self._seconds is not None:
            # What is set by now outlives the next one that takes too long.
            await self._connection.execute("SAVEPOINT conteo")
        return True

    async def ask_together(self, asked: Sequence[Asked]) -> list[list[int] | None]:
        """The counts that each gives, in few round trips; one by one where that takes too long."""
        answers: list[list[int] | None] = []
        rest = iter(asked)
        for counts in in_parts([one.count for one in asked]):
            some = [next(rest) for _ in counts]
            if (rows := await self._rows(together(counts))) is not None:
                answers += in_order(rows)
                continue
            for one in some:
                if (alone := await self._rows(together([one.count]))) is None:
                    self.leave(one.table, one.check)
                answers.append(in_order(alone)[0] if alone is not None else None)
        return answers

    async def _rows(self, statement: str) -> list[asyncpg.Record] | None:
        try:
            return list(await self._connection.fetch(statement))
        except (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError):
            if self._seconds is None:
                raise
            # A rule may read a table that somebody has locked.
            await self._connection.execute("ROLLBACK TO SAVEPOINT conteo")
            return None
        finally:
            if self._on_step is not None:
                self._on_step()


def unclassified(catalogue: Catalogue, *, platform: bool = False) -> list[str]:
    """A sentence for each table, and each foreign key, that backups leave out of account until somebody says more.

    The `platform`'s leave out no table of this database, since what nobody has classified is its.
    """
    tables = [
        f"{entry.name}: tabla sin clasificar, no está en el respaldo (use OWNERSHIP_RULES o EXCLUDE_TABLES)"
        for entry in catalogue.of_class(TableClass.UNCLASSIFIED)
        if entry.name not in catalogue.problems
    ]
    problems = [f"{problem}; la tabla no está en el respaldo" for problem in catalogue.problems.values()]
    foreign_tables = [
        f"{name}: tabla externa, sus registros son de otro servidor y no están en el respaldo"
        " (si así debe ser, nómbrela en EXCLUDE_TABLES)"
        for name in catalogue.foreign_tables
    ]
    foreign_keys = [
        f"{entry.name}: su {', '.join(key.columns)} apunta a una sola partición, {key.target}, donde no se puede"
        " seguir (si de ahí viene el dueño, dígalo en OWNERSHIP_RULES)"
        for entry in catalogue.entries.values()
        if entry.kind not in {TableClass.EXCLUDED, TableClass.MIGRATIONS}
        for key in entry.table.foreign_keys
        if key.to_one_partition
    ]
    guessed = [
        f"{name}: por su nombre se toma por una tabla con que se ingresa, y sus registros no son de ninguna clínica"
        f" (si son datos, póngala en ACCESS_TABLES como -{name}; si no, como {name})"
        for name in catalogue.guessed
    ]
    reserved = [
        f"{entry.name}: tiene una columna «{column.name}», nombre reservado: este respaldo no se podrá restaurar"
        " mientras la tenga"
        for entry in catalogue.entries.values()
        if entry.recorded
        for column in (*entry.table.columns, *entry.table.generated)
        if column.name.startswith(RESERVED)
    ] + [
        f"{entry.name}: tiene {len(entry.table.columns):,} columnas, y con más de {MOST_COLUMNS:,} este respaldo no"
        " se podrá restaurar"
        for entry in catalogue.entries.values()
        if entry.recorded and len(entry.table.columns) > MOST_COLUMNS
    ]
    return (
        [*reserved, *foreign_tables]
        if platform
        else [*reserved, *problems, *tables, *guessed, *foreign_tables, *foreign_keys]
    )


class AllOwnersCounts:
    """Counts over the whole database, in one transaction, of whose rows they are; `catalogue` is a narrowed one."""

    def __init__(self, counter: Counter, catalogue: Catalogue) -> None:
        self._counter = counter
        self._catalogue = catalogue
        self._owners = AllOwners(catalogue)
        self._unlisted: set[TableName] | None = None

    async def unowned(self) -> list[Unowned]:
        """What no clinic owns, or one that does not exist: rows by table, and large objects."""
        owned = self._catalogue.of_class(TableClass.OWNED)
        missing = False
        for entry in owned:
            doubt = self._owners.names_no_clinic(entry)
            # Only then can rows be lost that have an owner; to look for them in every table is slow.
            missing = missing or (doubt is not None and await self._ask(entry, Check.UNOWNED, doubt) is True)
        count = self._owners.count_without_clinic if missing else self._owners.count_unowned
        counts = [
            Unowned(entry.name, await self._ask(entry, Check.UNOWNED, count(entry)) or 0)
            for entry in owned
            if not isinstance(entry.candidates[0], WholeTable) and (missing or not entry.definite)
        ]
        return [*(count for count in counts if count.rows), *await count_large_objects(self._counter)]

    async def cross_tenant(self) -> list[CrossTenantReference]:
        """The foreign keys by which rows point into another clinic."""
        counts = [
            CrossTenantReference(
                entry.name,
                key,
                await self._ask(entry, Check.CROSS_TENANT, self._owners.count_cross_tenant(entry, key), key) or 0,
            )
            for entry in self._catalogue.of_class(TableClass.OWNED)
            for key in stray_keys(self._catalogue, entry)
        ]
        return [count for count in counts if count.rows]

    async def _ask(self, entry: Entry, check: Check, statement: str, key: ForeignKey | None = None) -> Any:
        if self._unlisted is None:
            self._unlisted = set()
            for group, listing in self._owners.lists():
                before = set().union(*(self._owners.depends_on(self._catalogue.entries[name]) for name in group))
                if before & self._unlisted or not await self._counter.keep(listing):
                    self._unlisted |= group
        needed = self._owners.depends_on(entry)
        if key is not None:
            needed |= self._owners.depends_on(self._catalogue.entries[key.target])
        if needed & self._unlisted:
            self._counter.leave(entry.name, check)
            return None
        return await self._counter.ask(entry.name, check, statement)


async def count_large_objects(counter: Counter) -> list[Unowned]:
    """PostgreSQL's large objects, where there are any."""
    objects = await counter.ask(LARGE_OBJECTS, Check.UNOWNED, "SELECT count(*) FROM pg_largeobject_metadata")
    return [LargeObjects(LARGE_OBJECTS, objects)] if objects else []


async def count_cross_tenant_references(counter: Counter, statements: ClinicStatements) -> list[CrossTenantReference]:
    """The foreign keys by which one clinic's own rows point into another clinic."""
    keys = {entry: list(stray_keys(statements.catalogue, entry)) for entry in statements.own_entries}
    foreign = dict(statements.foreign)
    asked = {e: some for e, every in keys.items() if (some := [k for k in every if (e.name, k) not in foreign])}
    answers = await counter.ask_together(
        [
            Asked(entry.name, Check.CROSS_TENANT, Count(statements.count_foreign(entry, some), len(some)))
            for entry, some in asked.items()
        ]
    )
    for (entry, some), counts in zip(asked.items(), answers, strict=True):
        if counts is not None:
            foreign |= {(entry.name, key): rows for key, rows in zip(some, counts, strict=True)}
    found = [
        CrossTenantReference(
            e.name, key, await counter.ask(e.name, Check.CROSS_TENANT, statements.count_cross_tenant(e, key)) or 0
        )
        for e, every in keys.items()
        for key in every
        if foreign.get((e.name, key))
    ]
    return [reference for reference in found if reference.rows]


async def count_lost(counter: Counter, statements: ClinicStatements | AllOwners, catalogue: Catalogue) -> list[Lost]:
    """Rows that should be in the clinic's file and are not, or, of all owners, that can be in no clinic's."""
    asked = [
        (entry, statement)
        for entry in catalogue.of_class(TableClass.OWNED)
        if (statement := statements.count_lost(entry)) is not None
    ]
    answers = await counter.ask_together(
        [Asked(entry.name, Check.LOST, Count(statement, 1)) for entry, statement in asked]
    )
    return [Lost.of(entry, rows[0]) for (entry, _), rows in zip(asked, answers, strict=True) if rows and rows[0]]


async def count_rows(connection: asyncpg.Connection, catalogue: Catalogue) -> dict[TableName, int | None]:
    """Each table's number of rows, whoever owns them; None where this role may not read the table."""
    return {
        entry.name: await connection.fetchval(f"SELECT count(*) FROM {from_table(entry.table)}")
        if entry.table.readable
        else None
        for entry in catalogue.entries.values()
    }
