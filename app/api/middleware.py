"""What every request and every answer passes through, errors included."""

import asyncio
import logging
import re
import time
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import FAILURE, Failure, path_of, problem, unexpected
from app.logs import fields

API: Final = "/api/v1"

# More than any body that a route takes, the longest of which names thousands of records (bytes).
LARGEST_BODY: Final = 1024 * 1024

log = logging.getLogger(__name__)

# What was asked for, where GET is answered in its place.
ASKED: Final = "asked_method"

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")

# Of a path that no route has (characters).
_LONGEST_PATH: Final = 200

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


class HeadAsGet:
    """Answers HEAD wherever GET is answered, with the same headers and no body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        asked, answered = False, asyncio.Event()

        async def receive_nothing() -> Message:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            # A stream goes on for as long as somebody listens.
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                answered.set()

        await self.app({**scope, "method": "GET", ASKED: "HEAD"}, receive_nothing, send_head)


class RequestLog:
    """Gives each request an id, and writes a line for each that failed: method, route, status, time and why.

    No line has what was asked for in a query, a header or a body. A proxy's X-Request-ID is kept.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        number = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = number
        started, status = time.perf_counter(), 0

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = number
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        except Exception as exc:
            _log_failed(scope, status, started, Failure("se cortó la respuesta", exc))
            raise
        if status >= 400:
            _log_failed(scope, status, started, scope["state"].get(FAILURE))


def _route(scope: Scope) -> str:
    """The route as it is documented, without what was asked for in its place; the path, where no route has it."""
    path: str | None = getattr(scope.get("route"), "path", None)
    if path is None:
        return path_of(Request(scope))[:_LONGEST_PATH]
    # A route does not know what it was included under.
    prefix = API if scope["path"].startswith(f"{API}/") and not path.startswith(API) else ""
    return prefix + re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def _log_failed(scope: Scope, status: int, started: float, failure: Failure | None) -> None:
    method, number = scope.get(ASKED, scope["method"]), scope["state"]["request_id"]
    route = _route(scope)
    milliseconds = round(1000 * (time.perf_counter() - started))
    reason = failure.reason if failure is not None else None
    exc = failure.exc if failure is not None else None
    log.log(
        logging.ERROR if status >= 500 or exc is not None else logging.INFO,
        "%s %s: %s en %s ms, petición %s%s",
        *(method, route, status, milliseconds, number, f": {reason}" if reason is not None else ""),
        extra=fields(
            metodo=method, ruta=route, estado=status, milisegundos=milliseconds, peticion=number, razon=reason
        ),
        exc_info=exc,
    )


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
