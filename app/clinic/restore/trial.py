"""A restore into tables of its own, made from the clinic's and dropped afterwards: what proves a backup best."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

import asyncpg

from app.clinic.catalogue.entries import Catalogue
from app.clinic.catalogue.introspection import TableName
from app.clinic.catalogue.sql import columns, joined, quote
from app.clinic.labels import Labels
from app.clinic.reading.look_up import Lookup, Values, look_up_among, record_values
from app.clinic.reading.records import LINE
from app.clinic.restore.conflicts import parent_of
from app.clinic.restore.constraints import Constraints, Reference
from app.clinic.restore.difference import OnStep
from app.clinic.restore.errors import restore_errors
from app.clinic.restore.naming import named_keys
from app.clinic.restore.proof import OnRead, holds
from app.clinic.restore.staged_tables import AT, StagedTable, refuse_required_columns, typed_rows
from app.clinic.restore.staging import Staging
from app.clinic.restore.writer import ADDED, WRITTEN, also_needed
from app.clinic.rights import Needed, lacking, may_switch_off_triggers, needed_on
from app.dump.document import ModelTotal, Section
from app.errors import PermissionMissing, RestoreDiffers

# CHECK and NOT NULL constraints that old rows need not fulfil; those that are not enforced bind no row at all.
UNVALIDATED_SQL = """
SELECT k.conname AS name, k.contype = 'n' AS not_null, a.attname AS column,
       regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '') AS definition
FROM pg_constraint AS k LEFT JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
WHERE k.conrelid = $1::text::regclass AND k.contype IN ('c', 'n') AND NOT k.convalidated
  AND to_jsonb(k) -> 'conenforced' IS DISTINCT FROM 'false'::jsonb
"""

# Never the clinics': the catalogue leaves out every schema that begins with `respaldos`.
PREFIX = "respaldos_ensayo_"


@dataclass(slots=True)
class Trial:
    """Made by `RestoreDatabase.trying`, which also drops its tables. `number` is its schema's, `clinics_schema` the
    one that the clinic has for itself. Rows that an error names are called as `labels` call them by the file.

    `staging` takes the file while it is verified; then `load`, once. Raises RestoreRefused or RestoreDiffers, which
    name what, or DatabaseError.
    """

    connection: asyncpg.Connection
    constraints: Constraints
    staging: Staging
    labels: Labels
    setting: str
    number: int
    clinics_schema: str | None
    _tables: dict[TableName, str] = field(default_factory=dict)
    _filled: dict[TableName, StagedTable] = field(default_factory=dict)
    _unvalidated: list[tuple[StagedTable, asyncpg.Record]] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        connection: asyncpg.Connection,
        catalogue: Catalogue,
        constraints: Constraints,
        labels: Labels,
        setting: str,
        number: int,
    ) -> "Trial":
        """A trial in the schema of that number, which is made here."""
        staging = Staging(connection, catalogue, setting)
        return cls(connection, constraints, staging, labels, setting, number, catalogue.schema)

    @property
    def schema(self) -> str:
        """Where its tables are."""
        return f"{PREFIX}{self.number}"

    async def load(self, totals: Mapping[str, ModelTotal], on_step: OnStep, on_read: OnRead) -> list[str]:
        """Load every model, hold its digest against the file's `totals`, add the foreign keys.

        Returns what a person should know: rows that point to another clinic's, which no file of this one has, and
        rows that a constraint which has not been validated would not let in again. Raises PermissionMissing, as a
        restore does, where the role lacks rights.
        """
        with restore_errors(self.setting):
            await self.staging.convert()
            staged_tables = self.staging.staged_tables(None)
            await self._refuse_without_rights(staged_tables)
            await self.connection.execute(f"CREATE SCHEMA {quote(self.schema)}")
            data = [staged for staged in staged_tables if staged.section is Section.DATA]
            for staged in data:
                await self._fill(staged)
                on_step(staged.model)
                await self._hold(staged, totals[staged.model], on_read)
            for staged in staged_tables:
                # Of logins that clinics share the file has too little for a row.
                if staged.section is Section.REFERENCES and not staged.entry.access:
                    await self._fill(staged)
                    on_step(staged.model)
            return [*await self._add_foreign_keys(staged_tables), *await self._add_unvalidated()]

    async def _refuse_without_rights(self, staged_tables: Sequence[StagedTable]) -> None:
        """What a restore of all of it would do with these tables has to be allowed."""
        platform = self.staging.header.clinica_id is None
        needed: list[Needed] = []
        written = set()
        for staged in staged_tables:
            if not platform and staged.entry.name == self.staging.tenant_table:
                continue
            own = not platform and staged.section is Section.DATA and not staged.entry.access
            needed += needed_on(staged.entry.name, *(WRITTEN if own else ADDED))
            written.add(staged.entry.name)
        needed += also_needed(self.constraints, written, replica=await may_switch_off_triggers(self.connection))
        if missing := await lacking(self.connection, needed):
            role = await self.connection.fetchval("SELECT current_user::text")
            raise PermissionMissing(
                f"el rol «{role}», con que se restaura, no podría: le falta"
                f" {', '.join(sorted(map(str, missing)))}; déselo (GRANT)"
            )

    async def _fill(self, staged: StagedTable) -> None:
        name = staged.entry.name
        if name not in self._tables:
            self._tables[name] = f"{quote(self.schema)}.{quote(f'tabla_{len(self._tables)}')}"
            await self._create(staged, self._tables[name])
            self._filled[name] = staged
        lines = f"SELECT ctid AS {quote(AT)}, {quote(LINE)} FROM {staged.stage}"
        into = f"INSERT INTO {self._tables[name]}"
        if staged.names:
            into += f" ({', '.join(map(quote, staged.names))}) OVERRIDING SYSTEM VALUE"
        picked = columns("x", staged.names)
        # What a constraint names without a schema is the clinic's; for this one transaction.
        path = f"SET LOCAL search_path = {quote(self.clinics_schema)}, public; " if self.clinics_schema else ""
        await self.connection.execute(f"{path}{into} SELECT {picked} FROM ({typed_rows(staged, lines)}) AS x")

    async def _create(self, staged: StagedTable, table: str) -> None:
        refuse_required_columns(staged, self.constraints.of(staged.entry.name).defaults)
        like = staged.real.removeprefix("ONLY ")
        await self.connection.execute(f"CREATE UNLOGGED TABLE {table} (LIKE {like} INCLUDING ALL)")
        for constraint in await self.connection.fetch(UNVALIDATED_SQL, like):
            # The copy has it for every row.
            drop = (
                f"ALTER {quote(constraint['column'])} DROP NOT NULL"
                if constraint["not_null"]
                else (f"DROP CONSTRAINT {quote(constraint['name'])}")
            )
            await self.connection.execute(f"ALTER TABLE {table} {drop}")
            self._unvalidated.append((staged, constraint))
        for sequence in self.constraints.of(staged.entry.name).sequences:
            # A default that names the clinic's own sequence would count there.
            identity = await self.connection.fetchval(
                "SELECT attidentity <> '' FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = $2",
                table,
                sequence.column,
            )
            if not identity:
                await self.connection.execute(f"ALTER TABLE {table} ALTER {quote(sequence.column)} DROP DEFAULT")

    async def _hold(self, staged: StagedTable, total: ModelTotal, on_read: OnRead) -> None:
        rows = f"SELECT {columns('t', staged.names)} FROM {self._tables[staged.entry.name]} AS t"
        if not await holds(self.connection, staged, rows, total, self.setting, on_read):
            raise RestoreDiffers(
                f"restaurado en tablas aparte, «{staged.model}» no vuelve a leerse como está en el respaldo:"
                f" {total.records:,} registros, SHA-256 {total.sha256}"
            )

    async def _add_foreign_keys(self, staged_tables: Sequence[StagedTable]) -> list[str]:
        said = []
        by_table = {staged.entry.name: staged for staged in staged_tables}
        for reference in self.constraints.references:
            child, parent = self._tables.get(reference.child), self._tables.get(reference.parent)
            if child is None or parent is None or reference.temporal or not reference.validated:
                continue
            own, target = (", ".join(map(quote, names)) for names in (reference.columns, reference.target_columns))
            try:
                await self.connection.execute(
                    f"ALTER TABLE {child} ADD FOREIGN KEY ({own}) REFERENCES {parent} ({target})"
                )
            except asyncpg.ForeignKeyViolationError:
                said.append(await self._stray(by_table[reference.child], reference, child, parent))
        return said

    async def _add_unvalidated(self) -> list[str]:
        said = []
        for staged, constraint in self._unvalidated:
            add = (
                f"ALTER {quote(constraint['column'])} SET NOT NULL"
                if constraint["not_null"]
                else (f"ADD {constraint['definition']}")
            )
            try:
                await self.connection.execute(f"ALTER TABLE {self._tables[staged.entry.name]} {add}")
            except (asyncpg.CheckViolationError, asyncpg.NotNullViolationError):
                said.append(
                    f"«{staged.model}»: hay registros que no cumplen «{constraint['name']}», que no está validada:"
                    " los que falten no se podrán agregar mientras exista"
                )
        return said

    async def _stray(self, staged: StagedTable, reference: Reference, child: str, parent: str) -> str:
        """A sentence where the missing rows are another clinic's. Raises RestoreDiffers where they are nowhere."""
        target = reference.target_columns
        missing = (
            f"({columns('c', reference.columns)}) IS NOT NULL"
            if len(target) > 1
            else (f"c.{quote(reference.columns[0])} IS NOT NULL")
        )
        for there in (parent, parent_of(reference)):
            missing += f" AND NOT EXISTS (SELECT FROM {there} AS p WHERE {joined(reference, 'c', 'p')})"
        rows = f"SELECT c.* FROM {child} AS c WHERE {missing}"
        by = ", ".join(reference.columns)
        call = partial(self._called, staged) if staged.key else None
        if found := await named_keys(self.connection, staged.key or reference.columns, rows, call):
            raise RestoreDiffers(
                f"registros de «{staged.model}» apuntan, por {by}, a registros que no están en el respaldo"
                f" ni en la base de datos: {found}"
            )
        return f"«{staged.model}»: hay registros que apuntan, por {by}, a registros de otra clínica"

    async def _called(self, staged: StagedTable, keys: Sequence[tuple[str, ...]]) -> list[str]:
        lookups = [Lookup(staged.entry.name, staged.key, key) for key in keys]
        async with self.connection.transaction():
            found = await self.labels.at(set(lookups), self._fetch)
        return [found.get(lookup, "") for lookup in lookups]

    async def _fetch(self, lookups: Collection[Lookup]) -> Mapping[Lookup, Values]:
        found: dict[Lookup, Values] = {}
        for (name, names), some in groupby(sorted(lookups), key=lambda each: each[:2]):
            staged = self._filled.get(name)
            if staged is not None and staged.has(names):
                query = f"SELECT {columns('r', staged.names)} FROM {self._tables[name]} AS r"
                lines = await look_up_among(self.connection, staged.table, query, list(some))
                found |= {lookup: record_values(staged.table, line) for lookup, line in lines.items()}
        return found
