"""Finding a record and its history, as whoever runs the platform does it."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.respaldos.resources import Resources
from app.settings import DEMO_RULES
from tests.cli.conftest import addresses_of
from tests.respaldos.conftest import SMALL, back_up
from tests.storage.conftest import Store
from tests.support.patients import CARD, FAMILY, NAME, add_patient, remove_patient
from tests.support.platform import Platform
from tests.support.program import Ran, respaldos
from tests.support.restores import conn, resources

__all__ = ["conn", "resources"]


@pytest.fixture
def run(store: Store, own_database: str, tmp_path: Path) -> Any:
    """Run a command on those servers, without a terminal."""
    addresses = addresses_of(store, own_database) | {"OWNERSHIP_RULES": DEMO_RULES}

    def command(*arguments: str, **settings: str) -> Ran:
        return respaldos(*arguments, cwd=tmp_path, **addresses, **settings)

    return command


async def test_a_deleted_patient_is_found_and_can_be_brought_back(
    resources: Resources, conn: asyncpg.Connection, run: Any
) -> None:
    code = await add_patient(conn)
    await conn.execute("UPDATE paciente SET direccion = E'Calle \\x1b]52;c;x\\x07' WHERE codusuario = $1", code)
    made = await back_up(resources)
    await remove_patient(conn, code)
    said = run("buscar", "--clinica", str(SMALL), "nanduquispe", CARD)
    assert said.code == 0, said
    assert f"pacientes:{code}" in said.out
    assert f"{NAME} {FAMILY}" in said.out
    assert "eliminado entre" in said.out
    advice = f"respaldos restaurar {made.id} --simular --registro pacientes:{code}"
    assert advice in said.out
    assert "Todo estaba ya" not in run(*advice.split()[1:]).out

    found = run("buscar", "--clinica", str(SMALL), CARD, "--json").json
    assert [(each["clave"], each["estado"]) for each in found["resultados"]] == [(str(code), "eliminado")]
    assert (found["hay_mas"], found["avisos"]) == (False, [])

    odd = run("buscar", "--clinica", str(SMALL), "]52;c;x")
    assert "\x1b" not in odd.out
    assert "\\x1b]52;c;x\\x07" in odd.out
    nothing = run("buscar", "--clinica", str(SMALL), "nadie se llama así")
    assert (nothing.code, nothing.out) == (0, "No se encontró nada, ni hoy ni en los respaldos de esos días.\n")
    assert run("buscar", "--clinica", str(SMALL), "x" * 201).code == 1
    assert "no existe ningún modelo «nada»" in run("buscar", "--clinica", str(SMALL), "ana", "--modelos", "nada").err
    assert run("buscar", "--clinica", str(SMALL)).code == 2
    assert run("buscar", "--clinica", "999", "juan").code == 1

    told = run("historia", "--clinica", str(SMALL), f"pacientes:{code}")
    assert told.code == 0, told
    assert told.out.startswith(f"{NAME} {FAMILY} (pacientes:{code})\n")
    assert "no está" in told.out
    assert "\x1b" not in told.out
    whole = run("historia", "--clinica", str(SMALL), f"pacientes:{code}", "--json").json
    assert [each["existe"] for each in whole["versiones"]] == [False, True]
    respaldo = str(whole["versiones"][1]["en_respaldo"])
    then = run("historia", "--clinica", str(SMALL), f"pacientes:{code}", "--entero", respaldo)
    assert then.out.startswith(f"{NAME} {FAMILY} (pacientes:{code}), en el respaldo {respaldo}, ")
    assert f"  usuarios.nombre: {NAME}\n" in then.out
    today = run("historia", "--clinica", str(SMALL), f"pacientes:{code}", "--entero", "hoy")
    assert (today.code, "no está hoy" in today.err) == (1, True)
    assert run("historia", "--clinica", str(SMALL), f"pacientes:{code}", "--entero", "ayer").code == 2
    missing = run("historia", "--clinica", str(SMALL), "pacientes:0")
    assert (missing.code, "no existe el registro «pacientes:0»" in missing.err) == (1, True)


async def test_records_are_called_as_somebody_has_said(conn: asyncpg.Connection, run: Any) -> None:
    code = await add_patient(conn)
    said = '{"pacientes": "{codusuario.apellido} ({carnetidentidad})"}'
    found = run("buscar", "--clinica", str(SMALL), CARD, "--json", RECORD_LABELS=said).json
    assert [(each["clave"], each["etiqueta"], each["estado"]) for each in found["resultados"]] == [
        (str(code), f"{FAMILY} ({CARD})", "nuevo")
    ]
    wrong = run("buscar", "--clinica", str(SMALL), CARD, RECORD_LABELS='{"pacientes": "{apellido}"}')
    assert wrong.code == 1
    assert "RECORD_LABELS: la columna «paciente.apellido» no existe" in wrong.err


async def test_where_each_clinic_has_a_schema(platform: Platform) -> None:
    assert platform.run("crear", "--clinica", "1").code == 0
    ((code, name, family),) = await platform.sql.fetch(
        "SELECT codigo, nombre, apellido FROM clinica1.paciente JOIN clinica1.usuario ON codigo = codusuario LIMIT 1"
    )
    await platform.sql.execute("SET session_replication_role = replica")
    await platform.sql.execute("DELETE FROM clinica1.paciente WHERE codusuario = $1", code)
    words = f"{name} {family}".split()
    found = platform.run("buscar", "--clinica", "1", *words, "--modelos", "pacientes", "--json").json["resultados"]
    assert (str(code), "eliminado", f"{name} {family}") in [
        (each["clave"], each["estado"], each["etiqueta"]) for each in found
    ]
    assert platform.run("buscar", "--clinica", "3", *words, "--json").json["resultados"] == []
    told = platform.run("historia", "--clinica", "1", f"pacientes:{code}", "--json").json
    assert [each["existe"] for each in told["versiones"]] == [False, True]
