"""A restore of the platform's file: what is missing is inserted, on request what differs is updated, nothing goes.

These rows are everybody's. What has been added to them since is in use, whatever the file knows of it.
"""

from collections.abc import Mapping, Sequence

import asyncpg

from app.clinic.catalogue.entries import ByColumn
from app.clinic.catalogue.sql import columns, points_into, quote
from app.clinic.labels import Labels
from app.clinic.reading.platform_statements import PlatformStatements, Statements
from app.clinic.reading.records import LINE, with_lines
from app.clinic.restore.conflicts import ConflictChecks, same_row
from app.clinic.restore.constraints import Constraints
from app.clinic.restore.difference import Difference, OnStep
from app.clinic.restore.proof import DigestCheck, OnRead, of_line
from app.clinic.restore.scope import RecordSearch, Scope, create_all_typed
from app.clinic.restore.staged_tables import FILE, REL, TID, TODAY, VERSION, StagedTable
from app.dump.document import ModelTotal
from app.errors import RestoreRefused


class PlatformDifference(Difference):
    """As Difference, and nothing is deleted; rows that differ are left alone unless they are to be updated.

    After `find`, `of_clinics` counts by model the rows of the file that are a clinic's today, which are left alone in
    any case.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        search: RecordSearch,
        statements: PlatformStatements,
        constraints: Constraints,
        staged_tables: Sequence[StagedTable],
        scope: Scope,
        labels: Labels,
        *,
        update: bool,
    ) -> None:
        super().__init__(connection, search, statements, constraints, staged_tables, scope, labels)
        self._update = update
        self.of_clinics: dict[str, int] = {}

    async def find(self, on_step: OnStep) -> None:
        """See Difference."""
        if self.narrowed:
            raise RestoreRefused("de la plataforma se restaura todo, o modelos enteros, y no un registro")
        await self._prepare()
        await create_all_typed(self._connection, self.data)
        for staged in self.scoped:
            await self._compare(staged)
            on_step(staged.model)
        if not self._scope.whole:
            await self._add_needed()
        await self._analyze()

    def rows_today(self, staged: StagedTable) -> str:
        """The platform's rows with the keys of the file's; without a key, all of the platform's."""
        rows = super().rows_today(staged)
        if not staged.key:
            return rows
        there = f"SELECT {columns('t', staged.key)} FROM {staged.typed} AS t"
        return f"SELECT q.* FROM ({rows}) AS q WHERE {points_into(staged.unique_key, 'q', there)}"

    async def follow_logins(self) -> None:
        """Have compared rows be as people who logged in since have left them, where nothing else of them has changed.

        Logging in writes when that was, which the restore takes back as any login since the backup. A row that has
        changed in anything else counts as changed.
        """
        for staged in self.scoped:
            every = (*staged.entry.table.columns, *staged.entry.table.generated)
            moments = [c.name for c in every if c.type.startswith("timestamp") and c.name not in staged.key]
            if not (staged.entry.access and staged.key and moments):
                continue
            rest = tuple(column.name for column in every if column.name not in moments)
            values = {REL: "tableoid", TID: "ctid", VERSION: "xmin", **{name: name for name in moments}}
            found = ", ".join(f"t.{quote(today)} AS {quote(name)}" for name, today in values.items())
            new = ", ".join(f"{quote(name)} = a.{quote(name)}" for name in values)
            rel, tid, at = quote(REL), quote(TID), quote(TODAY)
            await self._connection.execute(
                f"WITH again AS MATERIALIZED (SELECT c.ctid AS at, c.{rel} AS was_rel, c.{tid} AS was_tid, {found}"
                f" FROM {staged.today} AS c JOIN {staged.real} AS t ON {staged.same_key('t', 'c')}"
                f" WHERE NOT ({staged.same_version('t', 'c')})"
                f" AND ROW({columns('t', rest)})::text = ROW({columns('c', rest)})::text),"
                f" followed AS (UPDATE {staged.today} AS c SET {new} FROM again AS a WHERE c.ctid = a.at"
                " RETURNING a.at, c.ctid AS now),"
                f" placed AS (UPDATE {staged.current} AS k SET {rel} = a.{rel}, {tid} = a.{tid}"
                f" FROM again AS a WHERE k.{rel} = a.was_rel AND k.{tid} = a.was_tid)"
                f" UPDATE {staged.pairs} AS p SET {at} = f.now FROM followed AS f WHERE p.{at} = f.at"
            )

    async def _has_changed(self, staged: StagedTable) -> bool:
        """Only a row that will be written counts: people log in meanwhile, and those who are not written may."""
        return await self._is_overtaken(staged)

    async def _adopt(self, staged: StagedTable) -> None:
        """There is nothing to adopt: what is nobody's is the platform's."""

    async def _compare(self, staged: StagedTable) -> None:
        await super()._compare(staged)
        if not staged.key:
            await self._connection.execute(f"TRUNCATE {staged.today}")
            return
        paired = f"EXISTS (SELECT FROM {staged.pairs} AS p WHERE p.{quote(FILE)} = f.ctid)"
        there = f"EXISTS (SELECT FROM {staged.real} AS r WHERE {staged.same_key('r', 'f')})"
        left = await self._connection.execute(f"DELETE FROM {staged.file} AS f WHERE NOT {paired} AND {there}")
        if others := int(left.rpartition(" ")[2]):
            self.of_clinics[staged.model] = others
        if not self._update and (differing := await self._leave_differing(staged)):
            self.differing[staged.model] = differing


class PlatformRefusals(ConflictChecks):
    """As Refusals."""

    async def _other_clinic(self, staged: StagedTable) -> None:
        statements = self._difference.statements
        if not isinstance(statements, PlatformStatements):
            raise TypeError("the platform's rows are found by PlatformStatements")
        way = staged.entry.candidates[0] if staged.entry.candidates else None
        if not (isinstance(way, ByColumn) and staged.has((way.column,))):
            return
        condition = statements.of_clinic_there(staged.entry, "f")
        if condition is not None and (
            found := await self._keys(staged, f"SELECT f.* FROM {staged.file} AS f WHERE {condition}")
        ):
            raise _would_be_a_clinics(staged, found)

    async def _somebodys(self, staged: StagedTable, statements: Statements) -> None:
        """Refuse what a link, a rule or a foreign key has made a clinic's by its being inserted."""
        paired = f"EXISTS (SELECT FROM {staged.pairs} AS p WHERE p.{quote(FILE)} = f.ctid)"
        if found := await self._keys(
            staged,
            f"SELECT f.* FROM {staged.file} AS f WHERE NOT {paired} AND EXISTS (SELECT FROM {staged.real} AS x"
            f" WHERE {same_row(staged)} AND NOT {statements.is_owned(staged.entry, 'x')})",
        ):
            raise _would_be_a_clinics(staged, found)

    async def _other_number(self, staged: StagedTable) -> None:
        """All clinics' rows are among the platform's."""

    async def _taken_parent(self, staged: StagedTable) -> None:
        """What the platform's rows point to may be anybody's."""


def _would_be_a_clinics(staged: StagedTable, found: str) -> RestoreRefused:
    return RestoreRefused(
        f"el archivo tiene registros de «{staged.model}» que hoy serían de una clínica: {found}; lo demás se restaura"
        " nombrando los otros modelos (--modelos)"
    )


class PlatformDigestCheck(DigestCheck):
    """Holds what was written against the file, line by line, and sees that nothing of the file is missing."""

    async def compare(self, totals: Mapping[str, ModelTotal], on_read: OnRead) -> None:  # noqa: ARG002 (rows may be more)
        """See DigestCheck."""
        for staged in self._difference.staged_tables:
            on_read(staged.model, 0)
            await self._hold_lines(staged)
            if staged in self._difference.scoped:
                await self._hold_all(staged)

    def _rows_now(self, staged: StagedTable) -> str:
        # A row may have become a clinic's by being put back: a subscription whose person is there.
        return f"SELECT {columns('a', staged.names)} FROM {staged.real} AS a"

    async def _hold_all(self, staged: StagedTable) -> None:
        if staged.key:
            lacking = (
                f"SELECT t.* FROM {staged.typed} AS t"
                f" WHERE NOT EXISTS (SELECT FROM {staged.real} AS r WHERE {staged.same_key('r', 't')})"
            )
        else:
            line = quote(LINE)
            counted = f"SELECT {line}, count(*) AS n FROM {{}} AS l GROUP BY {line}"
            now = with_lines(staged.table, self._rows_now(staged))
            lacking = (
                f"SELECT {of_line(staged)} FROM ({counted.format(staged.stage)}) AS s"
                f" LEFT JOIN ({counted.format(f'({now})')}) AS x ON x.{line} = s.{line}"
                " WHERE coalesce(x.n, 0) < s.n"
            )
        if keys := await self._difference.named_keys(staged, lacking):
            await self._differ(staged, keys)
