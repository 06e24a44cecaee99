"""Login: who gets in, as whom, and that a refusal tells nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import pbkdf2_hmac
from typing import TypeAlias

import pytest
from redis.asyncio import Redis

from app.auth import passwords
from app.auth.attempts import FAILURES, LoginAttempts, Origin
from app.auth.login import Login, LoginResult
from app.auth.people import PeopleCheck
from app.auth.principal import Principal
from app.auth.tokens import Tokens
from app.clinic.people.users import ClinicUsers
from app.demo.sample.clinics import DEMO_PASSWORD
from app.errors import (
    DatabaseUnavailable,
    InvalidRequest,
    LoginRefused,
    LoginUnavailable,
    QueueUnavailable,
    TokenRefused,
    TooManyAttempts,
)
from tests.auth.conftest import CHEAP, CLOSED, PASSWORD, UNCHANGED, People, stored
from tests.support.signing import our_tokens

ADMIN = "admin@clinica1.example"
RECEPTION = "recepcion@clinica1.example"
PATIENT = "paciente@clinica1.example"
SUPERUSER = "superadmin@respaldos.example"
HERE = "192.0.2.1"

SENTENCE = "el correo o la contraseña no son correctos"


@pytest.fixture
def tokens() -> Tokens:
    """Those that login issues."""
    return our_tokens()


@pytest.fixture
def in_column(column: People, tokens: Tokens, attempts: LoginAttempts) -> Login:
    """Login where clinics are told apart by a column."""
    return Login(column.users, tokens, attempts)


@pytest.fixture
def in_schemas(schemas: People, tokens: Tokens, attempts: LoginAttempts) -> Login:
    """Login where each clinic has a schema."""
    return Login(schemas.users, tokens, attempts)


async def authenticate(
    login: Login, correo: str = ADMIN, password: str = PASSWORD, clinica: str | None = None
) -> LoginResult:
    return await login.authenticate(correo, password, subdominio=clinica, origin=Origin(HERE))


async def refusal(login: Login, correo: str = ADMIN, password: str = PASSWORD, clinica: str | None = None) -> str:
    with pytest.raises(LoginRefused) as caught:
        await authenticate(login, correo, password, clinica)
    return str(caught.value)


async def test_an_administrator_gets_a_token_of_their_clinic(
    column: People, in_column: Login, tokens: Tokens
) -> None:
    entered = await authenticate(in_column)
    codigo = await column.sql.fetchval("SELECT codigo FROM usuario WHERE correoelectronico = $1", ADMIN)
    assert entered.principal == Principal(
        str(codigo), "Ana María Peñaranda", 1, "Administrador", admin=True, superadmin=False, paciente=False
    )
    assert await tokens.verify(entered.token) == entered.principal
    assert (entered.seconds, entered.usuario.codigo, entered.usuario.clinica_id) == (8 * 3600, codigo, 1)
    assert PASSWORD not in repr(entered)
    assert entered.token not in repr(entered)


async def test_every_role_gets_in_as_what_it_is(in_column: Login) -> None:
    reception, patient = await authenticate(in_column, RECEPTION), await authenticate(in_column, PATIENT)
    assert (reception.principal.admin, reception.principal.paciente) == (False, False)
    assert (patient.principal.admin, patient.principal.paciente) == (False, True)


async def test_what_people_type_around_their_e_mail_does_not_matter(in_column: Login) -> None:
    for typed in (f" {ADMIN} ", ADMIN.upper(), "admin.clinica1"):
        assert (await authenticate(in_column, typed)).usuario.correoelectronico == ADMIN


async def test_the_samples_own_password_is_good(in_column: Login) -> None:
    assert (await authenticate(in_column, UNCHANGED, DEMO_PASSWORD)).principal.clinica_id == 2
    assert await refusal(in_column, UNCHANGED) == SENTENCE


async def test_a_superuser_whom_no_clinic_knows_is_superadmin(in_column: Login, tokens: Tokens) -> None:
    entered = await authenticate(in_column, SUPERUSER)
    assert entered.principal == Principal(
        SUPERUSER, "Súper Administrador", None, "superadmin", admin=False, superadmin=True, paciente=False
    )
    assert await tokens.verify(entered.token) == entered.principal
    assert (entered.usuario.codigo, entered.usuario.clinica_id, entered.usuario.rol) == (None, None, "superadmin")


async def test_where_superadmins_may_not_log_in_their_password_is_like_a_wrong_one(
    column: People, in_column: Login, tokens: Tokens, attempts: LoginAttempts, redis: Redis
) -> None:
    before = await tokens.verify((await authenticate(in_column, SUPERUSER)).token)
    people = PeopleCheck(column.users, tokens, superadmins=False)
    closed = Login(column.users, tokens, attempts, people, superadmins=False)
    await redis.flushdb()
    assert await refusal(closed, SUPERUSER) == SENTENCE
    assert [await redis.get(key) for key in await redis.keys("*")] == ["1"] * 3
    with pytest.raises(TokenRefused, match="SUPERADMIN_LOGIN"):
        await people.check(before)
    # A clinic's people come in as ever, also one who is a superuser, and tokens of the command line are good.
    await column.person(ADMIN, is_superuser=True)
    assert (await authenticate(closed)).principal.clinica_id == 1
    await people.check(await tokens.verify(tokens.issue(before)))


async def test_a_superuser_who_is_a_clinics_person_is_only_that(column: People, in_column: Login) -> None:
    await column.person(ADMIN, is_superuser=True)
    entered = await authenticate(in_column)
    assert (entered.principal.superadmin, entered.principal.clinica_id) == (False, 1)


Change: TypeAlias = Callable[[People], Awaitable[object]]


def sql(statement: str) -> Change:
    return lambda people: people.sql.execute(statement)


WRONG: dict[str, tuple[Change | None, str, str]] = {
    "wrong password": (None, ADMIN, "otra"),
    "empty password": (None, ADMIN, ""),
    "the hash itself": (None, ADMIN, stored()),
    "nobody": (None, "nadie@example.com", PASSWORD),
    "nothing": (None, " ", PASSWORD),
    "not printable": (None, "a\x00b", PASSWORD),
    "inactive login": (lambda people: people.person(ADMIN, is_active=False), ADMIN, PASSWORD),
    "inactive person": (
        sql(f"UPDATE usuario SET activo = false WHERE correoelectronico = '{ADMIN}'"),
        ADMIN,
        PASSWORD,
    ),
    "no person": (
        sql(f"UPDATE usuario SET correoelectronico = '' WHERE correoelectronico = '{ADMIN}'"),
        ADMIN,
        PASSWORD,
    ),
    "no role": (sql("UPDATE tipodeusuario SET rol = ' ' WHERE id = 1"), ADMIN, PASSWORD),
    "inactive clinic": (None, f"admin@clinica{CLOSED}.example", PASSWORD),
    "unusable": (lambda people: people.person(ADMIN, password="!iXrtLyIRSsrEO"), ADMIN, "!iXrtLyIRSsrEO"),
    "malformed": (lambda people: people.person(ADMIN, password="pbkdf2_sha256$x$y"), ADMIN, PASSWORD),
    "plain": (lambda people: people.person(ADMIN, password=PASSWORD), ADMIN, PASSWORD),
    "absurd": (
        lambda people: people.person(ADMIN, password=stored().replace(f"${CHEAP}$", "$99999999$")),
        ADMIN,
        PASSWORD,
    ),
    "shared e-mail": (lambda people: people.another_login(ADMIN, "otro"), ADMIN, PASSWORD),
    "shared e-mail, by user name": (lambda people: people.another_login(ADMIN, "otro"), "otro", PASSWORD),
    "superuser of an inactive clinic": (
        lambda people: people.person(f"admin@clinica{CLOSED}.example", is_superuser=True),
        f"admin@clinica{CLOSED}.example",
        PASSWORD,
    ),
}


@pytest.mark.parametrize("why", WRONG)
async def test_every_refusal_says_the_same_costs_the_same_and_counts(
    column: People, in_column: Login, redis: Redis, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, correo, password = WRONG[why]
    if change is not None:
        await change(column)
    await authenticate(in_column, RECEPTION)
    work = []

    def counting(name: str, secret: bytes, salt: bytes, iterations: int) -> bytes:
        work.append(iterations)
        return pbkdf2_hmac(name, secret, salt, iterations)

    monkeypatch.setattr(passwords, "pbkdf2_hmac", counting)
    assert await refusal(in_column, correo, password) == SENTENCE
    assert work == [CHEAP]
    assert [await redis.get(key) for key in await redis.keys("*") if "conocida" not in key] == ["1"] * 3


async def test_after_five_failures_the_right_password_has_to_wait_too(in_column: Login) -> None:
    for _ in range(FAILURES):
        await refusal(in_column, password="otra")
    with pytest.raises(TooManyAttempts):
        await authenticate(in_column)
    assert (await authenticate(in_column, RECEPTION)).principal.clinica_id == 1


async def test_guesses_made_at_the_same_time_are_counted_before_they_are_looked_at(in_column: Login) -> None:
    guesses = [authenticate(in_column, password=f"clave {number}") for number in range(20)]
    found = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(one, LoginRefused) for one in found) == FAILURES
    assert sum(isinstance(one, TooManyAttempts) for one in found) == 20 - FAILURES


async def test_a_success_forgets_earlier_failures(in_column: Login, redis: Redis) -> None:
    for _ in range(FAILURES - 1):
        await refusal(in_column, password="otra")
    await authenticate(in_column)
    for _ in range(FAILURES - 1):
        await refusal(in_column, password="otra")
    await authenticate(in_column)


async def both_clinics(people: People) -> None:
    await people.sql.execute(
        "UPDATE usuario SET correoelectronico = $1, nombre = 'ana  maría', apellido = 'Peñaranda'"
        " WHERE correoelectronico = 'recepcion@clinica2.example'",
        ADMIN,
    )


async def test_who_is_of_several_clinics_is_asked_for_one_once_the_password_is_right(
    column: People, in_column: Login, redis: Redis
) -> None:
    await both_clinics(column)
    for clinica in (None, "", "99", "clinica"):
        said = await refusal(in_column, clinica=clinica)
        assert "«clinica»" in said
        assert "1 (Clínica Uno), 2 (Clínica Dos)" in said
    assert {key.split(":")[2] for key in await redis.keys("*")} == {"conocida"}
    assert await refusal(in_column, password="otra") == SENTENCE
    for clinica, expected in (("1", "Administrador"), ("2", "Recepcionista"), ("clínica dos", "Recepcionista")):
        assert (await authenticate(in_column, clinica=clinica)).principal.rol == expected


@pytest.mark.parametrize("login", ["switched off", "gone", "none with their e-mail"])
async def test_who_takes_the_e_mail_of_an_administrator_who_left_does_not_come_in_as_them(
    login: str, column: People, in_column: Login, redis: Redis
) -> None:
    """The administrator left clinic 1, whose row stayed; a patient of clinic 2 registers with their e-mail."""
    match login:
        case "switched off":
            await column.person(ADMIN, is_active=False)
        case "gone":
            await column.sql.execute("DELETE FROM auth_user WHERE email = $1", ADMIN)
        case _:
            await column.person(ADMIN, is_active=False, email="")
    await column.another_login(ADMIN, "un.paciente", password=stored("la del paciente"))
    taken = "UPDATE usuario SET correoelectronico = $1 WHERE correoelectronico = 'paciente@clinica2.example'"
    # Before their row is there, too: Django may make the login first.
    if login == "switched off":
        assert await refusal(in_column, password="la del paciente", clinica="1") == SENTENCE
    await column.sql.execute(taken, ADMIN)
    for identifier, password in ((ADMIN, "la del paciente"), ("un.paciente", "la del paciente"), (ADMIN, PASSWORD)):
        for clinica in ("1", "2"):
            await redis.flushdb()
            assert await refusal(in_column, identifier, password, clinica) == SENTENCE
            # A guess like any other.
            assert {await redis.get(key) for key in await redis.keys("*")} == {"1"}


SHARED: dict[str, Change] = {
    "other names": sql(
        f"UPDATE usuario SET correoelectronico = '{ADMIN}' WHERE correoelectronico = 'recepcion@clinica2.example'"
    ),
    "a patient of the same name": sql(
        f"UPDATE usuario SET correoelectronico = '{ADMIN}', nombre = 'Ana María', apellido = 'Peñaranda'"
        " WHERE correoelectronico = 'paciente@clinica2.example'"
    ),
    "one clinic, in other letters": sql(
        f"UPDATE usuario SET correoelectronico = '{ADMIN.upper()}', nombre = 'Ana María', apellido = 'Peñaranda'"
        " WHERE correoelectronico = 'recepcion@clinica1.example'"
    ),
}


@pytest.mark.parametrize("how", SHARED)
async def test_an_e_mail_of_two_persons_lets_neither_in(column: People, in_column: Login, how: str) -> None:
    await authenticate(in_column)
    await SHARED[how](column)
    for clinica in (None, "1", "2"):
        assert await refusal(in_column, clinica=clinica) == SENTENCE


async def test_an_inactive_clinic_is_none_to_choose(column: People, in_column: Login) -> None:
    await both_clinics(column)
    await column.sql.execute("UPDATE clinica SET activa = id = 1")
    assert (await authenticate(in_column)).principal.clinica_id == 1
    assert (await authenticate(in_column, clinica="2")).principal.clinica_id == 1


async def test_with_a_column_the_subdomain_chooses_nothing_where_there_is_no_choice(in_column: Login) -> None:
    for clinica in ("2", "otra", "\x00"):
        assert (await authenticate(in_column, clinica=clinica)).principal.clinica_id == 1


async def test_with_schemas_the_subdomain_names_the_clinic(in_schemas: Login) -> None:
    assert (await authenticate(in_schemas, clinica="clinica1")).principal.clinica_id == 1
    for clinica in ("clinica2", "otra", "public", 'x"; DROP SCHEMA clinica1 CASCADE; --'):
        assert await refusal(in_schemas, clinica=clinica) == SENTENCE
    closed = f"clinica{CLOSED}"
    assert await refusal(in_schemas, f"admin@{closed}.example", clinica=closed) == SENTENCE
    assert (await authenticate(in_schemas, clinica="clinica1")).principal.clinica_id == 1


async def test_with_schemas_it_is_asked_for_once_the_password_is_right(in_schemas: Login) -> None:
    assert await refusal(in_schemas, password="otra") == SENTENCE
    assert await refusal(in_schemas, "nadie@example.com") == SENTENCE
    assert "«clinica»" in await refusal(in_schemas)


async def test_with_schemas_a_superuser_whom_no_clinic_knows_is_superadmin(
    schemas: People, in_schemas: Login
) -> None:
    for clinica in (None, "clinica1", f"clinica{CLOSED}"):
        assert (await authenticate(in_schemas, SUPERUSER, clinica=clinica)).principal.superadmin
    await schemas.person(ADMIN, is_superuser=True)
    assert not (await authenticate(in_schemas, clinica="clinica1")).principal.superadmin
    assert await refusal(in_schemas, clinica="clinica2") == SENTENCE
    assert "«clinica»" in await refusal(in_schemas)


async def test_with_logins_of_each_clinics_own_one_has_to_be_named(schemas: People, in_schemas: Login) -> None:
    await schemas.sql.execute("ALTER TABLE auth_user SET SCHEMA clinica1")
    assert (await authenticate(in_schemas, clinica="clinica1")).principal.clinica_id == 1
    with pytest.raises(InvalidRequest, match="clinica"):
        await authenticate(in_schemas)


async def test_without_a_secret_nobody_gets_in_and_nothing_is_counted(
    column: People, attempts: LoginAttempts, redis: Redis
) -> None:
    with pytest.raises(LoginUnavailable, match="JWT_SECRET"):
        await authenticate(Login(column.users, our_tokens(secret=None), attempts))
    assert not await redis.keys("*")


async def test_a_database_that_is_not_djangos_says_so_and_nothing_is_counted(
    column: People, in_column: Login, redis: Redis
) -> None:
    await column.sql.execute("DROP TABLE auth_user")
    for _ in range(FAILURES + 1):
        with pytest.raises(LoginUnavailable):
            await authenticate(in_column)
    assert not await redis.keys("*")


async def test_while_the_database_is_away_nobody_fails(
    column: People, tokens: Tokens, attempts: LoginAttempts, redis: Redis
) -> None:
    users = ClinicUsers("postgresql://nadie@127.0.0.1:1/nada", column.tenancy, column.directory)
    for _ in range(FAILURES + 1):
        with pytest.raises(DatabaseUnavailable):
            await authenticate(Login(users, tokens, attempts))
    assert not await redis.keys("*")


async def test_without_redis_nobody_gets_in(column: People, tokens: Tokens) -> None:
    attempts = LoginAttempts("redis://127.0.0.1:1/0")
    try:
        with pytest.raises(QueueUnavailable, match="REDIS_URL"):
            await authenticate(Login(column.users, tokens, attempts))
    finally:
        await attempts.close()
