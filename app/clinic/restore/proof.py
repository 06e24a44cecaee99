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
from app.clinic.restore.naming import named_keys
from app.clinic.restore.staged_tables import AT, HASH, PLACE, REL, TID, Shape, and_columns, line_hash
from app.clinic.restore.triggers import way_out
from app.clinic.restore.written import acting_triggers
from app.dump.document import ModelTotal, Section
from app.errors import RestoreDiffers

OnRead = Callable[[str, int], None]


class Proof:
    """Holds each model's digest against the file's; of a part of a model, each line. Raises RestoreDiffers.

    `replica` as in `Applying`.
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

    async def hold(self, totals: Mapping[str, ModelTotal], on_read: OnRead) -> None:
        """`totals` are what the file says of `datos`; `on_read` is told the model and the bytes of each block."""
        for shape in self._difference.shapes:
            if shape in self._difference.scoped and shape is not self._difference.held:
                await self._hold_left(shape)
                rows = self._restored(shape)
                if shape in self._difference.moved:
                    on_read(shape.model, 0)
                    same = await same_lines(self._connection, shape, rows, without=shape.moved)
                else:
                    total = totals[shape.model]
                    same = await holds(self._connection, shape, rows, total, self._setting, on_read)
                if not same:
                    await self._tell(shape)
            elif shape in self._difference.logins:
                await self._hold_logins(shape)
            elif shape is not self._difference.held:
                await self._hold_lines(shape)

    def _restored(self, shape: Shape) -> str:
        """The file's columns of the clinic's rows, but for those that stay although the file does not have them."""
        if shape.model not in self._difference.left:
            return self._statements.owned(shape.entry, shape.names)
        rows = self._statements.owned(shape.entry, (*shape.names, *PLACE))
        return (
            f"SELECT {columns('q', shape.names)} FROM ({rows}) AS q"
            f" WHERE (q.tableoid, q.ctid) NOT IN (SELECT {quote(REL)}, {quote(TID)} FROM {shape.left})"
        )

    async def _hold_left(self, shape: Shape) -> None:
        """See that the rows that stay are where they were: a row that is changed or deleted is there no more."""
        if expected := self._difference.left.get(shape.model):
            found = await self._connection.fetchval(
                f"SELECT count(*) FROM ({self._statements.owned(shape.entry, PLACE)}) AS q"
                f" JOIN {shape.left} AS l ON l.{quote(REL)} = q.tableoid AND l.{quote(TID)} = q.ctid"
            )
            if found != expected:
                moved = f"{expected - found:,} de los {expected:,} que debían quedar como estaban"
                raise RestoreDiffers(await self._sentence(shape, moved))

    async def _hold_lines(self, shape: Shape) -> None:
        chosen = f"SELECT f.{quote(AT)}{and_columns('f', shape.key)} FROM {shape.file} AS f"
        if self._difference.narrowed and shape.section is Section.DATA:
            chosen += (
                f" UNION SELECT t.{quote(AT)}{and_columns('t', shape.key)} FROM {shape.typed} AS t"
                f" WHERE t.{quote(AT)} IN (SELECT {quote(AT)} FROM {shape.wanted})"
            )
        found = self._rows_now(shape)
        same = " AND ".join(
            [f"x.{quote(LINE)} = s.{quote(LINE)}", *([shape.same_key("x", "c")] if shape.key else [])]
        )
        wrong = (
            f"SELECT {of_line(shape)} FROM ({chosen}) AS c JOIN {shape.stage} AS s ON s.ctid = c.{quote(AT)}"
            f" WHERE NOT EXISTS (SELECT FROM ({with_lines(shape.table, found, *shape.key)}) AS x WHERE {same})"
        )
        if keys := await named_keys(self._connection, shape.key or shape.names, wrong):
            await self._differ(shape, keys)

    def _rows_now(self, shape: Shape) -> str:
        """A query for the rows among which those of the file have to be."""
        if shape.section is Section.DATA:
            return self._statements.owned(shape.entry, shape.names)
        return f"SELECT {columns('a', shape.names)} FROM {shape.real} AS a"

    async def _differ(self, shape: Shape, keys: str) -> NoReturn:
        """Raise RestoreDiffers, naming these rows."""
        raise RestoreDiffers(await self._sentence(shape, keys))

    async def _hold_logins(self, shape: Shape) -> None:
        """Of a login that was inserted only who it is has to be as in the file."""
        same = " AND ".join(
            f"x.{quote(name)}::text IS NOT DISTINCT FROM f.{quote(name)}::text" for name in shape.identity
        )
        wrong = f"SELECT f.* FROM {shape.file} AS f WHERE NOT EXISTS (SELECT FROM {shape.real} AS x WHERE {same})"
        if keys := await named_keys(self._connection, shape.key or shape.identity, wrong):
            raise RestoreDiffers(await self._sentence(shape, keys))

    async def _tell(self, shape: Shape) -> None:
        """Raise with the keys of the rows that are not those of the file."""
        key = shape.key or shape.names
        rows = self._restored(shape)
        lines = with_lines(shape.table, rows, *key)
        today = f"SELECT x.*, {line_hash(f'x.{quote(LINE)}')} AS {quote(HASH)} FROM ({lines}) AS x"
        wrong = (
            f"SELECT {columns('x', key)} FROM ({today}) AS x WHERE NOT EXISTS"
            f" (SELECT FROM {shape.stage} AS s WHERE s.{quote(HASH)} = x.{quote(HASH)})"
        )
        lacking = (
            f"SELECT {of_line(shape)} FROM {shape.stage} AS s WHERE NOT EXISTS"
            f" (SELECT FROM ({today}) AS x WHERE s.{quote(HASH)} = x.{quote(HASH)})"
        )
        if shape in self._difference.moved:
            lacking += f" AND s.ctid NOT IN (SELECT {quote(AT)} FROM {shape.moved})"
        keys = await named_keys(self._connection, key, wrong) or await named_keys(self._connection, key, lacking)
        await self._differ(shape, keys or "ninguno por sí solo")

    async def _sentence(self, shape: Shape, keys: str) -> str:
        # A trigger may have changed another table than its own.
        found = await acting_triggers(self._difference, self._constraints, replica=self._replica, beside=shape)
        acting = f"; disparadores que actuaron: {found}. {way_out(replica=self._replica)}" if found else ""
        return (
            f"«{shape.model}» no volvió a leerse como está en el respaldo, así que no se cambió nada."
            f" Registros distintos: {keys}{acting}"
        )


async def digest_of(
    connection: asyncpg.Connection, shape: Shape, rows: str, setting: str, on_read: OnRead
) -> ModelTotal:
    """What the file would say of these rows, given by a query over the file's columns."""
    digest, records, size = hashlib.sha256(), 0, 0
    async with copied_lines(connection, record_lines(shape.table, rows), setting) as blocks:
        async for block in blocks:
            await asyncio.to_thread(digest.update, block)
            records += block.count(b"\n")
            size += len(block)
            on_read(shape.model, len(block))
    return ModelTotal(records, size, digest.hexdigest())


async def holds(
    connection: asyncpg.Connection, shape: Shape, rows: str, total: ModelTotal, setting: str, on_read: OnRead
) -> bool:
    """Whether these rows are the file's: by its digest or, where types are others today, by the lines made anew."""
    if shape.cast:
        on_read(shape.model, 0)
        return await same_lines(connection, shape, rows)
    if await digest_of(connection, shape, rows, setting, on_read) == total:
        return True
    # An enum that was made anew sorts its values otherwise.
    sorted_by_enum = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM unnest($1::text[]) AS t(name) JOIN pg_type AS y ON y.oid = to_regtype(t.name)"
        " WHERE y.typtype = 'e')",
        [column.type for column in shape.table.columns if column.name in shape.table.key],
    )
    return bool(sorted_by_enum) and await same_lines(connection, shape, rows)


async def same_lines(connection: asyncpg.Connection, shape: Shape, rows: str, *, without: str | None = None) -> bool:
    """Whether these rows print just the lines of `stage`, in whatever order, but for those at the AT of `without`."""
    line = quote(LINE)
    lines = f"SELECT s.{line} FROM {shape.stage} AS s"
    if without is not None:
        lines += f" WHERE s.ctid NOT IN (SELECT {quote(AT)} FROM {without})"
    # Texts of equal bytes are equal by this collation, and no others.
    now = f'SELECT x.{line} COLLATE "C" FROM ({with_lines(shape.table, rows)}) AS x'
    return not await connection.fetchval(
        f"SELECT EXISTS (({lines}) EXCEPT ALL ({now})) OR EXISTS (({now}) EXCEPT ALL ({lines}))"
    )


def of_line(shape: Shape) -> str:
    """The columns by which a person knows the row of the line `s`, out of the line itself."""
    key = shape.key or shape.names
    return ", ".join(f"s.{quote(LINE)}::json ->> {literal(name)} AS {quote(name)}" for name in key)
