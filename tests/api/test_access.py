"""Who comes in, who may do what, and what is written down about those who may not."""

import socket
import time
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import asyncpg
import httpx
import jwt
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.requests import Request

from app.api import rejection_log
from app.api.client_address import client_address, networks
from app.auth.principal import Roles
from app.demo.sample.clinics import DEMO_PASSWORD, SUPERUSER_EMAIL
from app.settings import Settings
from tests.api.conftest import (
    API,
    JWT_SECRET,
    OTHER,
    add_backup,
    asking,
    bearer,
    client_of,
    events,
    rows,
    tokens,
)
from tests.respaldos.conftest import SMALL, connected
from tests.support.signing import AUDIENCE, BACKEND, backend_token, public_pem, rsa_key

USER = {
    *("codigo", "nombre", "apellido", "nombre_completo", "correoelectronico", "idtipousuario"),
    *("tipo_usuario_nombre", "clinica_id", "rol"),
}
ADMIN = f"admin@clinica{SMALL}.example"


async def log_in(client: httpx.AsyncClient, correo: str, password: str = DEMO_PASSWORD) -> httpx.Response:
    """The answer to a login."""
    return await client.post(f"{API}/auth/login/", json={"correo": correo, "contraseña": password})


async def test_a_person_logs_in_and_looks(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    respaldo_id = await add_backup(conn)
    answer = await log_in(client, ADMIN)
    assert answer.status_code == 200
    entered = answer.json()
    assert set(entered) == {"mensaje", "token", "expira_en_segundos", "usuario"}
    assert set(entered["usuario"]) == USER
    assert entered["expira_en_segundos"] == 8 * 3600
    assert (entered["usuario"]["clinica_id"], entered["usuario"]["rol"]) == (SMALL, "Administrador")
    assert entered["usuario"]["nombre_completo"] == "Ana María Peñaranda"
    header = {"Authorization": f"Bearer {entered['token']}"}
    listed = await client.get(f"{API}/respaldos/", headers=header)
    assert [entry["id"] for entry in listed.json()] == [respaldo_id]
    (line,) = await events(conn, "ingreso")
    assert (line["clinica_id"], line["usuario"]) == (SMALL, str(entered["usuario"]["codigo"]))


@pytest.mark.parametrize(("mail", "secret"), [("email", "password"), ("correo", "password"), ("email", "contraseña")])
async def test_both_names_of_each_field_are_understood(mail: str, secret: str, client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{API}/auth/login", json={mail: ADMIN, secret: DEMO_PASSWORD})
    assert answer.status_code == 200


async def test_the_superuser_is_of_no_clinic(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    entered = (await log_in(client, SUPERUSER_EMAIL)).json()
    assert entered["usuario"]["clinica_id"] is None
    assert set(entered["usuario"]) == USER
    header = {"Authorization": f"Bearer {entered['token']}"}
    created = await client.post(
        f"{API}/respaldos/crear_respaldo_manual/", params={"clinica_id": OTHER}, headers=header
    )
    assert (created.status_code, created.json()["respaldo"]["clinica_id"]) == (202, OTHER)


async def test_a_wrong_password_is_written_down_and_counted(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    answers = [await log_in(client, ADMIN, "no es esta") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [401] * 5
    assert answers[0].headers["www-authenticate"].startswith("Bearer")
    unknown = await log_in(client, "nadie@clinica.example", "no es esta")
    assert unknown.json()["detail"] == answers[0].json()["detail"]
    too_many = await log_in(client, ADMIN)
    assert (too_many.status_code, too_many.json()["codigo"]) == (429, "demasiados_intentos")
    assert 0 < int(too_many.headers["retry-after"]) <= 900
    lines = await events(conn, "ingreso_rechazado")
    # Of what was typed nothing: somebody may type a password there.
    assert not any("@" in str(line["detalle"]) for line in lines)
    # The administrator sees who tried; what is nobody's e-mail is nobody's line.
    assert [line["clinica_id"] for line in lines] == [SMALL] * 5 + [None, None]
    assert {line["direccion"] for line in lines} == {"127.0.0.1"}


async def test_without_a_secret_nobody_logs_in(settings: Settings) -> None:
    async with asking(settings.model_copy(update={"jwt_secret": None})) as client:
        answer = await log_in(client, ADMIN)
    assert (answer.status_code, answer.json()["codigo"]) == (501, "ingreso_no_configurado")
    assert "JWT_SECRET" in answer.json()["detail"]


async def test_without_redis_the_rest_works(settings: Settings, conn: asyncpg.Connection) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = SecretStr(f"redis://127.0.0.1:{closed.getsockname()[1]}/0")
        respaldo_id = await add_backup(conn)
        async with asking(settings.model_copy(update={"redis_url": dead})) as client:
            refused = [
                await log_in(client, ADMIN),
                await client.post(f"{API}/respaldos/crear_respaldo_manual/", headers=bearer()),
                await client.post(f"{API}/respaldos/{respaldo_id}/verificar/", headers=bearer()),
            ]
            works = [
                await client.get(f"{API}/respaldos/", headers=bearer()),
                await client.get(f"{API}/respaldos/{respaldo_id}/descargar/", headers=bearer()),
                await client.get("/metrics"),
            ]
    for answer in refused:
        assert (answer.status_code, answer.json()["codigo"]) == (503, "redis_no_disponible")
        assert int(answer.headers["retry-after"]) > 0
    assert [answer.status_code for answer in works] == [200] * 3
    assert "respaldos_redis_disponible 0.0" in works[2].text
    assert "respaldos_cola_trabajos 0.0" in works[2].text
    assert await rows(conn) == 1
    assert await conn.fetchval("SELECT count(*) FROM respaldos.restauracion") == 0


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "falta el token"),
        ("Bearer", "falta el token"),
        ("Basic YTpi", "falta el token"),
        ("Bearer no.es.token", ""),
        ("Token no.es.token", ""),
    ],
)
async def test_without_a_good_token_nobody_looks(
    header: str | None, reason: str, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    headers = {} if header is None else {"Authorization": header}
    cookie = {"Cookie": f"token={bearer()['Authorization'].split()[1]}"}
    answer = await client.get(f"{API}/respaldos/", headers=headers | cookie)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert reason in answer.json()["detail"].casefold()
    # A request without a token is how every browser begins; one with a bad token is worth a line.
    lines = await events(conn, "acceso_rechazado")
    assert len(lines) == (0 if reason else 1)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token", "TOKEN"])
async def test_both_schemes_are_accepted(scheme: str, client: httpx.AsyncClient) -> None:
    header = {"Authorization": f"{scheme} {bearer()['Authorization'].split()[1]}"}
    assert (await client.get(f"{API}/respaldos/", headers=header)).status_code == 200


ADMINISTRATORS = [
    ("POST", "respaldos/crear_respaldo_manual/", 202),
    ("GET", "respaldos/{id}/descargar/", 200),
    ("POST", "respaldos/{id}/verificar/", 202),
    ("POST", "respaldos/{id}/restaurar/", 202),
    # It has to be said with which other one.
    ("POST", "respaldos/{id}/comparar/", 422),
    ("POST", "respaldos/{id}/cancelar/", 409),
    ("POST", "respaldos/{id}/recuperar/", 409),
    ("POST", "respaldos/{id}/aceptar/", 409),
    # It has to be said why.
    ("POST", "respaldos/{id}/retener/", 422),
    ("POST", "respaldos/{id}/liberar/", 409),
    ("DELETE", "respaldos/{id}/", 409),
    ("GET", "eventos/", 200),
    # It has to be said in which format.
    ("POST", "respaldos/{id}/exportaciones/", 422),
    ("GET", "exportaciones/", 200),
    ("GET", "exportaciones/998/", 404),
    ("POST", "exportaciones/998/cancelar/", 404),
    ("POST", "exportaciones/998/enlace/", 404),
    # It has to be said what for.
    ("POST", "claves/", 422),
    ("GET", "claves/", 200),
    ("POST", "claves/997/revocar/", 404),
    # What was never made, or has not ended.
    ("GET", "respaldos/{id}/constancia/", 404),
    ("GET", "restauraciones/999/constancia/", 404),
    # It has to be said what is looked for.
    ("GET", "registros/", 422),
    ("GET", "registros/pacientes/0/historia/", 404),
    ("GET", "registros/pacientes/0/entero/", 404),
]
# Patients too, who may do nothing else.
WHOSE_TOKEN_IS_GOOD = [
    ("GET", "auth/verificar-token/", 200),
    ("POST", "auth/logout/", 200),
    # A token that is no login's has no password to confirm.
    ("POST", "auth/confirmar/", 403),
]
SUPERADMINS = [
    ("GET", "plataforma/eventos/", 200),
    ("GET", "plataforma/clinicas/", 200),
    ("POST", "plataforma/cerrar-sesiones/", 200),
    ("GET", "plataforma/clinicas/{clinica}/politica/", 200),
    ("POST", "plataforma/clinicas/{clinica}/politica/", 200),
    # It has to be said what the clinic is called.
    ("POST", "plataforma/clinicas/{clinica}/destruir-clave/", 422),
]
EVERYBODYS = [
    ("GET", "clinica/", 200),
    ("GET", "respaldos/", 200),
    ("GET", "respaldos/{id}/", 200),
    ("GET", "respaldos/{id}/progreso/", 200),
    ("GET", "respaldos/estadisticas/", 200),
    ("GET", "restauraciones/", 200),
    ("GET", "restauraciones/999/", 404),
]


def test_every_route_is_in_the_matrix_of_roles(app: FastAPI) -> None:
    paths = {
        (method.upper(), path.removeprefix(f"{API}/"))
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
        if operation.get("security")
    }
    named = {
        "{id}": "{respaldo_id}",
        "{clinica}": "{clinica_id}",
        "999": "{restauracion_id}",
        "998": "{exportacion_id}",
        "997": "{clave_id}",
        "pacientes/0": "{modelo}/{clave}",
    }
    listed = {
        (method, reduce(lambda found, each: found.replace(*each), named.items(), path))
        for method, path, _ in ADMINISTRATORS + EVERYBODYS + SUPERADMINS + WHOSE_TOKEN_IS_GOOD
    }
    assert paths == listed


@pytest.mark.parametrize(("method", "path", "status"), ADMINISTRATORS + EVERYBODYS)
async def test_each_role_does_what_it_may(
    method: str, path: str, status: int, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    respaldo_id = await add_backup(conn)
    url = f"{API}/{path.replace('{id}', str(respaldo_id))}"
    before = await rows(conn)
    patient = await client.request(method, url, headers=bearer(rol="Paciente"))
    assert (patient.status_code, patient.json()["codigo"]) == (403, "sin_permiso")
    staff = await client.request(method, url, headers=bearer(rol="Recepcionista"))
    assert staff.status_code == (status if (method, path, status) in EVERYBODYS else 403)
    assert await rows(conn) == before
    # What staff may ask for and is not there is a refusal too.
    refused = 1 if (method, path, status) in EVERYBODYS and status != 404 else 2
    assert len(await events(conn, "acceso_rechazado")) == refused
    administrator = await client.request(method, url, headers=bearer(rol="ADMINISTRADOR"))
    assert administrator.status_code == status
    line = (await events(conn, "acceso_rechazado"))[0]
    assert (line["clinica_id"], line["usuario"]) == (SMALL, "1")
    assert line["detalle"]["ruta"] == f"{method} {url}"


async def verified(client: httpx.AsyncClient, headers: dict[str, str], path: str = "verificar-token/") -> Any:
    """What the service says of a token that is good."""
    answer = await client.get(f"{API}/auth/{path}", headers=headers)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert set(found) == {"valido", "expira_en_segundos", "usuario"}
    assert found["valido"] is True
    assert set(found["usuario"]) == USER
    return found


@pytest.mark.parametrize("path", ["verificar-token/", "verificar-token"])
@pytest.mark.parametrize("correo", [ADMIN, SUPERUSER_EMAIL])
async def test_a_page_that_is_opened_again_learns_who_it_is(
    path: str, correo: str, client: httpx.AsyncClient
) -> None:
    entered = (await log_in(client, correo)).json()
    found = await verified(client, {"Authorization": f"Token {entered['token']}"}, path)
    assert 8 * 3600 - 60 < found["expira_en_segundos"] <= 8 * 3600
    # A superadmin is in no clinic's table: their token has the whole name, and does not say which part is which.
    parts = {"nombre", "apellido"} if correo == SUPERUSER_EMAIL else set()
    assert {key: found["usuario"][key] for key in USER - parts} == {
        key: entered["usuario"][key] for key in USER - parts
    }


@pytest.mark.parametrize("rol", ["Administrador", "Recepcionista", "Paciente"])
async def test_the_role_is_the_tokens(rol: str, client: httpx.AsyncClient) -> None:
    found = await verified(client, bearer(rol=rol))
    assert (found["usuario"]["rol"], found["usuario"]["clinica_id"]) == (rol, SMALL)


async def test_whom_the_clinics_table_does_not_know_is_as_the_token_says(client: httpx.AsyncClient) -> None:
    nobody = Roles(()).member(usuario="9b1d-externo", nombre="Ana Peña", clinica_id=SMALL, rol="Auditora")
    found = await verified(client, {"Authorization": f"Bearer {tokens().issue(nobody)}"})
    usuario = found["usuario"]
    assert (usuario["codigo"], usuario["nombre_completo"], usuario["rol"]) == ("9b1d-externo", "Ana Peña", "Auditora")
    # The codigo of somebody of another clinic says nothing of this one's.
    other = (await log_in(client, f"admin@clinica{OTHER}.example")).json()["usuario"]
    claimed = Roles(()).member(usuario=str(other["codigo"]), nombre=None, clinica_id=SMALL, rol="Auditora")
    found = await verified(client, {"Authorization": f"Bearer {tokens().issue(claimed)}"})
    assert other["correoelectronico"] not in str(found)


async def test_a_token_that_is_not_good_is_told_as_everywhere(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    expired = jwt.encode(
        {"iss": "respaldos", "sub": "1", "jti": "1", "iat": 1, "exp": 2, "clinica_id": SMALL, "rol": "Administrador"},
        JWT_SECRET,
        "HS256",
    )
    for token, said in ((None, "Falta el token"), ("x.y.z", "no es un JWT"), (expired, "venció")):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        answer = await client.get(f"{API}/auth/verificar-token/", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert said.casefold() in answer.json()["error"].casefold()
    assert len(await events(conn, "acceso_rechazado")) == 2


async def test_a_session_ends_when_somebody_says_so_whatever_redis_forgets(
    settings: Settings, own_database: str
) -> None:
    own = settings.model_copy(update={"database_url": SecretStr(own_database)})

    async def status(client: httpx.AsyncClient, token: str) -> int:
        answer = await client.get(f"{API}/respaldos/", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200 or answer.json()["codigo"] == "token_invalido"
        return answer.status_code

    async with asking(own) as client, asking(own) as elsewhere, connected(own_database) as conn:
        mine, other, third = [(await log_in(client, ADMIN)).json()["token"] for _ in range(3)]
        colleague = (await log_in(client, f"recepcion@clinica{SMALL}.example")).json()["token"]
        left = await client.post(f"{API}/auth/logout/", headers={"Authorization": f"Bearer {mine}"})
        assert (left.status_code, left.json()) == (200, {"mensaje": "La sesión terminó"})
        assert [await status(elsewhere, token) for token in (mine, other, colleague)] == [401, 200, 200]
        # The signature's last letter has bits that count for nothing: the same token, spelled in another way.
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        respelled = mine[:-1] + letters[letters.index(mine[-1]) ^ 1]
        assert await status(elsewhere, respelled) == 401
        codigo = jwt.decode(other, options={"verify_signature": False})["sub"]
        # A second's fraction before, so that one of this very second is told from those before it.
        closed = await client.post(
            f"{API}/plataforma/cerrar-sesiones/",
            json={"usuario": f"0{codigo}", "clinica_id": SMALL},
            headers=bearer(None),
        )
        assert closed.status_code == 200
        assert [await status(elsewhere, token) for token in (other, third, colleague)] == [401, 401, 200]
        again = (await log_in(client, ADMIN)).json()["token"]
        assert await status(elsewhere, again) == 200
        superadmin = (await log_in(client, SUPERUSER_EMAIL)).json()["token"]
        await client.post(
            f"{API}/plataforma/cerrar-sesiones/", json={"usuario": SUPERUSER_EMAIL.upper()}, headers=bearer(None)
        )
        refused = await client.get(f"{API}/plataforma/clinicas/", headers={"Authorization": f"Bearer {superadmin}"})
        assert refused.status_code == 401
        unknown = await client.post(
            f"{API}/plataforma/cerrar-sesiones/", json={"usuario": "1", "clinica_id": 999}, headers=bearer(None)
        )
        assert unknown.status_code == 404
        (gone,) = await events(conn, "salida")
        assert (gone["clinica_id"], gone["usuario"]) == (SMALL, codigo)
        lines = await events(conn, "cierre_sesiones")
        assert [(line["clinica_id"], line["detalle"]) for line in lines] == [
            (SMALL, {"de": f"0{codigo}"}),
            (None, {"de": SUPERUSER_EMAIL.upper()}),
        ]
        # Who was dismissed, and had not used their token for half a minute.
        await conn.execute("UPDATE usuario SET activo = false WHERE correoelectronico LIKE 'recepcion@%'")
        async with asking(own) as later:
            assert await status(later, colleague) == 401
        assert (await events(conn, "acceso_rechazado"))[-1]["detalle"]["motivo"].endswith("ya no está activo")


# What takes data away or destroys it, with what is answered to somebody who may.
RECENT: list[tuple[str, str, Any, int]] = [
    ("GET", "respaldos/{id}/descargar/", None, 200),
    ("POST", "respaldos/{id}/exportaciones/", {"formato": "csv"}, 202),
    ("POST", "exportaciones/999/enlace/", None, 404),
    ("POST", "respaldos/{id}/restaurar/", {}, 202),
    ("DELETE", "respaldos/{id}/", None, 409),
]


async def test_what_takes_data_away_asks_for_the_password_again(
    settings: Settings, client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    respaldo_id = await add_backup(conn)
    whose = "SELECT codigo, password FROM usuario JOIN auth_user ON email = correoelectronico WHERE email = $1"
    ((codigo, stored),) = await conn.fetch(whose, ADMIN)

    async def ask(token: str, wanted: tuple[str, str, Any, int], asked: httpx.AsyncClient = client) -> httpx.Response:
        method, path, body, _ = wanted
        url = f"{API}/{path.replace('{id}', str(respaldo_id))}"
        return await asked.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"})

    def given(minutes: float, password: str | None = stored) -> str:
        person = Roles(("administrador",)).member(
            usuario=str(codigo), nombre="Ana", clinica_id=SMALL, rol="Administrador"
        )
        then = datetime.now(UTC) - timedelta(minutes=minutes)
        return tokens().issue(person, password=password, authenticated=then)

    async def confirm(token: str, password: str) -> httpx.Response:
        header = {"Authorization": f"Bearer {token}"}
        return await client.post(f"{API}/auth/confirmar/", json={"contraseña": password}, headers=header)

    long_ago = given(15.1)
    for wanted in RECENT:
        refused = await ask(long_ago, wanted)
        assert (refused.status_code, refused.json()["codigo"]) == (403, "confirmacion_requerida"), wanted
    assert await conn.fetchval("SELECT count(*) FROM respaldos.trabajo") == 0
    # Looking does not, nor does seeing what a restore would do.
    preview = ("POST", "respaldos/{id}/restaurar/", {"simular": True}, 202)
    for wanted in (("GET", "respaldos/{id}/", None, 200), preview):
        assert (await ask(long_ago, wanted)).status_code == wanted[-1]
    wrong = await confirm(long_ago, "no es esta")
    assert (wrong.status_code, wrong.json()["codigo"]) == (403, "clave_incorrecta")
    (line,) = await events(conn, "ingreso_rechazado")
    assert (line["clinica_id"], line["usuario"]) == (SMALL, str(codigo))
    fresh = await confirm(long_ago, DEMO_PASSWORD)
    assert set(fresh.json()) == {"token", "expira_en_segundos"}
    assert (await events(conn, "ingreso"))[-1]["detalle"] == {"rol": "Administrador", "confirmacion": True}
    await conn.execute("UPDATE respaldos.trabajo SET estado = 'cancelado'")
    for token in (fresh.json()["token"], given(14.9), given(999, password=None)):
        for wanted in RECENT:
            assert (await ask(token, wanted)).status_code == wanted[-1], wanted
            await conn.execute("UPDATE respaldos.trabajo SET estado = 'cancelado'")
    # What a thief would delete takes a password of the last minute.
    recent = await add_backup(conn, fecha_respaldo=datetime.now(UTC))
    drastic = ("DELETE", f"respaldos/{recent}/", None, 204)
    refused = await ask(given(1.1), drastic)
    assert (refused.status_code, refused.json()["codigo"]) == (403, "confirmacion_requerida")
    assert (await ask(given(0.5), drastic)).status_code == 204
    # Guesses here are guesses at the login.
    for _ in range(5):
        assert (await confirm(long_ago, "no es esta")).status_code == 403
    assert (await confirm(long_ago, DEMO_PASSWORD)).status_code == 429
    assert (await log_in(client, ADMIN)).status_code == 429
    # The backend's tokens say when somebody logged in there, or need not.
    theirs: dict[str, Any] = {
        "jwt_public_key": public_pem(rsa_key()),
        "jwt_issuer": BACKEND,
        "jwt_audience": AUDIENCE,
    }
    now = time.time()
    foreign = {age: backend_token(sub="x", clinica_id=SMALL, auth_time=age and now - age) for age in (None, 60, 901)}
    for required, statuses in ((False, [200, 200, 200]), (True, [403, 200, 403])):
        changed = settings.model_copy(update=theirs | {"jwt_require_auth_time": required})
        async with asking(changed) as theirs_too:
            answers = [await ask(token, RECENT[0], theirs_too) for token in foreign.values()]
            assert [answer.status_code for answer in answers] == statuses
            assert (await ask(given(999, password=None), RECENT[0], theirs_too)).status_code == 200


async def test_a_key_does_what_it_is_for_in_its_clinic_until_it_ends(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    respaldo_id, theirs = await add_backup(conn), await add_backup(conn, OTHER)

    async def made(*permisos: str) -> dict[str, Any]:
        body = {"nombre": "Copia nocturna", "permisos": permisos}
        answer = await client.post(f"{API}/claves/", json=body, headers=bearer())
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def ask(key: str, method: str, path: str, body: Any = None) -> int:
        headers = {b"Authorization": f"Bearer {key}".encode("latin-1")}
        answer = await client.request(method, f"{API}/{path}", json=body, headers=headers)
        await conn.execute("UPDATE respaldos.trabajo SET estado = 'cancelado'")
        return answer.status_code

    of_each: dict[str, list[tuple[str, str, Any, int]]] = {
        "mirar": [
            ("GET", "respaldos/", None, 200),
            ("GET", f"respaldos/{respaldo_id}/", None, 200),
            ("GET", "restauraciones/", None, 200),
        ],
        "crear": [("POST", "respaldos/crear_respaldo_manual/", {}, 202)],
        "verificar": [("POST", f"respaldos/{respaldo_id}/verificar/", {}, 202)],
        "descargar": [("GET", f"respaldos/{respaldo_id}/descargar/", None, 200)],
        "exportar": [
            ("POST", f"respaldos/{respaldo_id}/exportaciones/", {"formato": "csv"}, 202),
            ("GET", "exportaciones/", None, 200),
        ],
    }
    nobodys = [
        ("POST", f"respaldos/{respaldo_id}/restaurar/", {"simular": True}),
        ("DELETE", f"respaldos/{respaldo_id}/", None),
        ("GET", "eventos/", None),
        ("GET", "registros/?buscar=ana", None),
        ("GET", "claves/", None),
        ("POST", "claves/", {"nombre": "otra", "permisos": ["mirar"]}),
        ("GET", "plataforma/clinicas/", None),
        ("POST", "auth/logout/", None),
        ("POST", "auth/confirmar/", {"contraseña": "x"}),
    ]
    keys = {alcance: (await made(alcance))["clave"] for alcance in of_each}
    for alcance, key in keys.items():
        for other, requests in of_each.items():
            for method, path, body, status in requests:
                expected = status if other == alcance else 403
                assert await ask(key, method, path, body) == expected, (alcance, method, path)
        for method, path, body in nobodys:
            assert await ask(key, method, path, body) == 403, (alcance, method, path)
    verified = await client.get(f"{API}/auth/verificar-token/", headers={"Authorization": f"Token {keys['mirar']}"})
    assert (verified.json()["usuario"]["clinica_id"], verified.json()["usuario"]["rol"]) == (SMALL, "clave")
    assert await ask(keys["mirar"], "GET", f"respaldos/{theirs}/") == 404
    assert await ask(keys["mirar"], "GET", f"respaldos/?clinica_id={OTHER}") == 404
    # Who did it, by the key's name.
    (line,) = await events(conn, "creacion")
    public = keys["crear"].split("_")[1]
    assert (line["clinica_id"], line["usuario"]) == (SMALL, f"clave {public}")
    # The key itself is nowhere: not in the list, the table or the trail.
    listed = await client.get(f"{API}/claves/", headers=bearer())
    assert len(listed.json()) == len(keys)
    stored = str(await conn.fetch("SELECT * FROM respaldos.clave_api")) + str(
        await conn.fetch("SELECT * FROM respaldos.evento")
    )
    for key in keys.values():
        secret = key.split("_", 2)[2]
        assert secret not in stored + listed.text
        # Another one's secret, a part of it, none.
        for wrong in (f"{key}x", key[:-1], key.replace(secret, ""), f"rsp_{'0' * 16}_{secret}", "rsp_", "rsp_ñ_ñ"):
            assert await ask(wrong, "GET", "respaldos/") == 401
    number = listed.json()[-1]["id"]
    for headers in (bearer(OTHER), bearer(rol="Recepcionista")):
        assert (await client.post(f"{API}/claves/{number}/revocar/", headers=headers)).status_code in (403, 404)
    assert await ask(keys["mirar"], "GET", "respaldos/") == 200
    revoked = await client.post(f"{API}/claves/{number}/revocar/", headers=bearer())
    assert (revoked.status_code, await ask(keys["mirar"], "GET", "respaldos/")) == (200, 401)
    await conn.execute("UPDATE respaldos.clave_api SET vence = now() - interval '1 s'")
    assert await ask(keys["crear"], "POST", "respaldos/crear_respaldo_manual/") == 401
    for body in (
        {"nombre": " ", "permisos": ["mirar"]},
        {"nombre": "x", "permisos": []},
        {"nombre": "x", "permisos": ["restaurar"]},
        {"nombre": "x", "permisos": ["mirar"], "dias": 366},
    ):
        assert (await client.post(f"{API}/claves/", json=body, headers=bearer())).status_code == 422, body
    assert len(await events(conn, "creacion_clave")) == len(keys)
    assert len(await events(conn, "revocacion_clave")) == 1


async def test_who_asks_for_what_is_not_theirs_is_seen(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    theirs = await add_backup(conn, OTHER)
    answers = [
        await client.get(f"{API}/respaldos/{number}/", headers=bearer(rol="Recepcionista"))
        for number in (theirs, 999)
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    lines = await events(conn, "acceso_rechazado")
    assert [(line["clinica_id"], line["usuario"], line["direccion"]) for line in lines] == [
        (SMALL, "1", "127.0.0.1")
    ] * 2
    assert [line["detalle"] for line in lines] == [
        {"ruta": f"GET {API}/respaldos/{number}/", "motivo": f"no existe el respaldo {number}"}
        for number in (theirs, 999)
    ]
    for _ in range(rejection_log.PER_ADDRESS):
        await client.delete(f"{API}/respaldos/999/", headers=bearer())
    assert len(await events(conn, "acceso_rechazado")) == rejection_log.PER_ADDRESS


async def test_the_superadmin_reads_the_lines_of_all_and_of_nobody(
    client: httpx.AsyncClient, conn: asyncpg.Connection
) -> None:
    await client.get(f"{API}/respaldos/", headers={"Authorization": "Bearer x"})
    for clinic in (SMALL, OTHER):
        await client.get(f"{API}/respaldos/{await add_backup(conn, clinic)}/descargar/", headers=bearer(clinic))
    url = f"{API}/plataforma/eventos/"
    everything = await client.get(url, headers=bearer(None))
    assert [(entry["clinica_id"], entry["accion"]) for entry in everything.json()] == [
        (OTHER, "enlace_descarga"),
        (SMALL, "enlace_descarga"),
        (None, "acceso_rechazado"),
    ]
    page = await client.get(url, params={"accion": "enlace_descarga", "limit": 1}, headers=bearer(None))
    assert [entry["clinica_id"] for entry in page.json()] == [OTHER]
    older = await client.get(page.links["next"]["url"], headers=bearer(None))
    assert [entry["clinica_id"] for entry in older.json()] == [SMALL]
    assert not older.links
    # Of a clinic, and of a day where it is.
    await conn.execute(
        "INSERT INTO respaldos.evento (clinica_id, accion, fecha) SELECT clinic, 'ingreso', moment::timestamptz"
        " FROM unnest(ARRAY[$1, $2]::bigint[]) AS clinic,"
        " unnest(ARRAY['2026-02-28 03:59:59Z', '2026-02-28 04:00Z', '2026-03-01 03:59:59Z', '2026-03-01 04:00Z'])"
        " AS moment",
        *(SMALL, OTHER),
    )
    day = await client.get(url, params={"dia": "2026-02-28", "clinica_id": OTHER}, headers=bearer(None))
    assert [entry["fecha"] for entry in day.json()] == ["2026-03-01T03:59:59+00:00", "2026-02-28T04:00:00+00:00"]
    assert {entry["clinica_id"] for entry in day.json()} == {OTHER}
    for far in ("0001-01-01", "9999-12-31"):
        assert (await client.get(url, params={"dia": far}, headers=bearer(None))).json() == []
    own = await client.get(f"{API}/eventos/", headers=bearer())
    # Nobody of the clinic has that number.
    assert everything.json()[1] | {"usuario_nombre": None} in own.json()
    refused = await client.get(url, headers=bearer())
    assert (refused.status_code, refused.json()["codigo"]) == (403, "sin_permiso")
    assert (await events(conn, "acceso_rechazado"))[-1]["clinica_id"] == SMALL


async def test_a_clinic_that_is_closed_has_nobody(settings: Settings, own_database: str) -> None:
    async with connected(own_database) as conn:
        await conn.execute("UPDATE clinica SET activa = false WHERE id = $1", SMALL)
        await add_backup(conn)
    async with asking(settings.model_copy(update={"database_url": SecretStr(own_database)})) as client:
        own = await client.get(f"{API}/respaldos/", headers=bearer())
        gone = await client.get(f"{API}/respaldos/", headers=bearer(999))
        superadmin = await client.get(f"{API}/respaldos/", params={"clinica_id": SMALL}, headers=bearer(None))
        entering = await log_in(client, ADMIN)
        verifying = await client.get(f"{API}/auth/verificar-token/", headers=bearer())
        await verified(client, bearer(None))
    assert (own.status_code, gone.status_code, entering.status_code) == (401, 401, 401)
    assert (verifying.status_code, verifying.json()["codigo"]) == (401, "token_invalido")
    assert (superadmin.status_code, len(superadmin.json())) == (200, 1)


async def test_the_trail_cannot_be_filled_by_whoever_is_refused(
    client: httpx.AsyncClient, app: FastAPI, conn: asyncpg.Connection
) -> None:
    for _ in range(rejection_log.PER_ADDRESS + 5):
        await client.get(f"{API}/respaldos/", headers={"Authorization": "Bearer x"})
    assert len(await events(conn, "acceso_rechazado")) == rejection_log.PER_ADDRESS
    async with client_of(app, "192.0.2.7") as elsewhere:
        await elsewhere.get(f"{API}/respaldos/", headers={"Authorization": "Bearer x"})
    assert (await events(conn, "acceso_rechazado"))[-1]["detalle"]["omitidos"] == 5
    for number in range(2 * rejection_log.IN_ALL):
        async with client_of(app, f"198.51.100.{number}") as one_of_many:
            await one_of_many.get(f"{API}/respaldos/", headers={"Authorization": "Bearer x"})
    assert len(await events(conn, "acceso_rechazado")) == rejection_log.IN_ALL


async def test_a_database_that_is_away_does_not_hide_a_refusal(settings: Settings) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = SecretStr(f"postgresql+asyncpg://u:clave@127.0.0.1:{closed.getsockname()[1]}/d")
        own = {"database_url": dead, "clinic_database_url": settings.database_url}
        async with asking(settings.model_copy(update=own)) as client:
            unknown = await client.get(f"{API}/respaldos/", headers={"Authorization": "Bearer x"})
            listing = await client.get(f"{API}/respaldos/", headers=bearer())
    assert unknown.status_code == 401
    assert (listing.status_code, listing.json()["codigo"]) == (503, "base_de_datos_no_disponible")
    assert int(listing.headers["retry-after"]) > 0
    for secret in ("clave", "127.0.0.1", "postgresql"):
        assert secret not in listing.text


def from_where(peer: str, *forwarded: str) -> str:
    """The address that is believed, where 10.0.0.0/8 and one IPv6 network are proxies."""
    scope = {
        "type": "http",
        "client": (peer, 1),
        "headers": [(b"x-forwarded-for", value.encode()) for value in forwarded],
    }
    return client_address(Request(scope), networks(["10.0.0.0/8", "2001:db8::/32"]))


@pytest.mark.parametrize(
    ("peer", "forwarded", "believed"),
    [
        ("192.0.2.1", (), "192.0.2.1"),
        ("192.0.2.1", ("203.0.113.9",), "192.0.2.1"),
        ("10.0.0.1", ("203.0.113.9",), "203.0.113.9"),
        ("10.0.0.1", ("1.2.3.4, 203.0.113.9",), "203.0.113.9"),
        ("10.0.0.1", ("203.0.113.9, 10.0.0.2",), "203.0.113.9"),
        ("10.0.0.1", ("1.2.3.4", "203.0.113.9"), "203.0.113.9"),
        ("10.0.0.1", ("203.0.113.9:4711",), "203.0.113.9"),
        ("10.0.0.1", ("[2001:dead::1]:4711",), "2001:dead::1"),
        ("2001:db8::1", ("::ffff:203.0.113.9",), "203.0.113.9"),
        ("10.0.0.1", ("203.0.113.9, no es dirección",), "10.0.0.1"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ("::ffff:192.0.2.1", (), "192.0.2.1"),
    ],
)
def test_only_the_hop_before_our_proxies_is_believed(peer: str, forwarded: tuple[str, ...], believed: str) -> None:
    assert from_where(peer, *forwarded) == believed


async def test_forged_addresses_make_few_more_guesses_and_are_told(
    app: FastAPI, conn: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    async def guess(client: httpx.AsyncClient, number: int, correo: str = ADMIN) -> int:
        answer = await client.post(
            f"{API}/auth/login/",
            json={"correo": correo, "contraseña": "no es esta"},
            headers={"X-Forwarded-For": f"203.0.113.7, 198.51.100.{number}"},
        )
        return answer.status_code

    async with client_of(app, "10.0.0.1") as proxied:
        assert [await guess(proxied, 77) for _ in range(6)] == [401] * 5 + [429]
    assert not [record for record in caplog.records if "FORWARDED_ALLOW_IPS" in record.message]
    async with client_of(app, "192.0.2.1") as client:
        # Another proxy of ours that was forgotten, or somebody who pretends to be one.
        guesses = [await guess(client, number) for number in range(9)]
        assert guesses[:5] == [401] * 5
        # How soon depends on how long a guess takes: the first waits are of a second or two.
        assert 429 in guesses
        assert await guess(client, 1, "otra@clinica.example") == 401
    lines = await events(conn, "ingreso_rechazado")
    assert {line["direccion"] for line in lines} == {"192.0.2.1", "198.51.100.77"}
    (told,) = [record.message for record in caplog.records if "FORWARDED_ALLOW_IPS" in record.message]
    assert "192.0.2.1" in told
    assert "203.0.113" not in told


async def test_a_token_of_the_clinics_own_gets_its_name_from_the_clinic(
    settings: Settings, conn: asyncpg.Connection
) -> None:
    """Its system need not put a name into the token."""
    from app.auth.principal import Roles
    from tests.api.conftest import tokens

    code = await conn.fetchval("SELECT min(codigo) FROM usuario WHERE clinica_id = $1", SMALL)
    person = Roles(("administrador",)).member(usuario=str(code), nombre=None, clinica_id=SMALL, rol="Administrador")
    async with asking(settings) as client:
        created = await client.post(
            f"{API}/respaldos/crear_respaldo_manual/",
            headers={"Authorization": f"Bearer {tokens().issue(person)}"},
        )
    assert created.json()["respaldo"]["usuario_nombre"]
    assert created.json()["respaldo"]["usuario"] == str(code)


async def test_two_superadmins_destroy_a_clinics_key(client: httpx.AsyncClient, conn: asyncpg.Connection) -> None:
    url = f"{API}/plataforma/clinicas/{SMALL}/destruir-clave/"
    name = await conn.fetchval("SELECT nombre FROM clinica WHERE id = $1", SMALL)
    await conn.execute(
        "INSERT INTO respaldos.clave (id, clinica_id, maestra, envoltura) VALUES ($1, $2, '2026', '')",
        "0" * 16,
        SMALL,
    )
    one, other = superadmin("ana@plataforma.example"), superadmin("luis@plataforma.example")
    asked = await client.post(url, json={"nombre": name}, headers=one)
    assert (asked.status_code, asked.json()["etapa"]) == (200, "pedida")
    for header, body, said in (
        (one, {"nombre": name, "confirmar": True}, "lo pidió la misma persona"),
        (other, {"nombre": "otra", "confirmar": True}, "no es el nombre"),
    ):
        refused = await client.post(url, json=body, headers=header)
        assert (refused.status_code, refused.json()["codigo"]) == (409, "destruccion_rechazada")
        assert said in refused.json()["detail"].casefold()
    gone = await client.post(url, json={"nombre": name, "confirmar": True}, headers=other)
    assert (gone.status_code, gone.json()) == (
        200,
        {
            "clinica_id": SMALL,
            "etapa": "hecha",
            "persona": "luis@plataforma.example",
            "claves": ["0" * 16],
            "pendiente": [],
        },
    )
    lines = [(line["usuario"], line["detalle"]["etapa"]) for line in await events(conn, "destruccion_clave")]
    assert lines == [("ana@plataforma.example", "pedida"), ("luis@plataforma.example", "hecha")]


def superadmin(usuario: str) -> dict[str, str]:
    """The header of a superadmin of that name."""
    principal = Roles(("administrador",)).superadmin(usuario=usuario, nombre=None)
    return {"Authorization": f"Bearer {tokens().issue(principal)}"}
