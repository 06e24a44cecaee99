"""The two ways of docs/front-end.md, taken as they are written there."""

import asyncio
import re
import shutil
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import jwt
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.demo.sample.clinics import DEMO_PASSWORD
from app.settings import Settings, load_settings
from tests.api.conftest import API, add_backup, events, listening, served
from tests.respaldos.conftest import SMALL
from tests.support.signing import public_pem, rsa_key

PAGE = (Path(__file__).parents[2] / "docs" / "front-end.md").read_text(encoding="utf-8")
NODE = shutil.which("node") or Path(sys.executable).with_name("node")
ADMIN = f"admin@clinica{SMALL}.example"
DJANGO = "https://clinica.example.com"

# What is not sent on from one connection to another (RFC 9110 §7.6.1), and what the next server says itself.
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "date", "server"}


def examples(language: str) -> list[str]:
    """The page's examples in that language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def simple_jwt(kind: str = "access", **changes: Any) -> str:
    """A token as SimpleJWT makes it of the page's serializer and settings; None takes a claim away."""
    now = int(time.time())
    claims = {
        "token_type": kind,
        "exp": now + (300 if kind == "access" else 86_400),
        "iat": now,
        "jti": uuid.uuid4().hex,
        "user_id": "1",
        "sub": "1",
        "clinica_id": SMALL,
        "rol": "Administrador",
        "nombre": "Ana María Peñaranda",
        "aud": "respaldos",
        "iss": DJANGO,
    }
    said = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode(said, rsa_key(), "RS256")


def test_the_tokens_of_these_tests_say_what_the_page_says() -> None:
    serializer, configuration = examples("python")
    added = set(re.findall(r'token\["(\w+)"\] =', serializer))
    assert added == {"sub", "clinica_id", "rol", "nombre"}
    assert added < set(jwt.decode(simple_jwt(), options={"verify_signature": False}))
    for each in ('"ALGORITHM": "RS256"', f'"ISSUER": "{DJANGO}"', '"AUDIENCE": "respaldos"'):
        assert each in configuration


def written(env: str, pem: str) -> str:
    """One of the page's `.env`, with this key in the place of the page's, in the same form."""
    escaped = "\\n" in env
    key = pem.replace("\n", "\\n") if escaped else pem.strip()
    found = re.sub(r"-----BEGIN.*-----END PUBLIC KEY-----(\\n)?", lambda _: key, env, flags=re.DOTALL)
    assert found != env
    return found


WHOLE, ON_ONE_LINE = (example for example in examples("sh") if "JWT_PUBLIC_KEY" in example)
ISSUER = "\n".join(line for line in WHOLE.splitlines() if re.match(r"JWT_(ALGORITHM|ISSUER|AUDIENCE)=", line))
FORMS = {
    "its lines as they are": WHOLE,
    "one line": f"{ON_ONE_LINE}\n{ISSUER}",
    "one line in quotes": "\n".join([re.sub(r"=(.*)", r'="\1"', ON_ONE_LINE.strip()), ISSUER]),
    "one line in single quotes": "\n".join([re.sub(r"=(.*)", r"='\1'", ON_ONE_LINE.strip()), ISSUER]),
}


@pytest.fixture(params=list(FORMS))
def believing_django(
    request: pytest.FixtureRequest, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """A service that was told of Django's key by a `.env`, and signs no tokens itself."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    Path(".env").write_text(written(FORMS[request.param], public_pem(rsa_key())), encoding="utf-8")
    read = load_settings()
    given = ("jwt_public_key", "jwt_algorithm", "jwt_issuer", "jwt_audience")
    return settings.model_copy(update={name: getattr(read, name) for name in given} | {"jwt_secret": None})


def locations() -> list[tuple[bool, str, str]]:
    """The page's nginx: whether the whole path has to match, the path, where that goes; the first counts."""
    (conf,) = examples("nginx")
    found = re.findall(r"location (= )?(\S+) \{[^}]*?proxy_pass (\S+);", conf)
    return sorted(
        ((bool(exact), path, target) for exact, path, target in found), key=lambda each: (-each[0], -len(each[1]))
    )


def proxy(service: str) -> ASGIApp:
    """Does what nginx does with the page's configuration, for a service at that address and no Django at all."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = scope["raw_path"].decode()
        target = next(
            # A target with a path stands in for what matched; one without leaves the path alone.
            upstream + (path.removeprefix(prefix) if upstream.count("/") > 2 else path)
            for exact, prefix, upstream in locations()
            if path == prefix or (not exact and path.startswith(prefix))
        )
        if not target.startswith("http://127.0.0.1:8000/"):
            await Response(f"to Django: {target}", 502)(scope, receive, send)
            return
        headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP | {"host"}}
        async with httpx.AsyncClient(base_url=service) as client:
            answer = await client.request(
                request.method,
                target.removeprefix("http://127.0.0.1:8000"),
                params=request.query_params,
                content=await request.body(),
                headers=headers,
            )
        kept = {name: value for name, value in answer.headers.items() if name not in HOP_BY_HOP}
        await Response(answer.content, answer.status_code, kept)(scope, receive, send)

    return app


@asynccontextmanager
async def page_of(settings: Settings, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """A page with that token, on the origin where Django and, behind a proxy, the service are."""
    async with served(settings) as service, listening(proxy(service)) as origin:
        headers = {"Authorization": f"Bearer {token}", "Cookie": "sessionid=de-django; csrftoken=x"}
        async with httpx.AsyncClient(base_url=origin, headers=headers) as page:
            yield page


async def test_behind_a_proxy_with_djangos_tokens(believing_django: Settings, conn: asyncpg.Connection) -> None:
    good, failed = await add_backup(conn), await add_backup(conn, estado="fallido", tamaño_bytes=None)
    codigo = await conn.fetchval("SELECT codigo FROM usuario WHERE correoelectronico = $1", ADMIN)
    async with page_of(believing_django, simple_jwt(sub=str(codigo))) as page:
        verified = (await page.get("/auth/verificar-token/")).json()
        listed = [await page.get("/respaldos/"), await page.get("/respaldos")]
        shown = [(await page.get(f"/respaldos/{number}/")).json() for number in (good, failed)]
        statistics = await page.get("/respaldos/estadisticas/")
        created = await page.post("/respaldos/crear_respaldo_manual/", json={"descripcion": "Antes del cambio"})
        first = await page.get("/respaldos/?limit=1&estado=completado")
        followed = await page.get(listed[0].links["first"]["url"])
        others = [await page.get("/"), await page.post("/auth/login/")]
    assert verified["usuario"]["correoelectronico"] == ADMIN
    assert 0 < verified["expira_en_segundos"] <= 300
    assert [{entry["id"] for entry in answer.json()} for answer in listed] == [{good, failed}] * 2
    assert [(each["id"], each["tamaño_mb"]) for each in shown] == [(good, 1.5), (failed, 0)]
    assert statistics.json()["total_respaldos"] == 2
    assert (created.status_code, created.json()["respaldo"]["descripcion"]) == (202, "Antes del cambio")
    assert [entry["id"] for entry in first.json()] == [good]
    assert {good, failed} < {entry["id"] for entry in followed.json()}
    assert {answer.status_code for answer in others} == {502}, "those are Django's"


@pytest.mark.parametrize("believing_django", ["one line"], indirect=True)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "refresh"}, "token_type"),
        # As SimpleJWT makes them when nothing is changed, and then one thing after the other.
        (dict.fromkeys(("sub", "clinica_id", "rol", "nombre", "aud", "iss")), "«sub»"),
        ({"clinica_id": None}, "«clinica_id»"),
        ({"rol": None}, "«rol»"),
        ({"iss": None}, "«iss»"),
        ({"aud": None}, "«aud»"),
        ({"exp": 1}, "venció"),
    ],
)
async def test_what_django_says_too_little_in_opens_nothing(
    changes: dict[str, Any], said: str, believing_django: Settings, conn: asyncpg.Connection
) -> None:
    async with page_of(believing_django, simple_jwt(**changes)) as page:
        answers = [await page.get("/respaldos/"), await page.get("/auth/verificar-token/")]
    for answer in answers:
        assert answer.status_code == 401
        assert said in answer.json()["error"], answer.text
    assert len(await events(conn, "acceso_rechazado")) == 2


async def test_by_our_own_login_from_each_clinics_subdomain(settings: Settings, conn: asyncpg.Connection) -> None:
    (line,) = re.findall(r"^CORS_ALLOWED_ORIGINS=(.*)$", PAGE, re.MULTILINE)
    allowed = settings.model_copy(update={"cors_allowed_origins": (line,)})
    await add_backup(conn)
    newest = datetime(2026, 7, 4, tzinfo=UTC)
    await add_backup(conn, estado="fallido", fecha_respaldo=newest, tamaño_bytes=None, tiempo_ejecucion=None)
    (script,) = examples("js")
    async with served(allowed) as url:
        preflight = {
            "Origin": "https://sonrisas.example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,authorization",
        }
        async with httpx.AsyncClient(base_url=url) as browser:
            asked = await browser.options(f"{API}/auth/login/", headers=preflight)
        assert asked.headers["access-control-allow-origin"] == preflight["Origin"]
        assert asked.headers["access-control-allow-credentials"] == "true"
        said = [
            await run_by_node(
                f"const email = '{ADMIN}', password = '{password}';\n"
                + script.replace("https://respaldos.example.com", url)
            )
            for password in (DEMO_PASSWORD, "no es esta")
        ]
    assert said[0].splitlines() == [
        "Ana María Peñaranda: fallido, 0.00 MB in 0.0 s",
        "Ana María Peñaranda: completado, 1.50 MB in 4.4 s",
    ]
    assert "El correo o la contraseña no son correctos" in said[1]


async def run_by_node(script: str) -> str:
    """What a module prints, errors included."""
    process = await asyncio.create_subprocess_exec(
        *(NODE, "--input-type=module"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(script.encode())
    return said.decode()
