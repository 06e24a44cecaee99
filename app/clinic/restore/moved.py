"""Rows of the file that have moved to another clinic since: they are left where they are, the rest is restored."""

from collections.abc import Awaitable, Callable, Iterator, Sequence

import asyncpg

from app.clinic.catalogue.entries import ByColumn, ByForeignKey
from app.clinic.catalogue.sql import columns, pointed_to_from, points_into, quote
from app.clinic.reading.statements import ClinicStatements
from app.clinic.restore.staged_tables import AT, FILE, StagedTable, create_typed


class MovedRows:
    """Finds them among the models `staged_tables`, and takes them out of `file`.

    Where only a part is restored, `partly`, rows of the file that are not in `file` are found, too, where rows in it
    point to them.

    A row has moved that has the key of the file's today, is another clinic's, and says the same in at least half of
    the columns that the file fills, keys and what says whose it is left out: she may have got another telephone. What
    says something else is another row, which has been given the same key.

    Rows that are the clinic's only by what has moved are taken out, too: they would be the other clinic's. One that
    is there with other content, and the clinic's by that, is for the caller to have stay.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        statements: ClinicStatements,
        staged_tables: Sequence[StagedTable],
        *,
        partly: bool,
    ) -> None:
        self._connection = connection
        self._statements = statements
        self._shapes = staged_tables
        self._partly = partly
        self._keyed = [staged for staged in staged_tables if staged.key]
        self._moved: list[StagedTable] = []

    async def take_out(self, named: Callable[[StagedTable, str], Awaitable[str]]) -> dict[StagedTable, str]:
        """The models of which rows were taken out, and a sentence that names them, as `named` does."""
        taken = await self._taken()
        if not taken:
            return {}
        for staged in self._shapes:
            await self._connection.execute(create_typed(staged, staged.moved))
        for staged in taken:
            moved = (
                f" FROM ({self._others(staged)}) AS o JOIN {staged.real} AS r"
                " ON r.tableoid = o.rel AND r.ctid = o.tid::tid"
                f" JOIN {{}} AS f ON {staged.same_key('f', 'r')} WHERE {says_the_same(staged)}"
            )
            if self._partly:
                outside = f"SELECT f.* {moved.format(staged.typed)} AND {_outside(staged)}"
                await self._note(staged, f"INSERT INTO {staged.moved} {outside}")
            await self._take(staged, f"SELECT f.ctid {moved.format(staged.file)}")
        said = {
            staged: f"«{staged.model}»: son hoy de otra clínica, y se dejan donde están:"
            f" {await named(staged, _moved(staged))}"
            for staged in self._moved
        }
        while any([await self._take_dependent(staged) for staged in self._shapes]):
            pass
        for staged in self._moved:
            if staged not in said:
                said[staged] = (
                    f"«{staged.model}»: dependen de registros que hoy son de otra clínica, y no se restauran:"
                    f" {await named(staged, _moved(staged))}"
                )
        return said

    async def _taken(self) -> list[StagedTable]:
        """The models of which today has rows with the keys of rows that are missing."""
        if not self._keyed:
            return []
        asked = ", ".join(f"EXISTS ({self._there(staged)})" for staged in self._keyed)
        # As text: asyncpg would have to ask PostgreSQL what an array of booleans is, in each session anew.
        found = await self._connection.fetchval(f"SELECT ARRAY[{asked}]::text[]")
        return [staged for staged, taken in zip(self._keyed, found, strict=True) if taken == "true"]

    def _there(self, staged: StagedTable) -> str:
        there = (
            f"SELECT r.tableoid AS rel, r.ctid::text AS tid FROM {{}} AS f"
            f" JOIN {staged.real} AS r ON {staged.same_key('f', 'r')} WHERE {{}}"
        )
        found = [there.format(staged.file, _unpaired(staged))]
        if self._partly:
            astray = f"{_outside(staged)} AND NOT {self._statements.is_owned(staged.entry, 'r')}"
            # One by one: of several conditions with OR between them PostgreSQL expects half of the table.
            found += [there.format(staged.typed, f"{astray} AND {points}") for points in self._pointing(staged)]
        return " UNION ".join(found)

    def _pointing(self, staged: StagedTable) -> Iterator[str]:
        """The conditions that rows in some `file` point to the row `f`."""
        for child in self._shapes:
            for fk in child.entry.table.foreign_keys:
                if fk.target == staged.entry.name and child.has(fk.columns) and staged.has(fk.target_columns):
                    pointing = f"SELECT {columns('c', fk.columns)} FROM {child.file} AS c"
                    yield pointed_to_from(fk, "f", pointing)

    def _others(self, staged: StagedTable) -> str:
        return self._statements.others(staged.entry, self._there(staged))

    async def _take_dependent(self, staged: StagedTable) -> bool:
        decided = [f"WHEN {test} THEN {leads}" for test, leads in self._ways(staged)]
        if not decided:
            return False
        return await self._take(
            staged,
            f"SELECT f.ctid FROM {staged.file} AS f WHERE CASE {' '.join(decided)} ELSE false END",
        )

    def _ways(self, staged: StagedTable) -> Iterator[tuple[str, str]]:
        """Of each way by which the row `f` may be owned, in order: whether it says so, and whether it has moved."""
        by_table = {moved.entry.name: moved for moved in self._moved}
        for way in staged.entry.candidates:
            match way:
                case ByColumn(column) if staged.has((column,)):
                    yield f"f.{quote(column)} IS NOT NULL", "false"
                case ByForeignKey(fk) if staged.has(fk.columns):
                    filled = " AND ".join(f"f.{quote(name)} IS NOT NULL" for name in fk.columns)
                    parent = by_table.get(fk.target)
                    leads = "false"
                    if parent is not None and parent.has(fk.target_columns):
                        moved = f"SELECT {columns('m', fk.target_columns)} FROM {parent.moved} AS m"
                        leads = points_into(fk, "f", moved)
                    yield filled, leads
                case _:
                    # What a rule would say of a row that is not there, nobody knows.
                    return

    async def _take(self, staged: StagedTable, places: str) -> bool:
        return await self._note(
            staged,
            f"WITH gone AS (DELETE FROM {staged.file} AS f WHERE f.ctid IN ({places})"
            f" RETURNING f.ctid AS {quote(FILE)}, f.*),"
            f" unpaired AS (DELETE FROM {staged.pairs} AS p USING gone AS g WHERE p.{quote(FILE)} = g.{quote(FILE)})"
            f" INSERT INTO {staged.moved} SELECT {columns('g', (AT, *staged.names))} FROM gone AS g",
        )

    async def _note(self, staged: StagedTable, statement: str) -> bool:
        """Whether the statement inserted rows of the model into `moved`."""
        taken = await self._connection.execute(statement) != "INSERT 0 0"
        if taken and staged not in self._moved:
            self._moved.append(staged)
        return taken


def _moved(staged: StagedTable) -> str:
    return f"SELECT {columns('m', (AT, *staged.names))} FROM {staged.moved} AS m"


def _unpaired(staged: StagedTable) -> str:
    return f"NOT EXISTS (SELECT FROM {staged.pairs} AS p WHERE p.{quote(FILE)} = f.ctid)"


def _outside(staged: StagedTable) -> str:
    return f"NOT EXISTS (SELECT FROM {staged.file} AS x WHERE x.{quote(AT)} = f.{quote(AT)})"


def says_the_same(staged: StagedTable) -> str:
    """That the row `r` of today, which has the key of the file's `f`, says what that says: see `MovedRows`."""
    beside = {name for fk in staged.entry.table.foreign_keys for name in fk.columns}
    beside |= {way.column for way in staged.entry.candidates if isinstance(way, ByColumn)}
    names = tuple(name for name in staged.names if name not in beside and name not in staged.key)
    if not names:
        return "true"
    # As they are printed, because not every type has an equality.
    alike = " + ".join(f"coalesce(f.{quote(name)}::text = r.{quote(name)}::text, false)::int" for name in names)
    filled = ", ".join(f"f.{quote(name)}::text" for name in names)
    return f"2 * ({alike}) >= num_nonnulls(VARIADIC ARRAY[{filled}])"
