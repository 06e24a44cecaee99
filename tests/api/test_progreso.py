"""Somebody follows a backup on a screen, over a real connection."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import httpx
import jwt
import pytest

from app.api.routes import progress as progress_routes
from app.auth.tokens import LEEWAY
from app.respaldos.jobs.run import run_next
from app.settings import Settings
from tests.api.conftest import API, JWT_SECRET, add_backup, application, bearer, served
from tests.respaldos.conftest import LARGE, SMALL
from tests.support.answer_keys import DETAIL


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_routes, "POLL_SECONDS", 0.02)


@pytest.fixture
async def screen(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service behind uvicorn."""
    async with served(settings) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client


def following(client: httpx.AsyncClient, respaldo_id: int, clinica_id: int = SMALL) -> Any:
    """The stream of a backup's progress, to be entered."""
    return client.stream("GET", f"{API}/respaldos/{respaldo_id}/progreso/", headers=bearer(clinica_id))


async def events_of(stream: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """Each event's name and data, until the stream is closed."""
    name = ""
    async for line in stream.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def progress(conn: asyncpg.Connection, respaldo_id: int, records: int) -> None:
    """A worker has come so far."""
    said = {"etapa": "leyendo", "modelo": "año", "registros": records, "registros_esperados": 9, "bytes": 1}
    await conn.execute("UPDATE respaldos.respaldo SET estado = 'procesando' WHERE id = $1", respaldo_id)
    await conn.execute(
        "UPDATE respaldos.trabajo SET progreso = $2 WHERE respaldo_id = $1", respaldo_id, json.dumps(said)
    )


async def test_a_screen_sees_each_step_and_the_end(screen: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn, estado="pendiente")
    async with following(screen, respaldo_id) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        events = events_of(stream)
        name, first = await anext(events)
        assert (name, set(first)) == ("progreso", {"id", "estado", "estado_display", "progreso"})
        assert (first["estado"], first["progreso"]) == ("pendiente", None)
        for records in (3, 7):
            await progress(conn, respaldo_id, records)
            name, seen = await anext(events)
            assert (name, seen["estado"]) == ("progreso", "procesando")
            assert (seen["progreso"]["registros"], seen["progreso"]["modelo"]) == (records, "año")
        await conn.execute("UPDATE respaldos.respaldo SET estado = 'completado' WHERE id = $1", respaldo_id)
        name, last = await anext(events)
        assert (name, set(last), last["estado"]) == ("fin", DETAIL, "completado")
        assert [event async for event in events] == []


async def test_a_backup_made_meanwhile_is_followed(settings: Settings, conn: asyncpg.Connection) -> None:
    async with application(settings) as worker, served(settings) as url, httpx.AsyncClient(base_url=url) as screen:
        path = f"{API}/respaldos/crear_respaldo_manual/"
        respaldo_id = (await screen.post(path, headers=bearer(LARGE))).json()["respaldo"]["id"]
        async with following(screen, respaldo_id, LARGE) as stream:
            work = asyncio.create_task(run_next(worker.state.service.resources))
            seen = [event async for event in events_of(stream)]
            await work
    assert [name for name, _ in seen[:-1]] == ["progreso"] * (len(seen) - 1)
    assert "procesando" in [data["estado"] for _, data in seen[:-1]]
    assert (seen[-1][0], seen[-1][1]["estado"]) == ("fin", "completado")


async def test_a_backup_that_has_ended_is_told_at_once(screen: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn)
    async with following(screen, respaldo_id) as stream:
        assert [name async for name, _ in events_of(stream)] == ["fin"]


async def test_a_silent_stream_is_kept_open(
    screen: httpx.AsyncClient, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.05)
    respaldo_id = await add_backup(conn, estado="pendiente")
    async with following(screen, respaldo_id) as stream:
        async for line in stream.aiter_lines():
            if line == ": ping":
                return
    raise AssertionError("the stream ended")


async def test_another_clinics_backup_has_no_stream(screen: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn, LARGE, estado="pendiente")
    async with following(screen, respaldo_id) as stream:
        assert stream.status_code == 404
        assert stream.headers["content-type"] == "application/problem+json"


async def test_a_stream_does_not_outlive_its_token(screen: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn, estado="pendiente")
    now = int(time.time())
    claims = {
        "iss": "respaldos",
        "sub": "1",
        "jti": "1",
        "iat": now - 60,
        "rol": "Recepcionista",
        "clinica_id": SMALL,
    }
    # A few seconds are left of what clocks may be apart.
    token = jwt.encode({**claims, "exp": now - LEEWAY + 3}, JWT_SECRET, "HS256")
    path = f"{API}/respaldos/{respaldo_id}/progreso/"
    async with screen.stream("GET", path, headers={"Authorization": f"Bearer {token}"}) as stream:
        found = [event async for event in events_of(stream)]
    assert [name for name, _ in found] == ["progreso", "problema"]
    assert found[-1][1] == {"codigo": "token_invalido", "status": 401}


async def test_a_clinic_can_open_only_so_many(screen: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    mine = await add_backup(conn, estado="pendiente")
    others = await add_backup(conn, LARGE, estado="pendiente")
    async with AsyncExitStack() as opened:
        # Kept, as one that nobody listens to is closed.
        streams = [
            events_of(await opened.enter_async_context(following(screen, mine)))
            for _ in range(progress_routes.STREAMS.per_clinic)
        ]
        for events in streams:
            await anext(events)
        async with following(screen, mine) as refused:
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        async with following(screen, others, LARGE) as elsewhere:
            assert elsewhere.status_code == 200
    # Whoever goes away makes room.
    async with asyncio.timeout(30):
        while True:
            async with following(screen, mine) as again:
                if again.status_code == 200:
                    return
            await asyncio.sleep(0.02)


async def test_streams_hold_no_connection_while_they_wait(
    screen: httpx.AsyncClient, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_routes, "POLL_SECONDS", 3600)
    respaldo_id = await add_backup(conn, estado="pendiente")
    async with following(screen, respaldo_id) as stream:
        await anext(events_of(stream))
        busy = await conn.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND state <> 'idle'"
        )
    assert busy == 0
