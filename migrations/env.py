"""Runs the migrations of schema `respaldos`, over the connection that `app.migrate` hands in or a new one."""

import asyncio

from alembic import context
from sqlalchemy import Connection, inspect, text

from app.database import service_engine
from app.migrate import database_url
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
    with context.begin_transaction():
        context.run_migrations()


async def run_alone() -> None:
    """Migrate the database of the settings, for alembic's own command line."""
    engine = service_engine(database_url(), query_seconds=None)
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


if (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    asyncio.run(run_alone())
