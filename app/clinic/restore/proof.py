"""Reads the restored rows again and holds them against the file."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from typing import NoReturn

import asyncpg

from app.clinic.catalogue.sql import columns, literal, quote
from app.clinic.reading.copy import copied_lines
from app.clinic.reading.platform_statements import Statements
from app.clinic.reading.records import LINE, record_lines, with_lines
from app.clinic.restore.constraints import Constraints
from app.clinic.restore.difference import Difference
from app.clinic.restore.mode import Modo
from app.clinic.restore.staged_tables import AT, COPY, HASH, PLACE, REL, TID, StagedTable, line_hash
from app.clinic.restore.triggers import way_out
from app.clinic.restore.written import TRY_AGAIN, acting_triggers
from app.dump.document import ModelTotal, Section
from app.errors import RestoreDiffers

OnRead = Callable[[str, int], None]


class DigestCheck:
    """Holds each model's digest against the file's; where only a part of it is the file's, each line of that part.

    That every other row is as before says PostgreSQL, which counts what was written: see `refuse_unplanned`. Raises
    RestoreDiffers. `replica` as in `ChangeApplier`.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        difference: Difference,
        constraints: Constraints,
        statements: Statements,
        setting: str,
        *,
        replica: bool,
    ) -> None:
        self._replica = replica
        self._connection = connection
        self._difference = difference
        self._constraints = constraints
        self._statements = statements
        self._setting = setting

    async def compare(self, totals: Mapping[str, ModelTotal], on_read: OnRead) -> None:
        """`totals` are what the file says of `datos`; `on_read` is told the model and the bytes of each block."""
        for staged in self._difference.staged_tables:
            if staged in self._difference.logins:
                await self._hold_logins(staged)
            elif staged is self._difference.held:
                continue
            elif staged in self._difference.scoped and self._difference.mode is Modo.TODO:
                await self._hold_left(staged)
                rows = self._restored(staged)
                if staged in self._difference.moved:
                    on_read(staged.model, 0)
                    same = await same_lines(self._connection, staged, rows, without=staged.moved)
                else:
                    total = totals[staged.model]
                    same = await holds(self._connection, staged, rows, total, self._setting, on_read)
                if not same:
                    await self._raise_difference(staged)
            else:
                on_read(staged.model, 0)
                await self._hold_lines(staged)

    def _restored(self, staged: StagedTable) -> str:
        """The file's columns of the clinic's rows, but for those that stay although the file does not have them."""
        if staged.model not in self._difference.left:
            return self._statements.owned(staged.entry, staged.names)
        rows = self._statements.owned(staged.entry, (*staged.names, *PLACE))
        return (
            f"SELECT {columns('q', staged.names)} FROM ({rows}) AS q"
            f" WHERE (q.tableoid, q.ctid) NOT IN (SELECT {quote(REL)}, {quote(TID)} FROM {staged.left})"
        )

    async def _hold_left(self, staged: StagedTable) -> None:
        """See that the rows that stay are where they were: a row that is changed or deleted is there no more."""
        if expected := self._difference.left.get(staged.model):
            found = await self._connection.fetchval(
                f"SELECT count(*) FROM ({self._statements.owned(staged.entry, PLACE)}) AS q"
                f" JOIN {staged.left} AS l ON l.{quote(REL)} = q.tableoid AND l.{quote(TID)} = q.ctid"
            )
            if found != expected:
                moved = f"{expected - found:,} de los {expected:,} que debían quedar como estaban"
                raise RestoreDiffers(await self._sentence(staged, moved))

    async def _hold_lines(self, staged: StagedTable) -> None:
        """See that every line that has to be there is, as often as the file has it."""
        lines = f"SELECT s.{quote(LINE)} FROM {staged.stage} AS s WHERE {self._has_to_be_there(staged)}"
        # Texts of equal bytes are equal by this collation, and no others.
        rows = with_lines(staged.table, self._rows_now(staged))
        now = f'SELECT x.{quote(LINE)} COLLATE "C" FROM ({rows}) AS x'
        wrong = f"SELECT {of_line(staged)} FROM (({lines}) EXCEPT ALL ({now})) AS s"
        if keys := await self._difference.named_keys(staged, wrong):
            await self._differ(staged, keys)

    def _has_to_be_there(self, staged: StagedTable) -> str:
        """The condition that the restore promises the line `s` of the file.

        It was written; or it is of records that are to be exactly as they were; or a row of today said the same when
        they were compared, has not been touched since, and is the clinic's. People may work meanwhile: of what is
        there with other content, a restore of what is missing promises nothing, either.
        """
        difference = self._difference
        places = [f"SELECT f.{quote(AT)} FROM {staged.file} AS f"]
        compared = staged.section is Section.DATA and (difference.narrowed or staged in difference.scoped)
        if difference.mode is Modo.TODO:
            if compared and difference.narrowed:
                wanted = f"SELECT w.{quote(AT)} FROM {staged.wanted} AS w"
                if staged in difference.moved:
                    wanted = f"({wanted} EXCEPT SELECT m.{quote(AT)} FROM {staged.moved} AS m)"
                places.append(wanted)
        elif compared and (difference.mode is Modo.CAMBIADOS or not staged.key):
            # Without a key, a line is missing or it is there.
            places.append(
                f"SELECT a.{quote(AT)} FROM ({difference.stage_rows(staged)}) AS a"
                f" JOIN {staged.current} AS k"
                f" ON k.{quote(HASH)} = a.{quote(HASH)} AND k.{quote(COPY)} = a.{quote(COPY)}"
                f" JOIN ({self._statements.owned(staged.entry, PLACE)}) AS q"
                f" ON q.tableoid = k.{quote(REL)} AND q.ctid = k.{quote(TID)}"
            )
        return f"s.ctid IN ({' UNION ALL '.join(places)})"

    def _rows_now(self, staged: StagedTable) -> str:
        """A query for the rows among which those of the file have to be."""
        if staged.section is Section.DATA:
            return self._statements.owned(staged.entry, staged.names)
        return f"SELECT {columns('a', staged.names)} FROM {staged.real} AS a"

    async def _differ(self, staged: StagedTable, keys: str) -> NoReturn:
        """Raise RestoreDiffers, naming these rows."""
        raise RestoreDiffers(await self._sentence(staged, keys))

    async def _hold_logins(self, staged: StagedTable) -> None:
        """Of a login that was inserted only who it is has to be as in the file."""
        same = " AND ".join(
            f"x.{quote(name)}::text IS NOT DISTINCT FROM f.{quote(name)}::text" for name in staged.identity
        )
        wrong = f"SELECT f.* FROM {staged.file} AS f WHERE NOT EXISTS (SELECT FROM {staged.real} AS x WHERE {same})"
        if keys := await self._difference.named_keys(staged, wrong, staged.key or staged.identity):
            raise RestoreDiffers(await self._sentence(staged, keys))

    async def _raise_difference(self, staged: StagedTable) -> None:
        """Raise with the keys of the rows that are not those of the file."""
        key = staged.key or staged.names
        rows = self._restored(staged)
        lines = with_lines(staged.table, rows, *key)
        today = f"SELECT x.*, {line_hash(f'x.{quote(LINE)}')} AS {quote(HASH)} FROM ({lines}) AS x"
        wrong = (
            f"SELECT {columns('x', key)} FROM ({today}) AS x WHERE NOT EXISTS"
            f" (SELECT FROM {staged.stage} AS s WHERE s.{quote(HASH)} = x.{quote(HASH)})"
        )
        lacking = (
            f"SELECT {of_line(staged)} FROM {staged.stage} AS s WHERE NOT EXISTS"
            f" (SELECT FROM ({today}) AS x WHERE s.{quote(HASH)} = x.{quote(HASH)})"
        )
        if staged in self._difference.moved:
            lacking += f" AND s.ctid NOT IN (SELECT {quote(AT)} FROM {staged.moved})"
        keys = await self._difference.named_keys(staged, wrong)
        keys = keys or await self._difference.named_keys(staged, lacking)
        await self._differ(staged, keys or "ninguno por sí solo")

    async def _sentence(self, staged: StagedTable, keys: str) -> str:
        # A trigger may have changed another table than its own.
        found = await acting_triggers(self._difference, self._constraints, replica=self._replica, beside=staged)
        why = f"; disparadores que actuaron: {found}. {way_out(replica=self._replica)}" if found else f". {TRY_AGAIN}"
        return (
            f"«{staged.model}» no volvió a leerse como está en el respaldo, así que no se cambió nada."
            f" Registros distintos: {keys}{why}"
        )


async def digest_of(
    connection: asyncpg.Connection, staged: StagedTable, rows: str, setting: str, on_read: OnRead
) -> ModelTotal:
    """What the file would say of these rows, given by a query over the file's columns."""
    digest, records, size = hashlib.sha256(), 0, 0
    async with copied_lines(connection, record_lines(staged.table, rows), setting) as blocks:
        async for block in blocks:
            await asyncio.to_thread(digest.update, block)
            records += block.count(b"\n")
            size += len(block)
            on_read(staged.model, len(block))
    return ModelTotal(records, size, digest.hexdigest())


async def holds(
    connection: asyncpg.Connection, staged: StagedTable, rows: str, total: ModelTotal, setting: str, on_read: OnRead
) -> bool:
    """Whether these rows are the file's: by its digest or, where types are others today, by the lines made anew."""
    if staged.cast:
        on_read(staged.model, 0)
        return await same_lines(connection, staged, rows)
    if await digest_of(connection, staged, rows, setting, on_read) == total:
        return True
    # An enum that was made anew sorts its values otherwise.
    sorted_by_enum = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM unnest($1::text[]) AS t(name) JOIN pg_type AS y ON y.oid = to_regtype(t.name)"
        " WHERE y.typtype = 'e')",
        [column.type for column in staged.table.columns if column.name in staged.table.key],
    )
    return bool(sorted_by_enum) and await same_lines(connection, staged, rows)


async def same_lines(
    connection: asyncpg.Connection, staged: StagedTable, rows: str, *, without: str | None = None
) -> bool:
    """Whether these rows print just the lines of `stage`, in whatever order, but for those at the AT of `without`."""
    line = quote(LINE)
    lines = f"SELECT s.{line} FROM {staged.stage} AS s"
    if without is not None:
        lines += f" WHERE s.ctid NOT IN (SELECT {quote(AT)} FROM {without})"
    # Texts of equal bytes are equal by this collation, and no others.
    now = f'SELECT x.{line} COLLATE "C" FROM ({with_lines(staged.table, rows)}) AS x'
    return not await connection.fetchval(
        f"SELECT EXISTS (({lines}) EXCEPT ALL ({now})) OR EXISTS (({now}) EXCEPT ALL ({lines}))"
    )


def of_line(staged: StagedTable) -> str:
    """The columns by which a person knows the row of the line `s`, out of the line itself."""
    key = staged.key or staged.names
    return ", ".join(f"s.{quote(LINE)}::json ->> {literal(name)} AS {quote(name)}" for name in key)
