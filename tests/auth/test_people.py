"""The person behind a token is looked at again."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg
import pytest

from app.auth.attempts import Origin
from app.auth.login import Login
from app.auth.people import PERSON_SECONDS, PeopleCheck
from app.auth.tokens import Tokens
from app.clinic.directory import OUTAGE_SECONDS
from app.clinic.people.users import ClinicUsers
from app.errors import DatabaseUnavailable, TokenRefused
from tests.auth.conftest import PASSWORD, People, stored
from tests.support.signing import backend_token, backend_tokens

ADMIN = "admin@clinica1.example"
SUPERUSER = "superadmin@respaldos.example"

Change: TypeAlias = Callable[[People], Awaitable[object]]


@dataclass
class Clock:
    """A clock that a test moves; seconds."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def sql(statement: str, *values: Any) -> Change:
    return lambda people: people.sql.execute(statement, *values)


OF_A_LOGIN: dict[str, tuple[str, Change, str]] = {
    "person gone": (ADMIN, sql("UPDATE usuario SET codigo = -codigo WHERE correoelectronico = $1", ADMIN), "activo"),
    "inactive person": (
        ADMIN,
        sql("UPDATE usuario SET activo = false WHERE correoelectronico = $1", ADMIN),
        "activo",
    ),
    "another role": (ADMIN, sql("UPDATE tipodeusuario SET rol = 'Jefa' WHERE id = 1"), "rol"),
    "no role": (ADMIN, sql("UPDATE tipodeusuario SET rol = '' WHERE id = 1"), "rol"),
    "another clinic": (ADMIN, sql("UPDATE usuario SET clinica_id = 4 WHERE correoelectronico = $1", ADMIN), "activo"),
    "another password": (ADMIN, lambda people: people.person(ADMIN, password=stored("otra")), "contraseña"),
    "no password": (ADMIN, lambda people: people.person(ADMIN, password=""), "contraseña"),
    "inactive login": (ADMIN, lambda people: people.person(ADMIN, is_active=False), "ingresar"),
    "a second login": (ADMIN, lambda people: people.another_login(ADMIN, "otro"), "ingresar"),
    "no login": (ADMIN, lambda people: people.person(ADMIN, email="otra@example.com"), "activo"),
    "no superuser": (SUPERUSER, lambda people: people.person(SUPERUSER, is_superuser=False), "superadministrador"),
    "inactive superuser": (SUPERUSER, lambda people: people.person(SUPERUSER, is_active=False), "superadministrador"),
    "their password": (SUPERUSER, lambda people: people.person(SUPERUSER, password=stored("otra")), "contraseña"),
    "known to a clinic": (
        SUPERUSER,
        sql("UPDATE usuario SET correoelectronico = $1 WHERE correoelectronico = $2", SUPERUSER, ADMIN),
        "superadministrador",
    ),
}


@pytest.fixture
def tokens() -> Tokens:
    """Those of our logins, and of the clinics' own backend."""
    return backend_tokens()


@pytest.fixture
def clock() -> Clock:
    """That of the check."""
    return Clock()


@pytest.fixture
def check(column: People, tokens: Tokens, clock: Clock) -> PeopleCheck:
    """A check that has looked at nobody yet."""
    return PeopleCheck(column.users, tokens, clock=clock)


async def refused(check: PeopleCheck, tokens: Tokens, token: str) -> str:
    with pytest.raises(TokenRefused) as caught:
        await check.check(await tokens.verify(token))
    return str(caught.value)


@pytest.mark.parametrize("why", OF_A_LOGIN)
async def test_a_login_ends_when_the_person_is_not_the_same_any_more(
    why: str, column: People, check: PeopleCheck, tokens: Tokens, clock: Clock, attempts: Any
) -> None:
    correo, change, said = OF_A_LOGIN[why]
    login = Login(column.users, tokens, attempts)
    token = (await login.authenticate(correo, PASSWORD, subdominio=None, origin=Origin("192.0.2.1"))).token
    await check.check(await tokens.verify(token))
    await change(column)
    await check.check(await tokens.verify(token))
    clock.now += PERSON_SECONDS
    assert said in await refused(check, tokens, token)


async def test_a_clinic_with_a_schema_has_its_own_people(schemas: People, tokens: Tokens, attempts: Any) -> None:
    login = Login(schemas.users, tokens, attempts)
    for correo, clinica in ((ADMIN, "clinica1"), (SUPERUSER, None)):
        found = await login.authenticate(correo, PASSWORD, subdominio=clinica, origin=Origin("192.0.2.1"))
        await PeopleCheck(schemas.users, tokens).check(await tokens.verify(found.token))
    await schemas.sql.execute("UPDATE clinica1.usuario SET activo = false")
    found = await login.authenticate(
        "admin@clinica2.example", PASSWORD, subdominio="clinica2", origin=Origin("192.0.2.1")
    )
    await PeopleCheck(schemas.users, tokens).check(await tokens.verify(found.token))


async def test_whom_the_backend_names_is_looked_at_where_the_database_knows_them(
    column: People, check: PeopleCheck, tokens: Tokens, clock: Clock
) -> None:
    rows = await column.sql.fetch(
        "SELECT split_part(correoelectronico, '@', 1), codigo FROM usuario WHERE clinica_id = 1"
    )
    code = {name: str(number) for name, number in rows}

    async def believed(sub: str, rol: str, clinica_id: int = 1) -> None:
        await check.check(await tokens.verify(backend_token(sub=sub, rol=rol, clinica_id=clinica_id)))

    # Their own system's words for a role, somebody of another system, and a number that is nobody's here.
    for sub, rol in ((code["admin"], "admin"), (code["admin"], "Recepcionista"), ("9b1d", "admin"), ("999", "admin")):
        await believed(sub, rol)
    await believed(code["admin"], "admin", clinica_id=2)
    for sub, rol in ((code["recepcion"], "admin"), (code["paciente"], "Recepcionista"), (code["paciente"], "admin")):
        with pytest.raises(TokenRefused, match="ya no tiene ese rol"):
            await believed(sub, rol)
    # Their passwords are the backend's own affair.
    await column.person(ADMIN, password=stored("otra"))
    clock.now += PERSON_SECONDS
    await believed(code["admin"], "admin")
    for change in ("UPDATE auth_user SET is_active = false", "UPDATE usuario SET activo = false"):
        await column.sql.execute(change)
        clock.now += PERSON_SECONDS
        with pytest.raises(TokenRefused, match="ya no está activa"):
            await believed(code["admin"], "admin")
        await column.sql.execute("UPDATE auth_user SET is_active = true")
    # A database of another system: whom a token names cannot be looked at, and it is believed as before.
    await column.sql.execute("DROP TABLE usuario CASCADE")
    clock.now += PERSON_SECONDS
    await believed(code["admin"], "admin")


async def test_while_the_database_is_away_what_it_said_last_counts(
    column: People, tokens: Tokens, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = ClinicUsers(column.url, column.tenancy, column.directory)
    check = PeopleCheck(users, tokens, clock=clock)
    code = await column.sql.fetchval("SELECT codigo FROM usuario WHERE correoelectronico = $1", ADMIN)
    named = await tokens.verify(backend_token(sub=str(code), clinica_id=1))
    connections = 0
    connect = asyncpg.connect

    def counting(*arguments: Any, **more: Any) -> Any:
        nonlocal connections
        connections += 1
        return connect(*arguments, **more)

    monkeypatch.setattr(asyncpg, "connect", counting)
    await column.directory.clinics()
    connections = 0
    await asyncio.gather(*(check.check(named) for _ in range(20)))
    assert connections == 1
    monkeypatch.setattr(users, "_url", "postgresql://nadie@127.0.0.1:1/nada")
    clock.now += OUTAGE_SECONDS - 1
    await check.check(named)
    clock.now += 1
    with pytest.raises(DatabaseUnavailable):
        await check.check(named)
