"""What is counted so that nothing is left out in silence: rows without owner, and rows that point astray."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import asyncpg

from app.clinic.catalogue import Catalogue, TableClass, WholeTable
from app.clinic.introspection import ForeignKey, TableName
from app.clinic.ownership import Ownership, stray_keys
from app.clinic.sql import from_table
from app.clinic.statements import ClinicStatements

OnStep = Callable[[], None]

# How long one count may hold up a backup. A fifth of what the lease allows without progress: rows may be lost by
# a backup that is not made, and none by a check that `respaldos catalogo` makes as well (seconds).
COUNT_SECONDS = 60

# How many counts are asked for at once: a small clinic's backup is made of round trips. PostgreSQL's rows have 1,664
# columns at most.
_TOGETHER = 100

# Where PostgreSQL has a row for each large object, which every role may read.
LARGE_OBJECTS = TableName("pg_catalog", "pg_largeobject_metadata")


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


@dataclass(frozen=True, slots=True)
class LargeObjects(Unowned):
    """PostgreSQL's large objects: they belong to the database, so no clinic owns one and no backup has it."""

    def __str__(self) -> str:
        return f"objetos grandes de PostgreSQL (pg_largeobject), que no están en ningún respaldo: {self.rows:,}"


class Check(StrEnum):
    """What a table is searched for, in the words of Unchecked."""

    UNOWNED = "registros que no son de ninguna clínica"
    STRAY = "registros que apuntan a otra clínica"
    FILES = "archivos que ningún respaldo tiene"


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
        answers = await self._answers(statement)
        if answers is not None:
            return answers[0]
        unchecked = Unchecked(table, check, self._seconds or 0)
        if unchecked not in self.unchecked:
            self.unchecked.append(unchecked)
        return None

    async def ask_together(self, asked: Sequence[tuple[TableName, Check, str]]) -> list[Any]:
        """What `ask` answers to each, in one round trip; each is asked for itself where that takes too long."""
        answers: list[Any] = []
        for start in range(0, len(asked), _TOGETHER):
            some = asked[start : start + _TOGETHER]
            together = await self._answers(f"SELECT {', '.join(f'({statement})' for _, _, statement in some)}")
            answers += [await self.ask(*one) for one in some] if together is None else together
        return answers

    async def _answers(self, statement: str) -> Sequence[Any] | None:
        try:
            (row,) = await self._connection.fetch(statement)
        except (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError):
            if self._seconds is None:
                raise
            # A rule may read a table that somebody has locked.
            await self._connection.execute("ROLLBACK TO SAVEPOINT conteo")
            return None
        finally:
            if self._on_step is not None:
                self._on_step()
        return tuple(row)


def unclassified(catalogue: Catalogue) -> list[str]:
    """A sentence for each table, and each foreign key, that backups leave out of account until somebody says more."""
    tables = [
        f"{entry.name}: tabla sin clasificar, no está en el respaldo (use OWNERSHIP_RULES o EXCLUDE_TABLES)"
        for entry in catalogue.of_class(TableClass.UNCLASSIFIED)
    ]
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
    return [*tables, *foreign_tables, *foreign_keys]


async def count_unowned(counter: Counter, catalogue: Catalogue) -> list[Unowned]:
    """What no clinic owns, or one that does not exist, over the whole database: rows by table, and large objects."""
    ownership = Ownership(catalogue)
    owned = catalogue.of_class(TableClass.OWNED)
    missing = False
    for entry in owned:
        doubt = ownership.names_no_clinic(entry)
        # Only then can rows be lost that have an owner; to look for them in every table is slow.
        missing = missing or (doubt is not None and await counter.ask(entry.name, Check.UNOWNED, doubt) is True)
    count = ownership.count_without_clinic if missing else ownership.count_unowned
    counts = [
        Unowned(entry.name, await counter.ask(entry.name, Check.UNOWNED, count(entry)) or 0)
        for entry in owned
        if not isinstance(entry.candidates[0], WholeTable) and (missing or not entry.definite)
    ]
    objects = await counter.ask(LARGE_OBJECTS, Check.UNOWNED, "SELECT count(*) FROM pg_largeobject_metadata")
    return [count for count in (*counts, LargeObjects(LARGE_OBJECTS, objects or 0)) if count.rows]


async def count_strays(counter: Counter, catalogue: Catalogue) -> list[Stray]:
    """The foreign keys by which rows point into another clinic, over the whole database."""
    ownership = Ownership(catalogue)
    counts = [
        Stray(entry.name, key, await counter.ask(entry.name, Check.STRAY, ownership.count_strays(entry, key)) or 0)
        for entry in catalogue.of_class(TableClass.OWNED)
        for key in stray_keys(catalogue, entry)
    ]
    return [count for count in counts if count.rows]


async def count_clinics_strays(counter: Counter, catalogue: Catalogue, statements: ClinicStatements) -> list[Stray]:
    """The foreign keys by which one clinic's own rows point into another clinic."""
    pointing = [
        (entry, *foreign)
        for entry in catalogue.of_class(TableClass.OWNED)
        if (foreign := statements.count_foreign(entry)) is not None
    ]
    answers = await counter.ask_together([(entry.name, Check.STRAY, statement) for entry, _, statement in pointing])
    found = []
    for (entry, keys, _), counts in zip(pointing, answers, strict=True):
        for key, rows in zip(keys, counts or [0] * len(keys), strict=True):
            if rows:
                strays = await counter.ask(entry.name, Check.STRAY, statements.count_strays(entry, key))
                found.append(Stray(entry.name, key, strays or 0))
    return [stray for stray in found if stray.rows]


async def count_rows(connection: asyncpg.Connection, catalogue: Catalogue) -> dict[TableName, int | None]:
    """Each table's number of rows, whoever owns them; None where this role may not read the table."""
    return {
        entry.name: await connection.fetchval(f"SELECT count(*) FROM {from_table(entry.table)}")
        if entry.table.readable
        else None
        for entry in catalogue.entries.values()
    }
