"""Sessions in the clinic database, some kept for their next use: a new one costs what a small backup does."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import asyncpg

from app.clinic.session_settings import SESSION_SQL
from app.database import CONNECT_SECONDS, connect_to_session, database_errors
from app.errors import CatalogError, PermissionMissing

# What a rule's function may have left in a session; SESSION_SQL sets the rest. Nothing that is prepared is undone.
RESET_SQL = "RESET ROLE; RESET ALL; SELECT pg_advisory_unlock_all()"

# PostgreSQL remembers every table that a session has met, and for a clinic with a schema they are its own. What the
# role, or the address, was when a session began holds no longer than this (seconds).
MOST_USES, LONGEST_LIFE = 100, 300.0

# What a session raises that is not to be had any more; the last by its driver, where the server ended it just now.
_GONE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

# One that nobody wants any more is ended (seconds).
LONGEST_REST = 30.0


@dataclass(slots=True, eq=False)
class _Session:
    connection: asyncpg.Connection
    since: float = field(default_factory=time.monotonic)
    uses: int = 1
    end: asyncio.TimerHandle | None = None


class Sessions:
    """Sessions at one address, which `setting` gave, set as SESSION_SQL says; `once` is executed in each new one.

    Up to `keep` of them rest until somebody wants one; as many as are wanted are opened. For one event loop; the
    owner closes it.
    """

    def __init__(self, url: str, setting: str, *, keep: int = 0, once: str = "") -> None:
        self._url = url
        self._setting = setting
        self._keep = keep
        self._once = once
        self._resting: list[_Session] = []

    @asynccontextmanager
    async def session(self) -> AsyncIterator[asyncpg.Connection]:
        """One for the block, which may leave a transaction open.

        Where the block raises, it is ended and never used again. Raises DatabaseError where there is none.
        """
        session = await self._woken() or await self._new()
        try:
            yield session.connection
        except BaseException:
            # A COPY may be under way; waiting for its end would keep the error from whoever waits for it.
            session.connection.terminate()
            raise
        await self._rest(session)

    async def close(self) -> None:
        """End those that rest, and from now on each when its use ends."""
        self._keep = 0
        while self._resting:
            await self._end(self._take())

    async def _woken(self) -> _Session | None:
        """One that rested, as good as new; None where there is none."""
        while self._resting:
            session = self._take()
            try:
                await session.connection.execute(f"{RESET_SQL}; {SESSION_SQL}", timeout=CONNECT_SECONDS)
            except _GONE:
                # The server was restarted, or the role may no longer do it: a new one says so.
                session.connection.terminate()
            except BaseException:
                session.connection.terminate()
                raise
            else:
                session.uses += 1
                return session
        return None

    def _take(self) -> _Session:
        # The one that rests the shortest, so that those which are not needed come to their end.
        session = self._resting.pop()
        if session.end is not None:
            session.end.cancel()
        return session

    async def _new(self) -> _Session:
        with database_errors(self._setting):
            connection = await connect_to_session(self._url, self._setting, statement_cache_size=0)
        try:
            with database_errors(self._setting):
                try:
                    await connection.execute(SESSION_SQL)
                except asyncpg.InsufficientPrivilegeError as exc:
                    raise PermissionMissing(
                        f"el usuario de {self._setting} trae de ALTER ROLE o ALTER DATABASE un valor que no puede"
                        f" cambiar ({exc}); quítelo con ALTER ROLE … RESET …"
                    ) from exc
                if self._once:
                    await connection.execute(self._once)
            if connection.get_settings().server_encoding == "SQL_ASCII":
                raise CatalogError("la base de datos está en SQL_ASCII: su texto no tiene una codificación conocida")
        except BaseException:
            connection.terminate()
            raise
        return _Session(connection)

    async def _rest(self, session: _Session) -> None:
        """Keep it for its next use, or end it. What it was wanted for is done, and does not fail by this."""
        if self._keep and not session.connection.is_closed():
            try:
                if session.connection.is_in_transaction():
                    await session.connection.execute("ROLLBACK", timeout=CONNECT_SECONDS)
            except _GONE:
                session.connection.terminate()
            except BaseException:
                session.connection.terminate()
                raise
        old = session.uses >= MOST_USES or time.monotonic() - session.since > LONGEST_LIFE
        if session.connection.is_closed() or old or len(self._resting) >= self._keep:
            await self._end(session)
            return
        session.end = asyncio.get_running_loop().call_later(LONGEST_REST, self._give_up, session)
        self._resting.append(session)

    def _give_up(self, session: _Session) -> None:
        self._resting.remove(session)
        session.connection.terminate()

    async def _end(self, session: _Session) -> None:
        # Everything has been read: that the server does not say goodbye changes nothing.
        with suppress(*_GONE):
            await session.connection.close(timeout=CONNECT_SECONDS)
