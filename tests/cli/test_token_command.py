"""`respaldos token`, as a person or a script runs it."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from app.auth.principal import Principal
from app.auth.tokens import Tokens
from app.cli.running import system_user
from tests.respaldos.conftest import NEW, SMALL, connected
from tests.support.program import Ran, respaldos

SECRET = "un-secreto-de-prueba-de-mas-de-32-bytes"


class Program:
    """The command, against a database with the sample clinics."""

    def __init__(self, folder: Path, database: str) -> None:
        self._folder = folder
        self._database = database

    def __call__(self, *arguments: str, **settings: str) -> Ran:
        given = {"DATABASE_URL": self._database, "AWS_BACKUP_BUCKET_NAME": "respaldos", "JWT_SECRET": SECRET}
        return respaldos("token", *arguments, cwd=self._folder, **(given | settings))


@pytest.fixture
def program(tmp_path: Path, small_database: str) -> Program:
    """See there."""
    return Program(tmp_path, small_database)


async def verified(token: str) -> Principal:
    return await Tokens(secret=SECRET, hours=8, admin_roles=("administrador",)).verify(token)


def whose(token: str) -> Principal:
    return asyncio.run(verified(token))


def test_only_the_token_is_printed_and_it_is_an_administrators(program: Program) -> None:
    ran = program("--clinica", str(SMALL))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("\n") == 1
    assert whose(ran.out.strip()) == Principal(
        "línea de comandos", None, SMALL, "administrador", admin=True, superadmin=False, paciente=False
    )


async def test_for_whom_it_is_stands_in_the_audit_trail_and_the_token_does_not(
    program: Program, small_database: str
) -> None:
    tokens = [
        program("--clinica", str(SMALL), "--rol", "Recepcionista", "--usuario", "12").out.strip(),
        program("--superadmin").out.strip(),
    ]
    assert program("--clinica", "77").code == 1
    async with connected(small_database) as conn:
        lines = await conn.fetch("SELECT * FROM respaldos.evento ORDER BY id")
    assert [(line["accion"], line["clinica_id"], line["direccion"]) for line in lines] == [
        ("emision_token", SMALL, "línea de comandos"),
        ("emision_token", None, "línea de comandos"),
    ]
    assert [json.loads(line["detalle"]) for line in lines] == [
        {"para": "12", "rol": "Recepcionista", "segundos": 28800, "usuario_sistema": system_user()},
        {"para": "línea de comandos", "rol": "superadmin", "segundos": 28800, "usuario_sistema": system_user()},
    ]
    for token in tokens:
        assert token not in str(lines)
        assert token.rpartition(".")[2] not in str(lines)


def test_role_and_user_can_be_chosen_and_programs_are_told_for_how_long(program: Program) -> None:
    ran = program("--clinica", str(SMALL), "--rol", "Recepcionista", "--usuario", "12", "--json", TOKEN_HOURS="2")
    token = ran.json["token"]
    assert ran.json == {
        "token": token,
        "expira_en_segundos": 7200,
        "clinica_id": SMALL,
        "rol": "Recepcionista",
    }
    principal = whose(token)
    assert (principal.usuario, principal.rol, principal.admin) == ("12", "Recepcionista", False)


def test_without_a_role_it_is_the_first_of_the_settings(program: Program) -> None:
    ran = program("--clinica", str(SMALL), "--json", ADMIN_ROLES="jefa,admin")
    assert ran.json["rol"] == "jefa"


def test_a_superadmins_has_no_clinic(program: Program) -> None:
    ran = program("--superadmin", "--json")
    assert (ran.code, ran.json["clinica_id"], ran.json["rol"]) == (0, None, "superadmin")
    assert whose(ran.json["token"]).superadmin


def test_a_clinics_role_that_is_called_superadmin_is_none(program: Program) -> None:
    assert not whose(program("--clinica", str(SMALL), "--rol", "superadmin").out.strip()).superadmin


def test_a_clinic_that_does_not_exist_gets_none(program: Program) -> None:
    ran = program("--clinica", "77")
    assert (ran.code, ran.out) == (1, "")
    assert "no existe la clínica 77" in ran.err


async def test_an_inactive_clinics_token_is_said_to_be_of_no_use(tmp_path: Path, own_database: str) -> None:
    async with connected(own_database) as conn:
        await conn.execute("UPDATE clinica SET activa = false WHERE id = $1", NEW)
    ran = Program(tmp_path, own_database)("--clinica", str(NEW))
    assert ran.code == 0
    assert "no está activa" in ran.err
    assert (await verified(ran.out.strip())).clinica_id == NEW


async def test_the_sessions_of_a_person_are_closed(tmp_path: Path, small_database: str) -> None:
    given = {"DATABASE_URL": small_database, "AWS_BACKUP_BUCKET_NAME": "respaldos"}

    def close(*arguments: str) -> Ran:
        return respaldos("acceso", "cerrar-sesiones", *arguments, cwd=tmp_path, **given)

    async with connected(small_database) as conn:
        code = await conn.fetchval("SELECT min(codigo) FROM usuario WHERE clinica_id = $1", SMALL)
        ran = close("--clinica", str(SMALL), "--usuario", str(code))
        assert (ran.code, ran.out, ran.err) == (0, f"✓ Se cerraron las sesiones de «{code}»\n", "")
        said = close("--clinica", str(SMALL), "--usuario", "0", "--json")
        assert said.json == {"usuario": "0", "clinica_id": SMALL}
        assert "nadie de la clínica" in said.err
        assert close("--usuario", "ana@example.com").code == 0
        assert close("--clinica", "77", "--usuario", "1").code == 1
        assert close("--clinica", str(SMALL)).code == 2
        lines = await conn.fetch("SELECT clave FROM respaldos.token_terminado")
        assert {clave for (clave,) in lines} == {
            "persona::ana@example.com",
            f"persona:{SMALL}:0",
            f"persona:{SMALL}:{code}",
        }
        trail = await conn.fetch(
            "SELECT clinica_id, direccion FROM respaldos.evento WHERE accion = 'cierre_sesiones'"
        )
        assert {tuple(line) for line in trail} == {(SMALL, "línea de comandos"), (None, "línea de comandos")}


async def test_a_key_for_a_program_is_made_listed_and_revoked(tmp_path: Path, small_database: str) -> None:
    given = {"DATABASE_URL": small_database, "AWS_BACKUP_BUCKET_NAME": "respaldos"}

    def run(*arguments: str) -> Ran:
        return respaldos("acceso", *arguments, "--clinica", str(SMALL), cwd=tmp_path, **given)

    assert run("claves").out == "No hay ninguna clave\n"
    made = run("crear-clave", "--nombre", "Copia", "--para", "mirar", "--para", "descargar", "--dias", "7")
    assert re.fullmatch(r"rsp_[0-9a-f]{16}_[\w-]{43}\n", made.out)
    (listed,) = run("claves", "--json").json
    assert (listed["nombre"], listed["permisos"], listed["creada_por"]) == ("Copia", ["descargar", "mirar"], None)
    assert re.fullmatch(rf"{listed['id']}  Copia: descargar, mirar; vale hasta .*\n", run("claves").out)
    assert run("revocar-clave", str(listed["id"])).out == "✓ La clave «Copia» ya no vale\n"
    assert run("revocar-clave", str(listed["id"]), "--json").json["revocada"]
    assert "revocada el" in run("claves").out
    assert run("revocar-clave", "999").code == 1
    assert run("crear-clave", "--nombre", " ", "--para", "mirar").code == 1
    assert run("crear-clave", "--nombre", "x", "--para", "restaurar").code == 2
    async with connected(small_database) as conn:
        lines = await conn.fetch("SELECT accion, detalle::text FROM respaldos.evento ORDER BY id")
    assert [line["accion"] for line in lines] == ["creacion_clave", "revocacion_clave"]
    assert made.out.strip().rpartition("_")[2] not in str(lines)


def test_without_a_secret_it_says_which_setting_is_missing(program: Program) -> None:
    ran = program("--clinica", str(SMALL), "--json", JWT_SECRET="")
    assert (ran.code, ran.json["error_type"]) == (1, "ingreso_no_configurado")
    assert "JWT_SECRET" in ran.json["error"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "falta --clinica"),
        (("--superadmin", "--clinica", "1"), "--superadmin"),
        (("--superadmin", "--rol", "x"), "--superadmin"),
        (("--clinica", "-1"), "número entero"),
        (("--clinica", "1", "--rol", " "), "texto"),
        (("--clinica", "1", "--usuario", "a\nb"), "texto"),
    ],
)
def test_a_wrong_call_is_explained(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    ran = respaldos("token", *arguments, cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
