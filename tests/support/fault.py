"""moto, wrapped so that chosen requests fail, wait, or lose their connection."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from moto.server import ThreadedMotoServer

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Kind = Literal["500", "503", "cut before", "cut after", "slow", "short", "flipped"]

# S3's own words for its two ways to be unwell.
_BODIES = {
    "500": ("500 Internal Server Error", "InternalError", "We encountered an internal error."),
    "503": ("503 Service Unavailable", "SlowDown", "Please reduce your request rate."),
}


def operation(environ: Environ) -> str:
    """The S3 operation of a request, as far as the storage uses them."""
    method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
    for part, names in (
        ("partNumber=", {"PUT": "upload_part"}),
        ("uploadId=", {"POST": "complete", "DELETE": "abort"}),
        ("uploads", {"POST": "create", "GET": "list_uploads"}),
        ("list-type=", {"GET": "list"}),
    ):
        if part in query and method in names:
            return names[method]
    return str(method).lower()


@dataclass
class _Fault:
    operation: str
    kind: Kind
    skip: int
    times: int
    seconds: float


@dataclass
class FaultyS3:
    """The Fault application: knows what was asked, and answers some of it badly.

    `seen` lists (operation, bytes of the body); `most_parts` is the highest number of parts that were being
    sent at the same time; `answering` is how many requests are not answered yet. What `refuses` is answered with the
    status and code that it gives, as by a store that does not take such a request.
    """

    app: Wsgi
    refuses: Callable[[Environ], tuple[str, str] | None] = lambda _: None
    seen: list[tuple[str, int]] = field(default_factory=list)
    most_parts: int = 0
    _faults: list[_Fault] = field(default_factory=list)
    answering: int = 0
    _parts: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    def fail(self, operation: str, kind: Kind, *, nth: int = 1, times: int = 1, seconds: float = 60) -> None:
        """The `nth` request of that operation from now, and `times` - 1 after it, goes wrong.

        "cut before" and "cut after" close the connection instead of answering, without or with having done what
        was asked; "slow" answers only after `seconds`, "short" sends half of the body it announced, and of a
        "flipped" one a bit changes on the way.
        """
        self._faults.append(_Fault(operation, kind, nth - 1, times, seconds))

    def restore(self) -> None:
        """Behave again, and forget what was seen."""
        self._over.set()
        self._over = threading.Event()
        self._faults.clear()
        self.refuses = lambda _: None
        self.seen.clear()
        self.most_parts = 0

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        name = operation(environ)
        with self._lock:
            self.seen.append((name, int(environ.get("CONTENT_LENGTH") or 0)))
            kind, seconds = self._due(name)
            self.answering += 1
            self._parts += name == "upload_part"
            self.most_parts = max(self.most_parts, self._parts)
            over = self._over
        try:
            return self._answer(environ, start_response, kind, seconds, over)
        finally:
            with self._lock:
                self.answering -= 1
                self._parts -= name == "upload_part"

    def _due(self, name: str) -> tuple[Kind | None, float]:
        for fault in self._faults:
            if fault.operation == name:
                if fault.skip:
                    fault.skip -= 1
                elif fault.times:
                    fault.times -= 1
                    return fault.kind, fault.seconds
        return None, 0

    def _answer(
        self,
        environ: Environ,
        start_response: Callable[..., Any],
        kind: Kind | None,
        seconds: float,
        over: threading.Event,
    ) -> Iterable[bytes]:
        if kind is None and (refusal := self.refuses(environ)) is not None:
            return _error(environ, start_response, *refusal, "")
        if kind is None:
            return self.app(environ, start_response)
        if kind in _BODIES:
            return _error(environ, start_response, *_BODIES[kind])
        if kind == "slow":
            over.wait(seconds)
            return self.app(environ, start_response)
        if kind == "flipped":
            damaged = bytearray(b"".join(self.app(environ, start_response)))
            damaged[len(damaged) // 2] ^= 1
            return [bytes(damaged)]
        if kind == "short":
            body = b"".join(self.app(environ, start_response))
            return _then_hang_up(body[: len(body) // 2], environ)
        if kind == "cut after":
            for _ in self.app(environ, lambda *_args: None):
                continue
        _hang_up(environ)
        start_response("200 OK", [])
        return [b""]


def _error(
    environ: Environ, start_response: Callable[..., Any], status: str, code: str, message: str
) -> Iterable[bytes]:
    # Read to its end, so that the client is sure to see the answer and not a reset connection.
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response(status, [("Content-Type", "application/xml")])
    return [f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()]


def _hang_up(environ: Environ) -> None:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)


def _then_hang_up(body: bytes, environ: Environ) -> Iterator[bytes]:
    yield body
    _hang_up(environ)


@contextmanager
def faulty_moto() -> Iterator[tuple[str, FaultyS3]]:
    """Address of a moto server of this process, and the fault application in front of it."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    inner: Any = server
    faults = FaultyS3(inner._server.app)
    inner._server.app = faults
    try:
        yield "http://{}:{}".format(*server.get_host_and_port()), faults
    finally:
        faults.restore()
        server.stop()
