"""The application over real servers, and people of two clinics with their tokens."""

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from redis.asyncio import Redis
from starlette.types import ASGIApp

from app.auth.principal import Roles
from app.auth.tokens import Tokens
from app.demo import embedded
from app.main import create_app
from app.settings import EmbeddedServer, Settings
from tests.respaldos.conftest import (
    LARGE,
    SMALL,
    _one_session_for_s3,
    connected,
    database,
    held,
    own_database,
    rclone_server,
    store,
    template,
)
from tests.storage.conftest import Store
from tests.support.jobs import add_exportacion, add_job, add_restauracion
from tests.support.rclone import KEY, SECRET

__all__ = [
    "_one_session_for_s3",
    "database",
    "held",
    "own_database",
    "rclone_server",
    "store",
    "template",
]

API = "/api/v1"
JWT_SECRET = "un secreto de pruebas de más de 32 bytes"
FRONT_END = "https://clinica.example"

_serial = itertools.count(1)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Redis of this process's own, so that counts of logins can be forgotten."""
    with embedded.running(tmp_path_factory.mktemp("redis"), frozenset({EmbeddedServer.REDIS})) as addresses:
        assert addresses.redis_url is not None
        yield addresses.redis_url


@pytest.fixture
async def redis_url(redis_server: str) -> str:
    """Address of an empty Redis."""
    async with Redis.from_url(redis_server) as redis:
        await redis.flushall()
    return redis_server


@pytest.fixture
def settings(database: str, store: Store, redis_url: str) -> Settings:
    """Real servers: a clinic database with the service's schema, a bucket, and Redis."""
    return Settings(
        _env_file=None,
        database_url=SecretStr(database),
        redis_url=SecretStr(redis_url),
        aws_endpoint_url_s3=store.options.endpoint_url,
        aws_backup_bucket_name=store.options.bucket,
        aws_access_key_id=KEY,
        aws_secret_access_key=SecretStr(SECRET),
        jwt_secret=SecretStr(JWT_SECRET),
        cors_allowed_origins=(FRONT_END,),
        forwarded_allow_ips=("10.0.0.0/8",),
    )


_idle: dict[tuple[object, ...], list[FastAPI]] = {}


@asynccontextmanager
async def application(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application with these settings, started. One that ended before is started again: its making takes long."""
    idle = _idle.setdefault((settings.cors_allowed_origins, settings.forwarded_allow_ips), [])
    app = idle.pop() if idle else create_app(settings)
    app.state.settings = settings
    async with app.router.lifespan_context(app):
        yield app
    idle.append(app)


@asynccontextmanager
async def client_of(app: FastAPI, peer: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    """A client whose connections come from `peer`."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=(peer, 40_000)), base_url="http://respaldos.example"
    ) as client:
        yield client


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application with these settings."""
    async with application(settings) as app, client_of(app) as client:
        yield client


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[str]:
    """Address of the application behind uvicorn, on loopback, where answers can be streamed."""
    async with application(settings) as app, listening(app) as url:
        yield url


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[str]:
    """Address of that application, started already, behind uvicorn on loopback."""
    # Without saying TCP, asyncio would leave Nagle's algorithm on, and each answer would wait for 40 ms.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(app, lifespan="off", log_level="warning", proxy_headers=False, ws="none")
        )
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started and not task.done():
                await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application, started."""
    async with application(settings) as app:
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client on this machine, without token."""
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def conn(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection outside of the service."""
    async with connected(database) as connection:
        yield connection


async def jobs(redis_url: str) -> int:
    """How many jobs Redis knows of."""
    async with Redis.from_url(redis_url) as redis:
        return int(await redis.zcard("arq:queue"))


def tokens(hours: int = 8) -> Tokens:
    """Who signs as the service does."""
    return Tokens(
        secret=JWT_SECRET,
        hours=hours,
        admin_roles=("administrador", "admin"),
        public_key=None,
        jwks_url=None,
        algorithm="RS256",
        issuer=None,
        audience=None,
    )


def bearer(clinica_id: int | None = SMALL, rol: str = "Administrador") -> dict[str, str]:
    """The header of a person of that clinic; of the superadmin where it is None."""
    roles = Roles(("administrador", "admin"))
    if clinica_id is None:
        principal = roles.superadmin(usuario="superadmin@respaldos.example", nombre="Súper Administrador")
    else:
        principal = roles.member(usuario="1", nombre="Ana Peñaranda", clinica_id=clinica_id, rol=rol)
    return {"Authorization": f"Bearer {tokens().issue(principal)}"}


async def add_backup(conn: asyncpg.Connection, clinica_id: int | None = SMALL, **values: Any) -> int:
    """A row of a backup, completed if nothing else is said; its id."""
    number = next(_serial)
    given: dict[str, Any] = {
        "clinica_id": clinica_id,
        "estado": "completado",
        "tipo_respaldo": "automatico",
        "archivo_s3": f"backups/{clinica_id}/2026/07/backup_20260703_{number:06d}.json.gz",
        "fecha_respaldo": datetime(2026, 7, 3, 6, tzinfo=UTC),
        "tamaño_bytes": 3 << 19,
        "hash_md5": f"{number:032x}",
        "numero_registros": 200,
        "tiempo_ejecucion": timedelta(seconds=4.381),
        "metadata": {
            "modelos_respaldados": ["pacientes"],
            "detalles_registros": {"pacientes": 200},
            "tamaño_original_mb": 9.0,
            "tamaño_comprimido_mb": 1.5,
            "compresion_porcentaje": 83.3,
            "avisos": [],
        },
    }
    given |= values
    if given["estado"] != "completado":
        given["archivo_s3"] = given["hash_md5"] = given["tamaño_bytes"] = None
    given["metadata"] = json.dumps(given["metadata"], ensure_ascii=False)
    of_job = {name: given.pop(name) for name in ("progreso", "intento", "lease_until") if name in given}
    columns = ", ".join(f'"{name}"' for name in given)
    places = ", ".join(f"${place}" for place in range(1, len(given) + 1))
    respaldo_id: int = await conn.fetchval(
        f"INSERT INTO respaldos.respaldo ({columns}) VALUES ({places}) RETURNING id", *given.values()
    )
    if given["estado"] in ("pendiente", "procesando"):
        await add_job(conn, respaldo_id, **of_job)
    return respaldo_id


async def add_verification(conn: asyncpg.Connection, respaldo_id: int) -> int:
    """A row of a verification that went well; its id."""
    return await add_restauracion(conn, respaldo_id, job={"estado": "completado", "fecha_fin": datetime.now(UTC)})


async def add_export(conn: asyncpg.Connection, respaldo_id: int) -> int:
    """A row of an export that can be downloaded; its id."""
    return await add_exportacion(
        conn,
        respaldo_id,
        job={"estado": "completado", "intento": 1, "fecha_fin": datetime.now(UTC)},
        archivo="backup_csv.zip",
        archivo_s3=f"exportaciones/{next(_serial)}",
        vence=datetime.now(UTC) + timedelta(hours=1),
        **{"tamaño_bytes": 3},
    )


async def events(conn: asyncpg.Connection, accion: str) -> list[dict[str, Any]]:
    """The audit trail's lines of one kind, oldest first."""
    found = await conn.fetch("SELECT * FROM respaldos.evento WHERE accion = $1 ORDER BY id", accion)
    return [{**row, "detalle": json.loads(row["detalle"])} for row in found]


async def rows(conn: asyncpg.Connection) -> int:
    """How many backups there are, of all clinics."""
    count: int = await conn.fetchval("SELECT count(*) FROM respaldos.respaldo")
    return count


OTHER = LARGE
"""The clinic whose things nobody of SMALL may see."""
