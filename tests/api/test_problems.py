"""Whatever goes wrong is said in the same form, in Spanish, readable by a front end of another origin."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from app.api.middleware import LARGEST_BODY
from app.api.routes.health import Readiness
from app.errors import StorageUnavailable
from app.settings import Settings
from tests.api.conftest import API, FRONT_END, add_backup, application, asking, bearer, client_of
from tests.respaldos.conftest import SMALL
from tests.support.broken_route import broken

MEMBERS = {"type", "title", "status", "detail", "instance", "error", "codigo"}


def assert_problem(answer: httpx.Response, status: int, codigo: str, *more: str) -> dict[str, object]:
    """The answer is a problem document of just that; its members."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, object] = answer.json()
    assert set(document) == MEMBERS | set(more)
    assert (document["status"], document["codigo"]) == (status, codigo)
    assert str(document["instance"]).rstrip("/") == answer.request.url.raw_path.decode().partition("?")[0].rstrip("/")
    return document


async def test_unknown_routes_and_methods(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/nada"), 404, "http_404")
    assert_problem(await client.get(f"{API}/respaldo/ñ"), 404, "http_404")
    wrong = await client.put(f"{API}/respaldos/")
    assert_problem(wrong, 405, "http_405")
    assert wrong.headers["allow"] == "GET, HEAD"
    of_two_routes = await client.patch(f"{API}/respaldos/1")
    assert of_two_routes.headers["allow"] == "GET, HEAD, DELETE"


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "", "@", "x:y"])
async def test_a_host_that_is_none_changes_nothing(host: str, client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{API}/respaldos/", headers=bearer() | {"Host": host})).status_code == 200
    assert_problem(await client.get("/nada", headers={"Host": host}), 404, "http_404")


async def test_a_path_that_looks_like_another_is_told_as_it_was(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nada%3Fx=1%0Aotra%20l%C3%ADnea")
    assert answer.json()["instance"] == "/nada%3Fx%3D1%0Aotra%20l%C3%ADnea"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"limit": "uno"}, "«limit» debe ser un número entero"),
        ({"limit": 0}, "«limit» debe ser 1 o más"),
        ({"limit": 1001}, "«limit» debe ser 1000 o menos"),
        ({"limit": ""}, "«limit» debe ser un número entero"),
        ({"offset": -1}, "«offset» debe ser 0 o más"),
        ({"estado": "roto"}, "«estado» debe ser 'pendiente', 'procesando', 'completado', 'fallido' o 'cancelado'"),
        ({"desde": "ayer"}, "«desde» debe ser una fecha"),
        ({"hasta": "2026-02-30"}, "«hasta» debe ser una fecha"),
        ({"clinica_id": "9" * 30}, "«clinica_id» debe ser"),
    ],
)
async def test_a_field_that_is_wrong_is_named(
    query: dict[str, str | int], sentence: str, client: httpx.AsyncClient
) -> None:
    answer = await client.get(f"{API}/respaldos/", params=query, headers=bearer())
    document = assert_problem(answer, 422, "solicitud_invalida", "errores")
    assert str(document["detail"]).startswith(sentence)
    assert document["errores"] == [{"campo": next(iter(query)), "mensaje": document["detail"]}]


async def test_all_fields_that_are_wrong_are_named(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{API}/respaldos/", params={"limit": 0, "offset": -1}, headers=bearer())
    document = assert_problem(answer, 422, "solicitud_invalida", "errores")
    assert document["error"] == "«limit» debe ser 1 o más"
    assert document["detail"] == "«limit» debe ser 1 o más; «offset» debe ser 0 o más"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"descripcion": "x', 422),
        (b'{"descripcion": 7}', 422),
        (b'{"descripcion": "a\\u0000b"}', 422),
        (b'{"descripcion": "\\ud800"}', 422),
        (b'{"descripcion": "' + b"x" * 501 + b'"}', 422),
        (b"[]", 422),
        (b'"texto"', 422),
        (b"\xff\xfe{}", 422),
        (b'{"descripcion": "\xff"}', 400),
        (b"[" * 50_000, 400),
        (b"x" * (LARGEST_BODY + 1), 413),
    ],
)
async def test_a_body_that_is_wrong_is_refused_and_not_repeated(
    content: bytes, status: int, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    answer = await client.post(
        f"{API}/respaldos/crear_respaldo_manual/",
        content=content,
        headers=bearer() | {"Content-Type": "application/json"},
    )
    code = "solicitud_invalida" if status == 422 else f"http_{status}"
    assert_problem(answer, status, code, *(["errores"] if status == 422 else []))
    assert "xxxxx" not in answer.text
    assert await conn.fetchval("SELECT count(*) FROM respaldos.respaldo") == 0


async def test_a_body_without_end_is_cut_off(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1000
            yield b" " * 1000

    answer = await client.post(f"{API}/auth/login/", content=endless(), headers={"Content-Type": "application/json"})
    assert_problem(answer, 413, "http_413")
    assert sent < 2 * LARGEST_BODY


async def test_a_body_that_is_not_json_is_told_so(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{API}/auth/login/", data={"correo": "a", "contraseña": "b"})
    document = assert_problem(answer, 422, "solicitud_invalida", "errores")
    assert "Content-Type: application/json" in str(document["detail"])
    empty = await client.post(f"{API}/auth/login/")
    assert "falta el cuerpo" in empty.json()["detail"].casefold()


async def test_a_password_is_never_repeated(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{API}/auth/login/", json={"contraseña": "mi secreto", "correo": 7})
    assert_problem(answer, 422, "solicitud_invalida", "errores")
    assert "secreto" not in answer.text


async def test_what_nobody_foresaw_is_found_in_the_log_and_not_in_the_answer(
    app: FastAPI, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with broken(app, RuntimeError("la clave es 1234")), caplog.at_level(logging.ERROR):
        answer = await client.get("/roto", headers={"Origin": FRONT_END})
    document = assert_problem(answer, 500, "error_interno", "id")
    assert "1234" not in answer.text
    assert answer.headers["access-control-allow-origin"] == FRONT_END
    (record,) = [entry for entry in caplog.records if str(document["id"]) in entry.getMessage()]
    assert record.exc_info is not None
    assert "la clave es 1234" in str(record.exc_info[1])


async def test_another_servers_failure_is_told_without_its_address(
    app: FastAPI, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    gone = StorageUnavailable("mi-bucket/clave: no hubo respuesta de http://10.1.2.3")
    with broken(app, gone), caplog.at_level(logging.ERROR):
        answer = await client.get("/roto")
    document = assert_problem(answer, 503, "almacenamiento_no_disponible", "id")
    assert "10.1.2.3" not in answer.text
    assert any(
        "10.1.2.3" in entry.getMessage() and str(document["id"]) in entry.getMessage() for entry in caplog.records
    )
    assert answer.headers["retry-after"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "respaldos/", 401),
        ("GET", "respaldos/999/", 404),
        ("GET", "nada/", 404),
        ("PUT", "respaldos/", 405),
        ("GET", "respaldos/?limit=0", 422),
        ("POST", "auth/login/", 422),
    ],
)
async def test_a_front_end_of_another_origin_can_read_every_error(
    method: str, path: str, status: int, client: httpx.AsyncClient
) -> None:
    token = {} if status == 401 else bearer()
    answer = await client.request(method, f"{API}/{path}", headers={"Origin": FRONT_END} | token)
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == FRONT_END
    assert answer.headers["access-control-allow-credentials"] == "true"
    exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed == {"X-Total-Count", "Link", "Retry-After", "X-Request-ID"}


async def test_a_preflight_lets_a_known_origin_send_its_headers(client: httpx.AsyncClient) -> None:
    def asking_for(origin: str) -> dict[str, str]:
        return {
            "Origin": origin,
            "Access-Control-Request-Method": "DELETE",
            "Access-Control-Request-Headers": "authorization,content-type,x-csrftoken,x-tenant-subdomain",
        }

    known = await client.options(f"{API}/respaldos/1/", headers=asking_for(FRONT_END))
    assert known.status_code == 200
    assert known.headers["access-control-allow-origin"] == FRONT_END
    assert known.headers["access-control-allow-credentials"] == "true"
    assert "x-csrftoken" in known.headers["access-control-allow-headers"]
    for other in ("https://malo.example", f"{FRONT_END}.malo.example", "null"):
        refused = await client.options(f"{API}/respaldos/1/", headers=asking_for(other))
        assert "access-control-allow-origin" not in refused.headers
        answered = await client.get(f"{API}/respaldos/", headers={"Origin": other} | bearer())
        assert "access-control-allow-origin" not in answered.headers


OF_EACH_CLINIC = ("https://*.example.com", "http://*.localhost:5173", FRONT_END)


@pytest.mark.parametrize(
    ("origin", "known"),
    [
        ("https://a.example.com", True),
        ("https://clinica-1_la-paz.example.com", True),
        ("http://a.localhost:5173", True),
        (FRONT_END, True),
        ("https://example.com", False),
        ("https://.example.com", False),
        ("https://a.b.example.com", False),
        ("https://evil-example.com", False),
        ("https://a.example.com.evil.org", False),
        ("https://evil.org/.example.com", False),
        ("https://evil.org#.example.com", False),
        ("https://evil.org?.example.com", False),
        ("https://u@a.example.com", False),
        ("https://a.exampleXcom", False),
        ("https://a.example.com:8443", False),
        ("https://a.example.com:443", False),
        ("http://a.example.com", False),
        ("http://a.localhost", False),
        ("http://a.localhost:51730", False),
        ("https://*.example.com", False),
        ("null", False),
    ],
)
async def test_a_pattern_lets_in_each_clinics_subdomain_and_no_other(
    origin: str, known: bool, settings: Settings
) -> None:
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    async with asking(settings.model_copy(update={"cors_allowed_origins": OF_EACH_CLINIC})) as client:
        answers = [
            await client.options(f"{API}/respaldos/crear_respaldo_manual/", headers=preflight),
            await client.get(f"{API}/respaldos/", headers={"Origin": origin} | bearer()),
            await client.get(f"{API}/respaldos/", headers={"Origin": origin}),
        ]
    assert [answer.status_code for answer in answers] == [200 if known else 400, 200, 401]
    for answer in answers:
        assert answer.headers.get("access-control-allow-origin") == (origin if known else None)
        assert "Origin" in answer.headers["vary"]
        if known:
            assert answer.headers["access-control-allow-credentials"] == "true"


async def test_without_origins_no_browser_of_elsewhere_reads(settings: Settings) -> None:
    async with asking(settings.model_copy(update={"cors_allowed_origins": ()})) as client:
        answer = await client.get(f"{API}/respaldos/", headers={"Origin": FRONT_END} | bearer())
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/", "/docs", "/salud/viva", "/metrics", f"{API}/respaldos/", "/nada"])
async def test_every_answer_tells_browsers_to_be_careful(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


async def test_a_description_of_five_hundred_letters_is_kept(client: httpx.AsyncClient) -> None:
    text = "«ñ» \U0001f9b7 " * 83
    created = await client.post(
        f"{API}/respaldos/crear_respaldo_manual/", json={"descripcion": text[:500]}, headers=bearer()
    )
    assert created.json()["respaldo"]["descripcion"] == text[:500]


async def test_nothing_needs_to_be_up_for_the_service_to_start(settings: Settings) -> None:
    gone = {
        "database_url": settings.database_url
        and type(settings.database_url)("postgresql+asyncpg://u:c@127.0.0.1:1/d"),
        "redis_url": settings.redis_url and type(settings.redis_url)("redis://127.0.0.1:1/0"),
        "aws_endpoint_url_s3": "http://127.0.0.1:1",
    }
    async with application(settings.model_copy(update=gone)) as app, client_of(app) as client:
        alive = await client.get("/salud/viva")
        ready = await client.get("/salud/lista")
        page = await client.get("/docs")
    assert (alive.status_code, ready.status_code, page.status_code) == (200, 503, 200)
    assert set(ready.json()) == {"base_de_datos", "redis", "bucket", "trabajador"}
    assert "ok" not in ready.json().values()


async def test_whether_it_can_work_is_looked_at_once_a_second(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, moment, going_on = 0, 1000.0, asyncio.Event()

    async def check() -> str | None:
        nonlocal looked
        looked += 1
        await going_on.wait()
        return None

    service = app.state.service
    monkeypatch.setattr(service.resources.storage, "check", check)
    monkeypatch.setattr(app.state, "readiness", Readiness(service, clock=lambda: moment))
    async with client_of(app) as client:

        async def ask() -> int:
            return (await client.get("/salud/lista")).status_code

        first = [asyncio.create_task(ask()) for _ in range(20)]
        while not looked:
            await asyncio.sleep(0)
        # Who gives up does not stop it for the others.
        first.pop().cancel()
        going_on.set()
        assert await asyncio.gather(*first) == [200] * 19
        moment += 0.9
        assert (await ask(), looked) == (200, 1)
        moment += 0.1
        assert (await ask(), looked) == (200, 2)


async def test_what_a_problem_says_is_utf8_as_written(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn, SMALL, estado="fallido")
    answer = await client.get(f"{API}/respaldos/{respaldo_id}/descargar/", headers=bearer())
    assert json.loads(answer.content.decode("utf-8"))["error"]
    assert "\\u" not in answer.text
