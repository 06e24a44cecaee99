"""The rows that differ, with what people call them."""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Literal

import asyncpg

from app.clinic.catalogue.sql import columns
from app.clinic.labels import Labels
from app.clinic.reading.look_up import Lookup, Values, look_up, look_up_among, record_values
from app.clinic.reading.platform_statements import Statements
from app.clinic.restore.changed_rows import ChangedRow, Value, text_of
from app.clinic.restore.staged_tables import StagedTable

# `archive` is the whole file; `file` what of it is restored, beside what of today stays.
Side = Literal["file", "archive", "today"]


class NamedRows:
    """Says what the rows that differ are called: those of the file as it says, those of today as today does.

    In the comparing transaction. A row that does not differ is the same on both sides, and asked of today.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        statements: Statements,
        staged_tables: Sequence[StagedTable],
        labels: Labels,
    ) -> None:
        self._connection = connection
        self._statements = statements
        self._staged_tables = staged_tables
        self._labels = labels

    async def labels(self, staged: StagedTable, keys: Sequence[tuple[str, ...]], side: Side = "file") -> list[str]:
        """What the model's rows with these keys are called on that side; empty where nothing says."""
        lookups = [Lookup(staged.entry.name, staged.key, key) for key in keys]
        found = await self._labels.at(set(lookups), partial(self._fetch, side))
        return [found.get(lookup, "") for lookup in lookups]

    async def named(
        self, staged: StagedTable, rows: AsyncIterator[ChangedRow], *, together: int
    ) -> AsyncIterator[ChangedRow]:
        """The same rows of one model, with their labels, and those of what their fields point to.

        For so many `together` the same questions are asked.
        """
        some: list[ChangedRow] = []
        async for row in rows:
            some.append(row)
            if len(some) == together:
                for each in await self._named(staged, some):
                    yield each
                some = []
        for each in await self._named(staged, some):
            yield each

    async def _named(self, staged: StagedTable, rows: Sequence[ChangedRow]) -> list[ChangedRow]:
        fetches = {"file": partial(self._fetch, "file"), "today": partial(self._fetch, "today")}
        of_file = {lookup for row in rows for lookup in self._lookups(staged, row, "file")}
        of_today = {lookup for row in rows for lookup in self._lookups(staged, row, "today")}
        file = await self._labels.at(of_file, fetches["file"])
        today = await self._labels.at(of_today, fetches["today"])
        return [self._with_labels(staged, row, file, today) for row in rows]

    def _with_labels(
        self, staged: StagedTable, row: ChangedRow, file: Mapping[Lookup, str], today: Mapping[Lookup, str]
    ) -> ChangedRow:
        own = self._own(staged, row)
        label = (file if row.kind == "insertados" else today).get(own, "") if own is not None else ""
        fields = {}
        for name, (before, after) in row.fields.items():
            old, new = self._target(staged, name, before), self._target(staged, name, after)
            pair = today.get(old) if old is not None else None, file.get(new) if new is not None else None
            if pair != (None, None):
                fields[name] = pair
        return replace(row, label=label, field_labels=fields)

    def _lookups(self, staged: StagedTable, row: ChangedRow, side: Side) -> Iterator[Lookup]:
        """What is to be named as that side has it: an updated row as it is today, what it points to as on each."""
        own = self._own(staged, row)
        if own is not None and (row.kind == "insertados") == (side == "file"):
            yield own
        for name, (before, after) in row.fields.items():
            target = self._target(staged, name, after if side == "file" else before)
            if target is not None:
                yield target

    def _own(self, staged: StagedTable, row: ChangedRow) -> Lookup | None:
        if not staged.key:
            return None
        return Lookup(staged.entry.name, staged.key, tuple(text_of(row.key[name]) for name in staged.key))

    def _target(self, staged: StagedTable, column: str, value: Value) -> Lookup | None:
        return self._labels.target(staged.entry.name, column, text_of(value)) if value is not None else None

    async def _fetch(self, side: Side, lookups: Collection[Lookup]) -> Mapping[Lookup, Values]:
        rows: dict[Side, Callable[[StagedTable], str]] = {
            "file": lambda staged: staged.file,
            "archive": lambda staged: staged.typed,
            "today": lambda staged: staged.today,
        }
        found = await self._staged(lookups, rows[side])
        lines = await look_up(self._connection, self._statements, [each for each in lookups if each not in found])
        for lookup, line in lines.items():
            table = self._statements.described(self._statements.catalogue.entries[lookup.table])
            found[lookup] = record_values(table, line)
        # What is somebody else's today, or not restored, the file alone may say.
        left_out: tuple[Callable[[StagedTable], str], ...] = (
            lambda staged: staged.typed,
            lambda staged: staged.moved,
        )
        for rows_of in left_out:
            if side == "file" and (missing := [each for each in lookups if each not in found]):
                found |= await self._staged(missing, rows_of)
        return found

    async def _staged(
        self, lookups: Collection[Lookup], rows_of: Callable[[StagedTable], str]
    ) -> dict[Lookup, Values]:
        """Those that are in one table or another of the staged ones, where it has been made."""
        found: dict[Lookup, Values] = {}
        for (name, names), some in groupby(sorted(lookups), key=lambda each: each[:2]):
            asked = list(some)
            for staged in self._staged_tables:
                if staged.entry.name != name or not staged.has(names):
                    continue
                rows = rows_of(staged)
                if await self._connection.fetchval("SELECT to_regclass($1) IS NULL", rows):
                    continue
                query = f"SELECT {columns('r', staged.names)} FROM {rows} AS r"
                lines = await look_up_among(self._connection, staged.table, query, asked)
                found |= {lookup: record_values(staged.table, line) for lookup, line in lines.items()}
        return found
