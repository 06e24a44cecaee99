"""Compares a backup with today, or with another backup: the restore's difference, and nothing of it applied."""

from collections.abc import AsyncIterator, Mapping, Sequence

import asyncpg

from app.clinic.catalogue.entries import Catalogue, TableClass
from app.clinic.catalogue.sql import columns, quote
from app.clinic.labels import Labels
from app.clinic.owners.find import find_owners
from app.clinic.reading.records import LINE
from app.clinic.restore.arrived import leave_what_stays
from app.clinic.restore.changed_rows import ChangedRow
from app.clinic.restore.constraints import Constraints
from app.clinic.restore.converting import keep_columns
from app.clinic.restore.difference import Changes, Difference, copy_number
from app.clinic.restore.errors import restore_errors
from app.clinic.restore.release import unknown_tables
from app.clinic.restore.scope import RecordSearch, Scope
from app.clinic.restore.staged_tables import AT, HASH, TID, StagedTable, typed_rows
from app.clinic.restore.staging import Staging
from app.dump.document import Section

# Temporary tables of the second file are numbered from here on; no clinic has as many models.
SECOND_FILE = 100_000

# What nobody may restore without being asked may be compared by whoever may see it.
EVERYTHING = Scope(access=True, clinic=True)


class Comparison:
    """Made by `RestoreDatabase.comparing`, of no use after its block.

    `older` takes the file of a backup while it is verified, `newer` that of another one where there is another; then
    `find`, and `rows`. Changes are told as what restoring the older one would do: of all of it, logins and the
    clinic's own row, too. Without a newer one, a clinic's rows that a restore leaves as they are do not count, and
    `avisos` names them. In a file nobody can tell them from others; of two files `avisos` names the columns that only
    one has.
    Raises RestoreRefused or DatabaseError.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        catalogue: Catalogue,
        constraints: Constraints,
        clinica_id: int | None,
        setting: str,
        labels: Labels,
    ) -> None:
        self.older = Staging(connection, catalogue, setting)
        self.newer = Staging(connection, catalogue, setting, first=SECOND_FILE)
        self._connection = connection
        self._catalogue = catalogue
        self._constraints = constraints
        self._clinica_id = clinica_id
        self._setting = setting
        self._labels = labels
        self._difference: Difference | None = None
        self.avisos: list[str] = []

    async def find(self, *, unbroken: bool = False) -> dict[str, Changes]:
        """What differs of each model, in numbers; see `ArrivedRows` for `unbroken`."""
        with restore_errors(self._setting):
            await self.older.convert()
            await self.newer.convert()
            await self.older.analyze()
            await self.newer.analyze()
            # One moment of today for all models.
            await self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            newer = {
                staged.model: staged for staged in self.newer.staged_tables(None) if staged.section is Section.DATA
            }
            statements = await find_owners(self._connection, self._catalogue, self._clinica_id)
            staged_tables = [
                staged
                for staged in self.older.staged_tables(None)
                if staged.section is Section.DATA or (_was_nobodys(staged) and not newer)
            ]
            staged_tables = [await self._alike(staged, newer) for staged in staged_tables]
            search = RecordSearch(self._connection, self._catalogue, statements, staged_tables)
            common = (
                self._connection,
                search,
                statements,
                self._constraints,
                staged_tables,
                EVERYTHING,
                self._labels,
            )
            difference = _WithFile(*common) if newer else _WithToday(*common)
            if isinstance(difference, _WithFile):
                difference.newer = newer
            await difference.find(lambda _model: None)
            if not newer and self._clinica_id is not None:
                await leave_what_stays(
                    self._connection,
                    self._catalogue,
                    difference,
                    self._constraints,
                    strict=False,
                    unbroken=unbroken,
                )
                self.avisos = difference.said
            self._difference = difference
            return (await difference.changes(examples=False))[Section.DATA]

    async def _alike(self, staged: StagedTable, newer: dict[str, StagedTable]) -> StagedTable:
        """The model with the columns that both files have: of two files none is today, which has them all."""
        other = newer.get(staged.model)
        if other is None or other.names == staged.names:
            return staged
        names = [name for name in staged.names if other.has((name,))]
        if apart := {*staged.names, *other.names}.difference(names):
            self.avisos.append(
                f"«{staged.model}»: columnas que solo uno de los respaldos tiene, y no se comparan:"
                f" {', '.join(sorted(apart))}"
            )
        newer[staged.model] = await keep_columns(self._connection, other, names)
        return await keep_columns(self._connection, staged, names)

    async def only_newer(self) -> dict[str, int]:
        """After `find`: models that the older file does not have, and how many rows they have."""
        assert self._difference is not None  # noqa: S101 (the caller's promise)
        with restore_errors(self._setting):
            if newer := [staged for staged in self.newer.staged_tables(None) if staged.section is Section.DATA]:
                known = {staged.model for staged in self.older.staged_tables(None)}
                return {
                    staged.model: await self._connection.fetchval(f"SELECT count(*) FROM {staged.stage}")
                    for staged in newer
                    if staged.model not in known
                }
            return await unknown_tables(
                self._connection, self._catalogue, self._difference.statements, self.older.header
            )

    async def rows(self, *, limit: int | None = None, whole: bool = False) -> AsyncIterator[tuple[str, ChangedRow]]:
        """After `find`: every row that differs, or `limit` of each model and kind, each with its model.

        Long values are cut unless they are wanted `whole`. Takes constant memory.
        """
        assert self._difference is not None  # noqa: S101 (the caller's promise)
        with restore_errors(self._setting):
            for staged in self._difference.data:
                async for row in self._difference.rows(staged, limit=limit, whole=whole):
                    yield staged.model, row


def _was_nobodys(staged: StagedTable) -> bool:
    """Whether the file has rows of this model in `referencias` that may have become the clinic's since."""
    return staged.entry.kind is TableClass.OWNED and not staged.entry.access


class _WithToday(Difference):
    """Only the clinic's own rows are compared: what is missing of `referencias` is not asked for."""

    async def _put_back(self, staged_tables: Sequence[StagedTable]) -> None:
        """No row of `referencias` is missed."""


class _WithFile(Difference):
    """Takes for today's rows those of another file, `newer`."""

    newer: Mapping[str, StagedTable]

    async def _fill_current(self, staged: StagedTable) -> int:
        if (other := self.newer.get(staged.model)) is None:
            return 0
        filled = await self._connection.execute(
            f"INSERT INTO {staged.current} SELECT NULL, ctid, {quote(HASH)}, {copy_number(staged)} FROM {other.stage}"
        )
        await self._connection.execute(f"ANALYZE {staged.current}")
        return int(filled.rpartition(" ")[2])

    async def _adopt(self, staged: StagedTable) -> None:
        """There is nothing to adopt in a file."""

    async def _fill_today(self, staged: StagedTable, same: str, stage: str) -> None:
        if (other := self.newer.get(staged.model)) is None:
            return
        names = tuple(name for name in staged.names if other.has((name,)))
        lines = (
            f"SELECT o.ctid AS {quote(AT)}, o.{quote(LINE)} FROM {other.stage} AS o"
            f" JOIN {staged.current} AS c ON c.{quote(TID)} = o.ctid"
            f" WHERE NOT EXISTS (SELECT FROM ({stage}) AS s WHERE {same})"
        )
        into = ", ".join(map(quote, (TID, *names)))
        await self._connection.execute(
            f"INSERT INTO {staged.today} ({into})"
            f" SELECT {columns('x', (AT, *names))} FROM ({typed_rows(other, lines)}) AS x"
        )
