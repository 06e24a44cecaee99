"""Clinics with people who can log in, told apart by a column or by schemas, and a Redis to count failures in."""

import asyncio
import functools
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import pbkdf2_hmac
from typing import Any, Literal

import asyncpg
import pytest
from redis.asyncio import Redis

from app.auth import passwords
from app.auth.attempts import LoginAttempts
from app.clinic.clinic import Tenancy
from app.clinic.database import ClinicDatabase
from app.clinic.directory import ClinicDirectory
from app.clinic.people.users import ClinicUsers
from app.demo.embedded import Addresses
from app.demo.sample.generate import SampleClinic, create_schema, create_tenant_schema, fill
from tests.conftest import FILES, plain_url, unique_name
from tests.respaldos.conftest import connected, copy_of

CLOSED = 4
CLINICS = (
    SampleClinic(1, "Clínica Uno", 10),
    SampleClinic(2, "Clínica Dos", 10),
    SampleClinic(CLOSED, "Clínica cerrada", 10, activa=False),
)

PASSWORD = "clave de prueba, con ñ"

UNCHANGED = "recepcion@clinica2.example"
"""Who has the password that the sample gives everybody, as Django would store it."""

CHEAP = 1000
"""Iterations of the tests' passwords: a login of Django's costs a quarter of a second of both cores."""


def stored(password: str = PASSWORD, iterations: int = CHEAP) -> str:
    """A password as Django stores it."""
    digest = pbkdf2_hmac("sha256", password.encode(), b"sal", iterations)
    return f"pbkdf2_sha256${iterations}$sal${b64encode(digest).decode()}"


@dataclass(frozen=True, slots=True)
class People:
    """A clinic database that the test may change by `sql`, and the service's view of it."""

    url: str = field(repr=False)
    sql: asyncpg.Connection
    tenancy: Tenancy
    directory: ClinicDirectory
    users: ClinicUsers

    async def person(self, correo: str, **changes: Any) -> None:
        """Change columns of the auth_user with that e-mail."""
        for name, value in changes.items():
            await self.sql.execute(f"UPDATE auth_user SET {name} = $2 WHERE email = $1", correo, value)

    async def another_login(self, email: str, username: str, **columns: Any) -> None:
        """Add one to auth_user, active and no superuser unless told otherwise."""
        given = {"password": stored(), "is_superuser": False, "is_active": True} | columns
        await self.sql.execute(
            "INSERT INTO auth_user (email, username, password, is_superuser, is_active, first_name, last_name,"
            " is_staff, date_joined) VALUES ($1, $2, $3, $4, $5, '', '', false, now())",
            email,
            username,
            given["password"],
            given["is_superuser"],
            given["is_active"],
        )


@asynccontextmanager
async def _people(server: str, template: str, kind: Literal["column", "schema"]) -> AsyncIterator[People]:
    async with copy_of(server, template) as url, connected(url) as sql:
        tenancy = Tenancy(kind=kind)
        directory = ClinicDirectory(ClinicDatabase(url, tenancy))
        yield People(url, sql, tenancy, directory, ClinicUsers(url, tenancy, directory))


# To pytest, what several modules have imported is as many fixtures.
@functools.cache
def _template(server: str, kind: Literal["column", "schema"]) -> str:
    return asyncio.run(_make(plain_url(server), kind))


async def _make(server: str, kind: Literal["column", "schema"]) -> str:
    name = unique_name("personas")
    async with connected(server) as admin:
        await admin.execute(f'CREATE DATABASE "{name}" {FILES}')
    async with connected(server.rsplit("/", 1)[0] + f"/{name}") as sql:
        if kind == "column":
            await create_schema(sql)
            await fill(sql, CLINICS)
        else:
            for clinic in CLINICS:
                await create_tenant_schema(sql, clinic)
        await sql.execute("UPDATE auth_user SET password = $1 WHERE email <> $2", stored(), UNCHANGED)
    return name


@pytest.fixture(scope="session")
def column_template(servers: Addresses) -> str:
    """Name of a database in which clinics are told apart by a column."""
    assert servers.database_url is not None
    return _template(servers.database_url, "column")


@pytest.fixture(scope="session")
def schema_template(servers: Addresses) -> str:
    """Name of a database in which each clinic has a schema, clinica1 and so on, and the logins are in `public`."""
    assert servers.database_url is not None
    return _template(servers.database_url, "schema")


@pytest.fixture
async def column(servers: Addresses, column_template: str) -> AsyncIterator[People]:
    """A copy of the one."""
    async with _people(plain_url(servers.database_url or ""), column_template, "column") as people:
        yield people


@pytest.fixture
async def schemas(servers: Addresses, schema_template: str) -> AsyncIterator[People]:
    """A copy of the other."""
    async with _people(plain_url(servers.database_url or ""), schema_template, "schema") as people:
        yield people


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "ITERATIONS", CHEAP)


@pytest.fixture
def redis_url(servers: Addresses) -> str:
    """Address of a Redis database that no other process of this run uses."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return f"{(servers.redis_url or '').rsplit('/', 1)[0]}/{1 + int(worker) % 15}"


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """That database, empty."""
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        await client.flushdb()
        yield client


@pytest.fixture
async def attempts(redis_url: str, redis: Redis) -> AsyncIterator[LoginAttempts]:
    """A counter of failures in that database."""
    counter = LoginAttempts(redis_url)
    yield counter
    await counter.close()
