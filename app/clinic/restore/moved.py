"""Rows of the file that have moved to another clinic since: they are left where they are, the rest is restored."""

from collections.abc import Iterator

import asyncpg

from app.clinic.catalogue.entries import ByColumn, ByForeignKey
from app.clinic.catalogue.sql import columns, points_into, quote
from app.clinic.reading.statements import ClinicStatements
from app.clinic.restore.naming import named_keys
from app.clinic.restore.staged_tables import AT, FILE, Shape, create_typed


class MovedRows:
    """Finds them among the models `shapes`, which have been compared, and takes them out of `file`.

    A row has moved that has the key of the file's today, is another clinic's, and says the same in at least half of
    the columns that the file fills, keys and what says whose it is left out: she may have got another telephone. What
    says something else is another row, which has been given the same key.

    Rows that are the clinic's only by what has moved, and are not there today, are taken out, too: they would be the
    other clinic's.
    """

    def __init__(self, connection: asyncpg.Connection, statements: ClinicStatements, shapes: list[Shape]) -> None:
        self._connection = connection
        self._statements = statements
        self._shapes = shapes
        self._keyed = [shape for shape in shapes if shape.key]
        self._moved: list[Shape] = []

    async def take_out(self) -> dict[Shape, str]:
        """The models of which rows were taken out, and a sentence that names them."""
        taken = await self._taken()
        if not taken:
            return {}
        for shape in self._shapes:
            await self._connection.execute(create_typed(shape, shape.moved))
        for shape in taken:
            await self._take(
                shape,
                f"SELECT f.ctid FROM ({self._others(shape)}) AS o JOIN {shape.real} AS r"
                " ON r.tableoid = o.rel AND r.ctid = o.tid::tid"
                f" JOIN {shape.file} AS f ON {shape.same_key('f', 'r')} WHERE {says_the_same(shape)}",
            )
        said = {
            shape: f"«{shape.model}»: son hoy de otra clínica, y se dejan donde están: {await self._keys(shape)}"
            for shape in self._moved
        }
        while any([await self._take_dependent(shape) for shape in self._shapes]):
            pass
        for shape in self._moved:
            if shape not in said:
                said[shape] = (
                    f"«{shape.model}»: dependen de registros que hoy son de otra clínica, y no se agregan:"
                    f" {await self._keys(shape)}"
                )
        return said

    async def _taken(self) -> list[Shape]:
        """The models of which today has rows with the keys of rows that are missing."""
        if not self._keyed:
            return []
        asked = ", ".join(f"EXISTS ({self._there(shape)})" for shape in self._keyed)
        found = await self._connection.fetchval(f"SELECT ARRAY[{asked}]")
        return [shape for shape, taken in zip(self._keyed, found, strict=True) if taken]

    def _there(self, shape: Shape) -> str:
        return (
            f"SELECT r.tableoid AS rel, r.ctid::text AS tid FROM {shape.file} AS f"
            f" JOIN {shape.real} AS r ON {shape.same_key('f', 'r')} WHERE {_unpaired(shape)}"
        )

    def _others(self, shape: Shape) -> str:
        return self._statements.others(shape.entry, self._there(shape))

    async def _take_dependent(self, shape: Shape) -> bool:
        decided = [f"WHEN {test} THEN {leads}" for test, leads in self._ways(shape)]
        if not decided:
            return False
        return await self._take(
            shape,
            f"SELECT f.ctid FROM {shape.file} AS f WHERE {_unpaired(shape)}"
            f" AND CASE {' '.join(decided)} ELSE false END",
        )

    def _ways(self, shape: Shape) -> Iterator[tuple[str, str]]:
        """Of each way by which the row `f` may be owned, in order: whether it says so, and whether it has moved."""
        by_table = {moved.entry.name: moved for moved in self._moved}
        for way in shape.entry.candidates:
            match way:
                case ByColumn(column) if shape.has((column,)):
                    yield f"f.{quote(column)} IS NOT NULL", "false"
                case ByForeignKey(fk) if shape.has(fk.columns):
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

    async def _take(self, shape: Shape, places: str) -> bool:
        status = await self._connection.execute(
            f"WITH gone AS (DELETE FROM {shape.file} AS f WHERE f.ctid IN ({places}) RETURNING f.*)"
            f" INSERT INTO {shape.moved} SELECT * FROM gone"
        )
        taken = status != "INSERT 0 0"
        if taken and shape not in self._moved:
            self._moved.append(shape)
        return taken

    async def _keys(self, shape: Shape) -> str:
        return await named_keys(
            self._connection,
            shape.key or shape.names,
            f"SELECT {columns('m', (AT, *shape.names))} FROM {shape.moved} AS m",
        )


def _unpaired(shape: Shape) -> str:
    return f"NOT EXISTS (SELECT FROM {shape.pairs} AS p WHERE p.{quote(FILE)} = f.ctid)"


def says_the_same(shape: Shape) -> str:
    """That the row `r` of today, which has the key of the file's `f`, says what that says: see `MovedRows`."""
    beside = {name for fk in shape.entry.table.foreign_keys for name in fk.columns}
    beside |= {way.column for way in shape.entry.candidates if isinstance(way, ByColumn)}
    names = tuple(name for name in shape.names if name not in beside and name not in shape.key)
    if not names:
        return "true"
    # As they are printed, because not every type has an equality.
    alike = " + ".join(f"coalesce(f.{quote(name)}::text = r.{quote(name)}::text, false)::int" for name in names)
    filled = ", ".join(f"f.{quote(name)}::text" for name in names)
    return f"2 * ({alike}) >= num_nonnulls(VARIADIC ARRAY[{filled}])"
