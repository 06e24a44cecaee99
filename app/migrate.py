"""Brings schema `respaldos` to the version that this program needs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

import app
from app.database import database_errors, service_engine
from app.errors import DatabaseError
from app.settings import load_settings


def database_url() -> str:
    """The address in the settings, for alembic's own command line."""
    url = load_settings().database_url
    if url is None:
        raise SystemExit("alembic necesita DATABASE_URL")
    return url.get_secret_value()


async def migrate(url: str) -> str:
    """Migrate the database at `url` to the newest revision, and return it.

    Safe to call at any time and by several at once. Raises DatabaseError.
    """
    engine = service_engine(url, query_seconds=None)
    try:
        with database_errors("DATABASE_URL"):
            async with engine.begin() as connection:
                return await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


@dataclass(frozen=True, slots=True)
class SchemaState:
    """How schema `respaldos` is: `current` is its revision, None where it is not there; `newer`, where we have no
    such. `lacking` are tables and sequences that `role` cannot use as it should, each with the statement for it."""

    role: str
    current: str | None
    head: str
    newer: bool
    lacking: list[tuple[str, str]]


# What the service does with its tables, and what the next migration will: that takes their owner.
_LACKING = """
SELECT format('respaldos.%I', c.relname),
       format('ALTER %s respaldos.%I OWNER TO %I;', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
              c.relname, current_user)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'respaldos' AND c.relkind IN ('r', 'p', 'S') AND NOT (
    pg_has_role(c.relowner, 'USAGE')
    AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'USAGE')
        ELSE has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
            AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE') END)
    -- A sequence of a column follows its table.
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass
                    AND c.relkind = 'S' AND d.deptype IN ('a', 'i'))
UNION ALL
SELECT 'respaldos', format('ALTER SCHEMA respaldos OWNER TO %I;', current_user)
FROM pg_namespace WHERE nspname = 'respaldos'
    AND NOT (has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE'))
"""


async def schema_state(url: str) -> SchemaState:
    """Look at schema `respaldos` of the database at `url`, and change nothing. Raises DatabaseError."""
    engine = service_engine(url)
    try:
        with database_errors("DATABASE_URL"):
            async with engine.connect() as connection:
                return await connection.run_sync(_look)
    finally:
        await engine.dispose()


def _look(connection: Connection) -> SchemaState:
    ask = connection.exec_driver_sql
    role = str(ask("SELECT current_user").scalar_one())
    there = ask(
        "SELECT true FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'respaldos' AND c.relname = 'alembic_version'"
        " AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
    ).scalar()
    lacking = [(str(name), str(statement)) for name, statement in ask(_LACKING)]
    script = ScriptDirectory.from_config(alembic_config(connection))
    head = script.get_current_head() or ""
    current = None
    if there:
        current = ask("SELECT version_num FROM respaldos.alembic_version").scalar()
    known = {revision.revision for revision in script.walk_revisions()}
    return SchemaState(role, current, head, current is not None and current not in known, lacking)


# What each column of the schema has beside its default. A default that is computed is none that is known.
_COUNTED = """
SELECT c.relname, a.attname, format(
    'SELECT count(*), count(*) FILTER (WHERE %I IS DISTINCT FROM %s) FROM respaldos.%I', a.attname,
    CASE WHEN pg_get_expr(d.adbin, d.adrelid) ~ '\\(' THEN 'NULL'
         ELSE coalesce(pg_get_expr(d.adbin, d.adrelid), 'NULL') END, c.relname)
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = to_regnamespace('respaldos') AND c.relkind = 'r' AND c.relname <> 'alembic_version'
ORDER BY c.relname, a.attnum
"""


@dataclass(frozen=True, slots=True)
class Contents:
    """How many rows each table of the schema has, and in each column how many have another value than its default."""

    rows: dict[str, int]
    filled: dict[tuple[str, str], int]

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """As they are now."""
        found = cls({}, {})
        for table, column, statement in connection.exec_driver_sql(_COUNTED).all():
            rows, filled = connection.exec_driver_sql(statement.replace("%", "%%")).one()
            found.rows[table], found.filled[table, column] = rows, filled
        return found

    def lacking(self, later: "Contents") -> list[str]:
        """What of it is not there later, in words (Spanish)."""
        gone = [
            f"la tabla «{table}», con filas: {rows:,}"
            for table, rows in self.rows.items()
            if rows and table not in later.rows
        ]
        gone += [
            f"de la tabla «{table}», filas: {rows - later.rows[table]:,}"
            for table, rows in self.rows.items()
            if table in later.rows and later.rows[table] < rows
        ]
        gone += [
            f"de la tabla «{table}», la columna «{column}», con valores: {filled:,}"
            for (table, column), filled in self.filled.items()
            if filled and table in later.rows and (table, column) not in later.filled
        ]
        return gone


def alembic_config(connection: Connection) -> Config:
    """What alembic's commands take to work over this connection, wherever the package is installed."""
    config = Config()
    config.set_main_option("script_location", str(Path(app.__file__).parent.parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> str:
    # Two that start together would both create the schema.
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('respaldos.migrar'))")
    config = alembic_config(connection)
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        # A revision that is not among ours: a newer program has been here.
        raise DatabaseError(
            f"el esquema «respaldos» es de una versión más nueva que este programa, o desconocida ({exc});"
            " no se cambió nada"
        ) from exc
    return ScriptDirectory.from_config(config).get_current_head() or ""
