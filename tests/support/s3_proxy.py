"""An HTTP proxy before an S3 store, which answers badly on command: a store of one's own does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum

import aiohttp
from aiohttp import web
from yarl import URL

# S3's own words for its two ways to be unwell.
_UNWELL = {
    "500": (500, "InternalError", "We encountered an internal error."),
    "503": (503, "SlowDown", "Please reduce your request rate."),
}

_OF_ONE_CONNECTION = {"connection", "expect", "keep-alive", "transfer-encoding"}


class Behaviour(StrEnum):
    """How requests are answered."""

    WELL = "well"
    ERROR = "500"
    SLOW_DOWN = "503"
    SLOW = "slow"
    HALF = "half"
    CUT = "cut"


class S3Proxy:
    """Forwards to `target`, as `behaviour` says; `bad` counts the answers that were not the store's."""

    def __init__(self, target: str, session: aiohttp.ClientSession) -> None:
        self._target = target
        self._session = session
        self.behaviour = Behaviour.WELL
        self.slow_seconds = 1.0
        self.bad = 0
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request's answer."""
        behaviour = self.behaviour
        if behaviour is not Behaviour.WELL:
            self.bad += 1
        if (unwell := _UNWELL.get(behaviour)) is not None:
            status, code, message = unwell
            return web.Response(
                status=status,
                content_type="application/xml",
                text=f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>",
            )
        if behaviour is Behaviour.SLOW:
            await asyncio.sleep(self.slow_seconds)
        if behaviour is Behaviour.CUT:
            _hang_up(request)
            return web.Response()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_ONE_CONNECTION}
        async with self._session.request(
            request.method,
            URL(f"{self._target}{request.raw_path}", encoded=True),
            headers=headers,
            data=request.content if request.can_read_body else None,
            allow_redirects=False,
        ) as found:
            given = web.StreamResponse(status=found.status, reason=found.reason)
            given.headers.extend(
                (name, value) for name, value in found.headers.items() if name.lower() not in _OF_ONE_CONNECTION
            )
            await given.prepare(request)
            left = (found.content_length or 0) // 2 if behaviour is Behaviour.HALF else None
            async for piece in found.content.iter_chunked(2**16):
                await given.write(piece if left is None else piece[:left])
                left = None if left is None else left - len(piece)
                if left is not None and left <= 0:
                    break
            if behaviour is Behaviour.HALF:
                _hang_up(request)
        return given


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


@asynccontextmanager
async def s3_proxy(target: str) -> AsyncIterator[S3Proxy]:
    """A proxy before the store at that address, which forwards everything at first."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False, raise_for_status=False) as session:
        proxy = S3Proxy(target, session)
        # What is sent is as large as a part of a backup.
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", proxy.answer)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield proxy
        finally:
            await runner.cleanup()
