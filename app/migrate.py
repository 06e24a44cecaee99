"""Brings schema `respaldos` to the version that this program needs."""

from pathlib import Path

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
