"""HEAD answers wherever GET does, with its headers and without its body."""

import asyncio
import re

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Match

from app.settings import Settings
from tests.api.conftest import API, add_backup, bearer, served

OPEN = ["/salud/viva", "/salud/lista", "/metrics", "/", "/docs", f"{API}/openapi.json", "/docs/propio/docs.css"]
PANEL = ["/panel", "/panel/", "/panel/respaldos/3"]

# What is another with each request.
PASSING = {"date", "x-request-id"}


async def same(client: httpx.AsyncClient, path: str) -> None:
    """Hold the two answers against each other."""
    get, head = [await client.request(method, path, headers=bearer()) for method in ("GET", "HEAD")]
    assert head.status_code == get.status_code, path
    assert head.content == b"", path
    of_get, of_head = [
        {name: value for name, value in answer.headers.items() if name not in PASSING} for answer in (get, head)
    ]
    # What is presigned, or counted, is another each time.
    for headers in (of_get, of_head):
        headers.pop("location", None)
        if path in ("/metrics", "/salud/lista"):
            headers.pop("content-length", None)
    assert of_head == of_get, path


@pytest.mark.parametrize("path", [*OPEN, *PANEL])
async def test_what_needs_no_token(client: httpx.AsyncClient, path: str) -> None:
    await same(client, path)


async def test_every_route_of_the_api_that_answers_get(
    app: FastAPI, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    respaldo_id = await add_backup(conn)
    paths = [re.sub(r"\{[^}]*\}", str(respaldo_id), path) for path in app.openapi()["paths"]]
    asked = 0
    for path in paths:
        scope = {"type": "http", "path": path, "method": "GET"}
        if any(route.matches(scope)[0] is Match.FULL for route in app.router.routes):
            await same(client, path)
            asked += 1
    assert asked > 12


async def test_what_takes_no_get_says_what_it_takes(client: httpx.AsyncClient) -> None:
    refused = await client.head(f"{API}/auth/login/")
    assert (refused.status_code, refused.headers["allow"], refused.content) == (405, "POST", b"")
    also = await client.post("/salud/viva")
    assert (also.status_code, also.headers["allow"]) == (405, "GET, HEAD")


async def test_a_stream_is_not_begun(settings: Settings, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn, estado="procesando")
    path = f"{API}/respaldos/{respaldo_id}/progreso/"
    async with served(settings) as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        # More than may be open at once, so that each has to be gone when it is answered.
        async with asyncio.timeout(30):
            for _ in range(12):
                answer = await client.head(path, headers=bearer())
                assert (answer.status_code, answer.content) == (200, b"")
                assert answer.headers["content-type"].startswith("text/event-stream")


async def test_behind_a_real_server_the_length_is_the_bodys(settings: Settings) -> None:
    async with served(settings) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        for path in ("/docs/swagger/swagger-ui-bundle.js", f"{API}/openapi.json"):
            length = len((await client.get(path)).content)
            answer = await client.head(path)
            assert (answer.headers["content-length"], answer.content) == (str(length), b"")
