"""Runs the migrations of schema `respaldos`, over the connection that `app.migrate` hands in or a new one."""

import asyncio
import logging

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

from app.database import service_engine
from app.migrate import Contents, database_url
from app.respaldos.models import SCHEMA, Base


def run(connection: Connection) -> None:
    """Migrate in one transaction; the schema must be there before alembic's own table in it."""
    if SCHEMA not in inspect(connection).get_schema_names():
        # IF NOT EXISTS would ask for the right to create one, which a role that was given its schema lacks.
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=lambda name, kind, _parents: kind != "schema" or name == SCHEMA,
        compare_server_default=True,
    )
    before = Contents.of(connection) if _goes_back() else None
    with context.begin_transaction():
        context.run_migrations()
        if before is not None and (gone := before.lacking(Contents.of(connection))):
            _tell("esa versión no tiene, y lo que no pasó a otro lugar se pierde: " + "; ".join(gone))


def _goes_back() -> bool:
    """Whether it is a downgrade: an older version has less room for what is there."""
    migration = context.get_context()
    wanted: str | None = migration.opts.get("destination_rev")
    current = migration.get_current_revision()
    if current is None or wanted is None:
        return False
    return wanted == "base" or wanted.startswith("-") or (wanted.isdecimal() and wanted < current)


def _tell(said: str) -> None:
    """Refuse, on alembic's own command line, unless somebody has seen it; a program's log has it."""
    if given is None and context.get_x_argument(as_dictionary=True).get("perder") != "si":
        raise CommandError(f"{said}. No se cambió nada; con «-x perder=si» se vuelve atrás igual")
    logging.getLogger("respaldos.migrar").warning("%s", said)


async def run_alone() -> None:
    """Migrate the database of the settings, for alembic's own command line."""
    engine = service_engine(database_url(), query_seconds=None)
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(run_alone())
