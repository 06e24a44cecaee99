"""What both databases share: addresses, and PostgreSQL's errors in the words of this service."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError

from app.errors import (
    DatabaseError,
    DatabaseUnavailable,
    PermissionMissing,
    SchemaChanged,
)

# Classes and codes of https://www.postgresql.org/docs/current/errcodes-appendix.html
_UNAVAILABLE = ("08", "53300", "57P")
_PERMISSION = "42501"
_SCHEMA = ("42P01", "42703", "3F000", "XX000")
_LOCK_TIMEOUT = "55P03"
_LOGIN = ("28",)


def asyncpg_url(url: str) -> str:
    """The address as asyncpg, psql and pg_dump want it, without SQLAlchemy's driver name."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


@contextmanager
def database_errors(database: str) -> Iterator[None]:
    """Turn what asyncpg and SQLAlchemy raise into DatabaseError; `database` names the setting to look at."""
    try:
        yield
    except DBAPIError as exc:
        # SQLAlchemy's error wraps its driver adapter's, which wraps asyncpg's.
        cause = exc.orig.__cause__ if exc.orig is not None else None
        if isinstance(cause, asyncpg.PostgresError):
            raise _from_postgres(cause, database) from exc
        if exc.connection_invalidated or isinstance(cause, asyncpg.InterfaceError | OSError):
            raise _lost(cause or exc, database) from exc
        raise
    except asyncpg.PostgresError as exc:
        raise _from_postgres(exc, database) from exc
    except (asyncpg.InterfaceError, OSError) as exc:
        raise _lost(exc, database) from exc


def _lost(exc: BaseException, database: str) -> DatabaseUnavailable:
    said = str(exc) or type(exc).__name__
    return DatabaseUnavailable(f"no hay conexión con la base de datos ({database}): {said}")


def _from_postgres(exc: asyncpg.PostgresError, database: str) -> DatabaseError:
    state = exc.sqlstate or ""
    said = str(exc)
    if state.startswith(_UNAVAILABLE):
        return DatabaseUnavailable(f"la base de datos no está disponible ({database}): {said}")
    if state.startswith(_LOGIN):
        return DatabaseError(f"la base de datos rechaza el usuario o la clave de {database}: {said}")
    if state == _PERMISSION:
        return PermissionMissing(f"el usuario de {database} no tiene permiso: {said}")
    if state in _SCHEMA:
        return SchemaChanged(f"el esquema cambió mientras se leía ({database}): {said}")
    if state == _LOCK_TIMEOUT:
        return DatabaseUnavailable(f"una tabla está bloqueada por otro proceso ({database}): {said}")
    return DatabaseError(f"PostgreSQL respondió con un error ({database}, {state}): {said}")
