"""The log has a line of each request that failed, and none of what was asked for in it."""

import json
import logging
from collections.abc import AsyncIterator
from zoneinfo import ZoneInfo

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from app.errors import DatabaseError, DatabaseUnavailable
from app.logs import JsonFormatter, TextFormatter
from tests.api.conftest import API, bearer
from tests.support.broken_route import broken

UTC = ZoneInfo("UTC")


def failed(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """The lines of requests."""
    return [record for record in caplog.records if record.name == "app.api.middleware"]


async def test_one_that_is_refused_is_a_line_of_a_lower_level(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    answer = await client.get(f"{API}/respaldos/777/?token=Secreta9", headers=bearer())
    assert answer.status_code == 404
    (record,) = failed(caplog)
    assert record.levelno == logging.INFO
    number = answer.headers["x-request-id"]
    found = json.loads(JsonFormatter(UTC).format(record))
    assert (found["metodo"], found["ruta"], found["estado"]) == ("GET", f"{API}/respaldos/{{respaldo_id}}/", 404)
    assert (found["peticion"], found["razon"]) == (number, "respaldo_inexistente")
    assert found["milisegundos"] >= 0
    assert "Secreta9" not in json.dumps(found)


async def test_what_is_well_leaves_none(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answer = await client.get("/salud/viva", headers={"X-Request-ID": "del-proxy-123"})
    assert answer.headers["x-request-id"] == "del-proxy-123"
    for forged in ("corto", "a b c d e f g h", "x" * 65):
        again = await client.get("/salud/viva", headers={"X-Request-ID": forged})
        assert again.headers["x-request-id"] != forged
    assert failed(caplog) == []


async def test_an_outage_is_one_line_without_traceback(
    app: FastAPI, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with broken(app, DatabaseUnavailable("no hay conexión con la base de datos (DATABASE_URL): 10.1.2.3")):
        answer = await client.head("/roto")
    assert answer.status_code == 503
    (record,) = failed(caplog)
    assert (record.levelno, record.exc_info) == (logging.ERROR, None)
    (line,) = TextFormatter(UTC).format(record).splitlines()
    assert "HEAD /roto: 503 en " in line
    assert "10.1.2.3" in line


async def test_what_postgresql_says_of_rows_is_not_in_it(
    app: FastAPI, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with broken(app, DatabaseError("PostgreSQL respondió: Key (correo)=(ana@example.com)")):
        await client.get("/roto")
    (record,) = failed(caplog)
    assert "base_de_datos" in record.getMessage()
    assert "ana@example.com" not in TextFormatter(UTC).format(record)


async def test_what_nobody_foresaw_has_a_traceback_once(
    app: FastAPI, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with broken(app, ZeroDivisionError("uno\ndos")):
        await client.get("/roto")
    (record,) = failed(caplog)
    first, *others = TextFormatter(UTC).format(record).splitlines()
    assert "GET /roto: 500 en " in first
    assert others[-1].strip() == "builtins.ZeroDivisionError: uno"
    assert all(line.startswith("    ") for line in others)


async def test_an_answer_that_is_cut_off_is_told(
    app: FastAPI, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    @app.get("/cortada")
    async def cut() -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            yield b"uno"
            raise ZeroDivisionError

        return StreamingResponse(body())

    try:
        with pytest.raises(ZeroDivisionError):
            await client.get("/cortada")
    finally:
        app.router.routes.pop()
    (record,) = failed(caplog)
    assert (record.levelno, record.exc_info is not None) == (logging.ERROR, True)
    assert "se cortó la respuesta" in record.getMessage()


async def test_a_path_of_no_route_forges_no_line(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await client.get("/nada%0A2026-07-03%20todo%20bien" + "x" * 999)
    (record,) = failed(caplog)
    (line,) = TextFormatter(UTC).format(record).splitlines()
    assert "/nada%0A2026-07-03%20todo" in line
    assert len(line) < 400
