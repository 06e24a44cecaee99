"""A restore of the platform's file: what is missing is inserted, on request what differs is updated, nothing goes.

These rows are everybody's. What has been added to them since is in use, whatever the file knows of it.
"""

from collections.abc import Mapping, Sequence

import asyncpg

from app.clinic.catalogue.entries import ByColumn
from app.clinic.catalogue.sql import columns, points_into, quote
from app.clinic.reading.platform_statements import PlatformStatements, Statements
from app.clinic.reading.records import LINE, with_lines
from app.clinic.restore.conflicts import Refusals, same_row
from app.clinic.restore.constraints import Constraints
from app.clinic.restore.difference import Difference, OnStep, one_row
from app.clinic.restore.naming import named_keys
from app.clinic.restore.proof import OnRead, Proof, of_line
from app.clinic.restore.scope import RecordSearch, Scope, create_all_typed
from app.clinic.restore.staged_tables import FILE, Shape
from app.dump.document import ModelTotal
from app.errors import RestoreRefused


class PlatformDifference(Difference):
    """As Difference, and nothing is deleted; rows that differ are left alone unless they are to be updated.

    After `find`, `differing` counts those that are left alone by model, and `of_clinics` the rows of the file that
    are a clinic's today, which are left alone in any case.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        search: RecordSearch,
        statements: PlatformStatements,
        constraints: Constraints,
        shapes: Sequence[Shape],
        scope: Scope,
        *,
        update: bool,
    ) -> None:
        super().__init__(connection, search, statements, constraints, shapes, scope)
        self._update = update
        self.differing: dict[str, int] = {}
        self.of_clinics: dict[str, int] = {}

    async def find(self, on_step: OnStep) -> None:
        """See Difference."""
        if self.narrowed:
            raise RestoreRefused("de la plataforma se restaura todo, o modelos enteros, y no un registro")
        await self._prepare()
        await create_all_typed(self._connection, self.data)
        for shape in self.scoped:
            await self._compare(shape)
            on_step(shape.model)
        if not self._scope.whole:
            await self._add_needed()
        await self._analyze()

    def rows_today(self, shape: Shape) -> str:
        """The platform's rows with the keys of the file's; without a key, all of the platform's."""
        rows = super().rows_today(shape)
        if not shape.key:
            return rows
        there = f"SELECT {columns('t', shape.key)} FROM {shape.typed} AS t"
        return f"SELECT q.* FROM ({rows}) AS q WHERE {points_into(shape.unique_key, 'q', there)}"

    async def changed_since(self) -> list[str]:
        """Only of rows that will be written: people log in meanwhile, and those who are not written may."""
        changed = []
        for shape in self.scoped:
            rows, same = await one_row(
                self._connection,
                f"SELECT count(*), count(t.ctid) FROM {shape.today} AS c"
                f" LEFT JOIN {shape.real} AS t ON {shape.same_version('t', 'c')}",
            )
            if rows != same:
                changed.append(shape.model)
        return changed

    async def _adopt(self, shape: Shape) -> None:
        """There is nothing to adopt: what is nobody's is the platform's."""

    async def _compare(self, shape: Shape) -> None:
        await super()._compare(shape)
        if not shape.key:
            await self._connection.execute(f"TRUNCATE {shape.today}")
            return
        paired = f"EXISTS (SELECT FROM {shape.pairs} AS p WHERE p.{quote(FILE)} = f.ctid)"
        there = f"EXISTS (SELECT FROM {shape.real} AS r WHERE {shape.same_key('r', 'f')})"
        if others := await self._leave(shape, f"NOT {paired} AND {there}"):
            self.of_clinics[shape.model] = others
        if not self._update:
            if differing := await self._leave(shape, paired):
                self.differing[shape.model] = differing
            await self._connection.execute(f"TRUNCATE {shape.today}, {shape.pairs}")

    async def _leave(self, shape: Shape, condition: str) -> int:
        """Leave alone what the file has in these rows `f`; how many they are."""
        (left,) = await one_row(
            self._connection,
            f"WITH gone AS (DELETE FROM {shape.file} AS f WHERE {condition} RETURNING 1) SELECT count(*) FROM gone",
        )
        return int(left)


class PlatformRefusals(Refusals):
    """As Refusals."""

    async def _other_clinic(self, shape: Shape) -> None:
        statements = self._difference.statements
        if not isinstance(statements, PlatformStatements):
            raise TypeError("the platform's rows are found by PlatformStatements")
        way = shape.entry.candidates[0] if shape.entry.candidates else None
        if not (isinstance(way, ByColumn) and shape.has((way.column,))):
            return
        condition = statements.of_clinic_there(shape.entry, "f")
        if condition is not None and (
            found := await self._keys(shape, f"SELECT f.* FROM {shape.file} AS f WHERE {condition}")
        ):
            raise _would_be_a_clinics(shape, found)

    async def _somebodys(self, shape: Shape, statements: Statements) -> None:
        """Refuse what a link, a rule or a foreign key has made a clinic's by its being inserted."""
        paired = f"EXISTS (SELECT FROM {shape.pairs} AS p WHERE p.{quote(FILE)} = f.ctid)"
        if found := await self._keys(
            shape,
            f"SELECT f.* FROM {shape.file} AS f WHERE NOT {paired} AND EXISTS (SELECT FROM {shape.real} AS x"
            f" WHERE {same_row(shape)} AND NOT {statements.is_owned(shape.entry, 'x')})",
        ):
            raise _would_be_a_clinics(shape, found)

    async def _other_number(self, shape: Shape) -> None:
        """All clinics' rows are among the platform's."""

    async def _taken_parent(self, shape: Shape) -> None:
        """What the platform's rows point to may be anybody's."""


def _would_be_a_clinics(shape: Shape, found: str) -> RestoreRefused:
    return RestoreRefused(
        f"el archivo tiene registros de «{shape.model}» que hoy serían de una clínica: {found}; lo demás se restaura"
        " nombrando los otros modelos (--modelos)"
    )


class PlatformProof(Proof):
    """Holds what was written against the file, line by line, and sees that nothing of the file is missing."""

    async def hold(self, totals: Mapping[str, ModelTotal], on_read: OnRead) -> None:  # noqa: ARG002 (rows may be more)
        """See Proof."""
        for shape in self._difference.shapes:
            on_read(shape.model, 0)
            await self._hold_lines(shape)
            if shape in self._difference.scoped:
                await self._hold_all(shape)

    def _rows_now(self, shape: Shape) -> str:
        # A row may have become a clinic's by being put back: a subscription whose person is there.
        return f"SELECT {columns('a', shape.names)} FROM {shape.real} AS a"

    async def _hold_all(self, shape: Shape) -> None:
        if shape.key:
            lacking = (
                f"SELECT t.* FROM {shape.typed} AS t"
                f" WHERE NOT EXISTS (SELECT FROM {shape.real} AS r WHERE {shape.same_key('r', 't')})"
            )
        else:
            line = quote(LINE)
            counted = f"SELECT {line}, count(*) AS n FROM {{}} AS l GROUP BY {line}"
            now = with_lines(shape.table, self._rows_now(shape))
            lacking = (
                f"SELECT {of_line(shape)} FROM ({counted.format(shape.stage)}) AS s"
                f" LEFT JOIN ({counted.format(f'({now})')}) AS x ON x.{line} = s.{line}"
                " WHERE coalesce(x.n, 0) < s.n"
            )
        if keys := await named_keys(self._connection, shape.key or shape.names, lacking):
            await self._differ(shape, keys)
