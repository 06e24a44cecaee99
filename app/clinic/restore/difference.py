"""What differs between the file and today, row by row, and what becomes of each."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg

from app.clinic.catalogue.entries import ByColumn, ByRule, TableClass
from app.clinic.catalogue.introspection import Column, ForeignKey
from app.clinic.catalogue.ownership import ANY_WAY, BY_HASH
from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.catalogue.sql import columns, joined, literal, pointed_to_from, points_into, quote
from app.clinic.reading.platform_statements import PlatformStatements, Statements
from app.clinic.reading.records import LINE, with_lines
from app.clinic.reading.statements import ClinicStatements
from app.clinic.restore.changed_rows import changed_rows
from app.clinic.restore.constraints import Constraints
from app.clinic.restore.logins import link_of, privileges_given, same_login, who
from app.clinic.restore.moved import MovedRows
from app.clinic.restore.naming import named_keys, named_people
from app.clinic.restore.release import staying
from app.clinic.restore.scope import RecordSearch, Scope, chosen, create_all_typed
from app.clinic.restore.staged_tables import (
    AT,
    COPY,
    FILE,
    HASH,
    KIND,
    PLACE,
    REL,
    TID,
    TODAY,
    Kind,
    Shape,
    create_meeting,
    line_hash,
    typed_rows,
)
from app.dump.document import Form, Section
from app.errors import RestoreRefused

# Tables whose rows are made by a migration when it makes a table (Django's, and each new model's permissions point to
# them): what today has of them and the file lacks belongs to tables that a restore leaves as they are.
MADE_BY_MIGRATIONS = ("django_content_type",)

# What a preview shows of each kind of change of a model: enough to recognise it, few enough to be read.
EXAMPLES = 5

# What a sentence shows of a value (characters).
SHOWN = 80

OnStep = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Changes:
    """What is done with one model's rows; `examples` by kind of change, as people see them.

    Where it is not `restored`, nothing is done: then the examples show what differs and stays.
    """

    inserted: int
    updated: int
    deleted: int
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    restored: bool = True

    @property
    def any(self) -> bool:
        """Whether it does anything."""
        return bool(self.inserted or self.updated or self.deleted)

    def shown(self) -> dict[str, Any]:
        """As a document for people."""
        return {
            "insertados": self.inserted,
            "actualizados": self.updated,
            "eliminados": self.deleted,
            "ejemplos": self.examples,
            **({} if self.restored else {"restaurado": False}),
        }


class Difference:
    """Compares in one transaction; what it finds stays in the temporary tables of each shape.

    `scoped` are the models that are compared as wholes; `narrowed` says that it is about one record instead. `left`
    are the models of which rows stay that the file does not have, with their number; `moved` the
    models of whose rows in the file some are not restored, because they are another clinic's today. `said` are
    sentences on all of them, and on what belongs to the record.
    `logins` are access tables whose rows stay as they are today; of those that are missing, some are inserted, with
    which nobody gets in. Whether those of `stated` are the clinic's people's, a column or a rule says, which can only
    be asked when they are there. `clinics` is the table of clinics, `held` the same where its difference is shown and
    not applied.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        search: RecordSearch,
        statements: Statements,
        constraints: Constraints,
        shapes: Sequence[Shape],
        scope: Scope,
    ) -> None:
        self._connection = connection
        self._search = search
        self.statements = statements
        self._constraints = constraints
        if isinstance(statements, PlatformStatements):
            # Logins and the table of clinics are its own rows, like any other.
            scope = replace(scope, access=True, clinic=True)
        self._scope = scope
        self.shapes = shapes
        self.data = [shape for shape in shapes if shape.section is Section.DATA]
        self.references = [shape for shape in shapes if shape.section is Section.REFERENCES]
        self.logins = [
            shape
            for shape in shapes
            if shape.entry.access and (shape.section is Section.REFERENCES or not scope.access)
        ]
        self.stated = [
            shape
            for shape in self.logins
            if scope.whole and any(isinstance(way, ByColumn | ByRule) for way in shape.entry.candidates)
        ]
        self._compared = [shape for shape in self.data if shape not in self.logins]
        self.scoped = [shape for shape in chosen(scope, shapes) if shape not in self.logins]
        self.narrowed = scope.record is not None
        self.left: dict[str, int] = {}
        # How many rows of today were read of each shape, by number.
        self._read: dict[int, int] = {}
        self.moved: list[Shape] = []
        self.said: list[str] = []
        clinics = [shape for shape in self.data if shape.entry.name == statements.catalogue.tenant_table]
        self.clinics = clinics[0] if clinics else None
        self.held = None if scope.clinic else self.clinics

    async def find(self, on_step: OnStep) -> None:
        """Fill the temporary tables; `on_step` is told each model that has been compared.

        Raises RestoreRefused where the scope names what the file does not have.
        """
        await self._prepare()
        own_logins = [shape for shape in self.logins if shape.section is Section.DATA]
        await create_all_typed(self._connection, [*self.references, *own_logins])
        if not self._scope.whole:
            await create_all_typed(self._connection, self._compared)
        if self._scope.record is not None:
            await self._search.find(self._scope.record)
            hanging = await self._search.hanging()
            self.said.append(
                f"con «{self._scope.record}» va lo que apunta a él, por cualquier clave:"
                f" {', '.join(f'{model} ({rows:,})' for model, rows in hanging.items()) or 'nada'}"
            )
        for shape in self._compared if self.narrowed else self.scoped:
            await self._compare(shape)
            on_step(shape.model)
        if self._scope.whole:
            await self._put_back([*self.references, *own_logins])
        else:
            if self.narrowed:
                await self._leave_somebody_elses()
            await self._add_needed()
            for shape in self.logins:
                await self._add_people(shape, lambda people: people.file)
        await self._refuse_other_logins()
        await self._refuse_without_clinic()
        await self._analyze()

    async def leave(self, tables: Collection[str]) -> None:
        """After `find`: have the rows of these tables stay that the file does not have, instead of deleting them.

        But not those that hold a unique value of a row that comes back: they are that row by another key.
        """
        for shape in self.scoped:
            if shape.entry.name.name not in tables:
                continue
            if rows := await self.keep(shape, self.free(shape)):
                self.said.append(f"«{shape.model}», lo que agregaron las migraciones: {staying(rows)}")

    async def leave_moved(self) -> None:
        """After `find`: take out what is another clinic's today, instead of having it refused."""
        if isinstance(self.statements, ClinicStatements):
            shapes = [shape for shape in self.scoped if shape is not self.held]
            moved = await MovedRows(self._connection, self.statements, shapes).take_out()
            self.moved = list(moved)
            self.said += moved.values()

    def free(self, shape: Shape) -> str:
        """The condition that the row `c` of today holds no unique value of a row that comes back."""
        free = [
            f"NOT EXISTS (SELECT FROM {shape.file} AS f WHERE {joined(index, 'f', 'c')})"
            for index in self._constraints.of(shape.entry.name).unique
            if index.plain and shape.has(index.columns)
        ]
        return " AND ".join(free) or "true"

    async def keep(self, shape: Shape, condition: str) -> int:
        """Have rows `c` of today stay that the file does not have, instead of deleting them; how many they are."""
        place = f"{quote(REL)}, {quote(TID)}"
        name = shape.left.removeprefix("pg_temp.")
        await self._connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {name} ({quote(REL)} oid, {quote(TID)} tid)")
        status = await self._connection.execute(
            f"WITH gone AS (DELETE FROM {shape.today} AS c WHERE NOT EXISTS"
            f" (SELECT FROM {shape.pairs} AS p WHERE p.{quote(TODAY)} = c.ctid) AND {condition} RETURNING {place}),"
            # What they point to is pointed to by rows that are not restored.
            f" unknown AS (DELETE FROM {shape.current} AS k USING gone AS l"
            f" WHERE k.{quote(REL)} = l.{quote(REL)} AND k.{quote(TID)} = l.{quote(TID)})"
            f" INSERT INTO {shape.left} SELECT {place} FROM gone"
        )
        if rows := int(status.rpartition(" ")[2]):
            self.left[shape.model] = self.left.get(shape.model, 0) + rows
        return rows

    async def _leave_somebody_elses(self) -> None:
        """Have what is newer than the backup stay where it is not the record's alone, and what it points to."""
        for shape in self._compared:
            others = f"SELECT o.{quote(REL)}, o.{quote(TID)} FROM {shape.others} AS o"
            await self.keep(shape, f"(c.{quote(REL)}, c.{quote(TID)}) IN ({others})")
        await self.leave_pointed_to()
        for shape in self._compared:
            if rows := self.left.get(shape.model):
                self.said.append(
                    f"«{shape.model}», más nuevos que el respaldo, que también son de otros: {staying(rows)}"
                    f" ({await self.keys_left(shape)})"
                )

    async def leave_pointed_to(self) -> None:
        """Have stay what rows that stay point to, and so on upward."""
        found = bool(self.left)
        while found:
            found = False
            for child in self._compared:
                if child.model not in self.left:
                    continue
                for fk in child.entry.table.foreign_keys:
                    for parent in self._compared:
                        if parent.entry.name == fk.target:
                            pointing = (
                                f"SELECT {columns('r', fk.columns)} FROM {child.real} AS r JOIN {child.left} AS l"
                                f" ON l.{quote(REL)} = r.tableoid AND l.{quote(TID)} = r.ctid"
                            )
                            found = bool(await self.keep(parent, pointed_to_from(fk, "c", pointing))) or found

    async def keys_left(self, shape: Shape) -> str:
        """The keys of the first rows that stay, in words."""
        key = shape.key or shape.names
        return await named_keys(
            self._connection,
            key,
            f"SELECT {columns('r', key)} FROM {shape.real} AS r JOIN {shape.left} AS l"
            f" ON l.{quote(REL)} = r.tableoid AND l.{quote(TID)} = r.ctid",
        )

    def other_content(self, shape: Shape) -> str:
        """A query for the key and AT of the file's rows of a shared model that are there with other content today."""
        there = f"SELECT {columns('r', shape.names)}, t.{quote(AT)} FROM {shape.real} AS r JOIN {shape.typed} AS t"
        lines = with_lines(shape.table, f"{there} ON {shape.same_key('r', 't')}", *shape.key, AT)
        return (
            f"SELECT x.* FROM ({lines}) AS x JOIN {shape.stage} AS s ON s.ctid = x.{quote(AT)}"
            f" WHERE s.{quote(HASH)} <> {line_hash(f'x.{quote(LINE)}')}"
        )

    async def other_meanings(self, secrets: SecretColumns) -> dict[str, str]:
        """By model, shared rows that say something else today, and to which written rows point: what they were."""
        meanings: dict[str, str] = {}
        if not (self.references and self._compared):
            return meanings
        # Where nothing is written, nothing has to be printed.
        asked = ", ".join(f"EXISTS (SELECT FROM {child.file})" for child in self._compared)
        answers = await one_row(self._connection, f"SELECT {asked}")
        written = [child for child, some in zip(self._compared, answers, strict=True) if some]
        for shape in self.references:
            pointing = [
                pointed_to_from(fk, "t", f"SELECT {columns('f', fk.columns)} FROM {child.file} AS f")
                for child in written
                for fk in child.entry.table.foreign_keys
                if fk.target == shape.entry.name and child.has(fk.columns) and shape.has(fk.target_columns)
            ]
            # A row that was nobody's may be another clinic's by now, and what that says is not this one's to see.
            if shape in self.logins or shape.entry.kind is TableClass.OWNED or not shape.key or not pointing:
                continue
            key = " || ', ' || ".join(f"t.{quote(name)}::text" for name in shape.key)
            was = ", ".join(self._was(shape, column, secrets) for column in shape.table.columns)
            if found := await named_people(
                self._connection,
                f"SELECT {key} || ' (' || array_to_string(ARRAY[{was}]::text[], '; ') || ')' FROM {shape.typed} AS t"
                f" JOIN {shape.real} AS r ON {shape.same_key('r', 't')}"
                f" WHERE ({' OR '.join(pointing)}) AND t.{quote(AT)} IN"
                f" (SELECT o.{quote(AT)} FROM ({self.other_content(shape)}) AS o)",
            ):
                meanings[shape.model] = found
        return meanings

    def _was(self, shape: Shape, column: Column, secrets: SecretColumns) -> str:
        """What the column was and is, in words, where it is something else in the rows `t` and `r`."""
        name, was, now = (literal(column.name), f"t.{quote(column.name)}::text", f"r.{quote(column.name)}::text")
        shown = name
        if column.form is Form.SCALAR and not secrets.has(shape.entry.name, shape.model, column.name):
            before, after = (f"coalesce(left({value}, {SHOWN}), '—')" for value in (was, now))
            shown = f"{name} || ': era «' || {before} || '» y hoy es «' || {after} || '»'"
        return f"CASE WHEN {was} IS DISTINCT FROM {now} THEN {shown} END"

    async def emptied(self) -> list[str]:
        """Sentences on rows out of the scope that pointed to rows that come back, and point to nothing today."""
        if self._scope.whole:
            return []
        back = [
            parent
            for parent in self._compared
            if await self._connection.fetchval(f"SELECT EXISTS ({self._new(parent)})")
        ]
        said = []
        for child in self._compared:
            if child in self.scoped or not child.key:
                continue
            restored = f"SELECT {quote(AT)} FROM {child.wanted if self.narrowed else child.file}"
            for fk in child.entry.table.foreign_keys:
                for parent in back:
                    if fk.target != parent.entry.name or not child.has(fk.columns):
                        continue
                    back_again = f"SELECT {columns('f', fk.target_columns)} FROM ({self._new(parent)}) AS f"
                    empty = " OR ".join(f"r.{quote(name)} IS NULL" for name in fk.columns)
                    if found := await named_keys(
                        self._connection,
                        child.key,
                        f"SELECT t.* FROM {child.typed} AS t JOIN {child.real} AS r ON {child.same_key('t', 'r')}"
                        f" WHERE {points_into(fk, 't', back_again)}"
                        f" AND ({empty}) AND t.{quote(AT)} NOT IN ({restored})",
                    ):
                        said.append(
                            f"«{child.model}»: apuntaban, por {', '.join(fk.columns)}, a registros de"
                            f" «{parent.model}» que vuelven; hoy no apuntan a ninguno, y quedan así: {found}"
                        )
        return said

    def _new(self, shape: Shape) -> str:
        """The rows of the file that are not there today in any form."""
        paired = f"SELECT FROM {shape.pairs} AS p WHERE p.{quote(FILE)} = f.ctid"
        return f"SELECT f.* FROM {shape.file} AS f WHERE NOT EXISTS ({paired})"

    async def changes(self, *, examples: SecretColumns | None) -> dict[Section, dict[str, Changes]]:
        """What was found of each model, those without any change included where they were compared.

        With `examples`, some of the rows as well, and of them all but these secrets.
        """
        found: dict[Section, dict[str, Changes]] = {section: {} for section in Section}
        for shape in self.shapes:
            counted = await self._changes(shape, examples)
            if counted.any or shape in self.scoped:
                found[shape.section][shape.model] = counted
        return found

    async def changed_since(self) -> list[str]:
        """The models whose rows are not those any more that were compared; `statements` are to be found anew before.

        No version of a row has the place of another: see KEEP_PLACES.
        """
        changed = []
        for shape in self._compared if self.narrowed else self.scoped:
            if shape is self.held:
                continue
            place = f"{quote(REL)}, {quote(TID)}"
            read = f"SELECT {place} FROM {shape.current}"
            if shape.model in self.left:
                read += f" UNION ALL SELECT {place} FROM {shape.left}"
            rows, same = await one_row(
                self._connection,
                f"SELECT count(*), count(k.{quote(TID)}) FROM ({self.rows_today(shape)}) AS q"
                f" LEFT JOIN ({read}) AS k ON k.{quote(REL)} = q.tableoid AND k.{quote(TID)} = q.ctid",
            )
            if not rows == same == self._read[shape.number]:
                changed.append(shape.model)
        return changed

    async def needed(self) -> dict[str, int]:
        """How many rows of each model are outside the scope, and only put back because others point to them."""
        found = {}
        for shape in self._compared:
            if shape not in self.scoped:
                outside = (
                    f" WHERE {quote(AT)} NOT IN (SELECT {quote(AT)} FROM {shape.wanted})" if self.narrowed else ""
                )
                found[shape.model] = int(
                    await self._connection.fetchval(f"SELECT count(*) FROM {shape.file}{outside}")
                )
        return {model: rows for model, rows in found.items() if rows}

    async def new_logins(self) -> dict[str, str]:
        """Of each model, the logins that are missing and inserted, with which nobody gets in."""
        found = {
            shape.model: await named_people(self._connection, f"SELECT {who(shape, 'f')} FROM {shape.file} AS f")
            for shape in self.logins
        }
        return {model: names for model, names in found.items() if names}

    async def privileges(self) -> dict[str, str]:
        """Of each model, which privileges its logins get back; only where access is restored."""
        access = {entry.name for entry in self.statements.catalogue.entries.values() if entry.access}
        found = {
            shape.model: await privileges_given(self._connection, shape, access)
            for shape in self._compared
            if shape.entry.access
        }
        return {model: names for model, names in found.items() if names}

    async def count(self, shape: Shape) -> tuple[int, int, int]:
        """How many rows have to be deleted, inserted and updated: a replaced one is both deleted and inserted."""
        return (0, 0, 0) if shape is self.held else await self._count(shape)

    async def _count(self, shape: Shape) -> tuple[int, int, int]:
        files, today, updates = await one_row(
            self._connection,
            f"SELECT (SELECT count(*) FROM {shape.file}), (SELECT count(*) FROM {shape.today}),"
            f" (SELECT count(*) FROM {shape.pairs} WHERE {quote(KIND)} = '{Kind.UPDATE}')",
        )
        return today - updates, files - updates, updates

    def stage_rows(self, shape: Shape) -> str:
        """AT, LINE, HASH and COPY of the lines that are to be restored."""
        narrowed = ""
        if self.narrowed:
            narrowed = f" WHERE ctid IN (SELECT {quote(AT)} FROM {shape.wanted})"
        return (
            f"SELECT ctid AS {quote(AT)}, {quote(LINE)}, {quote(HASH)}, {copy_number(shape)}"
            f" FROM {shape.stage}{narrowed}"
        )

    def rows_today(self, shape: Shape) -> str:
        """The file's columns and the place of the rows of today that the restore is about."""
        rows = self.statements.owned(shape.entry, (*shape.names, *PLACE))
        if not self.narrowed:
            return rows
        return (
            f"SELECT q.* FROM ({rows}) AS q JOIN {shape.present} AS v"
            f" ON v.{quote(REL)} = q.tableoid AND v.{quote(TID)} = q.ctid"
        )

    async def _prepare(self) -> None:
        for shape in self.shapes:
            await self._connection.execute(create_meeting(shape))

    async def _analyze(self) -> None:
        for shape in self.shapes:
            await self._connection.execute(f"ANALYZE {shape.file}; ANALYZE {shape.today}; ANALYZE {shape.pairs}")

    async def _compare(self, shape: Shape) -> None:
        self._read[shape.number] = await self._fill_current(shape)
        same = f"s.{quote(HASH)} = c.{quote(HASH)}"
        if not shape.key:
            same += f" AND s.{quote(COPY)} = c.{quote(COPY)}"
        stage = self.stage_rows(shape)
        new = f"SELECT s.* FROM ({stage}) AS s WHERE NOT EXISTS (SELECT FROM {shape.current} AS c WHERE {same})"
        await self._connection.execute(f"INSERT INTO {shape.file} {typed_rows(shape, new)}")
        if shape.key and not shape.entry.definite:
            await self._adopt(shape)
        await self._fill_today(shape, same, stage)
        if shape.key:
            await self._give_back(shape)
            await self._connection.execute(
                f"ANALYZE {shape.file}; ANALYZE {shape.today};"
                f" INSERT INTO {shape.pairs} SELECT f.ctid, c.ctid, '{Kind.UPDATE}'"
                f" FROM {shape.file} AS f JOIN {shape.today} AS c ON {shape.same_key('f', 'c')}"
            )
            for condition in dict.fromkeys(self._replacements(shape)):
                await self._connection.execute(
                    f"UPDATE {shape.pairs} AS p SET {quote(KIND)} = '{Kind.REPLACE}'"
                    f" FROM {shape.file} AS f, {shape.today} AS c"
                    f" WHERE f.ctid = p.{quote(FILE)} AND c.ctid = p.{quote(TODAY)} AND ({condition})"
                )

    async def _give_back(self, shape: Shape) -> None:
        """Have rows that the file knows as nobody's, and that are the clinic's today, be nobody's again."""
        if self.narrowed:
            return
        for nobodys in self.references:
            if nobodys.entry.name == shape.entry.name:
                await self._connection.execute(
                    f"INSERT INTO {shape.file} SELECT NULL, {columns('t', shape.names)} FROM {nobodys.typed} AS t"
                    f" JOIN {shape.today} AS c ON {shape.same_key('t', 'c')}"
                    f" WHERE NOT EXISTS (SELECT FROM {shape.file} AS f WHERE {shape.same_key('f', 'c')})"
                )

    async def _fill_current(self, shape: Shape) -> int:
        """How many rows they are."""
        return await self._hash_today(shape, self.rows_today(shape))

    async def _fill_today(self, shape: Shape, same: str, stage: str) -> None:
        """`same` says that a row `c` of `current` and a row `s` of `stage` are alike."""
        await self._connection.execute(
            shape.rows_of_today(
                f"JOIN {shape.current} AS c ON t.tableoid = c.{quote(REL)} AND t.ctid = c.{quote(TID)}"
                f" WHERE NOT EXISTS (SELECT FROM ({stage}) AS s WHERE {same})"
            )
        )

    async def _hash_today(self, shape: Shape, rows: str) -> int:
        lines = with_lines(shape.table, rows, *PLACE)
        hashes = f"SELECT tableoid, ctid, {line_hash(f'x.{quote(LINE)}')} AS {quote(HASH)} FROM ({lines}) AS x"
        filled = await self._connection.execute(
            f"INSERT INTO {shape.current} SELECT tableoid, ctid, {quote(HASH)}, {copy_number(shape, 'ctid')}"
            f" FROM ({hashes}) AS y"
        )
        await self._connection.execute(f"ANALYZE {shape.current}")
        return int(filled.rpartition(" ")[2])

    async def _adopt(self, shape: Shape) -> None:
        """Take rows of the file that are nobody's today for the clinic's: what said whose they are is gone.

        An account whose person was deleted, say. Restored, the person says again that it is the clinic's.
        """
        others = (
            f"SELECT x.tableoid AS rel, x.ctid::text AS tid FROM {shape.real} AS x"
            f" JOIN {shape.file} AS f ON {shape.same_key('f', 'x')}"
            f" WHERE NOT {self.statements.is_owned(shape.entry, 'x')}"
        )
        if not await self._connection.fetchval(f"SELECT EXISTS ({others})"):
            return
        await self._hash_today(
            shape,
            f"SELECT {columns('x', (*shape.names, *PLACE))} FROM {shape.real} AS x"
            f" JOIN ({self.statements.nobodys(shape.entry, others)}) AS n"
            " ON n.rel = x.tableoid AND n.tid::tid = x.ctid",
        )
        await self._connection.execute(
            f"DELETE FROM {shape.file} AS f USING {shape.stage} AS s, {shape.current} AS c"
            f" WHERE s.ctid = f.{quote(AT)} AND c.{quote(HASH)} = s.{quote(HASH)}"
        )

    def _replacements(self, shape: Shape) -> Iterable[str]:
        """Of a pair of `f`, the file's row, and `c`, today's: why it cannot be updated where it stands."""
        rules = self._constraints.of(shape.entry.name)
        if always := [name for name in shape.names if name in rules.always]:
            yield _changed(always)
        for reference in self._constraints.to(shape.entry.name):
            # Whatever points to the old value would follow it, or be in the way. A key may change, too, and be the
            # same: 1.0 and 1.00.
            yield _changed(reference.target_columns if shape.has(reference.target_columns) else ())
        for index in rules.unique:
            if set(index.columns) == set(shape.key) and index.plain:
                continue
            if index.plain and shape.has(index.columns):
                yield (
                    f"EXISTS (SELECT FROM {shape.file} AS other WHERE other.ctid <> f.ctid"
                    f" AND {joined(index, 'other', 'c')})"
                )
            else:
                yield _changed([name for name in index.involved if shape.has((name,))])

    def _missing(self, shape: Shape) -> str:
        """Whether today's table has no row with the key of `t`; without a key, none with its line."""
        if shape.key:
            return f"NOT EXISTS (SELECT FROM {shape.real} AS r WHERE {shape.same_key('r', 't')})"
        everything = with_lines(shape.table, f"SELECT {columns('a', shape.names)} FROM {shape.real} AS a")
        return (
            f"NOT EXISTS (SELECT FROM {shape.stage} AS s JOIN ({everything}) AS r"
            f" ON {line_hash(f'r.{quote(LINE)}')} = s.{quote(HASH)} WHERE s.ctid = t.{quote(AT)})"
        )

    async def _put_back(self, shapes: Sequence[Shape]) -> None:
        """Add to `file` the rows of these models that are missing today, where other rows of the file need them.

        Raises RestoreRefused for a shared row that none needs: no backup has such a row.
        """
        missing = [
            shape
            for shape in shapes
            if await self._connection.fetchval(
                f"SELECT EXISTS (SELECT FROM {shape.typed} AS t WHERE {self._missing(shape)})"
            )
        ]
        if not missing:
            return
        await self._reach(shapes)
        for shape in missing:
            await self._connection.execute(
                f"INSERT INTO {shape.file} SELECT t.* FROM {shape.typed} AS t WHERE {self._missing(shape)}"
                f" AND t.{quote(AT)} IN (SELECT {quote(AT)} FROM {shape.reached})"
            )
            needless = (
                f"SELECT t.* FROM {shape.typed} AS t WHERE {self._missing(shape)}"
                f" AND t.{quote(AT)} NOT IN (SELECT {quote(AT)} FROM {shape.reached})"
            )
            if shape in self.logins:
                needless += f" AND NOT {await self._add_people(shape, lambda people: people.typed)}"
            if shape.section is Section.REFERENCES and (
                found := await named_keys(self._connection, shape.key or shape.names, needless)
            ):
                raise RestoreRefused(
                    f"el archivo trae en «referencias» registros de «{shape.model}» a los que ninguno de los de la"
                    f" clínica lleva: {found}"
                )

    async def _reach(self, shapes: Sequence[Shape]) -> None:
        """Fill `reached` of these models, from the clinic's own rows in the file and so on upward."""
        names = {shape.entry.name for shape in shapes}
        people = [link[1] for shape in shapes if (link := link_of(shape, self._compared)) is not None]
        pointing = [
            shape
            for shape in self._compared
            if shape in people or any(fk.target in names for fk in shape.entry.table.foreign_keys)
        ]
        await create_all_typed(self._connection, pointing)
        for shape in shapes:
            await self._connection.execute(
                f"CREATE TEMP TABLE {shape.reached.removeprefix('pg_temp.')} ({quote(AT)} tid)"
            )
        sources = [(shape, shape.typed) for shape in pointing]
        sources += [
            (shape, f"(SELECT t.* FROM {shape.typed} AS t JOIN {shape.reached} AS r USING ({quote(AT)}))")
            for shape in shapes
        ]
        found = True
        while found:
            found = False
            for child, rows in sources:
                for fk in child.entry.table.foreign_keys:
                    values = columns("c", fk.columns)
                    for parent in shapes:
                        if parent.entry.name == fk.target and child.has(fk.columns) and parent.has(fk.target_columns):
                            added = await self._connection.execute(
                                f"INSERT INTO {parent.reached} SELECT t.{quote(AT)} FROM {parent.typed} AS t"
                                f" WHERE {pointed_to_from(fk, 't', f'SELECT {values} FROM {rows} AS c')}"
                                f" AND t.{quote(AT)} NOT IN (SELECT {quote(AT)} FROM {parent.reached})"
                            )
                            found = found or added != "INSERT 0 0"

    async def _add_people(self, shape: Shape, rows: Callable[[Shape], str]) -> str:
        """Add the missing logins of the clinic's people, given by `rows` of their model, to `file`.

        Returns the condition that a row `t` of the file is such a login. Where somebody has a login by another key
        today, it is theirs.
        """
        somebodys = "false"
        if (link := link_of(shape, self._compared)) is not None:
            own, people, name = link
            somebodys = (
                f"(lower(t.{quote(own)}::text) IN (SELECT lower(u.{quote(name)}::text) FROM {rows(people)} AS u"
                f" WHERE u.{quote(name)}::text <> ''))"
            )
        elif shape in self.stated:
            somebodys = "true"
        added = (
            f"INSERT INTO {shape.file} SELECT t.* FROM {shape.typed} AS t WHERE {somebodys}"
            f" AND {self._missing(shape)} AND t.{quote(AT)} NOT IN (SELECT f.{quote(AT)} FROM {shape.file} AS f)"
            f" AND NOT EXISTS (SELECT FROM {shape.real} AS r WHERE {same_login(shape, 't', 'r', by_any=True)})"
        )
        await self._connection.execute(added)
        return f"{somebodys} IS TRUE" if somebodys != "false" else somebodys

    async def _refuse_other_logins(self) -> None:
        """Refuse where a restored row would point to somebody else's login, or to one that has another key today."""
        for shape in self.logins:
            if not shape.key:
                continue
            pairs = f"FROM {shape.typed} AS t JOIN {shape.real} AS r ON "
            was, now = who(shape, "t"), who(shape, "r")
            elsewhere = (
                f"SELECT {was} || ', y hoy es ' || {now} {pairs} {same_login(shape, 't', 'r', by_any=False)}"
                f" AND t.{quote(AT)} IN (SELECT {quote(AT)} FROM {shape.file})"
            )
            if found := await named_people(self._connection, elsewhere):
                raise RestoreRefused(
                    f"un acceso de «{shape.model}» que registros del respaldo necesitan tiene hoy otra clave:"
                    f" era {found}"
                )
            if same_login(shape, "t", "r", by_any=True) == "false":
                continue
            # Who it is by now may be another clinic's person, or the platform's.
            own = self.statements.is_owned(shape.entry, "r") if shape.entry.candidates else "false"
            today = f"CASE WHEN {own} THEN 'es ' || {now} ELSE 'no lo es' END"
            for child in self._compared:
                for fk in child.entry.table.foreign_keys:
                    if fk.target != shape.entry.name or not child.has(fk.columns) or not shape.has(fk.target_columns):
                        continue
                    pointing = f"SELECT {columns('c', fk.columns)} FROM {child.file} AS c"
                    others = (
                        f"SELECT {was} || ', y hoy ' || {today} {pairs} {shape.same_key('t', 'r')}"
                        f" WHERE NOT {same_login(shape, 't', 'r', by_any=True)}"
                        f" AND {pointed_to_from(fk, 't', pointing)}"
                    )
                    if found := await named_people(self._connection, others):
                        raise RestoreRefused(
                            f"registros de «{child.model}» apuntarían al acceso de otra persona en «{shape.model}»:"
                            f" era {found}"
                        )

    async def _refuse_without_clinic(self) -> None:
        """Refuse where the clinic's own row would have to be inserted, and nobody has asked for it."""
        if self.held is None or not await self._connection.fetchval(f"SELECT EXISTS (SELECT FROM {self.held.file})"):
            return
        if not await self._connection.fetchval(f"SELECT EXISTS ({self.statements.owned(self.held.entry, PLACE)})"):
            raise RestoreRefused(
                f"la clínica no está hoy en «{self.held.model}», que es de la plataforma: su fila solo se restaura si"
                " se pide (--con-clinica), y por quien administra la plataforma"
            )

    async def _add_needed(self) -> None:
        """Add to `file` the rows that those already in it point to and that are not there today, and so on upward."""
        found = True
        while found:
            found = False
            for child in self.shapes:
                for fk in child.entry.table.foreign_keys:
                    for parent in self.shapes:
                        if parent.entry.name != fk.target or not child.has(fk.columns):
                            continue
                        if not parent.has(fk.target_columns):
                            continue
                        found = await self._add_pointed_to(child, fk, parent) or found

    async def _add_pointed_to(self, child: Shape, fk: ForeignKey, parent: Shape) -> bool:
        at = quote(AT)
        there = f"SELECT FROM {parent.real} AS r WHERE {joined(fk.target_key, 'r', 't')}"
        absent = (
            f"SELECT t.* FROM {parent.typed} AS t WHERE NOT EXISTS ({there}) AND {self._missing(parent)}"
            f" AND NOT EXISTS (SELECT FROM {parent.file} AS f WHERE f.{at} = t.{at})"
        )
        pointed_to = pointed_to_from(fk, "t", f"SELECT {columns('f', fk.columns)} FROM {child.file} AS f")
        if child is not parent:
            added = await self._connection.execute(f"INSERT INTO {parent.file} {absent} AND {pointed_to}")
            return added != "INSERT 0 0"
        # As far as it goes: a tree of records is as deep as somebody has made it, and each round reads the table.
        await self._connection.execute(BY_HASH)
        added = await self._connection.execute(
            f"INSERT INTO {parent.file} WITH RECURSIVE absent AS MATERIALIZED ({absent}),"
            f" above({at}) AS (SELECT t.{at} FROM absent AS t WHERE {pointed_to}"
            f" UNION SELECT t.{at} FROM above AS a JOIN absent AS c ON c.{at} = a.{at}"
            f" JOIN absent AS t ON {joined(fk, 'c', 't')})"
            f" SELECT t.* FROM absent AS t JOIN above AS a ON a.{at} = t.{at}"
        )
        await self._connection.execute(ANY_WAY)
        return added != "INSERT 0 0"

    async def _changes(self, shape: Shape, examples: SecretColumns | None) -> Changes:
        deletes, inserts, updates = await self._count(shape)
        replaced, again = await one_row(
            self._connection,
            f"SELECT count(*) FILTER (WHERE {quote(KIND)} = '{Kind.REPLACE}'),"
            f" count(*) FILTER (WHERE {quote(KIND)} = '{Kind.AGAIN}') FROM {shape.pairs}",
        )
        twice = replaced + again
        changes = Changes(inserts - twice, updates + replaced, deletes - twice)
        if examples is not None and changes.any:
            async for row in changed_rows(self._connection, shape, examples, limit=EXAMPLES):
                changes.examples.setdefault(row.kind, []).append(row.shown())
        return Changes(0, 0, 0, changes.examples, restored=not changes.any) if shape is self.held else changes


async def one_row(connection: asyncpg.Connection, statement: str) -> asyncpg.Record:
    """The row of a statement that always gives one."""
    row = await connection.fetchrow(statement)
    assert row is not None  # noqa: S101 (the caller's promise)
    return row


def copy_number(shape: Shape, order: str = "") -> str:
    """COPY: which of several equal rows it is; of a table with a key there is but one."""
    if shape.key:
        return f"1::bigint AS {quote(COPY)}"
    ordered = f" ORDER BY {order}" if order else ""
    return f"row_number() OVER (PARTITION BY {quote(HASH)}{ordered}) AS {quote(COPY)}"


def _changed(names: Sequence[str]) -> str:
    # As a row is printed, because not every type has an equality, and a cast to text cuts the blanks of char(n).
    printed = [f"ROW({columns(alias, tuple(names))})::text" for alias in ("f", "c")]
    return " <> ".join(printed) if names else "true"
