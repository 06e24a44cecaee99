"""Which clinics there are, and what a clinic is called at the command line."""

from datetime import datetime
from zoneinfo import ZoneInfo

import click
import pytest

from app.cli.main import LINES, load
from app.demo.sample.generate import PLATFORM_ID
from tests.support.platform import Platform

NAMING = sorted(name for name in LINES if "clinica" in {each.name for each in load(name).params})
"""The commands that are about a clinic."""

# What some of them need besides.
NEEDED = {"buscar": ["ana"], "historia": ["usuarios:1"]}


async def test_clinicas_says_of_each_what_it_is_called_and_its_last_good_backup(platform: Platform) -> None:
    made = platform.run("crear", "--clinica", "1", "--json").json
    lines = platform.run("clinicas").out.splitlines()
    shown = [line.split() for line in lines if line[:1].isspace() or line[:1].isdigit()]
    # As the panel shows it, and not in UTC.
    taken = datetime.fromisoformat(made["fecha_respaldo"]).astimezone(ZoneInfo("America/La_Paz"))
    day, clock = f"{taken:%Y-%m-%d %H:%M:%S}".split()
    assert ["1", "Uno", "clinica1", "activa", day, clock] in shown
    assert ["2", "Dos", "clinica2", "inactiva", "ninguno", "todavía"] in shown
    assert ["3", "Tres", "0077", "activa", "ninguno", "todavía"] in shown
    assert not any(str(PLATFORM_ID) in line for line in lines), "it is no clinic"
    found = platform.run("clinicas", "--json").json
    assert [(each["clinica_id"], each["esquema"], each["activa"]) for each in found] == [
        (1, "clinica1", True),
        (2, "clinica2", False),
        (3, "0077", True),
    ]
    assert [each["ultimo_bueno"] and each["ultimo_bueno"]["id"] for each in found] == [made["id"], None, None]


async def test_clinicas_and_situacion_of_a_large_platform(platform: Platform) -> None:
    await platform.sql.execute(
        "INSERT INTO clinica"
        " SELECT (jsonb_populate_record(uno, jsonb_build_object('id', n, 'schema_name', 'c' || n))).*"
        " FROM clinica AS uno, generate_series(10000, 19999) AS n WHERE uno.id = 1"
    )
    page = platform.run("situacion", "--pagina", "500", "--json").json
    assert (page["total"], len(page["clinicas"])) == (10_003, 20)
    assert "Página 2 de 501" in platform.run("situacion", "--pagina", "2").out
    found = platform.run("clinicas", "--json").json
    assert len(found) == 10_003
    assert (found[-1]["clinica_id"], found[-1]["esquema"], found[-1]["ultimo_bueno"]) == (19_999, "c19999", None)
    assert "c19999" in platform.run("clinicas").out


async def test_a_clinic_goes_by_its_number_or_its_schema(platform: Platform) -> None:
    made = platform.run("crear", "--clinica", "clinica1", "--json").json
    assert made["clinica_id"] == 1
    for name in ("1", "clinica1"):
        assert [each["id"] for each in platform.run("listar", "--clinica", name, "--json").json] == [made["id"]]
        assert platform.run("estadisticas", "--clinica", name, "--json").json["completados"] == 1
        assert platform.run("token", "--clinica", name, "--json").json["clinica_id"] == 1
        asked = ("--hora", "22:30", "--dias", "miercoles,lunes,martes", "--cada", "30", "--avisar", "a@b.example")
        policy = platform.run("politica", "--clinica", name, *asked, "--json").json["politica"]
        assert (policy["clinica_id"], policy["propia"]["minutos"], policy["como_todas"]) == (1, 30, False)
        said = platform.run("politica", "--clinica", name).out
        assert said.startswith(
            "Clínica 1: Se respalda de lunes a miércoles a las 22:30, y además cada 30 minutos de 8:00 a 19:00."
        )
        assert said.endswith("y a una dirección más.\n(dicho solo de ella)\n")
        # What is not said stays as it was; what keeps less asks before.
        held = platform.run("politica", "--clinica", name, "--conservar", "8", "--json").json["politica"]
        assert (held["vale"]["hora"], held["vale"]["retencion_dias"]) == ("22:30", 8)
        assert platform.run("politica", "--clinica", name, "--como-todas", "--json").json["politica"]["como_todas"]
        assert platform.run("reindexar", "--clinica", name, "--json").json["ya_registrados"] == 1
        cleaned = platform.run("limpiar", "--clinica", name, "--simular", "--json").json
        assert [each["clinica_id"] for each in cleaned["respaldos"]] == [1]
        assert "clinica1.paciente" in platform.run("catalogo", "--clinica", name, "--json").out
    # One that is called by a number alone, and after whose number another clinic is called.
    assert platform.run("token", "--clinica", "0077", "--json").json["clinica_id"] == 3
    await platform.sql.execute(
        'ALTER SCHEMA "0077" RENAME TO "1"; UPDATE clinica SET schema_name = \'1\' WHERE id = 3'
    )
    assert platform.run("token", "--clinica", "1", "--json").json["clinica_id"] == 1


async def test_the_platform_and_what_is_not_there_are_told_apart(platform: Platform) -> None:
    # Of what one of them leaves about such a number, others tell.
    for name in sorted(NAMING, key=lambda name: name == "crear"):
        more = NEEDED.get(name, [])
        for given in (str(PLATFORM_ID), "public"):
            ran = platform.run(name, "--clinica", given, *more)
            assert ran.code == 1, name
            assert ran.err.startswith(f"✗ «{given}» es la plataforma, no una clínica"), (name, ran.err)
        assert platform.run(name, "--clinica", "78", *more).err == "✗ no existe la clínica 78\n", name
        unknown = platform.run(name, "--clinica", "clinica9", *more)
        said = unknown.err.startswith("✗ no existe la clínica «clinica9»;")
        assert (unknown.code, said) == (1, True), (name, unknown.err)


async def test_what_a_clinic_that_is_gone_has_left_is_still_found(platform: Platform) -> None:
    made = platform.run("crear", "--clinica", "1", "--json").json
    await platform.sql.execute("DELETE FROM clinica WHERE id = 1")
    assert [each["id"] for each in platform.run("listar", "--clinica", "1", "--json").json] == [made["id"]]


@pytest.mark.parametrize("name", NAMING)
def test_the_help_says_how_a_clinic_is_called(name: str) -> None:
    said = next(each for each in load(name).params if each.name == "clinica")
    assert isinstance(said, click.Option)
    assert "número" in (said.help or "")
    assert "esquema" in (said.help or "")


async def test_situacion_shows_the_worst_first_with_its_last_failure(platform: Platform) -> None:
    made = platform.run("crear", "--clinica", "1", "--json").json
    await platform.sql.execute(
        "INSERT INTO respaldos.respaldo (clinica_id, tipo_respaldo, estado, metadata)"
        """ VALUES (3, 'manual', 'fallido', '{"error": "el bucket no existe\\u001b[2J", "error_type": "x"}')"""
    )
    shown = platform.run("situacion").out
    order = [shown.index(name) for name in ("Tres", "Uno", "Dos")]
    assert order == sorted(order)
    assert "Sin ningún respaldo" in shown
    assert r"el bucket no existe\x1b[2J" in shown
    assert "\x1b" not in shown
    assert "Página 1 de 1. Clínicas en total: 3" in shown
    found = platform.run("situacion", "--json").json
    assert [each["clinica_id"] for each in found["clinicas"]] == [3, 1, 2]
    assert [each["situacion"] for each in found["clinicas"]] == ["sin_respaldo", "sin_verificar", "inactiva"]
    assert found["clinicas"][0]["ultimo_error"].startswith("el bucket no existe")
    assert found["clinicas"][1]["ultimo_bueno"]["id"] == made["id"]
    assert (found["total"], found["resumen"]["sin_respaldo"], found["resumen"]["al_dia"]) == (3, 1, 0)
    one = platform.run(
        "situacion", "--estado", "inactiva", "--estado", "sin_verificar", "--limite", "1", "--json"
    ).json
    assert ([each["clinica_id"] for each in one["clinicas"]], one["total"]) == ([1], 2)
    two = platform.run("situacion", "--limite", "1", "--pagina", "3", "--json").json
    assert [each["clinica_id"] for each in two["clinicas"]] == [2]
    assert platform.run("situacion", "--pagina", "9").code == 0
    assert platform.run("situacion", "--estado", "mal").code == 2


async def test_no_name_of_a_clinic_moves_the_cursor(platform: Platform) -> None:
    await platform.sql.execute("UPDATE clinica SET nombre = E'Uno\\x1b[2J\\nforjada\\u202e' WHERE id = 1")
    for order in ("clinicas", "situacion"):
        shown = platform.run(order).out
        assert r"Uno\x1b[2J\nforjada\u202e" in shown
        assert not {"\x1b", "\u202e"} & set(shown)
        assert not {"\x1b", "\u202e"} & set(platform.run(order, "--json").out)
