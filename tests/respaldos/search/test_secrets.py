"""What is secret is neither searched nor shown: columns, keys, and parts of documents and of texts."""

from dataclasses import replace

import asyncpg
import pytest

from app.clinic.labels import RecordLabels
from app.respaldos.resources import Resources
from tests.respaldos.conftest import back_up
from tests.support.patients import FAMILY, NAME, add_patient
from tests.support.restores import conn, resources
from tests.support.searching import history, only, search

__all__ = ["conn", "resources"]


async def test_a_key_is_not_told(resources: Resources, conn: asyncpg.Connection) -> None:
    code = await add_patient(conn)
    await conn.execute(
        "CREATE TABLE invitacion (token text PRIMARY KEY, nota text, paciente int NOT NULL REFERENCES paciente);"
        "CREATE TABLE aviso (ficha text PRIMARY KEY, nota text, paciente int NOT NULL REFERENCES paciente);"
        f"INSERT INTO invitacion VALUES ('Llave1', 'Estrafalaria', {code}), ('Llave2', 'Estrafalaria', {code});"
        f'INSERT INTO aviso VALUES ($${{"api_key": "Llave3"}}$$, \'Estrafalario\', {code})'
    )
    await back_up(resources)
    await conn.execute("DELETE FROM invitacion WHERE token = 'Llave2'")
    found = (await search(resources, "estrafalari")).resultados
    assert [(each.modelo, each.clave, each.etiqueta, each.estado) for each in found if each.modelo != "aviso"] == [
        ("invitacion", None, f"{NAME} {FAMILY}", "eliminado"),
        ("invitacion", None, f"{NAME} {FAMILY}", "igual"),
    ]
    told = await history(resources, "pacientes", code)
    assert {each.modelo for each in told.dependientes} == {"invitacion", "aviso"}
    assert "Llave" not in f"{found} {told}"
    for typed in ("llave1", "llave3"):
        assert (await search(resources, typed)).resultados == []


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("text", '{"clave_api": "x", "password": "%s", "nombre": "Recóndito"}'),
        ("varchar(200)[]", '{"{\\"token\\": \\"%s\\"}",Recóndito}'),
        ("json", '{"to\\u006ben": "%s", "nombre": ["Recóndito"]}'),
        ("varchar(99)", '"Token"=>"%s", "nombre"=>"Recóndito"'),
    ],
)
async def test_a_document_is_shown_without_them(
    type_: str, value: str, resources: Resources, conn: asyncpg.Connection
) -> None:
    code = await add_patient(conn)
    await conn.execute(f"ALTER TABLE paciente ADD extra {type_}")
    change = f"UPDATE paciente SET extra = $1::text::{type_} WHERE codusuario = {code}"
    await conn.execute(change, value % "Oculto1")
    await back_up(resources)
    await conn.execute(change, value.replace("Recóndito", "Recóndito 2") % "Oculto2")
    labelled = replace(resources, labels=RecordLabels({"pacientes": "{extra} {codusuario.nombre}"}))
    for typed in ("oculto1", "oculto2"):
        assert (await search(labelled, typed)).resultados == []
    assert "Oculto" not in str(await history(labelled, "pacientes", code))
    found = await search(labelled, "zacarias")
    assert [each.estado for each in found.resultados] == ["cambio"]
    assert "Oculto" not in str(found)
    if "[]" not in type_:
        # Within a text of an array it cannot be told for sure.
        assert "muestra" not in only(await search(labelled, "recondito")).coincidencia.extracto


async def test_a_text_that_only_speaks_of_them_is_found(resources: Resources, conn: asyncpg.Connection) -> None:
    code = await add_patient(conn)
    await conn.execute("UPDATE paciente SET direccion = 'Dejó el \"token en la calle Añil'")
    await conn.execute("UPDATE paciente SET direccion = 'El token está en la calle Añil' WHERE codusuario = $1", code)
    assert only(await search(resources, "anil token")).clave == str(code)
