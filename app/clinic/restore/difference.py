"""What differs between the file and today, row by row, and what becomes of each."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import asyncpg

from app.clinic.catalogue.entries import ByColumn, ByRule
from app.clinic.catalogue.introspection import ForeignKey
from app.clinic.catalogue.ownership import ANY_WAY, BY_HASH
from app.clinic.catalogue.sql import columns, joined, pointed_to_from, points_into, quote
from app.clinic.labels import Labels
from app.clinic.reading.platform_statements import PlatformStatements, Statements
from app.clinic.reading.records import LINE, with_lines
from app.clinic.reading.statements import ClinicStatements
from app.clinic.restore.changed_rows import PREFETCH, PREFETCH_WHOLE, ChangedRow, changed_rows
from app.clinic.restore.constraints import Constraints
from app.clinic.restore.errors import value_errors
from app.clinic.restore.logins import link_of, privileges_given, same_login, who
from app.clinic.restore.mode import Modo
from app.clinic.restore.moved import MovedRows
from app.clinic.restore.named_rows import NamedRows
from app.clinic.restore.naming import named_keys, named_people
from app.clinic.restore.release import staying
from app.clinic.restore.scope import (
    Record,
    RecordSearch,
    Scope,
    chosen,
    create_all_typed,
    find_shape,
    key_of,
)
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
    StagedTable,
    create_meeting,
    line_hash,
    typed_rows,
)
from app.dump.document import Section
from app.errors import RestoreRefused

# Tables whose rows are made by a migration when it makes a table (Django's, and each new model's permissions point to
# them): what today has of them and the file lacks belongs to tables that a restore leaves as they are.
MADE_BY_MIGRATIONS = ("django_content_type",)

# What a preview shows of each kind of change of a model: enough to recognise it, few enough to be read.
EXAMPLES = 5

# Of the records that a restore names, so many are kept with what they are called: as many as lists show.
CALLED = 20

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
    """Compares in one transaction; what it finds stays in the temporary tables of each model.

    `scoped` are the models that are compared as wholes; `narrowed` says that it is about records instead. `left`
    are the models of which rows stay that the file does not have, with their number; `differing` those of which rows
    stay that the file has with other content; `moved` the models of whose rows in the file some are not restored,
    because they are another clinic's today. `said` are sentences on all of them, and on what belongs to the records.
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
        staged_tables: Sequence[StagedTable],
        scope: Scope,
        labels: Labels,
    ) -> None:
        self._connection = connection
        self._search = search
        self.secrets = labels.secrets
        self._names = NamedRows(connection, statements, staged_tables, labels)
        self.statements = statements
        self._constraints = constraints
        if isinstance(statements, PlatformStatements):
            # Logins and the table of clinics are its own rows, like any other.
            scope = replace(scope, access=True, clinic=True)
        self._scope = scope
        self.staged_tables = staged_tables
        self.data = [staged for staged in staged_tables if staged.section is Section.DATA]
        self.references = [staged for staged in staged_tables if staged.section is Section.REFERENCES]
        self.logins = [
            staged
            for staged in staged_tables
            if staged.entry.access and (staged.section is Section.REFERENCES or not scope.access)
        ]
        self.stated = [
            staged
            for staged in self.logins
            if scope.whole and any(isinstance(way, ByColumn | ByRule) for way in staged.entry.candidates)
        ]
        self._compared = [staged for staged in self.data if staged not in self.logins]
        self.scoped = [staged for staged in chosen(scope, staged_tables) if staged not in self.logins]
        self.narrowed = scope.records is not None
        self.mode = scope.mode
        self.left: dict[str, int] = {}
        self.differing: dict[str, int] = {}
        # How many rows of today were read of each staged table, by number.
        self._read: dict[int, int] = {}
        # What `count` gives of each, when that is settled.
        self._counts: dict[int, tuple[int, int, int]] = {}
        self.moved: list[StagedTable] = []
        self.said: list[str] = []
        clinics = [staged for staged in self.data if staged.entry.name == statements.catalogue.tenant_table]
        self.clinics = clinics[0] if clinics else None
        self.held = None if scope.clinic else self.clinics

    async def find(self, on_step: OnStep) -> None:
        """Fill the temporary tables; `on_step` is told each model that has been compared.

        Raises RestoreRefused where the scope names what the file does not have.
        """
        await self._prepare()
        own_logins = [staged for staged in self.logins if staged.section is Section.DATA]
        await create_all_typed(self._connection, [*self.references, *own_logins])
        if not self._scope.whole:
            await create_all_typed(self._connection, self._compared)
        if self._scope.records is not None:
            await self._search.find(self._scope.records, self._names.labels)
            self.said.append(_going_with(self._scope.records, await self._search.hanging()))
        for staged in self._in_scope:
            await self._compare(staged)
            await self._leave_by_mode(staged)
            on_step(staged.model)
        self.said += self._left_by_mode()
        if self._scope.whole:
            await self._put_back([*self.references, *own_logins])
        else:
            if self.narrowed and self.mode is Modo.TODO:
                await self._leave_somebody_elses()
            await self._complete_part()
        await self._refuse_other_logins()
        await self._refuse_without_clinic()
        await self._analyze()

    @property
    def _in_scope(self) -> list[StagedTable]:
        """The models that are compared, as wholes or for the records' sake."""
        return self._compared if self.narrowed else self.scoped

    async def _leave_by_mode(self, staged: StagedTable) -> None:
        """Take out of the compared model's difference what the mode leaves as it is."""
        if self.mode is Modo.TODO:
            return
        extra = await self.keep(staged, "true")
        if extra and not staged.key and await self._connection.fetchval(f"SELECT EXISTS (SELECT FROM {staged.file})"):
            self.said.append(
                f"«{staged.model}» no tiene clave, así que de un registro que cambió no se sabe cuál era: vuelve a"
                " agregarse como era, y queda también como es hoy"
            )
        if self.mode is Modo.FALTANTES and (differing := await self._leave_differing(staged)):
            self.differing[staged.model] = differing

    async def _leave_differing(self, staged: StagedTable) -> int:
        """Have rows stay as they are that the file has with other content; how many they are."""
        left = await self._connection.execute(
            f"DELETE FROM {staged.file} AS f USING {staged.pairs} AS p WHERE p.{quote(FILE)} = f.ctid"
        )
        await self._connection.execute(f"TRUNCATE {staged.today}, {staged.pairs}")
        return int(left.rpartition(" ")[2])

    def _left_by_mode(self) -> list[str]:
        """A sentence on what stays as it is because of the mode; none where there is nothing."""
        if self.mode is Modo.TODO:
            return []
        parts = []
        for staged in self._in_scope:
            counted = ((self.differing, "con otro contenido"), (self.left, "que el respaldo no tiene"))
            if said := [f"{rows[staged.model]:,} {what}" for rows, what in counted if rows.get(staged.model)]:
                parts.append(f"«{staged.model}» ({' y '.join(said)})")
        return [f"registros que se dejan como están hoy: {', '.join(parts)}"] if parts else []

    async def leave(self, tables: Collection[str]) -> None:
        """After `find`: have the rows of these tables stay that the file does not have, instead of deleting them.

        But not those that hold a unique value of a row that comes back: they are that row by another key.
        """
        for staged in self.scoped:
            if staged.entry.name.name not in tables:
                continue
            if rows := await self.keep(staged, self.free(staged)):
                self.said.append(f"«{staged.model}», lo que agregaron las migraciones: {staying(rows)}")

    @property
    def is_empty(self) -> bool:
        """After `find`: whether of what was compared nothing is there today but the clinic's own row."""
        own = self.held.number if self.held is not None else None
        return not any(rows for number, rows in self._read.items() if number != own)

    async def leave_moved(self) -> None:
        """After `find`: take out what is another clinic's today, instead of having it refused."""
        if isinstance(self.statements, ClinicStatements):
            staged_tables = [staged for staged in self._compared if staged is not self.held]
            partly = not self._scope.whole
            moved = await MovedRows(self._connection, self.statements, staged_tables, partly=partly).take_out(
                self.named_keys
            )
            self.moved = list(moved)
            self.said += moved.values()
            for staged in self.moved:
                if staged.key:
                    await self.keep(staged, self._has_moved(staged, "c"))
            if moved and partly:
                # Something may have been needed by these alone.
                for staged in self.staged_tables:
                    if staged not in self.scoped:
                        await self._connection.execute(f"DELETE FROM {staged.file}{self._outside(staged)}")
                await self._complete_part()
                await self._analyze()

    def free(self, staged: StagedTable) -> str:
        """The condition that the row `c` of today holds no unique value of a row that comes back."""
        free = [
            f"NOT EXISTS (SELECT FROM {staged.file} AS f WHERE {joined(index, 'f', 'c')})"
            for index in self._constraints.of(staged.entry.name).unique
            if index.plain and staged.has(index.columns)
        ]
        return " AND ".join(free) or "true"

    async def keep(self, staged: StagedTable, condition: str) -> int:
        """Have rows `c` of today stay that the file does not have, instead of deleting them; how many they are."""
        place = f"{quote(REL)}, {quote(TID)}"
        name = staged.left.removeprefix("pg_temp.")
        await self._connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {name} ({quote(REL)} oid, {quote(TID)} tid)")
        status = await self._connection.execute(
            f"WITH gone AS (DELETE FROM {staged.today} AS c WHERE NOT EXISTS"
            f" (SELECT FROM {staged.pairs} AS p WHERE p.{quote(TODAY)} = c.ctid) AND {condition} RETURNING {place}),"
            # What they point to is pointed to by rows that are not restored.
            f" unknown AS (DELETE FROM {staged.current} AS k USING gone AS l"
            f" WHERE k.{quote(REL)} = l.{quote(REL)} AND k.{quote(TID)} = l.{quote(TID)})"
            f" INSERT INTO {staged.left} SELECT {place} FROM gone"
        )
        if rows := int(status.rpartition(" ")[2]):
            self.left[staged.model] = self.left.get(staged.model, 0) + rows
        return rows

    async def _leave_somebody_elses(self) -> None:
        """Have what is newer than the backup stay where it is not the record's alone, and what it points to."""
        for staged in self._compared:
            others = f"SELECT o.{quote(REL)}, o.{quote(TID)} FROM {staged.others} AS o"
            await self.keep(staged, f"(c.{quote(REL)}, c.{quote(TID)}) IN ({others})")
        await self.leave_pointed_to()
        for staged in self._compared:
            if rows := self.left.get(staged.model):
                self.said.append(
                    f"«{staged.model}», más nuevos que el respaldo, que también son de otros: {staying(rows)}"
                    f" ({await self.keys_left(staged)})"
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

    async def keys_left(self, staged: StagedTable) -> str:
        """The first rows that stay and that the file does not have, in words."""
        other = f" WHERE NOT {self._has_moved(staged, 'r')}" if staged in self.moved and staged.key else ""
        return await self.named_keys(
            staged,
            f"SELECT {columns('r', staged.key or staged.names)} FROM {staged.real} AS r JOIN {staged.left} AS l"
            f" ON l.{quote(REL)} = r.tableoid AND l.{quote(TID)} = r.ctid{other}",
        )

    def _has_moved(self, staged: StagedTable, row: str) -> str:
        return f"EXISTS (SELECT FROM {staged.moved} AS m WHERE {staged.same_key('m', row)})"

    async def named_keys(self, staged: StagedTable, rows: str, key: Sequence[str] = ()) -> str:
        """The first of these rows, by their keys or these columns and with what they are called; see `named_keys`."""
        shown = tuple(key) or staged.key or staged.names
        call = partial(self._names.labels, staged) if shown == staged.key else None
        return await named_keys(self._connection, shown, rows, call)

    async def labels(
        self, staged: StagedTable, keys: Sequence[Mapping[str, str | None]], *, today: bool = False
    ) -> list[str]:
        """What the model's rows with these keys are called in the file, or `today`; empty where nothing says."""
        values = [tuple(key.get(name) or "" for name in staged.key) for key in keys]
        return await self._names.labels(staged, values, "today" if today else "file")

    async def archived_labels(self, staged: StagedTable, keys: Sequence[tuple[str, ...]]) -> list[str]:
        """The same of rows that stay as they are today, as the whole file has them."""
        one = [staged]
        for each in one:
            targets = {fk.target for fk in self.statements.catalogue.one_with(each.entry)}
            one += [every for every in self.staged_tables if every.entry.name in targets and every not in one]
            await self._connection.execute("SAVEPOINT nombres")
            try:
                await create_all_typed(self._connection, [each])
            except RestoreRefused:
                # What is not restored need not fit the tables of today: then today says what it is called.
                await self._connection.execute("ROLLBACK TO nombres")
            await self._connection.execute("RELEASE nombres")
        return await self._names.labels(staged, keys, "archive")

    async def called(self) -> dict[str, str]:
        """What the first CALLED records of the scope are called, by how they were asked for, where anything says."""
        found: dict[str, str] = {}
        for record in (self._scope.records or ())[:CALLED]:
            staged = find_shape(record.model, self.data)
            (label,) = await self._names.labels(staged, [key_of(staged, record)])
            if label:
                found[str(record)] = label
        return found

    def other_content(self, staged: StagedTable) -> str:
        """A query for the key and AT of the file's rows of a shared model that are there with other content today."""
        there = f"SELECT {columns('r', staged.names)}, t.{quote(AT)} FROM {staged.real} AS r JOIN {staged.typed} AS t"
        lines = with_lines(staged.table, f"{there} ON {staged.same_key('r', 't')}", *staged.key, AT)
        return (
            f"SELECT x.* FROM ({lines}) AS x JOIN {staged.stage} AS s ON s.ctid = x.{quote(AT)}"
            f" WHERE s.{quote(HASH)} <> {line_hash(f'x.{quote(LINE)}')}"
        )

    async def emptied(self) -> list[str]:
        """Sentences on rows that stay, that pointed to rows that come back, and point to nothing today."""
        if self._scope.whole and self.mode is not Modo.FALTANTES:
            return []
        back = [
            parent
            for parent in self._compared
            if await self._connection.fetchval(f"SELECT EXISTS ({self._new(parent)})")
        ]
        said = []
        for child in self._compared:
            if not child.key or (child in self.scoped and self.mode is not Modo.FALTANTES):
                continue
            wanted = self.narrowed and self.mode is not Modo.FALTANTES
            restored = f"SELECT {quote(AT)} FROM {child.wanted if wanted else child.file}"
            for fk in child.entry.table.foreign_keys:
                for parent in back:
                    if fk.target != parent.entry.name or not child.has(fk.columns):
                        continue
                    await create_all_typed(self._connection, [child])
                    back_again = f"SELECT {columns('f', fk.target_columns)} FROM ({self._new(parent)}) AS f"
                    empty = " OR ".join(f"r.{quote(name)} IS NULL" for name in fk.columns)
                    if found := await self.named_keys(
                        child,
                        f"SELECT t.* FROM {child.typed} AS t JOIN {child.real} AS r ON {child.same_key('t', 'r')}"
                        f" WHERE {points_into(fk, 't', back_again)}"
                        f" AND ({empty}) AND t.{quote(AT)} NOT IN ({restored})",
                    ):
                        said.append(
                            f"«{child.model}»: apuntaban, por {', '.join(fk.columns)}, a registros de"
                            f" «{parent.model}» que vuelven; hoy no apuntan a ninguno, y quedan así: {found}"
                        )
        return said

    def _new(self, staged: StagedTable) -> str:
        """The rows of the file that are not there today in any form."""
        paired = f"SELECT FROM {staged.pairs} AS p WHERE p.{quote(FILE)} = f.ctid"
        return f"SELECT f.* FROM {staged.file} AS f WHERE NOT EXISTS ({paired})"

    async def changes(self, *, examples: bool) -> dict[Section, dict[str, Changes]]:
        """What was found of each model, those without any change included where they were compared.

        With `examples`, some of the rows as well, called so, and of them all but the secrets.
        """
        found: dict[Section, dict[str, Changes]] = {section: {} for section in Section}
        for staged in self.staged_tables:
            counted = await self._changes(staged, examples=examples)
            if counted.any or staged in self.scoped:
                found[staged.section][staged.model] = counted
        return found

    async def follow_logins(self) -> None:
        """Take what people who logged in since have written for what was compared: nothing of a clinic's own."""

    async def changed_since(self) -> list[str]:
        """The models whose rows are not those any more that were compared; `statements` are to be found anew before.

        No version of a row has the place of another: see KEEP_PLACES.
        """
        return [
            staged.model for staged in self._in_scope if staged is not self.held and await self._has_changed(staged)
        ]

    async def _has_changed(self, staged: StagedTable) -> bool:
        if self.mode is not Modo.TODO:
            return await self._is_overtaken(staged)
        place = f"{quote(REL)}, {quote(TID)}"
        read = f"SELECT {place} FROM {staged.current}"
        if staged.model in self.left:
            read += f" UNION ALL SELECT {place} FROM {staged.left}"
        rows, same = await one_row(
            self._connection,
            f"SELECT count(*), count(k.{quote(TID)}) FROM ({self.rows_today(staged)}) AS q"
            f" LEFT JOIN ({read}) AS k ON k.{quote(REL)} = q.tableoid AND k.{quote(TID)} = q.ctid",
        )
        return not rows == same == self._read[staged.number]

    async def _is_overtaken(self, staged: StagedTable) -> bool:
        """Whether somebody has changed a row that will be written; where nothing goes, no other can get lost."""
        rows, same = await one_row(
            self._connection,
            f"SELECT count(*), count(t.ctid) FROM {staged.today} AS c"
            f" LEFT JOIN {staged.real} AS t ON {staged.same_version('t', 'c')}",
        )
        return bool(rows != same)

    async def needed(self) -> dict[str, int]:
        """How many rows of each model are outside the scope, and only put back because others point to them."""
        found = {}
        for staged in self._compared:
            if staged not in self.scoped:
                found[staged.model] = int(
                    await self._connection.fetchval(f"SELECT count(*) FROM {staged.file}{self._outside(staged)}")
                )
        return {model: rows for model, rows in found.items() if rows}

    def _outside(self, staged: StagedTable) -> str:
        """Which rows of the `file` of a model that is not scoped nobody asked for."""
        if not (self.narrowed and staged in self._compared):
            return ""
        return f" WHERE {quote(AT)} NOT IN (SELECT {quote(AT)} FROM {staged.wanted})"

    async def new_logins(self) -> dict[str, str]:
        """Of each model, the logins that are missing and inserted, with which nobody gets in."""
        found = {
            staged.model: await named_people(self._connection, f"SELECT {who(staged, 'f')} FROM {staged.file} AS f")
            for staged in self.logins
        }
        return {model: names for model, names in found.items() if names}

    async def privileges(self) -> dict[str, str]:
        """Of each model, which privileges its logins get back; only where access is restored."""
        access = {entry.name for entry in self.statements.catalogue.entries.values() if entry.access}
        found = {
            staged.model: await privileges_given(self._connection, staged, access)
            for staged in self._compared
            if staged.entry.access
        }
        return {model: names for model, names in found.items() if names}

    async def count(self, staged: StagedTable) -> tuple[int, int, int]:
        """How many rows have to be deleted, inserted and updated: a replaced one is both deleted and inserted."""
        if staged is self.held:
            return 0, 0, 0
        return self._counts.get(staged.number) or await self._count(staged)

    async def settle(self) -> None:
        """From here on nothing changes in the difference: what is counted is counted."""
        self._counts = {staged.number: await self._count(staged) for staged in self.staged_tables}

    async def _count(self, staged: StagedTable) -> tuple[int, int, int]:
        files, today, updates = await one_row(
            self._connection,
            f"SELECT (SELECT count(*) FROM {staged.file}), (SELECT count(*) FROM {staged.today}),"
            f" (SELECT count(*) FROM {staged.pairs} WHERE {quote(KIND)} = '{Kind.UPDATE}')",
        )
        return today - updates, files - updates, updates

    def stage_rows(self, staged: StagedTable) -> str:
        """AT, LINE, HASH and COPY of the lines that are to be restored."""
        narrowed = ""
        if self.narrowed:
            narrowed = f" WHERE ctid IN (SELECT {quote(AT)} FROM {staged.wanted})"
        return (
            f"SELECT ctid AS {quote(AT)}, {quote(LINE)}, {quote(HASH)}, {copy_number(staged)}"
            f" FROM {staged.stage}{narrowed}"
        )

    def rows_today(self, staged: StagedTable) -> str:
        """The file's columns and the place of the rows of today that the restore is about."""
        rows = self.statements.owned(staged.entry, (*staged.names, *PLACE))
        if not self.narrowed:
            return rows
        return (
            f"SELECT q.* FROM ({rows}) AS q JOIN {staged.present} AS v"
            f" ON v.{quote(REL)} = q.tableoid AND v.{quote(TID)} = q.ctid"
        )

    async def _prepare(self) -> None:
        for staged in self.staged_tables:
            await self._connection.execute(create_meeting(staged))

    async def _analyze(self) -> None:
        for staged in self.staged_tables:
            await self._connection.execute(f"ANALYZE {staged.file}; ANALYZE {staged.today}; ANALYZE {staged.pairs}")

    async def _compare(self, staged: StagedTable) -> None:
        self._read[staged.number] = await self._fill_current(staged)
        same = f"s.{quote(HASH)} = c.{quote(HASH)}"
        if not staged.key:
            same += f" AND s.{quote(COPY)} = c.{quote(COPY)}"
        stage = self.stage_rows(staged)
        new = f"SELECT s.* FROM ({stage}) AS s WHERE NOT EXISTS (SELECT FROM {staged.current} AS c WHERE {same})"
        with value_errors(staged.model):
            await self._connection.execute(f"INSERT INTO {staged.file} {typed_rows(staged, new)}")
        if staged.key and not staged.entry.definite:
            await self._adopt(staged)
        await self._fill_today(staged, same, stage)
        if staged.key:
            await self._give_back(staged)
            await self._connection.execute(
                f"ANALYZE {staged.file}; ANALYZE {staged.today};"
                f" INSERT INTO {staged.pairs} SELECT f.ctid, c.ctid, '{Kind.UPDATE}'"
                f" FROM {staged.file} AS f JOIN {staged.today} AS c ON {staged.same_key('f', 'c')}"
            )
            for condition in dict.fromkeys(self._replacements(staged)):
                await self._connection.execute(
                    f"UPDATE {staged.pairs} AS p SET {quote(KIND)} = '{Kind.REPLACE}'"
                    f" FROM {staged.file} AS f, {staged.today} AS c"
                    f" WHERE f.ctid = p.{quote(FILE)} AND c.ctid = p.{quote(TODAY)} AND ({condition})"
                )

    async def _give_back(self, staged: StagedTable) -> None:
        """Have rows that the file knows as nobody's, and that are the clinic's today, be nobody's again."""
        if self.narrowed or self.mode is not Modo.TODO:
            return
        for nobodys in self.references:
            if nobodys.entry.name == staged.entry.name:
                await self._connection.execute(
                    f"INSERT INTO {staged.file} SELECT NULL, {columns('t', staged.names)} FROM {nobodys.typed} AS t"
                    f" JOIN {staged.today} AS c ON {staged.same_key('t', 'c')}"
                    f" WHERE NOT EXISTS (SELECT FROM {staged.file} AS f WHERE {staged.same_key('f', 'c')})"
                )

    async def _fill_current(self, staged: StagedTable) -> int:
        """How many rows they are."""
        return await self._hash_today(staged, self.rows_today(staged))

    async def _fill_today(self, staged: StagedTable, same: str, stage: str) -> None:
        """`same` says that a row `c` of `current` and a row `s` of `stage` are alike."""
        await self._connection.execute(
            staged.rows_of_today(
                f"JOIN {staged.current} AS c ON t.tableoid = c.{quote(REL)} AND t.ctid = c.{quote(TID)}"
                f" WHERE NOT EXISTS (SELECT FROM ({stage}) AS s WHERE {same})"
            )
        )

    async def _hash_today(self, staged: StagedTable, rows: str) -> int:
        lines = with_lines(staged.table, rows, *PLACE)
        hashes = f"SELECT tableoid, ctid, {line_hash(f'x.{quote(LINE)}')} AS {quote(HASH)} FROM ({lines}) AS x"
        filled = await self._connection.execute(
            f"INSERT INTO {staged.current} SELECT tableoid, ctid, {quote(HASH)}, {copy_number(staged)}"
            f" FROM ({hashes}) AS y"
        )
        await self._connection.execute(f"ANALYZE {staged.current}")
        return int(filled.rpartition(" ")[2])

    async def _adopt(self, staged: StagedTable) -> None:
        """Take rows of the file that are nobody's today for the clinic's: what said whose they are is gone.

        An account whose person was deleted, say. Restored, the person says again that it is the clinic's.
        """
        others = (
            f"SELECT x.tableoid AS rel, x.ctid::text AS tid FROM {staged.real} AS x"
            f" JOIN {staged.file} AS f ON {staged.same_key('f', 'x')}"
            f" WHERE NOT {self.statements.is_owned(staged.entry, 'x')}"
        )
        if not await self._connection.fetchval(f"SELECT EXISTS ({others})"):
            return
        await self._hash_today(
            staged,
            f"SELECT {columns('x', (*staged.names, *PLACE))} FROM {staged.real} AS x"
            f" JOIN ({self.statements.nobodys(staged.entry, others)}) AS n"
            " ON n.rel = x.tableoid AND n.tid::tid = x.ctid",
        )
        await self._connection.execute(
            f"DELETE FROM {staged.file} AS f USING {staged.stage} AS s, {staged.current} AS c"
            f" WHERE s.ctid = f.{quote(AT)} AND c.{quote(HASH)} = s.{quote(HASH)}"
        )

    def _replacements(self, staged: StagedTable) -> Iterable[str]:
        """Of a pair of `f`, the file's row, and `c`, today's: why it cannot be updated where it stands."""
        rules = self._constraints.of(staged.entry.name)
        if always := [name for name in staged.names if name in rules.always]:
            yield _changed(always)
        for reference in self._constraints.to(staged.entry.name):
            # Whatever points to the old value would follow it, or be in the way. A key may change, too, and be the
            # same: 1.0 and 1.00.
            yield _changed(reference.target_columns if staged.has(reference.target_columns) else ())
        for index in rules.unique:
            if set(index.columns) == set(staged.key) and index.plain:
                continue
            if index.plain and staged.has(index.columns):
                yield (
                    f"EXISTS (SELECT FROM {staged.file} AS other WHERE other.ctid <> f.ctid"
                    f" AND {joined(index, 'other', 'c')})"
                )
            else:
                yield _changed([name for name in index.involved if staged.has((name,))])

    def _missing(self, staged: StagedTable) -> str:
        """Whether today's table has no row with the key of `t`; without a key, none with its line."""
        if staged.key:
            return f"NOT EXISTS (SELECT FROM {staged.real} AS r WHERE {staged.same_key('r', 't')})"
        everything = with_lines(staged.table, f"SELECT {columns('a', staged.names)} FROM {staged.real} AS a")
        return (
            f"NOT EXISTS (SELECT FROM {staged.stage} AS s JOIN ({everything}) AS r"
            f" ON {line_hash(f'r.{quote(LINE)}')} = s.{quote(HASH)} WHERE s.ctid = t.{quote(AT)})"
        )

    async def _put_back(self, staged_tables: Sequence[StagedTable]) -> None:
        """Add to `file` the rows of these models that are missing today, where other rows of the file need them.

        Raises RestoreRefused for a shared row that none needs: no backup has such a row.
        """
        missing = [
            staged
            for staged in staged_tables
            if await self._connection.fetchval(
                f"SELECT EXISTS (SELECT FROM {staged.typed} AS t WHERE {self._missing(staged)})"
            )
        ]
        if not missing:
            return
        await self._reach(staged_tables)
        for staged in missing:
            await self._connection.execute(
                f"INSERT INTO {staged.file} SELECT t.* FROM {staged.typed} AS t WHERE {self._missing(staged)}"
                f" AND t.{quote(AT)} IN (SELECT {quote(AT)} FROM {staged.reached})"
            )
            needless = (
                f"SELECT t.* FROM {staged.typed} AS t WHERE {self._missing(staged)}"
                f" AND t.{quote(AT)} NOT IN (SELECT {quote(AT)} FROM {staged.reached})"
            )
            if staged in self.logins:
                needless += f" AND NOT {await self._add_people(staged, lambda people: people.typed)}"
            if staged.section is Section.REFERENCES and (found := await self.named_keys(staged, needless)):
                raise RestoreRefused(
                    f"el archivo trae en «referencias» registros de «{staged.model}» a los que ninguno de los de la"
                    f" clínica lleva: {found}"
                )

    async def _reach(self, staged_tables: Sequence[StagedTable]) -> None:
        """Fill `reached` of these models, from the clinic's own rows in the file and so on upward."""
        names = {staged.entry.name for staged in staged_tables}
        people = [link[1] for staged in staged_tables if (link := link_of(staged, self._compared)) is not None]
        pointing = [
            staged
            for staged in self._compared
            if staged in people or any(fk.target in names for fk in staged.entry.table.foreign_keys)
        ]
        await create_all_typed(self._connection, pointing)
        for staged in staged_tables:
            await self._connection.execute(
                f"CREATE TEMP TABLE {staged.reached.removeprefix('pg_temp.')} ({quote(AT)} tid)"
            )
        sources = [(staged, staged.typed) for staged in pointing]
        sources += [
            (staged, f"(SELECT t.* FROM {staged.typed} AS t JOIN {staged.reached} AS r USING ({quote(AT)}))")
            for staged in staged_tables
        ]
        found = True
        while found:
            found = False
            for child, rows in sources:
                for fk in child.entry.table.foreign_keys:
                    values = columns("c", fk.columns)
                    for parent in staged_tables:
                        if parent.entry.name == fk.target and child.has(fk.columns) and parent.has(fk.target_columns):
                            added = await self._connection.execute(
                                f"INSERT INTO {parent.reached} SELECT t.{quote(AT)} FROM {parent.typed} AS t"
                                f" WHERE {pointed_to_from(fk, 't', f'SELECT {values} FROM {rows} AS c')}"
                                f" AND t.{quote(AT)} NOT IN (SELECT {quote(AT)} FROM {parent.reached})"
                            )
                            found = found or added != "INSERT 0 0"

    async def _add_people(self, staged: StagedTable, rows: Callable[[StagedTable], str]) -> str:
        """Add the missing logins of the clinic's people, given by `rows` of their model, to `file`.

        Returns the condition that a row `t` of the file is such a login. Where somebody has a login by another key
        today, it is theirs.
        """
        somebodys = "false"
        if (link := link_of(staged, self._compared)) is not None:
            own, people, name = link
            somebodys = (
                f"(lower(t.{quote(own)}::text) IN (SELECT lower(u.{quote(name)}::text) FROM {rows(people)} AS u"
                f" WHERE u.{quote(name)}::text <> ''))"
            )
        elif staged in self.stated:
            somebodys = "true"
        added = (
            f"INSERT INTO {staged.file} SELECT t.* FROM {staged.typed} AS t WHERE {somebodys}"
            f" AND {self._missing(staged)} AND t.{quote(AT)} NOT IN (SELECT f.{quote(AT)} FROM {staged.file} AS f)"
            f" AND NOT EXISTS (SELECT FROM {staged.real} AS r WHERE {same_login(staged, 't', 'r', by_any=True)})"
        )
        await self._connection.execute(added)
        return f"{somebodys} IS TRUE" if somebodys != "false" else somebodys

    async def _refuse_other_logins(self) -> None:
        """Refuse where a restored row would point to somebody else's login, or to one that has another key today."""
        for staged in self.logins:
            if not staged.key:
                continue
            pairs = f"FROM {staged.typed} AS t JOIN {staged.real} AS r ON "
            was, now = who(staged, "t"), who(staged, "r")
            elsewhere = (
                f"SELECT {was} || ', y hoy es ' || {now} {pairs} {same_login(staged, 't', 'r', by_any=False)}"
                f" AND t.{quote(AT)} IN (SELECT {quote(AT)} FROM {staged.file})"
            )
            if found := await named_people(self._connection, elsewhere):
                raise RestoreRefused(
                    f"un acceso de «{staged.model}» que registros del respaldo necesitan tiene hoy otra clave:"
                    f" era {found}"
                )
            if same_login(staged, "t", "r", by_any=True) == "false":
                continue
            # Who it is by now may be another clinic's person, or the platform's.
            own = self.statements.is_owned(staged.entry, "r") if staged.entry.candidates else "false"
            today = f"CASE WHEN {own} THEN 'es ' || {now} ELSE 'no lo es' END"
            for child in self._compared:
                for fk in child.entry.table.foreign_keys:
                    if (
                        fk.target != staged.entry.name
                        or not child.has(fk.columns)
                        or not staged.has(fk.target_columns)
                    ):
                        continue
                    pointing = f"SELECT {columns('c', fk.columns)} FROM {child.file} AS c"
                    others = (
                        f"SELECT {was} || ', y hoy ' || {today} {pairs} {staged.same_key('t', 'r')}"
                        f" WHERE NOT {same_login(staged, 't', 'r', by_any=True)}"
                        f" AND {pointed_to_from(fk, 't', pointing)}"
                    )
                    if found := await named_people(self._connection, others):
                        raise RestoreRefused(
                            f"registros de «{child.model}» apuntarían al acceso de otra persona en «{staged.model}»:"
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

    async def _complete_part(self) -> None:
        """Add to `file` what the rows in it need, and the logins of their people."""
        await self._add_needed()
        for staged in self.logins:
            await self._add_people(staged, lambda people: people.file)

    async def _add_needed(self) -> None:
        """Add to `file` the rows that those already in it point to and that are not there today, and so on upward."""
        found = True
        while found:
            found = False
            for child in self.staged_tables:
                for fk in child.entry.table.foreign_keys:
                    for parent in self.staged_tables:
                        if parent.entry.name != fk.target or not child.has(fk.columns):
                            continue
                        if not parent.has(fk.target_columns):
                            continue
                        found = await self._add_pointed_to(child, fk, parent) or found

    async def _add_pointed_to(self, child: StagedTable, fk: ForeignKey, parent: StagedTable) -> bool:
        at = quote(AT)
        there = f"SELECT FROM {parent.real} AS r WHERE {joined(fk.target_key, 'r', 't')}"
        absent = (
            f"SELECT t.* FROM {parent.typed} AS t WHERE NOT EXISTS ({there}) AND {self._missing(parent)}"
            f" AND NOT EXISTS (SELECT FROM {parent.file} AS f WHERE f.{at} = t.{at})"
        )
        if parent in self.moved:
            absent += f" AND t.{at} NOT IN (SELECT m.{at} FROM {parent.moved} AS m)"
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

    def rows(
        self, staged: StagedTable, *, limit: int | None = None, whole: bool = False
    ) -> AsyncIterator[ChangedRow]:
        """The rows of the model that differ, with what they are called; `limit` and `whole` as for `changed_rows`."""
        found = changed_rows(self._connection, staged, self.secrets, limit=limit, whole=whole)
        return self._names.named(staged, found, together=PREFETCH_WHOLE if whole else PREFETCH)

    async def _changes(self, staged: StagedTable, *, examples: bool) -> Changes:
        deletes, inserts, updates = await self._count(staged)
        replaced, again = await one_row(
            self._connection,
            f"SELECT count(*) FILTER (WHERE {quote(KIND)} = '{Kind.REPLACE}'),"
            f" count(*) FILTER (WHERE {quote(KIND)} = '{Kind.REINSERT}') FROM {staged.pairs}",
        )
        twice = replaced + again
        changes = Changes(inserts - twice, updates + replaced, deletes - twice)
        if examples and changes.any:
            async for row in self.rows(staged, limit=EXAMPLES):
                changes.examples.setdefault(row.kind, []).append(row.shown())
        return Changes(0, 0, 0, changes.examples, restored=not changes.any) if staged is self.held else changes


def _going_with(records: Sequence[Record], hanging: Mapping[str, int]) -> str:
    """A sentence on what hangs from the records, of which there are so many rows of each model."""
    some = len(records) > 1
    these, them = (f"los {len(records):,} registros pedidos", "ellos") if some else (f"«{records[0]}»", "él")
    found = ", ".join(f"{model} ({rows:,})" for model, rows in hanging.items()) or "nada"
    return f"con {these} va lo que apunta a {them}, por cualquier clave: {found}"


async def one_row(connection: asyncpg.Connection, statement: str) -> asyncpg.Record:
    """The row of a statement that always gives one."""
    row = await connection.fetchrow(statement)
    assert row is not None  # noqa: S101 (the caller's promise)
    return row


def copy_number(staged: StagedTable) -> str:
    """COPY: which of several equal rows it is, always the same; of a table with a key there is but one."""
    if staged.key:
        return f"1::bigint AS {quote(COPY)}"
    return f"row_number() OVER (PARTITION BY {quote(HASH)} ORDER BY ctid) AS {quote(COPY)}"


def _changed(names: Sequence[str]) -> str:
    # As a row is printed, because not every type has an equality, and a cast to text cuts the blanks of char(n).
    printed = [f"ROW({columns(alias, tuple(names))})::text" for alias in ("f", "c")]
    return " <> ".join(printed) if names else "true"
