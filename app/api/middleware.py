"""What every request and every answer passes through, errors included."""

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem, unexpected

API: Final = "/api/v1"

# Far more than any body that a route takes (bytes).
LARGEST_BODY: Final = 64 * 1024

_NEVER_SHOWN_IN_FRAMES: Final = "default-src 'none'; frame-ancestors 'none'"


class SecurityHeaders:
    """Adds to each answer what keeps browsers from guessing, framing and storing; a route may say otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("X-Frame-Options", "DENY")
                headers.setdefault("Referrer-Policy", "no-referrer")
                headers.setdefault("Content-Security-Policy", _NEVER_SHOWN_IN_FRAMES)
                if scope["path"].startswith(("/docs/", "/panel/")):
                    headers.setdefault("Cache-Control", "no-cache")
                else:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class UnexpectedErrors:
    """Turns what nobody foresaw into a problem document, inside of CORS, so that a browser lets it be read.

    Once the answer has begun, the exception goes on and cuts it off.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        except Exception as exc:
            if started:
                raise
            await unexpected(Request(scope), exc)(scope, receive, send)


class BodyLimit:
    """Refuses a body of more than LARGEST_BODY bytes, before reading it where its length is announced."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced[:20]) > LARGEST_BODY:
            sentence = f"El cuerpo de la petición pasa de {LARGEST_BODY} bytes"
            answer = problem(Request(scope), 413, "http_413", sentence, headers={"Connection": "close"})
            await answer(scope, receive, send)
            return
        received = 0

        async def receive_counting() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > LARGEST_BODY:
                raise HTTPException(413)
            return message

        await self.app(scope, receive_counting, send)


class Slashes:
    """Lets every route answer with a slash at its end and without, in place of a redirect.

    The API's routes are written with it, as in its contract, the others without.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            bare = scope["path"].rstrip("/")
            within_api = bare.startswith(f"{API}/") and not bare.endswith(".json")
            scope = {**scope, "path": f"{bare}/" if within_api else bare or "/"}
        await self.app(scope, receive, send)
