"""The logins and people of the clinics, as the two tenancies keep them."""

from typing import Any

import pytest

from app.clinic.clinic import Clinic, Tenancy
from app.clinic.database import ClinicDatabase
from app.clinic.directory import ClinicDirectory
from app.clinic.people.users import Account, ClinicUsers, Usuario, pick
from app.errors import ClinicNotFound, DatabaseUnavailable, InvalidRequest, LoginUnavailable, PermissionMissing
from tests.auth.conftest import CLOSED, People, column, column_template, schema_template, schemas, stored
from tests.clinic.conftest import Database
from tests.conftest import unique_name

__all__ = ["column", "column_template", "schema_template", "schemas"]

ADMIN = "admin@clinica1.example"
RECEPTION = "recepcion@clinica1.example"
SUPERUSER = "superadmin@respaldos.example"


async def account(people: People, identifier: str, clinica: str | None = None) -> Account:
    found = await people.users.account(identifier, clinica=clinica)
    assert found is not None
    return found


def who(found: Account) -> list[tuple[int | None, str]]:
    return [(usuario.clinica_id, usuario.rol) for usuario, _ in found.people]


async def test_a_person_is_found_by_e_mail_with_clinic_and_role(column: People) -> None:
    found = await account(column, ADMIN)
    codigo = await column.sql.fetchval("SELECT codigo FROM usuario WHERE correoelectronico = $1", ADMIN)
    assert (found.password, found.active, found.shared, found.superuser) == (stored(), True, False, None)
    [(usuario, clinic)] = found.people
    assert usuario == Usuario(codigo, "Ana María", "Peñaranda", ADMIN, 1, "Administrador", 1, "Administrador")
    assert usuario.nombre_completo == "Ana María Peñaranda"
    assert clinic == Clinic(1, "Clínica Uno", True, None)


async def test_the_e_mail_may_be_in_any_case_and_the_user_name_only_in_its_own(column: People) -> None:
    await column.sql.execute("UPDATE usuario SET correoelectronico = initcap(correoelectronico)")
    assert who(await account(column, ADMIN.upper())) == [(1, "Administrador")]
    assert who(await account(column, "admin.clinica1")) == [(1, "Administrador")]
    assert await column.users.account("ADMIN.clinica1", clinica=None) is None


async def test_nobody_is_found_by_anything_else(column: People) -> None:
    await column.another_login("", "sin.correo")
    for identifier in ["", "nadie@clinica1.example", "a\x00b", "\ud800", "%", "' OR true --"]:
        assert await column.users.account(identifier, clinica=None) is None


async def test_an_e_mail_comes_before_a_user_name_that_looks_like_it(column: People) -> None:
    await column.another_login("otro@example.com", ADMIN, password=stored("otra"))
    assert (await account(column, ADMIN)).password == stored()


@pytest.mark.parametrize("active", [True, False])
async def test_an_e_mail_of_several_logins_is_known_for_it(column: People, active: bool) -> None:
    assert not (await account(column, ADMIN)).shared
    await column.another_login(ADMIN.upper(), "otro", is_active=active)
    for identifier in (ADMIN, "otro", "admin.clinica1"):
        assert (await account(column, identifier)).shared


async def test_logins_without_e_mail_have_nothing_in_common(column: People) -> None:
    await column.another_login("", "uno")
    await column.another_login("", "dos")
    await column.sql.execute("UPDATE usuario SET correoelectronico = '' WHERE correoelectronico = $1", ADMIN)
    found = await account(column, "uno")
    assert (found.shared, found.people) == (False, ())


async def test_the_people_of_inactive_clinics_and_inactive_people_are_left_out(column: People) -> None:
    assert who(await account(column, f"admin@clinica{CLOSED}.example")) == []
    await column.sql.execute("UPDATE usuario SET activo = false WHERE correoelectronico = $1", ADMIN)
    assert who(await account(column, ADMIN)) == []


async def test_a_table_without_the_column_activo_serves_too(column: People) -> None:
    await column.sql.execute("ALTER TABLE usuario DROP COLUMN activo")
    assert who(await account(column, ADMIN)) == [(1, "Administrador")]


async def test_a_person_of_several_clinics_is_in_all_that_are_active(column: People) -> None:
    for clinica in (2, CLOSED):
        await column.sql.execute(
            "UPDATE usuario SET correoelectronico = $1 WHERE correoelectronico = $2",
            ADMIN,
            f"recepcion@clinica{clinica}.example",
        )
    assert who(await account(column, ADMIN)) == [(1, "Administrador"), (2, "Recepcionista")]


async def test_a_superuser_is_the_platforms_own(column: People) -> None:
    found = await account(column, SUPERUSER)
    assert found.people == ()
    assert found.superuser == Usuario(
        None, "Súper", "Administrador", SUPERUSER, None, "superadmin", None, "superadmin"
    )
    assert not await column.users.in_any_clinic(SUPERUSER)
    assert await column.users.in_any_clinic(f"ADMIN@clinica{CLOSED}.example")


async def test_the_named_schema_says_whose_the_person_is(schemas: People) -> None:
    found = await account(schemas, ADMIN, "clinica1")
    assert who(found) == [(1, "Administrador")]
    assert not found.clinic_unsaid
    assert who(await account(schemas, ADMIN, "clinica2")) == []
    assert who(await account(schemas, f"admin@clinica{CLOSED}.example", f"clinica{CLOSED}")) == []


async def test_a_clinic_may_be_named_in_several_ways(schemas: People) -> None:
    for named in ["CLINICA1", " clinica1 ", "1", "clínica uno"]:
        assert who(await account(schemas, ADMIN, named)) == [(1, "Administrador")]


async def test_no_other_schema_can_be_named(schemas: People) -> None:
    for named in ["", "public", "9999", "pg_catalog", 'clinica1", "clinica2', "clinica1; --", "\x00"]:
        assert await schemas.users.account(ADMIN, clinica=named) is None


async def test_where_no_clinic_is_named_nobody_is_anybodys(schemas: People) -> None:
    found = await account(schemas, ADMIN)
    assert (found.clinic_unsaid, found.people, found.superuser) == (True, (), None)
    assert (await account(schemas, SUPERUSER)).superuser is not None
    assert await schemas.users.in_any_clinic(f"admin@clinica{CLOSED}.example")
    assert not await schemas.users.in_any_clinic(SUPERUSER)


async def test_a_clinic_whose_schema_is_not_made_yet_harms_no_other(schemas: People) -> None:
    await schemas.sql.execute("DROP SCHEMA clinica2 CASCADE")
    assert await schemas.users.in_any_clinic(ADMIN)
    assert not await schemas.users.in_any_clinic("admin@clinica2.example")


async def own_logins(people: People) -> None:
    """Give each clinic an auth_user of its own, as django-tenants does where `auth` is a tenant's app."""
    for clinic in await people.directory.clinics():
        await people.sql.execute(
            f"CREATE TABLE {clinic.schema}.auth_user (LIKE public.auth_user INCLUDING ALL);"
            f" INSERT INTO {clinic.schema}.auth_user SELECT * FROM public.auth_user"
            f" WHERE email LIKE '%@{clinic.schema}.example'"
        )


async def test_each_clinic_may_have_its_own_logins(schemas: People) -> None:
    await own_logins(schemas)
    await schemas.sql.execute("DROP TABLE public.auth_user")
    assert who(await account(schemas, ADMIN, "clinica1")) == [(1, "Administrador")]
    assert await schemas.users.account(ADMIN, clinica="clinica2") is None
    with pytest.raises(InvalidRequest, match="clinica"):
        await schemas.users.account(ADMIN, clinica=None)


async def test_a_superuser_of_a_clinics_own_logins_is_not_the_platforms(schemas: People) -> None:
    await own_logins(schemas)
    await schemas.sql.execute("UPDATE clinica1.auth_user SET is_superuser = true, email = 'x@example.com'")
    assert (await account(schemas, "x@example.com", "clinica1")).superuser is None


async def test_shared_people_are_nobodys_where_each_clinic_has_a_schema(schemas: People) -> None:
    await schemas.sql.execute("ALTER TABLE clinica1.usuario SET SCHEMA public")
    with pytest.raises(LoginUnavailable):
        await account(schemas, ADMIN, "clinica1")
    assert who(await account(schemas, ADMIN, "clinica2")) == []


async def test_the_roles_may_be_each_clinics_own(schemas: People) -> None:
    await schemas.sql.execute(
        "CREATE TABLE clinica1.tipodeusuario AS SELECT id, 'Jefa'::text AS rol FROM public.tipodeusuario"
    )
    assert who(await account(schemas, ADMIN, "clinica1")) == [(1, "Jefa")]
    assert who(await account(schemas, "admin@clinica2.example", "clinica2")) == [(2, "Administrador")]


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE auth_user",
        "DROP TABLE usuario CASCADE",
        "DROP TABLE tipodeusuario CASCADE",
        "ALTER TABLE auth_user RENAME email TO correo",
        "ALTER TABLE usuario RENAME correoelectronico TO correo",
    ],
)
async def test_a_database_that_is_not_djangos_says_so(column: People, change: str) -> None:
    await column.sql.execute(change)
    for identifier in (ADMIN, "nadie@example.com"):
        with pytest.raises(LoginUnavailable, match="auth_user"):
            await column.users.account(identifier, clinica=None)


async def test_a_role_that_may_not_read_the_logins_says_so(column: People) -> None:
    role = unique_name("lector")
    await column.sql.execute(
        f'CREATE ROLE "{role}" LOGIN PASSWORD \'clave\'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{role}";'
        f' REVOKE SELECT ON auth_user FROM "{role}"'
    )
    try:
        url = f"postgresql://{role}:clave@{column.url.rpartition('@')[2]}"
        with pytest.raises(PermissionMissing, match="auth_user"):
            await ClinicUsers(url, column.tenancy, column.directory).account(ADMIN, clinica=None)
    finally:
        await column.sql.execute(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')


async def test_a_table_that_is_locked_is_not_waited_for(column: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.clinic.people.users.QUERY_SECONDS", 1)
    await column.directory.clinics()
    async with column.sql.transaction():
        await column.sql.execute("LOCK auth_user")
        with pytest.raises(DatabaseUnavailable):
            await column.users.account(ADMIN, clinica=None)
    assert who(await account(column, ADMIN)) == [(1, "Administrador")]


async def codigo(people: People, correo: str = ADMIN, table: str = "usuario") -> str:
    return str(await people.sql.fetchval(f"SELECT codigo FROM {table} WHERE correoelectronico = $1", correo))


async def test_the_names_of_a_clinics_people(column: People, schemas: People) -> None:
    for people, table in ((column, "usuario"), (schemas, "clinica1.usuario")):
        admin, staff = await codigo(people, table=table), await codigo(people, RECEPTION, table=table)
        names = await people.users.display_names([staff, "999", admin, admin, None], clinica_id=1)
        assert names == {admin: "Ana María Peñaranda", staff: "José Núñez"}
        known = (await account(people, ADMIN, None if people is column else "clinica1")).people
        assert await people.users.person(admin, clinica_id=1) == known[0][0]


async def test_another_clinics_person_has_no_name_here(column: People) -> None:
    assert await column.users.display_names([await codigo(column)], clinica_id=2) == {}
    assert await column.users.person(await codigo(column), clinica_id=2) is None
    with pytest.raises(ClinicNotFound):
        await column.users.display_names(["1"], clinica_id=99)


async def test_what_is_no_code_has_no_name(column: People) -> None:
    odd = [None, "", "0", "-1", "ana@example.com", "9" * 30, "999999999999999999", "٣", "1 "]
    assert await column.users.display_names(odd, clinica_id=1) == {}
    assert [await column.users.person(each, clinica_id=1) for each in odd] == [None] * len(odd)


async def test_a_name_is_read_once_in_a_while(column: People) -> None:
    now = 0.0
    users = ClinicUsers(column.url, column.tenancy, column.directory, clock=lambda: now)
    number = await codigo(column)
    assert await users.display_names([number], clinica_id=1) == {number: "Ana María Peñaranda"}
    await column.sql.execute("UPDATE usuario SET nombre = 'Eva', apellido = ''")
    assert await users.display_names([number], clinica_id=1) == {number: "Ana María Peñaranda"}
    now = 61.0
    assert await users.display_names([number], clinica_id=1) == {number: "Eva"}


async def test_where_there_are_no_people_nobody_has_a_name(database: Database) -> None:
    await database.sql.execute(
        "CREATE TABLE clinica (id int PRIMARY KEY); INSERT INTO clinica VALUES (1);"
        " CREATE TABLE cosa (clinica_id int REFERENCES clinica)"
    )
    tenancy = Tenancy()
    users = ClinicUsers(database.url, tenancy, ClinicDirectory(ClinicDatabase(database.url, tenancy)))
    assert await users.display_names(["1"], clinica_id=1) == {}
    assert await users.person("1", clinica_id=1) is None


def clinic(**given: Any) -> Clinic:
    return Clinic(**({"id": 1, "name": None, "active": True, "schema": None} | given))


def test_a_name_that_two_clinics_have_picks_neither() -> None:
    same = [clinic(name="Sonrisas"), clinic(id=2, name="sonrisas")]
    assert pick(same, "Sonrisas") is None
    assert pick(same, "2") == same[1]
    assert pick([clinic(schema="a"), clinic(id=2, schema="A")], "A") == clinic(id=2, schema="A")
    assert pick([clinic()], "") is None
