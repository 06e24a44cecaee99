"""Rows that have come from another clinic since the backup: they stay, though the file does not have them."""

from dataclasses import dataclass

import asyncpg

from app.clinic.catalogue.entries import Catalogue, WholeTable
from app.clinic.catalogue.sql import columns, literal, points_into, quote
from app.clinic.reading.records import LINE
from app.clinic.restore.constraints import Constraints
from app.clinic.restore.difference import MADE_BY_MIGRATIONS, Difference, one_row
from app.clinic.restore.scope import belongings
from app.clinic.restore.staged_tables import REL, TID, TODAY, StagedTable

# PostgreSQL's names of the types whose values come one after another.
COUNTED = ("smallint", "integer", "bigint")


@dataclass(frozen=True, slots=True)
class _Before:
    """The rows of `staged` with keys before the file's last; `drawn`: they were given out before the backup."""

    staged: StagedTable
    condition: str
    drawn: bool


class ArrivedRows:
    """Finds them among the rows that a compared difference would delete.

    In the file's absence, one looks like a row that is new. But where keys are drawn from a sequence, one by one, a
    row whose key comes before the file's last was there when the backup was made, or was being written just then, and
    was not the clinic's. Two things would make this wrong, and are looked at: numbers beyond what the sequence has
    given out, and, by the caller, the restore of an older backup, which brings back what the file no longer had.
    """

    def __init__(
        self, connection: asyncpg.Connection, catalogue: Catalogue, difference: Difference, constraints: Constraints
    ) -> None:
        self._connection = connection
        self._difference = difference
        self._constraints = constraints
        self._shapes = [staged for staged in difference.scoped if staged is not difference.held]
        self._belongings = list(belongings(catalogue, self._shapes))

    async def find(self, *, leave: bool) -> list[str]:
        """Sentences on how many rows go that may be such. With `leave`, what is known to be stays, and is named."""
        found = await self._before()
        said = await self._leave([before for before in found if before.drawn]) if leave else []
        return [*said, *await self._going(found)]

    async def _leave(self, drawn: list[_Before]) -> list[str]:
        """Have them stay, with what hangs from them and what that points to; sentences that name them."""
        arrived: dict[str, int] = {}
        before_these = dict(self._difference.left)
        for before in drawn:
            if rows := await self._difference.keep(
                before.staged, f"{before.condition} AND {self._difference.free(before.staged)}"
            ):
                arrived[before.staged.model] = rows
        if not arrived:
            return []
        while any([await self._leave_hanging(staged) for staged in self._shapes]):
            pass
        await self._difference.leave_pointed_to()
        said = []
        for staged in self._shapes:
            if total := self._difference.left.get(staged.model, 0) - before_these.get(staged.model, 0):
                parts, own = [], arrived.get(staged.model, 0)
                if own:
                    parts.append(f"{own:,} que ya estaban antes del respaldo y no eran de la clínica")
                if total > own:
                    parts.append(f"{total - own:,} ligados a registros que no eran de la clínica")
                said.append(
                    f"«{staged.model}», registros que el respaldo no tiene y se quedan: {' y '.join(parts)}"
                    f" ({await self._difference.keys_left(staged)}); con --estricto se eliminan"
                )
        return said

    async def _going(self, found: list[_Before]) -> list[str]:
        said = []
        for before in found:
            staged = before.staged
            rows = await self._connection.fetchval(
                f"SELECT count(*) FROM {staged.today} AS c WHERE {before.condition} AND {_unpaired(staged)}"
            )
            if rows:
                said.append(
                    f"«{staged.model}»: de los registros que se eliminan, {rows:,} tienen claves anteriores a la"
                    " última del respaldo; si vinieron de otra clínica, nadie más los tendrá después, fuera del"
                    " respaldo previo"
                )
        return said

    async def _leave_hanging(self, staged: StagedTable) -> bool:
        found = False
        for child, fk, parent in self._belongings:
            if child is staged and parent.model in self._difference.left:
                rows = (
                    f"SELECT {columns('r', fk.target_columns)} FROM {parent.real} AS r JOIN {parent.left} AS l"
                    f" ON l.{quote(REL)} = r.tableoid AND l.{quote(TID)} = r.ctid"
                )
                hanging = f"{points_into(fk, 'c', rows)} AND {self._difference.free(staged)}"
                found = bool(await self._difference.keep(staged, hanging)) or found
        return found

    async def _before(self) -> list[_Before]:
        counted = [staged for staged in self._shapes if _is_counted(staged)]
        if not counted:
            return []
        asked = ", ".join(
            f"EXISTS (SELECT FROM {staged.today} AS c WHERE {_unpaired(staged)})"
            f" AND EXISTS (SELECT FROM {staged.stage})"
            for staged in counted
        )
        going = await self._connection.fetchval(f"SELECT ARRAY[{asked}]")
        return [await self._before_of(staged) for staged, some in zip(counted, going, strict=True) if some]

    async def _before_of(self, staged: StagedTable) -> _Before:
        (key,) = staged.key
        # The file is sorted by key; where it is not, this is a lower one, and finds less.
        last = (
            f"SELECT (s.{quote(LINE)}::json ->> {literal(key)})::numeric FROM {staged.stage} AS s"
            " ORDER BY s.ctid DESC LIMIT 1"
        )
        drawn = "false"
        for sequence in self._constraints.of(staged.entry.name).sequences:
            if sequence.column == key and sequence.step == 1 and sequence.in_order:
                # Nothing where the role may not see it.
                drawn = (
                    f"coalesce((SELECT q.last_value >= f.last FROM pg_sequences AS q WHERE q.schemaname ="
                    f" {literal(sequence.schema)} AND q.sequencename = {literal(sequence.name)}), false)"
                )
        number, known = await one_row(self._connection, f"SELECT f.last, {drawn} FROM ({last}) AS f(last)")
        return _Before(staged, f"c.{quote(key)} < {number}", known)


async def leave_what_stays(
    connection: asyncpg.Connection,
    catalogue: Catalogue,
    difference: Difference,
    constraints: Constraints,
    *,
    strict: bool,
    unbroken: bool,
) -> None:
    """Of a clinic's compared difference, have stay what has moved, arrived, or was added by migrations.

    `difference.said` names it. See `ClinicRestore` for `strict`, and `ArrivedRows` for `unbroken`.
    """
    if not strict:
        # First: what has moved away does not come back, and so needs no unique value of what has arrived.
        await difference.leave_moved()
    if not difference.narrowed:
        arrived = ArrivedRows(connection, catalogue, difference, constraints)
        difference.said += await arrived.find(leave=unbroken and not strict)
    await difference.leave(MADE_BY_MIGRATIONS)


def _is_counted(staged: StagedTable) -> bool:
    """Whether its rows may have come from another clinic, and have one key that counts."""
    types = [column.type for column in staged.table.columns if (column.name,) == staged.key]
    return bool(types) and types[0] in COUNTED and not isinstance(staged.entry.candidates[0], WholeTable)


def _unpaired(staged: StagedTable) -> str:
    return f"NOT EXISTS (SELECT FROM {staged.pairs} AS p WHERE p.{quote(TODAY)} = c.ctid)"
