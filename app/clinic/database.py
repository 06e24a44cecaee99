"""One clinic's rows, or the platform's, out of the shared database: a consistent snapshot, read with COPY."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import asyncpg

from app import tracing
from app.clinic.catalogue.advice import Advice, advise
from app.clinic.catalogue.classification import (
    build_catalogue,
    narrowed,
    parse_rules,
    refuse_unwritable,
    shared_tenancy,
)
from app.clinic.catalogue.entries import ByLink, ByRule, Catalogue, Entry, TableClass, WholeTable
from app.clinic.catalogue.introspection import Introspection, Table, TableName, catalogue_sql, parse
from app.clinic.catalogue.migrations import migration_heads
from app.clinic.catalogue.ownership import RULE_ALIAS, RuleFailed, rule_of, rule_value
from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.catalogue.sql import from_table, qualified
from app.clinic.clinic import SETTING, Clinic, Tenancy
from app.clinic.labels import Labels, RecordLabels
from app.clinic.owners.all_clinics import AllOwners
from app.clinic.owners.find import find_nulls, find_owners, find_references
from app.clinic.reading.checks import (
    COUNT_SECONDS,
    AllOwnersCounts,
    Counter,
    CrossTenantReference,
    Lost,
    OnStep,
    Unchecked,
    Unowned,
    count_large_objects,
    count_lost,
    count_rows,
)
from app.clinic.reading.named_files import FileColumn, NamedFiles, all_rows, count_files, find_file_columns
from app.clinic.reading.platform_statements import platform_entries
from app.clinic.reading.snapshot import ClinicSnapshot
from app.clinic.reading.standby import standby_moment
from app.clinic.rights import Needed, RoleRights, lacking, needed_on
from app.clinic.sessions import Sessions
from app.clinic.tenants import Tenants, TenantTable
from app.database import asyncpg_url, database_errors
from app.errors import (
    CatalogError,
    ClinicNotFound,
    DatabaseUnavailable,
    PermissionMissing,
    RespaldosError,
    RowSecurityActive,
    SchemaChanged,
)

# Bytes on disk of the named tables with their partitions.
SIZE_SQL = """
SELECT coalesce(sum(pg_table_size(part)), 0)::bigint FROM (
    SELECT name::regclass AS part FROM unnest($1::text[]) AS name
    UNION SELECT tree.relid FROM unnest($1::text[]) AS name, pg_partition_tree(name::regclass) AS tree
) AS parts
"""

# The locks that reading the named tables takes, on them, their partitions and their indexes, and how many the server
# has left: PostgreSQL has a few more, and whoever takes the last leaves none to anybody.
LOCKS_SQL = """
WITH parts AS (
    SELECT name::regclass AS part FROM unnest($1::text[]) AS name
    UNION SELECT tree.relid FROM unnest($1::text[]) AS name, pg_partition_tree(name::regclass) AS tree
)
SELECT (SELECT count(*) FROM parts) + (SELECT count(*) FROM pg_index JOIN parts ON indrelid = part) AS needed,
    current_setting('max_locks_per_transaction')::int
        * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int)
        - (SELECT count(*) FROM pg_locks WHERE NOT fastpath) AS free
"""

# Temporary tables of a restore for each of the clinic's, with what PostgreSQL keeps their long values in.
TEMPORARY_LOCKS = 14

# Every request and every night waits for the list of clinics, and a connection may die without a word.
CLINICS_SECONDS = 30

# What the catalogue's query is prepared as, where it is the same for all clinics: it takes longer to plan than to do,
# and a session asks it twice or more.
_PREPARED = "respaldos_catalogo"

# Counting the rows without owner may read whole tables, and so may finding which columns name files: a night of many
# clinics does it once.
UNOWNED_SECONDS = 6 * 3600


@dataclass(frozen=True, slots=True)
class Census:
    """A catalogue with what is in its tables; `rows` is None for a table that the role may not read."""

    catalogue: Catalogue
    rows: dict[TableName, int | None]
    unowned: list[Unowned]
    cross_tenant: list[CrossTenantReference]
    lost: list[Lost]
    files: list[NamedFiles]
    advice: list[Advice]


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database was last found to be like."""

    tenants: TenantTable
    catalogue: Catalogue


@dataclass(frozen=True, slots=True)
class _Begun:
    """A transaction whose snapshot was taken then (UTC), with the locks that reading these tables needs."""

    tenants: TenantTable
    clinic: Clinic | None
    catalogue: Catalogue
    taken_at: datetime


class ClinicDatabase:
    """The clinic database at one address, which `setting` gave.

    Between calls it keeps up to `keep` sessions, for one event loop: then its owner closes it. Without
    `count_unowned` no clinic's snapshot says how many rows of all clinics are nobody's.
    """

    def __init__(
        self, url: str, tenancy: Tenancy, *, setting: str = SETTING, keep: int = 0, count_unowned: bool = True
    ) -> None:
        self._prepared = tenancy.kind == "column"
        self._sessions = Sessions(
            asyncpg_url(url),
            setting,
            keep=keep,
            once=f"PREPARE {_PREPARED} AS {catalogue_sql()}" if self._prepared else "",
        )
        self._setting = setting
        self._tenancy = tenancy
        self._count_unowned = count_unowned
        self._known: _Known | None = None
        self._unowned: tuple[Sequence[object], float, list[Unowned | Unchecked]] | None = None
        self._files: tuple[list[Entry], float, list[FileColumn | Unchecked]] | None = None

    async def close(self) -> None:
        """End the sessions that are kept."""
        await self._sessions.close()

    async def clinics(self) -> list[Clinic]:
        """Every clinic of the tenant table, by id; in tenancy `schema` without the platform's own entry."""
        return (await self._all()).clinics

    async def clinic(self, named: int | str) -> Clinic:
        """The clinic of that id or, as a person names one, of that number or else that schema.

        Raises ClinicNotFound.
        """
        if isinstance(named, int) or named.isdecimal():
            # A schema may be called by a number, too.
            with suppress(ClinicNotFound):
                return (await self._all(int(named))).pick(int(named))
        return (await self._all()).pick(named)

    async def _all(self, only: int | None = None) -> Tenants:
        try:
            async with asyncio.timeout(CLINICS_SECONDS), self._connect() as connection:
                with database_errors(self._setting):
                    return await self._tenants(connection, only)
        except TimeoutError as exc:
            raise DatabaseUnavailable(
                f"la base de datos no respondió en {CLINICS_SECONDS} segundos ({self._setting})"
            ) from exc

    @asynccontextmanager
    async def snapshot(
        self, clinica_id: int | None, on_step: OnStep | None = None, *, own: bool = False
    ) -> AsyncIterator[ClinicSnapshot]:
        """One moment of the clinic's rows, consistent over all tables, for as long as the block runs.

        Without a clinic, of what no clinic owns.

        Before it, whose rows they are is found, and the rows that no clinic owns are counted: no statement takes
        longer than OWNERS_SECONDS, no such count longer than COUNT_SECONDS, and `on_step` is called after each. With
        `own` it is good for the clinic's own rows alone, and so there sooner.

        Raises ClinicNotFound, PermissionMissing or RowSecurityActive (naming the tables), CatalogError,
        SchemaChanged where the schema changes just now, DatabaseUnavailable.
        """
        async with self._connect() as connection:
            with tracing.span("snapshot"), database_errors(self._setting):
                begun = await self._begin(connection, clinica_id)
                while True:
                    try:
                        snapshot = await self._snapshot(connection, begun, on_step, own=own)
                        break
                    except RuleFailed as exc:
                        await connection.execute("ROLLBACK")
                        catalogue = self._without_rule(begun.catalogue, exc)
                        begun = await self._lock(connection, begun.tenants, begun.clinic, catalogue)
            yield snapshot

    async def _followable(
        self, connection: asyncpg.Connection, catalogue: Catalogue, clinica_id: int | None
    ) -> Catalogue:
        """The catalogue without the rules that fail with a row now, asked in a transaction of its own."""
        while rule_of(catalogue.entries.values()) is not None:
            await connection.execute("BEGIN")
            try:
                await find_owners(connection, catalogue, clinica_id)
            except RuleFailed as exc:
                catalogue = self._without_rule(catalogue, exc)
            else:
                break
            finally:
                await connection.execute("ROLLBACK")
        return catalogue

    async def _begin(self, connection: asyncpg.Connection, clinica_id: int | None) -> _Begun:
        """Begin the snapshot of the clinic, or of the platform.

        What the database was last found to be like saves reading it twice: under the locks it is seen whether it
        is still so.
        """
        if clinica_id is not None and self._known is not None:
            try:
                tenants = await self._known.tenants.read(connection, clinica_id)
                return await self._begin_by(connection, tenants, clinica_id)
            except (
                RespaldosError,
                asyncpg.SyntaxOrAccessError,
                asyncpg.InvalidSchemaNameError,
                asyncpg.DataError,
            ):
                # Whether it is so, is for what is read anew to say.
                if connection.is_in_transaction():
                    await connection.execute("ROLLBACK")
                self._known = None
        tenants = await self._tenants(connection, clinica_id)
        return await self._begin_by(connection, tenants, clinica_id)

    async def _begin_by(self, connection: asyncpg.Connection, tenants: Tenants, clinica_id: int | None) -> _Begun:
        clinic = tenants.pick(clinica_id) if clinica_id is not None else None
        if clinic is not None and self._known is not None and self._tenancy.kind == "column":
            catalogue = self._known.catalogue
        else:
            catalogue = await self._catalogue(connection, clinic, tenants)
        refuse_unreadable([entry.table for entry in recorded(catalogue, clinica_id)], self._setting)
        return await self._lock(connection, tenants.table, clinic, catalogue)

    async def _lock(
        self, connection: asyncpg.Connection, tenants: TenantTable, clinic: Clinic | None, catalogue: Catalogue
    ) -> _Begun:
        """Begin a transaction in which the tables do not change any more. Raises SchemaChanged where they have."""
        entries = recorded(catalogue, clinic.id if clinic is not None else None)
        await refuse_too_many_locks(connection, entries)
        behind = await standby_moment(connection)
        await connection.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; {_lock(entries)}")
        taken_at = behind or datetime.now(UTC)
        # The first query takes the snapshot. The tables cannot change any more; had they changed before the lock,
        # this shows it.
        if await self._text(connection, tenants.schemas(clinic)) != catalogue.text:
            raise SchemaChanged("el esquema de la base de datos cambió justo ahora; vuelva a intentarlo")
        return _Begun(tenants, clinic, catalogue, taken_at)

    async def _snapshot(
        self, connection: asyncpg.Connection, begun: _Begun, on_step: OnStep | None, *, own: bool
    ) -> ClinicSnapshot:
        clinica_id = begun.clinic.id if begun.clinic is not None else None
        catalogue = begun.catalogue
        migrations = await migration_heads(connection, catalogue)
        step = on_step or (lambda: None)
        statements = await find_owners(connection, catalogue, clinica_id, step, references=not own)
        unowned: Sequence[Unowned | Unchecked] = ()
        if not own:
            await find_references(connection, statements, step)
            if clinica_id is None:
                # The rows that no clinic owns are those of this snapshot.
                async with Counter(connection, seconds=COUNT_SECONDS, on_step=on_step) as counter:
                    unowned = [*await count_large_objects(counter), *counter.unchecked]
            elif self._count_unowned:
                unowned = await self._unowned_rows(connection, catalogue, statements.catalogue, on_step)
        size = await connection.fetchval(SIZE_SQL, [qualified(entry.table) for entry in statements.own_entries])
        named = platform_entries(catalogue) if clinica_id is None else catalogue.of_class(TableClass.OWNED)
        files = partial(self._file_columns, connection, named)
        return ClinicSnapshot(
            connection,
            clinica_id,
            catalogue,
            statements,
            migrations,
            unowned,
            files,
            size,
            begun.taken_at,
            self._setting,
        )

    async def census(self, named: int | str | None = None) -> Census:
        """Count every table of the catalogue, and what in it is nobody's, points to another clinic or names files.

        It reads all of them. What would make backups faster is looked for, too. The catalogue is that of the clinic
        which is `named` as for `clinic`, or of the first.
        """
        async with self._connect() as connection:
            with database_errors(self._setting):
                tenants = await self._tenants(connection)
                catalogue = await self._catalogue(connection, tenants.pick(named), tenants)
                refuse_unreadable(
                    [entry.table for entry in catalogue.entries.values() if entry.recorded], self._setting
                )
                while True:
                    try:
                        return await _take_census(connection, catalogue)
                    except RuleFailed as exc:
                        await connection.execute("ROLLBACK")
                        catalogue = self._without_rule(catalogue, exc)

    async def problems(self) -> list[str]:
        """A sentence for each table whose rule PostgreSQL does not accept. Raises DatabaseError."""
        async with self._connect() as connection:
            with database_errors(self._setting):
                tenants = await self._tenants(connection)
                catalogue = await self._catalogue(connection, tenants.pick(None), tenants)
        return list(catalogue.problems.values())

    async def label_problems(self, secrets: SecretColumns, labels: RecordLabels) -> list[str]:
        """A sentence for each template that names what there is not. Raises DatabaseError."""
        async with self._looking() as (_, catalogue, _):
            return Labels(catalogue, secrets, labels).problems

    async def rights(self) -> RoleRights:
        """What the role is to do with the clinics' tables, all clinics' where each has a schema, and may not.

        Raises DatabaseError.
        """
        async with self._looking() as (connection, catalogue, tenants):
            return await role_rights(connection, catalogue, tenants, reading(catalogue))

    @asynccontextmanager
    async def _looking(self) -> AsyncIterator[tuple[asyncpg.Connection, Catalogue, Tenants]]:
        """A connection, with the catalogue of the first clinic or, where there is none, of the platform."""
        async with self._connect() as connection:
            with database_errors(self._setting):
                tenants = await self._tenants(connection)
                first = tenants.clinics[0] if tenants.clinics else None
                yield connection, await self._catalogue(connection, first, tenants), tenants

    def _connect(self) -> AbstractAsyncContextManager[asyncpg.Connection]:
        return self._sessions.session()

    async def _text(self, connection: asyncpg.Connection, schemas: str = "true") -> str:
        """PostgreSQL's catalogue of those schemas, as a condition on `n`."""
        prepared = self._prepared and schemas == "true"
        text: str = await connection.fetchval(f"EXECUTE {_PREPARED}" if prepared else catalogue_sql(schemas))
        return text

    async def _tenants(self, connection: asyncpg.Connection, only: int | None = None) -> Tenants:
        """The clinics; with `only`, it is enough to know that one."""
        text = await self._text(connection, "n.nspname = 'public'" if self._tenancy.kind == "schema" else "true")
        tenants = TenantTable.of(parse(text), self._tenancy)
        refuse_unreadable([tenants.table], self._setting)
        return await tenants.read(connection, only)

    async def _unowned_rows(
        self, connection: asyncpg.Connection, catalogue: Catalogue, narrow: Catalogue, on_step: OnStep | None
    ) -> list[Unowned | Unchecked]:
        """Rows that no clinic owns, counted once in a while: the answer is the same for every clinic."""
        now = time.monotonic()
        # What one clinic's own schema has is no matter of another's.
        asked = [
            (entry.table, entry.candidates)
            for entry in catalogue.of_class(TableClass.OWNED)
            if not isinstance(entry.candidates[0], WholeTable)
        ]
        if self._unowned is None or self._unowned[0] != asked or now - self._unowned[1] > UNOWNED_SECONDS:
            async with Counter(connection, seconds=COUNT_SECONDS, on_step=on_step) as counter:
                found = await AllOwnersCounts(counter, narrow).unowned()
            self._unowned = (asked, now, [*found, *counter.unchecked])
        return self._unowned[2]

    async def _file_columns(
        self, connection: asyncpg.Connection, entries: list[Entry], on_step: OnStep | None
    ) -> list[FileColumn | Unchecked]:
        """The columns that name files, found once in a while: a table that is empty today may name some tomorrow."""
        now = time.monotonic()
        if self._files is None or self._files[0] != entries or now - self._files[1] > UNOWNED_SECONDS:
            async with Counter(connection, seconds=COUNT_SECONDS, on_step=on_step) as counter:
                found = await find_file_columns(counter, entries)
            self._files = (entries, now, [*found, *counter.unchecked])
        return self._files[2]

    async def _catalogue(self, connection: asyncpg.Connection, clinic: Clinic | None, tenants: Tenants) -> Catalogue:
        schema = clinic.schema if clinic is not None else None
        if clinic is not None and self._tenancy.kind == "schema":
            _check_schema(clinic, tenants.clinics, self._tenancy)
        text = await self._text(connection, tenants.table.schemas(clinic))
        known = self._known
        if known is None or (known.catalogue.text, known.catalogue.schema) != (text, schema):
            found = parse(text)
            if TenantTable.of(found, self._tenancy) != tenants.table:
                raise SchemaChanged("la tabla de clínicas cambió justo ahora; vuelva a intentarlo")
            tenancy = self._tenancy_of(found, schema)
            rules, problems = await _check_rules(connection, found, tenancy, schema)
            catalogue = build_catalogue(found, tenancy, schema=schema, text=text, rules=rules, problems=problems)
            self._known = known = _Known(tenants.table, catalogue)
        if clinic is None:
            refuse_unwritable(platform_entries(known.catalogue))
        return known.catalogue

    def _tenancy_of(self, found: Introspection, schema: str | None) -> Tenancy:
        if self._tenancy.kind == "schema" and schema is None:
            return shared_tenancy(found, self._tenancy)
        return self._tenancy

    def _without_rule(self, catalogue: Catalogue, failed: RuleFailed) -> Catalogue:
        """The catalogue in which the table of that rule is nobody's, since nobody can say whose its rows are."""
        rules = {
            entry.name: way
            for entry in catalogue.entries.values()
            for way in entry.candidates
            if isinstance(way, ByRule | ByLink)
        }
        found = parse(catalogue.text)
        return build_catalogue(
            found,
            self._tenancy_of(found, catalogue.schema),
            schema=catalogue.schema,
            text=catalogue.text,
            rules=rules,
            problems={**catalogue.problems, failed.table: str(failed)},
        )


async def _take_census(connection: asyncpg.Connection, catalogue: Catalogue) -> Census:
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    async with Counter(connection) as counter:
        narrow = narrowed(catalogue, await find_nulls(connection, catalogue))
        counts = AllOwnersCounts(counter, narrow)
        rows = await count_rows(connection, catalogue)
        unowned, cross_tenant = await counts.unowned(), await counts.cross_tenant()
        lost = await count_lost(counter, AllOwners(narrow), narrow)
        owned = catalogue.of_class(TableClass.OWNED)
        files = await count_files(counter, await find_file_columns(counter, owned), all_rows)
    # By itself, because what takes too long in it is stopped.
    await connection.execute("COMMIT")
    return Census(
        catalogue, rows, unowned, cross_tenant, lost, files, await advise(connection, catalogue, narrow, rows)
    )


def reading(catalogue: Catalogue) -> list[Needed]:
    """The rights that backups take: to read all that any of them has."""
    platforms = {entry.name for entry in platform_entries(catalogue)}
    read = [entry for entry in catalogue.entries.values() if entry.recorded or entry.name in platforms]
    return [each for entry in read for each in needed_on(entry.name, "SELECT")]


async def role_rights(
    connection: asyncpg.Connection, catalogue: Catalogue, tenants: Tenants, needed: Sequence[Needed]
) -> RoleRights:
    """What the connection's role lacks of those rights; where clinics have schemas, of the same in each of them."""
    ((role, database),) = await connection.fetch("SELECT current_user::text, current_database()::text")
    wanted = [*needed, *(Needed(schema, None, "USAGE") for schema in {each.schema for each in needed})]
    own = [each for each in wanted if each.schema == catalogue.schema]
    for schema in {clinic.schema for clinic in tenants.clinics} - {catalogue.schema}:
        wanted += [replace(each, schema=schema) for each in own if schema is not None]
    hidden = [entry.name for entry in catalogue.entries.values() if entry.table.row_security]
    return RoleRights(role, database, await lacking(connection, wanted), hidden=hidden)


def recorded(catalogue: Catalogue, clinica_id: int | None) -> list[Entry]:
    """The tables of which the clinic's file, or the platform's, may have rows."""
    if clinica_id is None:
        return platform_entries(catalogue)
    return [entry for entry in catalogue.entries.values() if entry.recorded]


def _lock(entries: Iterable[Entry]) -> str:
    """Keep every table that will be read from being dropped, rewritten or truncated meanwhile.

    It comes before the snapshot: a table truncated or rewritten between the two would read as empty
    (https://www.postgresql.org/docs/current/mvcc-caveats.html).
    """
    names = ", ".join(from_table(entry.table) for entry in entries)
    return f"LOCK TABLE {names} IN ACCESS SHARE MODE"


def _check_schema(clinic: Clinic, clinics: list[Clinic], tenancy: Tenancy) -> None:
    """In tenancy `schema`, see that the clinic has a schema to itself. Raises CatalogError."""
    if clinic.schema is None:
        raise CatalogError(f"la clínica {clinic.id} no dice su esquema en «{tenancy.schema_column}»")
    for other in clinics:
        if other.schema == clinic.schema and other.id != clinic.id:
            raise CatalogError(f"las clínicas {clinic.id} y {other.id} tienen el mismo esquema, «{clinic.schema}»")


def other_schemas(clinics: list[Clinic], clinic: Clinic | None) -> list[str]:
    """The schemas of all clinics but this one."""
    own = clinic.schema if clinic is not None else None
    return [other.schema for other in clinics if other.schema is not None and other.schema != own]


async def refuse_too_many_locks(
    connection: asyncpg.Connection, entries: Sequence[Entry], *, temporary: int = 0
) -> None:
    """Raise CatalogError where reading these tables, with so many temporary ones for each, takes too many."""
    ((needed, free),) = await connection.fetch(LOCKS_SQL, [qualified(entry.table) for entry in entries])
    needed += temporary * len(entries)
    if needed > free:
        raise CatalogError(
            f"hacen falta {needed:,} bloqueos para {len(entries):,} tablas y el servidor tiene libres {free:,}: los"
            " agotaría también para los demás; aumente max_locks_per_transaction en PostgreSQL y reinícielo"
        )


def refuse_unreadable(tables: Iterable[Table], setting: str) -> None:
    """Raise PermissionMissing or RowSecurityActive where the role of `setting` cannot read every row of them."""
    if closed := _list(table.name for table in tables if not table.readable):
        raise PermissionMissing(f"el usuario de {setting} no puede leer: {closed}")
    if hidden := _list(table.name for table in tables if table.row_security):
        raise RowSecurityActive(
            f"una política de seguridad por filas ocultaría registros al usuario de {setting} en: {hidden};"
            " déle BYPASSRLS"
        )


def _list(names: Iterable[TableName]) -> str:
    return ", ".join(f"«{name}»" for name in names)


async def _check_rules(
    connection: asyncpg.Connection, found: Introspection, tenancy: Tenancy, schema: str | None
) -> tuple[dict[TableName, ByRule | ByLink], dict[TableName, str]]:
    """Let PostgreSQL parse each rule of OWNERSHIP_RULES: how each is to be followed, and what is wrong with which.

    A wrong one is an error of its table: the others' rows can be backed up without it.
    """
    _, rules, problems = parse_rules(found, tenancy, schema)
    for name, rule in list(rules.items()):
        if not isinstance(rule, ByRule):
            continue
        # An expression that is one sub-SELECT may find several clinics: an array takes them all.
        for way in (replace(rule, several=True), rule):
            try:
                table = f"{from_table(found.tables[name])} AS {RULE_ALIAS}"
                await connection.execute(f"SELECT FROM {table} WHERE {rule_value(way)} = 0 LIMIT 0")
            except (asyncpg.SyntaxOrAccessError, asyncpg.DataError) as exc:
                problems[name] = f"OWNERSHIP_RULES: la regla de «{name}» no vale: {exc}"
            else:
                rules[name] = way
                problems.pop(name, None)
                break
        if name in problems:
            del rules[name]
    return rules, problems
