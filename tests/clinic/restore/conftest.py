"""The databases of tests/clinic, and who writes in them."""

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from app.clinic.restore.database import RestoreDatabase
from tests.clinic.conftest import Database, any_database, database, either_sample, grown, postgres16, tenant_sample

__all__ = ["any_database", "database", "either_sample", "grown", "postgres16", "tenant_sample"]

# Of this process alone: roles are the whole server's, and some tests grant theirs what another's is not to have.
ROLE, PASSWORD = f"restaurador_{os.getpid()}", "clave-de-prueba"

Writer = Callable[..., Awaitable[RestoreDatabase]]

# What README asks of a role that restores: it may write every table, and switch no trigger off.
ORDINARY = f"""
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO {ROLE}', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO {ROLE}', name);
        EXECUTE format('GRANT SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA %I TO {ROLE}', name);
    END LOOP;
END $$
"""


async def ordinary(database: Database, **tenancy: Any) -> RestoreDatabase:
    """The service's view by a role that may not switch triggers off; for the tables that are there by now."""
    with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        await database.sql.execute(f"CREATE ROLE {ROLE} LOGIN BYPASSRLS PASSWORD '{PASSWORD}'")
    await database.sql.execute(ORDINARY)
    address = database.url.rsplit("@", 1)[1]
    return database.clinics_at(f"postgresql://{ROLE}:{PASSWORD}@{address}", **tenancy)


async def superuser(database: Database, **tenancy: Any) -> RestoreDatabase:
    """The service's view by a role that switches triggers and foreign keys off."""
    return database.clinics(**tenancy)


@pytest.fixture(params=[superuser, ordinary], ids=["superuser", "ordinary"])
def writer(request: pytest.FixtureRequest) -> Writer:
    """Gives the service's view of a database whose tables have been made, by either kind of role."""
    found: Writer = request.param
    return found


crossed = pytest.mark.parametrize(
    ("any_database", "writer"),
    [(18, superuser), (16, ordinary)],
    indirect=True,
    ids=["pg18-superuser", "pg16-ordinary"],
)
"""Each role with one version of PostgreSQL: no statement of a restore depends on both."""
