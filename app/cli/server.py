"""Listens for HTTP, and answers until the command is told to stop."""

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import NoReturn

import uvicorn
from fastapi import FastAPI

from app.cli.http_protocol import REQUEST_SECONDS, TimelyH11Protocol
from app.errors import SettingsError
from app.respaldos.cancellation import uninterrupted

# What an answer under way may take once the service is to stop: a stream of progress would never end (seconds).
LAST_ANSWERS_SECONDS = 3

# Sockets and files that the process may have open, where the system lets it have more than the usual 1,024.
MOST_OPEN = 65_536


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket on which nothing has been accepted yet, closed at the end of the block.

    Raises SettingsError where the port is taken, or the address is not this machine's.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as exc:
        reason = exc.strerror or exc
        raise SettingsError(
            f"no se puede escuchar en {host}, puerto {port} (vea --host y --puerto): {reason}"
        ) from exc
    with listener:
        yield listener


async def serve_http(
    app: FastAPI,
    listener: socket.socket,
    ready: Callable[[], None],
    *,
    request_seconds: float = REQUEST_SECONDS,
) -> NoReturn:
    """Answer requests until cancelled; those under way then may end. `ready` is called once the app has started.

    A request that has not come as a whole within `request_seconds` is not waited for.

    Raises what the app's own start raises.
    """

    class Server(uvicorn.Server):
        # The process is told to stop in one way, whatever it runs; uvicorn would end it by the signal.
        capture_signals = contextlib.nullcontext  # type: ignore[assignment]

    # Who the client is behind a proxy, the API decides itself.
    config = uvicorn.Config(
        app,
        http=partial(TimelyH11Protocol, request_seconds=request_seconds),  # type: ignore[arg-type]
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
    )
    _allow_many_sockets()
    # Not left to uvicorn, which would log a traceback where the start fails, and say no more.
    async with app.router.lifespan_context(app):
        server = Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        try:
            while not server.started and not serving.done():
                await asyncio.sleep(0.01)
            ready()
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            with _silent("uvicorn.error"):
                await uninterrupted(_ended(server, serving))
    raise RuntimeError("uvicorn ended by itself")


def _allow_many_sockets() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_OPEN if hard == resource.RLIM_INFINITY else min(MOST_OPEN, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _ended(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    await asyncio.wait([serving])
    # uvicorn does not wait for the answers that it has cut off, and they still use what the app is about to close.
    if server.server_state.tasks:
        await asyncio.wait(server.server_state.tasks, timeout=LAST_ANSWERS_SECONDS)


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    """Keep a logger quiet: that answers are cut off at the end is no error, and uvicorn logs a traceback of each."""
    logger = logging.getLogger(name)
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False
