"""What one record was like, from when until when, and what changed."""

from dataclasses import replace

import asyncpg
import pytest

from app.clinic.catalogue.secret_columns import HIDDEN
from app.errors import NotCompleted, ObjectNotFound, RecordNotFound, RespaldoNotFound
from app.respaldos.resources import Resources
from app.respaldos.search.scan import Scan
from app.respaldos.search.sources import BackupFile
from tests.respaldos.conftest import LARGE, SMALL, back_up
from tests.storage.conftest import Store
from tests.support.patients import FAMILY, NAME, add_patient, remove_patient
from tests.support.restores import conn, resources
from tests.support.searching import history, whole

__all__ = ["conn", "resources"]


async def test_each_version_with_what_changed(resources: Resources, conn: asyncpg.Connection) -> None:
    await back_up(resources)
    code = await add_patient(conn)
    first = await back_up(resources)
    second = await back_up(resources)
    await conn.execute("UPDATE paciente SET direccion = 'Av. Busch 1234' WHERE codusuario = $1", code)
    await conn.execute("UPDATE usuario SET activo = false WHERE codigo = $1", code)
    third = await back_up(resources)
    found = await history(resources, "pacientes", f"0{code}")
    assert (found.etiqueta, found.clave, found.avisos) == (f"{NAME} {FAMILY}", str(code), [])
    today, before = found.versiones
    assert (today.hoy, today.en_respaldo, today.desde) == (True, third.id, third.fecha_respaldo)
    assert (before.hoy, before.en_respaldo, before.existe) == (False, second.id, True)
    assert (before.desde, before.hasta) == (first.fecha_respaldo, second.fecha_respaldo)
    assert before.cambios == []
    assert [(each.modelo, each.columna, each.antes, each.despues) for each in today.cambios] == [
        ("pacientes", "direccion", "Calle 1", "Av. Busch 1234"),
        ("usuarios", "activo", True, False),
    ]


async def test_when_it_was_not_there(resources: Resources, conn: asyncpg.Connection) -> None:
    code = await add_patient(conn)
    first = await back_up(resources)
    await remove_patient(conn, code)
    second = await back_up(resources)
    found = await history(resources, "paciente", code)
    assert [(each.existe, each.desde, each.en_respaldo) for each in found.versiones][1:] == [
        (True, first.fecha_respaldo, first.id)
    ]
    assert (found.versiones[0].existe, found.versiones[0].desde) == (False, second.fecha_respaldo)
    assert found.versiones[0].hoy


async def test_keys_states_and_long_texts_are_told_as_people_read_them(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    number = await conn.fetchval(
        f"SELECT c.id FROM consulta c JOIN paciente p ON codusuario = codpaciente WHERE clinica_id = {SMALL} LIMIT 1"
    )
    states = await conn.fetch("SELECT id, estado FROM estadodeconsulta ORDER BY id LIMIT 2")
    change = "UPDATE consulta SET idestadoconsulta = $1, observaciones = $2 WHERE id = $3"
    await conn.execute(change, states[0]["id"], "x" * 900, number)
    before = await back_up(resources)
    await conn.execute(change, states[1]["id"], "x" * 800 + "¡aquí!" + "x" * 94, number)
    found = await history(resources, "consultas", number)
    by_column = {each.columna: each for each in found.versiones[0].cambios}
    state = by_column["idestadoconsulta"]
    assert (state.antes, state.despues) == (states[0]["id"], states[1]["id"])
    assert (state.etiqueta_antes, state.etiqueta_despues) == (states[0]["estado"], states[1]["estado"])
    text = by_column["observaciones"]
    assert "¡aquí!" in str(text.despues)
    assert len(str(text.despues)) <= 202
    assert text.etiqueta_antes is None

    # Whole, as it was and as it is; the doctor by name, whatever the file has.
    then = await whole(resources, "consulta", f"0{number}", before.id)
    fields = {each.columna: each for each in then.campos}
    assert (then.en_respaldo, then.fecha, then.clave) == (before.id, before.fecha_respaldo, str(number))
    assert fields["observaciones"].valor == "x" * 900
    assert (fields["idestadoconsulta"].valor, fields["idestadoconsulta"].etiqueta) == (
        states[0]["id"],
        states[0]["estado"],
    )
    assert str(fields["codpaciente"].etiqueta) in then.etiqueta
    today = await whole(resources, "consultas", number)
    assert today.en_respaldo is None
    assert "¡aquí!" in {each.columna: str(each.valor) for each in today.campos}["observaciones"]


async def test_what_depends_on_it_today_or_when_it_was_last_there(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    code, count = await conn.fetchrow(  # type: ignore[misc]
        f"SELECT codpaciente, count(*) FROM consulta JOIN paciente ON codusuario = codpaciente"
        f" WHERE clinica_id = {SMALL} GROUP BY 1 ORDER BY 2 DESC LIMIT 1"
    )
    respaldo = await back_up(resources)
    today = await history(resources, "pacientes", code)
    consultas = next(each for each in today.dependientes if each.modelo == "consultas")
    assert consultas.cantidad == count
    assert len(consultas.ejemplos) == min(count, 5)
    assert today.etiqueta in consultas.ejemplos[0].etiqueta
    await conn.execute("SET session_replication_role = replica")
    for table in ("consulta", "historialclinico", "odontograma", "plan_tratamiento", "factura"):
        await conn.execute(f"DELETE FROM {table} WHERE codpaciente = $1", code)
    await conn.execute("DELETE FROM paciente WHERE codusuario = $1", code)
    gone = await history(resources, "pacientes", code)
    assert not gone.versiones[0].existe
    assert gone.etiqueta == today.etiqueta
    assert sorted(map(str, gone.dependientes)) == sorted(map(str, today.dependientes))
    then = await whole(resources, "pacientes", code, respaldo.id)
    assert {each.modelo: each.cantidad for each in then.dependientes} == {
        each.modelo: each.cantidad for each in today.dependientes
    }
    assert {each.columna for each in then.campos if each.modelo == "usuarios"} > {"nombre", "apellido"}
    with pytest.raises(RecordNotFound, match=f"«pacientes:{code}» no está hoy"):
        await whole(resources, "pacientes", code)


async def test_secrets_are_not_shown(resources: Resources, conn: asyncpg.Connection) -> None:
    code = await add_patient(conn)
    await conn.execute("ALTER TABLE paciente ADD password text DEFAULT 'uno', ADD alias text DEFAULT 'dos'")
    await conn.execute("ALTER TABLE paciente ADD foto bytea DEFAULT '\\x0102'")
    respaldo = await back_up(resources)
    await conn.execute("UPDATE paciente SET password = 'Secreta9', alias = 'Secreta8' WHERE codusuario = $1", code)
    hidden = replace(resources, secrets=replace(resources.secrets, names=("pacientes.alias",)))
    found = await history(hidden, "pacientes", code)
    assert [each.columna for each in found.versiones[0].cambios] == ["password", "alias"]
    assert "Secreta" not in str(found)
    told = {each.columna: each.valor for each in (await whole(hidden, "pacientes", code, respaldo.id)).campos}
    assert (told["password"], told["alias"], told["foto"]) == (HIDDEN, HIDDEN, "2 bytes")


async def test_a_damaged_backup_is_said(resources: Resources, conn: asyncpg.Connection, store: Store) -> None:
    code = await add_patient(conn)
    damaged = await back_up(resources)
    await store.storage.delete(damaged.archivo_s3 or "")
    found = await history(resources, "pacientes", code)
    assert [each.en_respaldo for each in found.versiones] == [None]
    assert found.avisos == [f"el respaldo {damaged.id} no se pudo leer: su archivo no está en el almacenamiento"]
    with pytest.raises(ObjectNotFound):
        await whole(resources, "pacientes", code, damaged.id)
    theirs = await back_up(resources, LARGE)
    with pytest.raises(RespaldoNotFound):
        await whole(resources, "pacientes", code, theirs.id)
    await conn.execute("UPDATE respaldos.respaldo SET estado = 'fallido' WHERE id = $1", damaged.id)
    with pytest.raises(NotCompleted):
        await whole(resources, "pacientes", code, damaged.id)


@pytest.mark.parametrize(
    "wanted",
    [
        ("pacientes", "1" * 30),
        ("pacientes", "abc"),
        ("pacientes", "1,2"),
        ("nada", "1"),
        ("pacientes", ""),
        ("clinica", "x"),
        ("tipodeusuario", "1"),
    ],
)
async def test_what_there_is_not(wanted: tuple[str, str], resources: Resources) -> None:
    await back_up(resources)
    with pytest.raises(RecordNotFound, match=f"«{wanted[0]}:"):
        await history(resources, *wanted)


async def test_another_clinics_is_not_there(resources: Resources, conn: asyncpg.Connection) -> None:
    code = await add_patient(conn, LARGE)
    await back_up(resources)
    await back_up(resources, LARGE)
    with pytest.raises(RecordNotFound):
        await history(resources, "pacientes", code)
    assert (await history(resources, "pacientes", code, LARGE)).clave == str(code)


async def test_a_composite_key(resources: Resources, conn: asyncpg.Connection) -> None:
    await conn.execute(
        f"CREATE TABLE cuota (clinica_id bigint REFERENCES clinica, numero text, nombre text,"
        f" PRIMARY KEY (clinica_id, numero)); INSERT INTO cuota VALUES ({SMALL}, 'a/ñ', 'Uno')"
    )
    await back_up(resources)
    await conn.execute("UPDATE cuota SET nombre = 'Dos'")
    found = await history(resources, "cuota", f"{SMALL},a/ñ")
    assert (found.etiqueta, len(found.versiones)) == ("Dos", 2)


async def test_a_file_is_read_once_for_all_that_its_changes_point_to(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await conn.execute(
        "CREATE TABLE sala (id int PRIMARY KEY, nombre text, clinica_id bigint NOT NULL REFERENCES clinica);"
        "CREATE TABLE turno (id int PRIMARY KEY, a int REFERENCES sala, b int REFERENCES sala,"
        " c int REFERENCES sala, clinica_id bigint NOT NULL REFERENCES clinica);"
        f"INSERT INTO sala SELECT n, 'Sala ' || n, {SMALL} FROM generate_series(1, 4) AS n;"
        f"INSERT INTO turno VALUES (1, 1, 2, 3, {SMALL})"
    )
    await back_up(resources)
    await conn.execute("UPDATE turno SET a = 4, b = 4, c = 4; DELETE FROM sala WHERE id < 4")
    read, readings = BackupFile.read, 0

    async def counted(file: BackupFile, wanted: Scan) -> None:
        nonlocal readings
        readings += 1
        await read(file, wanted)

    monkeypatch.setattr(BackupFile, "read", counted)
    found = await history(resources, "turno", 1)
    assert [(each.etiqueta_antes, each.etiqueta_despues) for each in found.versiones[0].cambios] == [
        ("Sala 1", "Sala 4"),
        ("Sala 2", "Sala 4"),
        ("Sala 3", "Sala 4"),
    ]
    # One for the record, one for what it pointed to.
    assert readings == 2
