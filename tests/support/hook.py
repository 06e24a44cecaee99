"""A real HTTP server for the webhook, which keeps what it is posted and answers what it is told to."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Posted:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The body, parsed."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


@dataclass(slots=True)
class Hook:
    """`answer` makes the response; without it, 204."""

    url: str = ""
    posted: list[Posted] = field(default_factory=list)
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None

    def answering(self, status: int, **headers: str) -> None:
        """From now on, answer just this."""

        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status, headers=headers)

        self.answer = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Keep it, then answer."""
        self.posted.append(Posted(request.path, dict(request.headers), await request.read()))
        return web.Response(status=204) if self.answer is None else await self.answer(request)


@asynccontextmanager
async def hook_server() -> AsyncIterator[Hook]:
    """A server on 127.0.0.1 for the time of the block."""
    hook = Hook()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hook.handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        hook.url = f"http://{host}:{port}/aviso"
        yield hook
    finally:
        await runner.cleanup()
