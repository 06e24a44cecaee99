"""One restore of one clinic, or of the platform, from the opened connection to COMMIT or ROLLBACK."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum

import asyncpg

from app.clinic.catalogue.entries import ByColumn, ByLink, ByRule, Catalogue, Entry
from app.clinic.catalogue.introspection import TableName
from app.clinic.catalogue.migrations import migrations_since
from app.clinic.catalogue.sql import quote
from app.clinic.labels import Labels
from app.clinic.owners.find import find_owners
from app.clinic.reading.platform_statements import PlatformStatements, Statements
from app.clinic.restore.apply import ChangeApplier, ValueTaken
from app.clinic.restore.arrived import leave_what_stays
from app.clinic.restore.changed_rows import ChangedRow
from app.clinic.restore.conflicts import ConflictChecks
from app.clinic.restore.constraints import Constraints
from app.clinic.restore.difference import Changes, Difference, OnStep
from app.clinic.restore.errors import restore_errors
from app.clinic.restore.meanings import OtherMeanings
from app.clinic.restore.migrated import refuse_migrated
from app.clinic.restore.platform import PlatformDifference, PlatformDigestCheck, PlatformRefusals
from app.clinic.restore.proof import DigestCheck, OnRead
from app.clinic.restore.release import staying, unknown_columns, unknown_tables
from app.clinic.restore.scope import RecordSearch, Scope, refuse_access
from app.clinic.restore.staged_tables import KEEP_PLACES, StagedTable
from app.clinic.restore.staging import Staging
from app.clinic.restore.taken import find_conflicts
from app.clinic.restore.triggers import disable_triggers, wait_to_disable
from app.clinic.restore.written import refuse_unplanned
from app.dump.document import Section
from app.dump.verifier import VerifiedFile

# No other session is kept waiting, nor waited for, longer than a person notices.
LOCK_SECONDS = 5

# Where so much of a table was written, its statistics are made anew: as autovacuum would, later on.
STALE = 0.1

# What a restore holds while it works, so that no second one begins and the reconciler finds whose connection it is.
ADVISORY_CLASS = 0x7265_7370

# The same for the tables of a trial.
TRIAL_CLASS = 0x7265_7371


class Outcome(StrEnum):
    """What became of a transaction, as PostgreSQL says it."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    IN_PROGRESS = "in progress"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a restore changes: the clinic's own models, and the shared rows that are missing and put back.

    `needed` are those rows of `models` that nobody asked for: others point to them, and they are not there. `avisos`
    say in words what the tables have today that the file does not know, and what becomes of it. By model:
    `new_logins` are missing ones that are inserted, with which nobody gets in, and `privileges` what others get back.
    `left_out` are models of the file whose logins are the platform's, `access` says whether it has the clinic's own.
    `called` says of the first records that were asked for what they are called.
    `meanings` say of shared rows, to which others that are written point, what they were and what they are today;
    `own_meanings` the same of the clinic's own that stay, and may be other ones that have been given the same keys.
    Of the platform's rows, `differing` are there with other content and left alone, and `of_clinics` are a clinic's
    today.
    """

    models: dict[str, Changes]
    references: dict[str, Changes]
    needed: dict[str, int]
    avisos: tuple[str, ...]
    new_logins: dict[str, str]
    privileges: dict[str, str]
    left_out: tuple[str, ...]
    access: bool
    meanings: dict[str, str]
    own_meanings: dict[str, str]
    called: dict[str, str]
    differing: dict[str, int] = field(default_factory=dict)
    of_clinics: dict[str, int] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether it writes anything."""
        return any(changes.any and changes.restored for changes in (*self.models.values(), *self.references.values()))


class ClinicRestore:
    """Made by `RestoreDatabase.restoring`, of no use after its block; whatever is not committed by then is undone.

    In this order: `staging` takes the file while it is verified, `begin`, `compare`, `apply`, `prove`, and `commit`
    or `rollback`. Each raises RestoreRefused or RestoreDiffers, which name what, or DatabaseError.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        clinica_id: int | None,
        catalogue: Catalogue,
        constraints: Constraints,
        setting: str,
        labels: Labels,
        *,
        other_schemas: Sequence[str],
        name_column: str,
        strict: bool,
        update: bool,
        disable_triggers: bool,
        unbroken: bool,
    ) -> None:
        self._clinica_id = clinica_id
        self.staging = Staging(connection, catalogue, setting)
        self._connection = connection
        self._catalogue = catalogue
        self._constraints = constraints
        self._setting = setting
        self._labels = labels
        self._other_schemas = other_schemas
        self._name_column = name_column
        self._strict = strict
        self._update = update
        self._disable_triggers = disable_triggers
        self._unbroken = unbroken
        self._difference: Difference | None = None
        self._applying: ChangeApplier | None = None
        self._written: Statements | None = None

    async def migrations_since(self) -> list[str]:
        """Sentences on the migrations between the file and today, none where there is none.

        To be asked when the file is verified. It is no matter of the rows, so a restore that is refused has it, too.
        """
        with self._errors():
            return await migrations_since(self._connection, self._catalogue, self.staging.header.migrations)

    async def begin(self, scope: Scope) -> None:
        """Begin the transaction in which everything happens."""
        with self._errors():
            await self.staging.convert()
        await self.staging.analyze()
        with self._errors():
            if self._clinica_id is not None:
                refuse_access(scope, self._catalogue)
            staged_tables = self.staging.staged_tables(scope.models)
            await self._connection.execute(
                f"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; {KEEP_PLACES}"
            )
            statements = await self._find_owners()
        data = [
            staged
            for staged in staged_tables
            if staged.section is Section.DATA and (scope.access or not staged.entry.access)
        ]
        search = RecordSearch(self._connection, self._catalogue, statements, data)
        if isinstance(statements, PlatformStatements):
            self._difference = PlatformDifference(
                self._connection,
                search,
                statements,
                self._constraints,
                staged_tables,
                scope,
                self._labels,
                update=self._update,
            )
        else:
            self._difference = Difference(
                self._connection, search, statements, self._constraints, staged_tables, scope, self._labels
            )

    async def compare(self, on_step: OnStep) -> Plan:
        """Find out what would change, with examples; `on_step` is told each model."""
        difference = self._found()
        with self._errors():
            await difference.find(on_step)
            if not isinstance(difference, PlatformDifference):
                await leave_what_stays(
                    self._connection,
                    self._catalogue,
                    difference,
                    self._constraints,
                    strict=self._strict,
                    unbroken=self._unbroken,
                )
            changes = await difference.changes(examples=True)
            tables = await unknown_tables(
                self._connection, self._catalogue, difference.statements, self.staging.header
            )
            changing = [staged for staged in difference.staged_tables if staged.model in changes[staged.section]]
            avisos = (
                *(f"«{model}», tabla que el respaldo no conoce: {staying(rows)}" for model, rows in tables.items()),
                *await unknown_columns(self._connection, changing),
                *difference.said,
                *await difference.emptied(),
            )
            meanings = OtherMeanings(self._connection, difference, self._labels.secrets)
            plan = Plan(
                changes[Section.DATA],
                changes[Section.REFERENCES],
                await difference.needed(),
                avisos,
                await difference.new_logins(),
                await difference.privileges(),
                self.staging.left_out,
                any(staged.entry.access for staged in difference.data),
                await meanings.shared(),
                await meanings.own() if self._clinica_id is not None else {},
                await difference.called(),
            )
            plan = replace(plan, avisos=(*plan.avisos, *await self._prepare_applying()))
        if isinstance(difference, PlatformDifference):
            return replace(plan, differing=difference.differing, of_clinics=difference.of_clinics)
        return plan

    @property
    def is_empty(self) -> bool:
        """After `compare`: whether nothing that was compared is there today but the clinic's own row."""
        return self._found().is_empty

    async def rows(self, *, limit: int | None = None) -> AsyncIterator[tuple[str, ChangedRow]]:
        """After `compare`: every row that will be written, or `limit` of each model and kind, each with its model."""
        difference = self._found()
        with self._errors():
            for staged in difference.staged_tables:
                if staged is not difference.held:
                    async for row in difference.rows(staged, limit=limit):
                        yield staged.model, row

    async def changed_since(self) -> list[str]:
        """The models of which somebody has changed rows since they were compared.

        Where there is none, whoever has read the clinic meanwhile has read just those rows that will be changed.
        """
        with self._errors():
            self._found().statements = await self._find_owners()
            await self._found().follow_logins()
            return await self._found().changed_since()

    async def apply(self, on_step: OnStep) -> None:
        """Change the rows; `on_step` is told each model. Triggers and foreign keys are off where the role may.

        Raises ConflictsFound where rows of today have what rows of the file would have to have: none is changed then.
        """
        difference, applying = self._found(), self._compared()
        with self._errors():
            replica = applying.replica
            disabled = await self._to_disable()
            if disabled:
                await wait_to_disable(self._connection)
            await refuse_migrated(
                self._connection, difference, self._catalogue, self._constraints, self._other_schemas
            )
            conflicts = (PlatformRefusals if self._clinica_id is None else ConflictChecks)(
                self._connection,
                difference,
                self._constraints,
                self._clinica_id,
                replica=replica,
                strict=self._strict,
                name_column=self._name_column,
            )
            await conflicts.check()
            put_back: list[str] = []
            if disabled:
                # Nobody else can write these tables from here on, so it comes last.
                put_back = await disable_triggers(self._connection, list(disabled), replica=replica)
            await difference.follow_logins()
            await self._connection.execute("SAVEPOINT escritura")
            try:
                await self._write(conflicts, put_back, on_step)
            except (asyncpg.UniqueViolationError, asyncpg.ExclusionViolationError, ValueTaken) as exc:
                # PostgreSQL says the first, and not whose value it is.
                await self._connection.execute("ROLLBACK TO escritura")
                if found := await find_conflicts(self._connection, difference, self._constraints):
                    raise found from exc
                raise

    async def _write(self, conflicts: ConflictChecks, put_back: Sequence[str], on_step: OnStep) -> None:
        """Change the rows, and check what was off meanwhile; `put_back` are the statements that have triggers act."""
        applying = self._compared()
        if (schema := self._catalogue.schema) is not None:
            # What a constraint or a trigger names without a schema is the clinic's, as it is for its own system.
            await self._connection.execute(f"SET LOCAL search_path = {quote(schema)}, public")
        await applying.apply(on_step)
        # From here on nothing writes.
        for statement in put_back:
            await self._connection.execute(statement)
        # As the file's lines are printed.
        await self._connection.execute("SET LOCAL search_path = public")
        self._written = await self._find_owners()
        await conflicts.check_written(self._written)
        await applying.check_constraints(self._written)

    async def prove(self, verified: VerifiedFile, on_read: OnRead) -> None:
        """Read the rows again: they are the file's, and no other row was written, or nothing stays."""
        replica, constraints = self._compared().replica, self._compared().constraints
        with self._errors():
            statements = self._written or await self._find_owners()
            proof = (PlatformDigestCheck if self._clinica_id is None else DigestCheck)(
                self._connection, self._found(), constraints, statements, self._setting, replica=replica
            )
            await proof.compare(verified.totals, on_read)
            await refuse_unplanned(self._connection, self._found(), constraints, replica=replica)

    async def transaction_id(self) -> str:
        """The transaction's number, by which `RestoreDatabase.outcome` knows what became of it."""
        with self._errors():
            return str(await self._connection.fetchval("SELECT pg_current_xact_id()::text"))

    async def commit(self) -> None:
        """Let it stand. After a DatabaseUnavailable only `RestoreDatabase.outcome` knows whether it does."""
        with self._errors():
            await self._compared().raise_sequences()
            await self._connection.execute("COMMIT")
        # Until autovacuum comes by, no plan would know of the rows: a backup right afterwards took a minute longer.
        # A role that may not gets a warning. It stands already, whatever becomes of this.
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await self._connection.execute(
                f"SET lock_timeout = '{LOCK_SECONDS}s'; SET default_statistics_target TO DEFAULT"
            )
            for staged in self._found().staged_tables:
                if written := sum(await self._found().count(staged)):
                    await self._analyze(staged, written)

    async def _analyze(self, staged: StagedTable, written: int) -> None:
        """The columns that rows are found by; autovacuum, which sees to the others, is not kept from it."""
        table = staged.real.removeprefix("ONLY ")
        asked = "SELECT reltuples FROM pg_class WHERE oid = $1::text::regclass"
        known = await self._connection.fetchval(asked, table)
        if written > STALE * known:
            await self._connection.execute(f"ANALYZE {table} {_found_by(staged.entry)}")

    async def rollback(self) -> None:
        """Take all of it back."""
        with self._errors():
            await self._connection.execute("ROLLBACK")

    async def _find_owners(self) -> Statements:
        """As the rows are now; to be found again when they have been written, since that moves them."""
        return await find_owners(self._connection, self._catalogue, self._clinica_id)

    def _found(self) -> Difference:
        if self._difference is None:
            raise RuntimeError("begin comes first")
        return self._difference

    def _compared(self) -> ChangeApplier:
        if self._applying is None:
            raise RuntimeError("compare comes first")
        return self._applying

    async def _prepare_applying(self) -> list[str]:
        """Sentences on the tables that will be locked, with their triggers disabled."""
        constraints = self._constraints
        if self._disable_triggers:
            constraints = constraints.without_triggers([staged.entry.name for staged in self._found().staged_tables])
        replica = await self._switch_off_triggers()
        self._applying = ChangeApplier(self._connection, self._found(), constraints, replica=replica)
        await self._applying.include_dependents()
        await self._found().settle()
        return [
            f"«{table}»: sus disparadores ({', '.join(triggers)}) se deshabilitan mientras se restaura, y nadie más"
            " puede escribir en ella hasta que termine"
            for table, triggers in (await self._to_disable()).items()
        ]

    async def _to_disable(self) -> dict[TableName, tuple[str, ...]]:
        """The triggers that would act on tables that are written, by table; none where they are to act."""
        if not self._disable_triggers:
            return {}
        found = {
            staged.entry.name: self._constraints.of(staged.entry.name).acting(replica=self._compared().replica)
            for staged in self._found().staged_tables
            if any(await self._found().count(staged))
        }
        return {table: triggers for table, triggers in found.items() if triggers}

    async def _switch_off_triggers(self) -> bool:
        difference = self._found()
        touched = {staged.entry.name for staged in difference.staged_tables}
        for name in touched:
            rules = self._constraints.of(name)
            # What PostgreSQL checks by a trigger, and a query of ours could not.
            if any(index.deferrable and not index.plain for index in rules.unique):
                return False
        if any(
            reference.temporal and ({reference.child_root, reference.parent_root} & touched)
            for reference in self._constraints.references
        ):
            return False
        await self._connection.execute("SAVEPOINT disparadores")
        try:
            await self._connection.execute("SET LOCAL session_replication_role = replica")
        except asyncpg.InsufficientPrivilegeError:
            await self._connection.execute("ROLLBACK TO disparadores")
            return False
        return True

    def _errors(self) -> AbstractContextManager[None]:
        return restore_errors(self._setting)


def _found_by(entry: Entry) -> str:
    """The columns that the table's rows are found by, in parentheses; nothing where it may be any."""
    names = [*entry.table.key, *(name for fk in entry.table.foreign_keys for name in fk.columns)]
    for way in entry.candidates:
        match way:
            case ByColumn(column) | ByLink(column):
                names.append(column)
            case ByRule():
                return ""
    return f"({', '.join(map(quote, dict.fromkeys(names)))})" if names else ""
