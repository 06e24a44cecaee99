"""One clinic's rows out of the shared database: a consistent snapshot, read with COPY."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from app.clinic.catalogue import (
    ByRule,
    Catalogue,
    TableClass,
    Tenancy,
)
from app.clinic.checks import (
    COUNT_SECONDS,
    Counter,
    OnStep,
    Stray,
    Unchecked,
    Unowned,
    count_rows,
    count_strays,
    count_unowned,
)
from app.clinic.classification import build_catalogue, find_tenant_table
from app.clinic.introspection import CATALOGUE_SQL, Table, TableName, parse
from app.clinic.ownership import RULE_ALIAS
from app.clinic.snapshot import SETTING, Clinic, ClinicSnapshot
from app.clinic.sql import from_table, qualified, quote
from app.clinic.statements import ClinicStatements
from app.database import asyncpg_url, database_errors
from app.errors import (
    CatalogError,
    ClinicNotFound,
    DatabaseUnavailable,
    PermissionMissing,
    RowSecurityActive,
    SchemaChanged,
)

# How values are printed (docs/format.md), and what a long reading needs. row_security=off makes PostgreSQL
# refuse, instead of hiding rows, where a policy would apply. transaction_timeout came with PostgreSQL 17. The last
# ends a query whose client has gone before there was anything to send (from 14 on, and not on every system).
SESSION_SQL = """
SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '60s';
SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 1;
SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET row_security = off; SET search_path = public;
SET jit = off; SET work_mem = '32MB';
SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout';
SELECT set_config(name, '2s', false) FROM pg_settings
WHERE name = 'client_connection_check_interval' AND version() LIKE '%linux%'
"""

# Bytes on disk of the named tables with their partitions.
SIZE_SQL = """
SELECT coalesce(sum(pg_table_size(part)), 0)::bigint FROM (
    SELECT name::regclass AS part FROM unnest($1::text[]) AS name
    UNION SELECT tree.relid FROM unnest($1::text[]) AS name, pg_partition_tree(name::regclass) AS tree
) AS parts
"""

CONNECT_SECONDS = 10

# Every request and every night waits for the list of clinics, and a connection may die without a word.
CLINICS_SECONDS = 30

# Counting the rows without owner may read whole tables, so a night of many clinics does it once.
UNOWNED_SECONDS = 6 * 3600


@dataclass(frozen=True, slots=True)
class Census:
    """A catalogue with what is in its tables; `rows` is None for a table that the role may not read."""

    catalogue: Catalogue
    rows: dict[TableName, int | None]
    unowned: list[Unowned]
    strays: list[Stray]


@dataclass(frozen=True, slots=True)
class Tenants:
    """The tenant table: every clinic by id and, in tenancy `schema`, the platform's own entry, which is none."""

    clinics: list[Clinic]
    platform: Clinic | None

    def pick(self, named: int | str | None) -> Clinic:
        """The clinic of that id or, for a text, of that number or else that schema; for None the first one.

        Raises ClinicNotFound, which says so where it is the platform's own entry.
        """
        if named is None:
            return pick(self.clinics, None)
        number = int(named) if isinstance(named, str) and named.isdecimal() else named
        entries = self.clinics if self.platform is None else [self.platform, *self.clinics]
        found = next((entry for entry in entries if entry.id == number), None)
        found = found or next((entry for entry in entries if entry.schema == named), None)
        if found is None:
            shown = number if isinstance(number, int) else f"«{number}»; las que hay las muestra: respaldos clinicas"
            raise ClinicNotFound(f"no existe la clínica {shown}")
        if found is self.platform:
            raise ClinicNotFound(
                f"«{named}» es la plataforma, no una clínica: su esquema, «{found.schema}», es el que comparten todas"
            )
        return found


class ClinicDatabase:
    """The clinic database at one address, which `setting` gave. It holds no connection between calls."""

    def __init__(self, url: str, tenancy: Tenancy, *, setting: str = SETTING) -> None:
        self._url = asyncpg_url(url)
        self._setting = setting
        self._tenancy = tenancy
        self._kept: Catalogue | None = None
        self._unowned: tuple[Catalogue, float, list[Unowned | Unchecked]] | None = None

    async def clinics(self) -> list[Clinic]:
        """Every clinic of the tenant table, by id; in tenancy `schema` without the platform's own entry."""
        return (await self._all()).clinics

    async def clinic(self, named: int | str) -> Clinic:
        """The clinic of that id or, as a person names one, of that number or else that schema.

        Raises ClinicNotFound.
        """
        return (await self._all()).pick(named)

    async def _all(self) -> Tenants:
        try:
            async with asyncio.timeout(CLINICS_SECONDS), self._connect() as connection:
                with database_errors(self._setting):
                    return await self._tenants(connection)
        except TimeoutError as exc:
            raise DatabaseUnavailable(
                f"la base de datos no respondió en {CLINICS_SECONDS} segundos ({self._setting})"
            ) from exc

    @asynccontextmanager
    async def snapshot(self, clinica_id: int, on_step: OnStep | None = None) -> AsyncIterator[ClinicSnapshot]:
        """One moment of the clinic's rows, consistent over all tables, for as long as the block runs.

        Before it, the rows that no clinic owns are counted: no count takes longer than COUNT_SECONDS, and
        `on_step` is called after each.

        Raises ClinicNotFound, PermissionMissing or RowSecurityActive (naming the tables), CatalogError,
        SchemaChanged where the schema changes just now, DatabaseUnavailable.
        """
        async with self._connect() as connection:
            with database_errors(self._setting):
                tenants = await self._tenants(connection)
                clinics, clinic = tenants.clinics, tenants.pick(clinica_id)
                catalogue = await self._catalogue(connection, clinic, clinics)
                refuse_unreadable([entry.table for entry in catalogue.entries.values() if entry.recorded])
                statements = ClinicStatements(catalogue, clinic.id)
                await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                await connection.execute(statements.lock())
                taken_at = datetime.now(UTC)
                # The first query takes the snapshot. The tables cannot change any more; had they changed before
                # the lock, this shows it.
                text = await connection.fetchval(CATALOGUE_SQL, other_schemas(clinics, clinic))
                if text != catalogue.text:
                    raise SchemaChanged("el esquema de la base de datos cambió justo ahora; vuelva a intentarlo")
                migrations = await _migration_heads(connection, catalogue)
                unowned = await self._unowned_rows(connection, catalogue, on_step)
                size = await connection.fetchval(
                    SIZE_SQL, [qualified(entry.table) for entry in catalogue.of_class(TableClass.OWNED)]
                )
            yield ClinicSnapshot(connection, clinic, catalogue, statements, migrations, unowned, size, taken_at)

    async def census(self, named: int | str | None = None) -> Census:
        """Count every table of the catalogue, and what in it is nobody's or points astray. Reads all of it.

        The catalogue is that of the clinic which is `named` as for `clinic`, or of the first.
        """
        async with self._connect() as connection:
            with database_errors(self._setting):
                tenants = await self._tenants(connection)
                catalogue = await self._catalogue(connection, tenants.pick(named), tenants.clinics)
                refuse_unreadable([entry.table for entry in catalogue.entries.values() if entry.recorded])
                async with Counter(connection) as counter:
                    return Census(
                        catalogue=catalogue,
                        rows=await count_rows(connection, catalogue),
                        unowned=await count_unowned(counter, catalogue),
                        strays=await count_strays(counter, catalogue),
                    )

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[asyncpg.Connection]:
        with database_errors(self._setting):
            connection = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS)
        try:
            with database_errors(self._setting):
                await connection.execute(SESSION_SQL)
            if connection.get_settings().server_encoding == "SQL_ASCII":
                raise CatalogError("la base de datos está en SQL_ASCII: su texto no tiene una codificación conocida")
            yield connection
        except BaseException:
            # A COPY may be under way; waiting for its end would keep the error from whoever waits for it.
            connection.terminate()
            raise
        # Everything has been read: that the server does not say goodbye changes nothing.
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close(timeout=CONNECT_SECONDS)

    async def _clinics(self, connection: asyncpg.Connection) -> list[Clinic]:
        return (await self._tenants(connection)).clinics

    async def _tenants(self, connection: asyncpg.Connection) -> Tenants:
        tenancy = self._tenancy
        others = await _all_schemas(connection) if tenancy.kind == "schema" else []
        shared = parse(await connection.fetchval(CATALOGUE_SQL, others))
        name, key = find_tenant_table(shared, tenancy)
        table = shared.tables[name]
        refuse_unreadable([table])

        def column_or(column: str, otherwise: str) -> str:
            return quote(column) if table.column(column) is not None else otherwise

        rows = await connection.fetch(
            f"SELECT {quote(key)}::bigint, {column_or(tenancy.name_column, 'NULL')}::text,"
            f" {column_or(tenancy.active_column, 'true')}::boolean IS TRUE,"
            f" {column_or(tenancy.schema_column, 'NULL')}::text FROM {from_table(table)} ORDER BY 1"
        )
        if tenancy.kind == "column":
            return Tenants([Clinic(id_, title, active, None) for id_, title, active, _ in rows], None)
        if table.column(tenancy.schema_column) is None:
            raise CatalogError(f"la tabla de clínicas «{name}» no tiene la columna «{tenancy.schema_column}»")
        entries = [Clinic(*row) for row in rows]
        platform = next((entry for entry in entries if entry.schema == name.schema), None)
        return Tenants([entry for entry in entries if entry.schema != name.schema], platform)

    async def _unowned_rows(
        self, connection: asyncpg.Connection, catalogue: Catalogue, on_step: OnStep | None
    ) -> list[Unowned | Unchecked]:
        """Rows that no clinic owns, counted once in a while: the answer is the same for every clinic."""
        now = time.monotonic()
        if self._unowned is None or self._unowned[0] is not catalogue or now - self._unowned[1] > UNOWNED_SECONDS:
            async with Counter(connection, seconds=COUNT_SECONDS, on_step=on_step) as counter:
                found = await count_unowned(counter, catalogue)
            self._unowned = (catalogue, now, [*found, *counter.unchecked])
        return self._unowned[2]

    async def _catalogue(self, connection: asyncpg.Connection, clinic: Clinic, clinics: list[Clinic]) -> Catalogue:
        _check_schema(clinic, clinics, self._tenancy)
        text = await connection.fetchval(CATALOGUE_SQL, other_schemas(clinics, clinic))
        kept = self._kept
        if kept is None or (kept.text, kept.schema) != (text, clinic.schema):
            kept = build_catalogue(parse(text), self._tenancy, schema=clinic.schema, text=text)
            await _check_rules(connection, kept)
            self._kept = kept
        return kept


def pick(clinics: list[Clinic], clinica_id: int | None) -> Clinic:
    """The clinic of that id, or the first one where none is named."""
    for clinic in clinics:
        if clinica_id is None or clinic.id == clinica_id:
            return clinic
    if clinica_id is None:
        raise ClinicNotFound("la tabla de clínicas está vacía")
    raise ClinicNotFound(f"no existe la clínica {clinica_id}")


def _check_schema(clinic: Clinic, clinics: list[Clinic], tenancy: Tenancy) -> None:
    """In tenancy `schema`, see that the clinic has a schema to itself. Raises CatalogError."""
    if tenancy.kind == "column":
        return
    if clinic.schema is None:
        raise CatalogError(f"la clínica {clinic.id} no dice su esquema en «{tenancy.schema_column}»")
    for other in clinics:
        if other.schema == clinic.schema and other.id != clinic.id:
            raise CatalogError(f"las clínicas {clinic.id} y {other.id} tienen el mismo esquema, «{clinic.schema}»")


def other_schemas(clinics: list[Clinic], clinic: Clinic) -> list[str]:
    """The schemas of all clinics but this one."""
    return [other.schema for other in clinics if other.schema is not None and other.schema != clinic.schema]


async def _all_schemas(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname <> 'public'")
    return [row[0] for row in rows]


def refuse_unreadable(tables: Iterable[Table]) -> None:
    """Raise PermissionMissing or RowSecurityActive, naming the tables, where not every row can be read."""
    if closed := _list(table.name for table in tables if not table.readable):
        raise PermissionMissing(f"el usuario de {SETTING} no puede leer: {closed}")
    if hidden := _list(table.name for table in tables if table.row_security):
        raise RowSecurityActive(
            f"una política de seguridad por filas ocultaría registros al usuario de {SETTING} en: {hidden};"
            " déle BYPASSRLS"
        )


def _list(names: Iterable[TableName]) -> str:
    return ", ".join(f"«{name}»" for name in names)


async def _check_rules(connection: asyncpg.Connection, catalogue: Catalogue) -> None:
    """Let PostgreSQL parse each rule of OWNERSHIP_RULES, so that a wrong one is told by its table's name."""
    for entry in catalogue.entries.values():
        for candidate in entry.candidates:
            if isinstance(candidate, ByRule):
                source = f"{from_table(entry.table)} AS {RULE_ALIAS}"
                try:
                    await connection.execute(f"SELECT FROM {source} WHERE ({candidate.expression}) = 0 LIMIT 0")
                except (asyncpg.SyntaxOrAccessError, asyncpg.DataError) as exc:
                    raise CatalogError(f"OWNERSHIP_RULES: la regla de «{entry.name}» no vale: {exc}") from exc


async def _migration_heads(connection: asyncpg.Connection, catalogue: Catalogue) -> dict[str, list[str]]:
    """How far each migration table has come: of Django's, each app's last; of alembic's, its heads."""
    heads = {}
    for entry in catalogue.of_class(TableClass.MIGRATIONS):
        columns = {column.name for column in entry.table.columns}
        if {"id", "app", "name"} <= columns:
            statement = "SELECT DISTINCT ON (app) app || '.' || name FROM {} ORDER BY app, id DESC"
        elif "version_num" in columns:
            statement = "SELECT version_num FROM {} ORDER BY 1"
        else:
            continue
        if entry.table.readable:
            rows = await connection.fetch(statement.format(from_table(entry.table)))
            own = entry.name.schema == (catalogue.schema or "public")
            heads[entry.name.name if own else ".".join(entry.name)] = [row[0] for row in rows]
    return heads
