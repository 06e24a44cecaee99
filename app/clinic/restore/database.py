"""The clinic database for a role that may write: where clinics are restored, tried and compared."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import asyncpg

from app.clinic.catalogue.entries import TableClass
from app.clinic.catalogue.introspection import TableName
from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.catalogue.sql import literal, quote
from app.clinic.clinic import SETTING, Clinic, Tenancy
from app.clinic.database import (
    TEMPORARY_LOCKS,
    ClinicDatabase,
    other_schemas,
    reading,
    recorded,
    refuse_too_many_locks,
    refuse_unreadable,
    role_rights,
)
from app.clinic.labels import Labels, RecordLabels
from app.clinic.reading.checks import OnStep
from app.clinic.restore.comparison import Comparison
from app.clinic.restore.constraints import CONSTRAINTS_SQL, parse_constraints
from app.clinic.restore.session import ADVISORY_CLASS, LOCK_SECONDS, TRIAL_CLASS, ClinicRestore, Outcome
from app.clinic.restore.trial import PREFIX, Trial
from app.clinic.restore.writer import ADDED, WRITTEN, also_needed
from app.clinic.rights import RoleRights, may_switch_off_triggers, needed_on
from app.database import CONNECT_SECONDS, database_errors
from app.dump.whose import whose
from app.errors import ClinicNotFound, DatabaseUnavailable, OperationInProgress, RespaldosError

# The same of a trial or a comparison: the file's lines. What a trial makes beside them is gone from step to step.
STAGE_LOCKS = 5

# More than a connection's usual share: joins over a clinic's rows stay in memory, or spill less. Of temporary tables
# plans go by the number of rows and of keys, which a sample of 3,000 tells; one of 30,000 took a tenth of a restore.
TEMPORARY_SQL = "SET work_mem = '64MB'; SET temp_buffers = '64MB'; SET default_statistics_target = 10"

# Tables dropped in one transaction: each is up to fourteen locks, with its types, indexes and what it keeps long
# values in. When a session ends, or for a schema, PostgreSQL drops them all in one.
DROPPED_AT_ONCE = 50

# What a restore and a trial take of the database itself, where the role has it not.
OF_DATABASE_SQL = """
SELECT "right" FROM unnest(ARRAY['TEMPORARY', 'CREATE']) AS needed("right")
WHERE NOT has_database_privilege(current_database(), "right")
"""

# Those of the named tables whose triggers the role may disable; by name, since a closed schema refuses a cast.
OWN_SQL = """
SELECT given.* FROM unnest($1::text[], $2::text[]) AS given(schema, name)
JOIN pg_namespace AS n ON n.nspname = given.schema
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = given.name
WHERE pg_has_role(c.relowner, 'USAGE')
"""

# A session that is told to end does so at once, unless it is writing a lot (seconds).
END_SECONDS = 10


class RestoreDatabase(ClinicDatabase):
    """As ClinicDatabase. Each session is for one thing, and undoes at its end what it was not told to keep.

    Whoever is shown what differs is not shown `secrets`, and sees what `labels` call it. With `disable_triggers`, a
    restore disables the triggers that the role cannot switch off for its session; see docs/restore.md.
    """

    def __init__(
        self,
        url: str,
        tenancy: Tenancy,
        secrets: SecretColumns,
        *,
        labels: RecordLabels | None = None,
        setting: str = SETTING,
        disable_triggers: bool = False,
        count_unowned: bool = True,
    ) -> None:
        super().__init__(url, tenancy, setting=setting, count_unowned=count_unowned)
        self._secrets = secrets
        self._labels = labels or RecordLabels()
        self._disable_triggers = disable_triggers

    async def _lock(self, connection: asyncpg.Connection, *given: Any) -> Any:
        # A restore's safety backup. Whoever waits for what the restore has locked must not be waited for in turn.
        await connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
        return await super()._lock(connection, *given)

    async def rights(self) -> RoleRights:
        """The same for restores and trials: to write, and to keep triggers from acting. Raises DatabaseError."""
        async with self._looking() as (connection, catalogue, tenants):
            others = [clinic.schema for clinic in tenants.clinics if clinic.schema not in (None, catalogue.schema)]
            constraints = parse_constraints(await connection.fetchval(CONSTRAINTS_SQL, others))
            replica = await may_switch_off_triggers(connection)
            owned = [entry.name for entry in catalogue.of_class(TableClass.OWNED)]
            own = {name for name in owned if not catalogue.entries[name].access}
            needed = reading(catalogue)
            tables = {each.table for each in needed}
            for table in tables:
                needed += needed_on(table, *(WRITTEN if table in own else ADDED))
            needed += also_needed(constraints, tables, replica=replica)
            found = await role_rights(connection, catalogue, tenants, needed)
            of_database = [right for (right,) in await connection.fetch(OF_DATABASE_SQL)]
            acting = [] if replica else [name for name in owned if constraints.of(name).acting(replica=False)]
            if acting and self._disable_triggers:
                asked = [table.schema for table in acting], [table.name for table in acting]
                mine = {TableName(*row) for row in await connection.fetch(OWN_SQL, *asked)}
                acting = [table for table in acting if table not in mine]
            return replace(found, of_database=of_database, acting=acting)

    @asynccontextmanager
    async def _working(self, on_step: OnStep) -> AsyncIterator[asyncpg.Connection]:
        """A connection that calls `on_step` after each statement: some take minutes, and there are many."""
        async with self._connect() as connection:
            with connection.query_logger(lambda _query: on_step()):
                yield connection

    @asynccontextmanager
    async def restoring(
        self,
        clinica_id: int | None,
        on_step: OnStep = lambda: None,
        /,
        *,
        strict: bool = False,
        update: bool = False,
        unbroken: bool = False,
    ) -> AsyncIterator[ClinicRestore]:
        """A session in which the clinic's rows are written; what it has not committed at its end is undone.

        A clinic that the tenant table has lost is restored too, where a column tells clinics apart. With `strict`,
        shared rows have to be there as the file has them, or not at all, no row of the file may be another clinic's,
        and the clinic has to be the file's. Without a clinic, it is the platform's file: nothing is deleted, and rows
        that differ are changed only with `update`. `unbroken` says that no older backup of the clinic has been
        restored since this one was taken: see `ArrivedRows`. `on_step` is called after each statement.

        Raises OperationInProgress where another session restores this clinic, and what `snapshot` raises.
        """
        async with self._working(on_step) as connection:
            with database_errors(self._setting):
                await connection.execute(TEMPORARY_SQL)
                if not await connection.fetchval(f"SELECT pg_try_advisory_lock({_advisory(clinica_id)})"):
                    raise OperationInProgress(f"ya se está restaurando {whose(clinica_id)}")
                tenants = await self._tenants(connection)
                clinics = tenants.clinics
                clinic = None
                if clinica_id is not None:
                    try:
                        clinic = tenants.pick(clinica_id)
                    except ClinicNotFound as exc:
                        if self._tenancy.kind == "schema":
                            raise ClinicNotFound(
                                f"{exc}: antes de restaurarla hay que volver a poner su fila en la tabla de clínicas,"
                                " que dice cuál es su esquema"
                            ) from exc
                        clinic = Clinic(clinica_id, None, False, None)
                catalogue = await self._catalogue(connection, clinic, tenants)
                entries = recorded(catalogue, clinica_id)
                refuse_unreadable([entry.table for entry in entries], self._setting)
                await refuse_too_many_locks(connection, entries, temporary=TEMPORARY_LOCKS)
                catalogue = await self._followable(connection, catalogue, clinica_id)
                others = other_schemas(clinics, clinic)
                text = await connection.fetchval(CONSTRAINTS_SQL, others)
            try:
                yield ClinicRestore(
                    connection,
                    clinica_id,
                    catalogue,
                    parse_constraints(text),
                    self._setting,
                    Labels(catalogue, self._secrets, self._labels),
                    other_schemas=others,
                    name_column=self._tenancy.name_column,
                    strict=strict,
                    update=update,
                    disable_triggers=self._disable_triggers,
                    unbroken=unbroken,
                )
                # What is restored stands, whatever becomes of this.
                with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await _drop_tables(connection, "pg_my_temp_schema()")
            except RespaldosError:
                # Whoever tries again at once must not find this session at it still.
                with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await connection.close(timeout=CONNECT_SECONDS)
                raise

    @asynccontextmanager
    async def trying(self, clinica_id: int | None, on_step: OnStep = lambda: None) -> AsyncIterator[Trial]:
        """A session in which the clinic's file, or the platform's, can be restored into tables of its own.

        They are dropped at its end. `on_step` is called after each statement. Raises what `snapshot` raises.
        """
        number = secrets.randbelow(2**31)
        async with self._working(on_step) as connection:
            with database_errors(self._setting):
                await connection.execute(TEMPORARY_SQL)
                # Whoever drops what a dead process left sees by this that somebody is at work.
                await connection.execute(f"SELECT pg_advisory_lock({TRIAL_CLASS}, {number})")
                tenants = await self._tenants(connection)
                clinics = tenants.clinics
                clinic = tenants.pick(clinica_id) if clinica_id is not None else None
                catalogue = await self._catalogue(connection, clinic, tenants)
                entries = recorded(catalogue, clinica_id)
                refuse_unreadable([entry.table for entry in entries], self._setting)
                await refuse_too_many_locks(connection, entries, temporary=STAGE_LOCKS)
                text = await connection.fetchval(CONSTRAINTS_SQL, other_schemas(clinics, clinic))
            labels = Labels(catalogue, self._secrets, self._labels)
            trial = Trial.of(connection, catalogue, parse_constraints(text), labels, self._setting, number)
            try:
                yield trial
            except RespaldosError:
                # Where this cannot be done, `drop_abandoned_trials` does it.
                with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await _drop_schema(connection, trial.schema)
                raise
            with database_errors(self._setting):
                await _drop_schema(connection, trial.schema)

    @asynccontextmanager
    async def comparing(self, clinica_id: int | None, on_step: OnStep = lambda: None) -> AsyncIterator[Comparison]:
        """A session in which backups of the clinic are compared with today or with each other; nothing is changed.

        `on_step` is called after each statement. Raises what `snapshot` raises.
        """
        async with self._working(on_step) as connection:
            with database_errors(self._setting):
                await connection.execute(TEMPORARY_SQL)
                tenants = await self._tenants(connection)
                clinics = tenants.clinics
                clinic = tenants.pick(clinica_id) if clinica_id is not None else None
                catalogue = await self._catalogue(connection, clinic, tenants)
                entries = recorded(catalogue, clinica_id)
                refuse_unreadable([entry.table for entry in entries], self._setting)
                await refuse_too_many_locks(connection, entries, temporary=TEMPORARY_LOCKS)
                catalogue = await self._followable(connection, catalogue, clinica_id)
                text = await connection.fetchval(CONSTRAINTS_SQL, other_schemas(clinics, clinic))
            constraints = parse_constraints(text)
            labels = Labels(catalogue, self._secrets, self._labels)
            yield Comparison(connection, catalogue, constraints, clinica_id, self._setting, labels)

    async def drop_abandoned_trials(self) -> None:
        """Drop the tables of trials whose session is gone. Raises DatabaseError."""
        async with self._connect() as connection:
            with database_errors(self._setting):
                found = await connection.fetch(
                    "SELECT nspname FROM pg_namespace WHERE nspname ~ $1", f"^{PREFIX}[0-9]{{1,10}}$"
                )
                for (name,) in found:
                    number = int(name.removeprefix(PREFIX))
                    if await connection.fetchval(f"SELECT pg_try_advisory_lock({TRIAL_CLASS}, {number})"):
                        await _drop_schema(connection, name)

    async def outcome(self, transaction_id: str) -> Outcome | None:
        """What became of a restore's transaction; None where PostgreSQL has forgotten. Raises DatabaseError."""
        async with self._connect() as connection:
            with database_errors(self._setting):
                status = await connection.fetchval("SELECT pg_xact_status($1::text::xid8)", transaction_id)
        return Outcome(status) if status is not None else None

    async def end_restoring(self, clinica_id: int | None) -> None:
        """End the session, if there is one, in which somebody restores the clinic; return when it is gone.

        Raises DatabaseError.
        """
        async with self._connect() as connection:
            with database_errors(self._setting):
                until = time.monotonic() + END_SECONDS
                while await connection.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                    " AND classid = $1 AND objid = $2 AND objsubid = 2",
                    *_advisory_key(clinica_id),
                ):
                    if time.monotonic() > until:
                        raise DatabaseUnavailable(
                            f"la sesión que restaura {whose(clinica_id)} no termina ({self._setting})"
                        )
                    await asyncio.sleep(0.05)


async def _drop_schema(connection: asyncpg.Connection, name: str) -> None:
    await _drop_tables(connection, f"to_regnamespace({literal(quote(name))})")
    await connection.execute(f"DROP SCHEMA IF EXISTS {quote(name)} CASCADE")


async def _drop_tables(connection: asyncpg.Connection, schema: str) -> None:
    """Drop the tables of a schema, in as many transactions as it takes to keep some locks for others."""
    found = await connection.fetch(
        f"SELECT oid::regclass::text FROM pg_class WHERE relnamespace = {schema} AND relkind = 'r'"
    )
    names = [name for (name,) in found]
    for start in range(0, len(names), DROPPED_AT_ONCE):
        await connection.execute(f"DROP TABLE {', '.join(names[start : start + DROPPED_AT_ONCE])} CASCADE")


def _advisory_key(clinica_id: int | None) -> tuple[int, int]:
    # PostgreSQL has two integers of 32 bits for it; two clinics that share one wait for each other, and no more.
    return ADVISORY_CLASS, (clinica_id if clinica_id is not None else -1) % 2**31


def _advisory(clinica_id: int | None) -> str:
    return ", ".join(map(str, _advisory_key(clinica_id)))
