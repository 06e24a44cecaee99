"""Who opens connections and says nothing, or half of something, keeps nobody else from being answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

import httpx
import pytest
from fastapi import Body, FastAPI

from app.cli.server import listening, serve_http

SECONDS = 0.5

# More than the sockets that a process usually may have.
SILENT = 1_100

HALF = {
    "nothing": b"",
    "half a line": b"GET /sal",
    "half a header": b"GET /salud/viva HTTP/1.1\r\nHost: x\r\nX-Relleno: ",
    "no body": b"POST /eco HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
    "half a body": b"POST /eco HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
    "half a chunk": b"POST /eco HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n{",
    "half a second request": b"GET /salud/viva HTTP/1.1\r\nHost: x\r\n\r\n",
}


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """Address of the app, as `respaldos serve` serves it, for whoever asks within SECONDS."""
    started = asyncio.Event()
    with listening("127.0.0.1", 0) as listener:
        serving = asyncio.create_task(serve_http(app, listener, started.set, request_seconds=SECONDS))
        await started.wait()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Of an app that answers at once, with what it was told, or late."""
    app = FastAPI()

    @app.get("/salud/viva")
    async def viva() -> str:
        return "viva"

    @app.post("/eco")
    async def eco(said: Annotated[str, Body()]) -> int:
        return len(said)

    @app.get("/tarde")
    async def tarde() -> str:
        await asyncio.sleep(3 * SECONDS)
        return "tarde"

    async with served(app) as url:
        yield url


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What came until the connection was closed."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_silent_connections_are_closed_and_keep_nobody_out(url: str) -> None:
    port = int(url.rpartition(":")[2])
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client, asyncio.timeout(60):
        late = asyncio.create_task(client.get("/tarde"))
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(SILENT)]
        assert (await client.get("/salud/viva")).json() == "viva"
        await asyncio.gather(*(ended(reader) for reader, _ in silent))
        for _, writer in silent:
            writer.close()
        # What takes its time to be answered is no silence of the other side's.
        assert (await late).json() == "tarde"
        for _ in range(3):
            assert (await client.post("/eco", json="x" * (1 << 20))).json() == 1 << 20


@pytest.mark.parametrize("what", HALF)
async def test_half_a_request_is_not_waited_for(url: str, what: str, caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    async with asyncio.timeout(60):
        writer.write(HALF[what])
        # A byte now and then is not enough.
        if what == "half a header":
            for _ in range(10):
                await asyncio.sleep(SECONDS / 4)
                if not writer.is_closing():
                    writer.write(b"x")
        if what == "half a second request":
            await reader.readuntil(b'"viva"')
            writer.write(b"GET /sal")
        said = await ended(reader)
    writer.close()
    assert b"200" not in said
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
