"""A TCP proxy for tests, to stand before any server and misbehave on command."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any
from urllib.parse import urlsplit


class Direction(Enum):
    """Which way bytes go."""

    TO_SERVER = auto()
    TO_CLIENT = auto()


class TcpProxy:
    """Forwards 127.0.0.1:`port` to a server until it is told to `refuse`, `hang`, `drop`, `delay` or `cut`.

    The commands take effect at once, on connections that are open too, and hold until `restore`. `connections`
    counts those accepted; `forwarded` the bytes, by direction.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._dropping = False
        self._seconds = 0.0
        self._cut: tuple[Direction, int] | None = None
        self._cuts_left = 0
        self.port = 0
        self.connections = 0
        self.cuts = 0
        self.forwarded = dict.fromkeys(Direction, 0)

    async def listen(self) -> None:
        """Accept connections; after `refuse`, on the same port again."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Stop listening, so that new connections are refused, and cut the open ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._abort_all()
        await asyncio.sleep(0)

    def hang(self) -> None:
        """Accept, and neither read nor write anything."""
        self._flowing.clear()

    def drop(self) -> None:
        """Cut the open connections, and new ones as soon as they are made."""
        self._dropping = True
        self._abort_all()

    def delay(self, seconds: float) -> None:
        """Hold each piece of up to 64 KiB back for so long."""
        self._seconds = seconds

    def cut(self, after: int, *, times: int, direction: Direction = Direction.TO_SERVER) -> None:
        """Forward `after` more bytes in that direction, then cut the `times` next connections that carry some.

        An HTTP client that resends by itself on a connection it had used before needs two.
        """
        self._cut = (direction, after)
        self._cuts_left = times

    def restore(self) -> None:
        """Forward everything again, on the connections that still hang too."""
        self._dropping = False
        self._seconds = 0.0
        self._cut = None
        self._flowing.set()

    async def close(self) -> None:
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _abort_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        server: asyncio.StreamWriter | None = None
        try:
            await self._flowing.wait()
            if self._dropping:
                return
            upstream, server = await asyncio.open_connection(*self._target)
            self._writers.add(server)
            ways = [
                asyncio.create_task(self._pump(reader, server, Direction.TO_SERVER)),
                asyncio.create_task(self._pump(upstream, writer, Direction.TO_CLIENT)),
            ]
            self._tasks.update(ways)
            for way in ways:
                way.add_done_callback(self._tasks.discard)
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, asyncio.CancelledError):
            # The server refuses, or the test is over: either way the client is let go below.
            pass
        finally:
            for end in (writer, server):
                if end is not None:
                    self._writers.discard(end)
                    end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
        try:
            while piece := await reader.read(2**16):
                if self._seconds:
                    await asyncio.sleep(self._seconds)
                await self._flowing.wait()
                passed = self._passed(len(piece), direction)
                self.forwarded[direction] += passed
                writer.write(piece[:passed])
                await writer.drain()
                if passed < len(piece):
                    return
        except OSError:
            # The other side is gone; ending this pump ends the connection.
            return

    def _passed(self, size: int, direction: Direction) -> int:
        if self._cut is None or self._cut[0] is not direction or not self._cuts_left:
            return size
        passed = min(size, self._cut[1])
        self._cut = (direction, self._cut[1] - passed)
        if passed < size:
            self._cuts_left -= 1
            self.cuts += 1
        return passed


@asynccontextmanager
async def tcp_proxy(host: str, port: int) -> AsyncIterator[TcpProxy]:
    """A proxy that forwards everything at first, closed with all its connections at the end."""
    proxy = TcpProxy(host, port)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.close()


def through(url: str, proxy: TcpProxy) -> str:
    """The address with the proxy in the server's place."""
    parts = urlsplit(url)
    return url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{proxy.port}")
