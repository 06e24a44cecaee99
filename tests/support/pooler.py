"""A pooler of PostgreSQL sessions for tests: each client logs in by itself, and then uses whichever is free."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

# Types of messages, see https://www.postgresql.org/docs/current/protocol-message-formats.html
_AUTHENTICATION, _KEY_DATA, _READY, _TERMINATE = b"R", b"K", b"Z", b"X"
_IDLE = b"Z\0\0\0\5I"
_LOGGED_IN, _LAST_OF_SASL = 0, 12


class Pooler:
    """At 127.0.0.1:`port`, without TLS. A client keeps its session for a transaction or, with `session`, for good."""

    def __init__(self, host: str, port: int, *, session: bool) -> None:
        self._target = (host, port)
        self._session = session
        # The one that came back last is taken first, as PgBouncer does.
        self._free: asyncio.LifoQueue[Streams] = asyncio.LifoQueue()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """One client."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server, to_server = await asyncio.open_connection(*self._target)
        self._writers += [to_client, to_server]
        try:
            await self._log_in(client, to_client, server, to_server)
            if self._session:
                await asyncio.gather(_pump(client, to_server), _pump(server, to_client))
            self._free.put_nowait((server, to_server))
            transaction: asyncio.Task[None] | None = None
            while (message := await _message(client))[:1] != _TERMINATE:
                if transaction is None or transaction.done():
                    session = await self._free.get()
                    transaction = asyncio.create_task(self._answer(session, to_client))
                    self._tasks.add(transaction)
                session[1].write(message)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            # A client that is gone, or the test is over.
            return
        finally:
            to_client.transport.abort()

    async def _answer(self, session: Streams, to_client: asyncio.StreamWriter) -> None:
        """Pass on what the session says until its transaction is over, and set it free."""
        while (answer := await _message(session[0])) != _IDLE:
            to_client.write(answer)
        self._free.put_nowait(session)
        to_client.write(answer)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()

    async def _log_in(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        to_server.write(await _message(client, typed=False))
        while True:
            answer = await _message(server)
            if answer[:1] == _KEY_DATA:
                # A process of our own making.
                answer = answer[:5] + struct.pack("!i", -1) + answer[9:]
            to_client.write(answer)
            if answer[:1] == _READY:
                return
            if answer[:1] == _AUTHENTICATION and struct.unpack("!i", answer[5:9])[0] not in {
                _LOGGED_IN,
                _LAST_OF_SASL,
            }:
                to_server.write(await _message(client))


async def _message(reader: asyncio.StreamReader, *, typed: bool = True) -> bytes:
    head = await reader.readexactly(5 if typed else 4)
    (size,) = struct.unpack("!i", head[-4:])
    return head + await reader.readexactly(size - 4)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(2**16):
        writer.write(piece)
    writer.close()


@asynccontextmanager
async def pooler(host: str, port: int, *, session: bool) -> AsyncIterator[Pooler]:
    """A pooler, closed with all its connections at the end."""
    made = Pooler(host, port, session=session)
    server = await asyncio.start_server(made.serve, "127.0.0.1")
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
