"""Rows that stay, to which written ones point, and that say something else today: what they were, and are."""

from collections.abc import Mapping, Sequence

import asyncpg

from app.clinic.catalogue.entries import TableClass
from app.clinic.catalogue.introspection import Column
from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.catalogue.sql import columns, literal, pointed_to_from, quote
from app.clinic.restore.difference import Difference, one_row
from app.clinic.restore.mode import Modo
from app.clinic.restore.moved import says_the_same
from app.clinic.restore.naming import PEOPLE
from app.clinic.restore.scope import create_all_typed
from app.clinic.restore.staged_tables import AT, REL, TID, StagedTable
from app.dump.document import Form
from app.record_names import named

# What a sentence shows of a value (characters).
SHOWN = 80


class OtherMeanings:
    """Finds them in a compared difference; by model, with their keys and what is other in them, without `secrets`."""

    def __init__(self, connection: asyncpg.Connection, difference: Difference, secrets: SecretColumns) -> None:
        self._connection = connection
        self._difference = difference
        self._secrets = secrets
        self._compared = [staged for staged in difference.data if staged not in difference.logins]

    async def shared(self) -> dict[str, str]:
        """The shared rows: none is ever changed."""
        # A row that was nobody's may be another clinic's by now, and what that says is not this one's to see.
        parents = [
            staged
            for staged in self._difference.references
            if staged not in self._difference.logins and staged.entry.kind is not TableClass.OWNED
        ]
        keyed = {staged: self._difference.other_content(staged) for staged in parents if staged.key}
        return await self._of(
            {
                staged: f"f.{quote(AT)} IN (SELECT o.{quote(AT)} FROM ({other}) AS o)"
                for staged, other in keyed.items()
            }
        )

    async def own(self) -> dict[str, str]:
        """The clinic's, where they may be other ones that have been given the same keys: see `MovedRows`."""
        difference = self._difference
        parents = [
            staged
            for staged in self._compared
            if staged.key and staged is not difference.held and self._may_stay_other(staged)
        ]
        return await self._of(
            {
                staged: f"{difference.statements.is_owned(staged.entry, 'r')} AND NOT ({says_the_same(staged)})"
                f" AND NOT EXISTS (SELECT FROM {staged.today} AS c"
                f" WHERE c.{quote(REL)} = r.tableoid AND c.{quote(TID)} = r.ctid)"
                for staged in parents
            }
        )

    def _may_stay_other(self, staged: StagedTable) -> bool:
        return staged not in self._difference.scoped or (
            self._difference.mode is Modo.FALTANTES and staged.model in self._difference.differing
        )

    async def _of(self, parents: Mapping[StagedTable, str]) -> dict[str, str]:
        """Of each model the rows `f` of the file and `r` of today, of the same key, for which a condition holds."""
        meanings: dict[str, str] = {}
        if not (parents and self._compared):
            return meanings
        # Where nothing is written, nothing has to be printed.
        asked = ", ".join(f"EXISTS (SELECT FROM {child.file})" for child in self._compared)
        answers = await one_row(self._connection, f"SELECT {asked}")
        written = [child for child, some in zip(self._compared, answers, strict=True) if some]
        for staged, other in parents.items():
            pointing = self._pointing(staged, written)
            if not pointing:
                continue
            await create_all_typed(self._connection, [staged])
            key = ", ".join(f"f.{quote(name)}::text" for name in staged.key)
            was = ", ".join(self._was(staged, column) for column in staged.table.columns)
            found = await self._connection.fetch(
                f"SELECT ARRAY[{key}], array_to_string(ARRAY[{was}]::text[], '; ') FROM {staged.typed} AS f"
                f" JOIN {staged.real} AS r ON {staged.same_key('f', 'r')}"
                f" WHERE ({' OR '.join(pointing)}) AND {other} ORDER BY 1 LIMIT {PEOPLE + 1}"
            )
            if found:
                meanings[staged.model] = await self._told(staged, found)
        return meanings

    async def _told(self, staged: StagedTable, found: Sequence[asyncpg.Record]) -> str:
        shown = found[:PEOPLE]
        # Whom what points to them means.
        labels = await self._difference.archived_labels(staged, [tuple(key) for key, _ in shown])
        told = [f"{named(label, ', '.join(key))} ({was})" for label, (key, was) in zip(labels, shown, strict=True)]
        return ", ".join([*told, "…"] if len(found) > PEOPLE else told)

    def _pointing(self, staged: StagedTable, written: Sequence[StagedTable]) -> list[str]:
        return [
            pointed_to_from(fk, "f", f"SELECT {columns('c', fk.columns)} FROM {child.file} AS c")
            for child in written
            for fk in child.entry.table.foreign_keys
            if fk.target == staged.entry.name and child.has(fk.columns) and staged.has(fk.target_columns)
        ]

    def _was(self, staged: StagedTable, column: Column) -> str:
        """What the column was and is, in words, where it is something else in the rows `f` and `r`."""
        name, was, now = (literal(column.name), f"f.{quote(column.name)}::text", f"r.{quote(column.name)}::text")
        shown = name
        if column.form is Form.SCALAR and not self._secrets.has(staged.entry.name, staged.model, column.name):
            before, after = (f"coalesce(left({value}, {SHOWN}), '—')" for value in (was, now))
            shown = f"{name} || ': era «' || {before} || '» y hoy es «' || {after} || '»'"
        return f"CASE WHEN {was} IS DISTINCT FROM {now} THEN {shown} END"
