"""What both databases share: addresses, connections, and PostgreSQL's errors in the words of this service."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.errors import (
    DatabaseError,
    DatabaseUnavailable,
    PermissionMissing,
    SchemaChanged,
)

# Classes and codes of https://www.postgresql.org/docs/current/errcodes-appendix.html
_UNAVAILABLE = ("08", "25P03", "53300", "57P")
_PERMISSION = "42501"
_SCHEMA = ("42P01", "42703", "3F000")
# How PostgreSQL says that what a query was planned for was dropped while it ran; XX000 is also much else.
_DROPPED = ("cache lookup failed", "could not open relation")
_LOCK_TIMEOUT = "55P03"
_DEADLOCK = "40P01"
# On a hot standby: what it was to replay could not wait for the query any longer; and what only its primary may.
_CONFLICT = "40001"
_READ_ONLY = "25006"
_LOGIN = ("28",)
# What asyncpg raises itself, and the network: there was no answer of PostgreSQL's.
_CLIENT_SIDE = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


def asyncpg_url(url: str) -> str:
    """The address as asyncpg, psql and pg_dump want it, without SQLAlchemy's driver name."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


# Of the service's own database: how long a connection, and then one query, may take (seconds). A network that
# swallows packets must not hold a backup, or the end of one, for ever.
CONNECT_SECONDS = 10
QUERY_SECONDS = 30

# A transaction whose process is gone without a word would keep its rows from everybody else.
_SERVICE_SESSION = "SET lock_timeout = '15s'; SET idle_in_transaction_session_timeout = '60s'"


def service_engine(url: str, *, query_seconds: float | None = QUERY_SECONDS) -> AsyncEngine:
    """Connections to the service's own database, for the caller to dispose of; None lets a query take any time.

    asyncpg reads the address, as it does for the clinic database: SQLAlchemy would refuse what others accept,
    such as `?sslmode=require`.
    """

    async def connect() -> asyncpg.Connection:
        connection = await connect_to_session(asyncpg_url(url), "DATABASE_URL", command_timeout=query_seconds)
        try:
            # A role called `respaldos` would have the schema of that name as its default one, and alembic takes
            # tables of the default schema for tables without one.
            await connection.execute("SET search_path = public")
            if query_seconds is not None:
                await connection.execute(_SERVICE_SESSION)
        except BaseException:
            connection.terminate()
            raise
        return connection

    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, pool_pre_ping=True, hide_parameters=True
    )


# How long a pooler may take to give us a second session; one that has none to give has not given away ours (seconds).
_SECOND_SECONDS = 2

# A setting that nobody else has. A shared session keeps it, which does nobody harm.
_MARK = "respaldos.sesion"


async def connect_to_session(
    url: str, database: str, *, command_timeout: float | None = None, statement_cache_size: int = 100
) -> asyncpg.Connection:
    """A connection whose session is its own from one transaction to the next; `database` names its setting.

    The server keeps the last `statement_cache_size` queries that were fetched, for when they are asked again.
    Raises DatabaseError where a pooler shares sessions: nothing that a session is set to would hold there, and other
    clients would get it. Raises what asyncpg raises where there is no connection.
    """

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            command_timeout=command_timeout,
            statement_cache_size=statement_cache_size,
        )

    connection = await connect()
    try:
        # A pooler tells a process of its own making, as a client needs one to cancel a query.
        if await connection.fetchval("SELECT pg_backend_pid()") != connection.get_server_pid():
            second = await connect()
            try:
                shared = await _is_shared(connection, second)
            finally:
                second.terminate()
            if shared:
                raise _shared(database)
    except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError) as exc:
        # What one session had prepared was asked of another.
        connection.terminate()
        raise _shared(database) from exc
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _is_shared(connection: asyncpg.Connection, second: asyncpg.Connection) -> bool:
    """Whether the second connection finds what the first one left in its session, or this one does not any more."""
    mark = secrets.token_hex(8)
    await connection.fetchval(f"SELECT set_config('{_MARK}', $1, false)", mark)
    try:
        async with asyncio.timeout(_SECOND_SECONDS):
            # It keeps the session that it gets until it ends.
            await second.execute("BEGIN")
            found = await second.fetchval(f"SELECT current_setting('{_MARK}', true)")
    except TimeoutError:
        found = None
    except asyncpg.PostgresConnectionError as exc:
        # PgBouncer, where it shares them from one statement to the next.
        if "transaction blocks not allowed" in str(exc):
            return True
        raise
    kept: str | None = await connection.fetchval(f"SELECT current_setting('{_MARK}', true)")
    return found == mark or kept != mark


def _shared(database: str) -> DatabaseError:
    return DatabaseError(
        f"{database} lleva a un pooler, como PgBouncer, que da a cada transacción otra sesión: así no se puede"
        " trabajar; use la dirección de PostgreSQL mismo, o una del pooler con pool_mode=session"
    )


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
        if exc.connection_invalidated or isinstance(cause, _CLIENT_SIDE):
            raise _lost(cause or exc, database) from exc
        raise
    except PoolTimeout as exc:
        raise DatabaseUnavailable(f"todas las conexiones a la base de datos están ocupadas ({database})") from exc
    except asyncpg.PostgresError as exc:
        raise _from_postgres(exc, database) from exc
    except _CLIENT_SIDE as exc:
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
    if state in _SCHEMA or (state == "XX000" and said.startswith(_DROPPED)):
        return SchemaChanged(f"el esquema cambió mientras se leía ({database}): {said}")
    if state == _CONFLICT:
        return DatabaseUnavailable(
            f"PostgreSQL interrumpió la lectura por lo que otros escriben ({database}); en una réplica lo evita"
            f" max_standby_streaming_delay más largo, o hot_standby_feedback = on: {said}"
        )
    if state == _READ_ONLY:
        return DatabaseError(
            f"{database} lleva a un servidor de solo lectura, como una réplica: dé la dirección del primario ({said})"
        )
    if state == _LOCK_TIMEOUT:
        return DatabaseUnavailable(f"una tabla está bloqueada por otro proceso ({database}): {said}")
    if state == _DEADLOCK:
        return DatabaseUnavailable(
            f"este proceso y otro se esperaban el uno al otro, y PostgreSQL interrumpió este ({database}): {said};"
            " vuelva a intentarlo"
        )
    return DatabaseError(f"PostgreSQL respondió con un error ({database}, {state}): {said}")
