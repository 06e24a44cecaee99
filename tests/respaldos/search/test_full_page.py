"""What is still found when as many are there today as are told."""

import asyncpg

from app.respaldos.resources import Resources
from tests.respaldos.conftest import SMALL, back_up
from tests.support.patients import FAMILY, add_patient
from tests.support.restores import conn, resources
from tests.support.searching import search

__all__ = ["conn", "resources"]


async def test_a_patient_whose_user_is_still_there(resources: Resources, conn: asyncpg.Connection) -> None:
    for name in ("Uno", "Otro", "Tercero"):
        last = await add_patient(conn, nombre=name)
    await back_up(resources)
    newest = await back_up(resources)
    await conn.execute("DELETE FROM paciente WHERE codusuario = $1", last)
    found = await search(resources, FAMILY, limite=1)
    assert found.hay_mas
    assert [(each.modelo, each.estado) for each in found.resultados] == [
        ("pacientes", "eliminado"),
        ("usuarios", "igual"),
    ]
    assert (found.resultados[0].clave, found.resultados[0].en_respaldo) == (str(last), newest.id)


async def test_rows_without_a_key_that_say_the_same_are_one(resources: Resources, conn: asyncpg.Connection) -> None:
    await conn.execute(
        "CREATE TABLE nota (clinica_id bigint NOT NULL REFERENCES clinica, texto text);"
        f"INSERT INTO nota SELECT {SMALL}, 'Estrafalario ' || (n > 5) FROM generate_series(1, 6) AS n"
    )
    await back_up(resources)
    found = await search(resources, "estrafalario", limite=2)
    assert (len(found.resultados), found.hay_mas) == (2, False)
