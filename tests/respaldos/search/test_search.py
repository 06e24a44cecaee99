"""A record that somebody deleted or changed is found by what people call it, today and in the backups."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from app.clinic.labels import RecordLabels
from app.errors import SettingsError
from app.respaldos.models import Respaldo
from app.respaldos.resources import Resources
from app.respaldos.search import hunt, scan
from app.respaldos.search.contract import FinDeBusqueda, RegistroEncontrado, RegistrosEncontrados
from app.respaldos.search.search import SearchRequest, buscar_registros, registros_encontrados
from tests.respaldos.conftest import LARGE, SMALL, back_up
from tests.storage.conftest import Store
from tests.support.damage import damage
from tests.support.patients import CARD, FAMILY, NAME, add_patient, remove_patient
from tests.support.restores import conn, resources
from tests.support.searching import only, search

__all__ = ["conn", "resources"]


@pytest.mark.parametrize("typed", ["zacarias ñandúquispe", "NANDUQUISPE", f"{CARD} zacarías", CARD])
async def test_a_deleted_patient_is_found_by_name_and_by_card(
    typed: str, resources: Resources, conn: asyncpg.Connection
) -> None:
    code = await add_patient(conn)
    await back_up(resources)
    last = await back_up(resources)
    await remove_patient(conn, code)
    next_ = await back_up(resources)
    await back_up(resources)
    found = only(await search(resources, typed))
    assert (found.modelo, found.clave, found.estado) == ("pacientes", str(code), "eliminado")
    assert found.etiqueta == f"{NAME} {FAMILY}"
    assert (found.en_respaldo, found.fecha_respaldo) == (last.id, last.fecha_respaldo)
    assert found.visto_hasta == last.fecha_respaldo
    assert found.eliminado_entre == (last.fecha_respaldo, next_.fecha_respaldo)
    assert found.coincidencia.modelo == ("pacientes" if CARD in typed else "usuarios")
    assert found.coincidencia.extracto in {FAMILY, CARD}


async def test_what_became_of_each(resources: Resources, conn: asyncpg.Connection) -> None:
    same, changed, gone = [await add_patient(conn, nombre=name) for name in ("Igual", "Cambia", "Desaparece")]
    before = await back_up(resources)
    await conn.execute("UPDATE usuario SET telefono = '70000001' WHERE codigo = $1", changed)
    await remove_patient(conn, gone)
    last = await back_up(resources)
    new = await add_patient(conn, nombre="Nueva")
    found = (await search(resources, FAMILY)).resultados
    assert [(each.clave, each.estado, each.en_respaldo) for each in found] == [
        (str(gone), "eliminado", before.id),
        (str(changed), "cambio", before.id),
        (str(new), "nuevo", None),
        (str(same), "igual", last.id),
    ]
    assert [each.eliminado_entre is not None for each in found] == [True, False, False, False]


async def test_one_that_was_renamed_is_found_by_both_names(resources: Resources, conn: asyncpg.Connection) -> None:
    code = await add_patient(conn)
    older = await back_up(resources)
    await conn.execute("UPDATE usuario SET nombre = 'Eustaquio' WHERE codigo = $1", code)
    await back_up(resources)
    for typed in ("zacarias", "eustaquio"):
        found = only(await search(resources, typed))
        assert (found.clave, found.estado, found.en_respaldo) == (str(code), "cambio", older.id)
        assert found.etiqueta == f"Eustaquio {FAMILY}"


async def test_one_that_came_back_is_there(resources: Resources, conn: asyncpg.Connection) -> None:
    code = await add_patient(conn)
    older = await back_up(resources)
    lines = await conn.fetchrow(
        "SELECT p, u FROM paciente p JOIN usuario u ON codigo = codusuario WHERE codigo = $1", code
    )
    assert lines is not None
    await remove_patient(conn, code)
    await back_up(resources)
    await conn.execute("INSERT INTO usuario SELECT ($1::usuario).*", lines["u"])
    await conn.execute("INSERT INTO paciente SELECT ($1::paciente).*", lines["p"])
    found = only(await search(resources, CARD))
    assert (found.estado, found.en_respaldo) == ("igual", older.id)


async def test_of_a_deleted_appointment_it_says_whose_it_was(resources: Resources, conn: asyncpg.Connection) -> None:
    code = await add_patient(conn)
    doctor = await conn.fetchrow(
        f"SELECT codigo, nombre, apellido FROM odontologo JOIN usuario ON codigo = codusuario"
        f" WHERE clinica_id = {SMALL} LIMIT 1"
    )
    assert doctor is not None
    number = await conn.fetchval(
        "INSERT INTO consulta (fecha, codpaciente, cododontologo, idhorario, idtipoconsulta, idestadoconsulta,"
        " motivo, observaciones, creado) SELECT '2026-03-01', $1, $2, min(h.id), min(t.id), min(e.id),"
        " 'Rodamiento extraviado', '', now() FROM horario h, tipodeconsulta t, estadodeconsulta e RETURNING id",
        code,
        doctor["codigo"],
    )
    last = await back_up(resources)
    await conn.execute("DELETE FROM consulta WHERE id = $1", number)
    await remove_patient(conn, code)
    found = only(await search(resources, "EXTRAVIADO"))
    assert (found.modelo, found.clave, found.en_respaldo) == ("consultas", str(number), last.id)
    assert found.etiqueta == f"2026-03-01 · {NAME} {FAMILY} · {doctor['nombre']} {doctor['apellido']}"
    assert (found.coincidencia.columna, found.coincidencia.extracto) == ("motivo", "Rodamiento extraviado")


async def test_a_record_without_a_key_is_found(resources: Resources, conn: asyncpg.Connection) -> None:
    await conn.execute(
        f"CREATE TABLE nota (clinica_id bigint NOT NULL REFERENCES clinica, texto text);"
        f"INSERT INTO nota VALUES ({SMALL}, 'Estrafalario uno'), ({SMALL}, 'Estrafalario dos')"
    )
    older = await back_up(resources)
    await conn.execute("DELETE FROM nota WHERE texto LIKE '%dos'")
    found = (await search(resources, "estrafalario")).resultados
    assert [(each.modelo, each.clave, each.estado, each.en_respaldo) for each in found] == [
        ("nota", None, "eliminado", older.id),
        ("nota", None, "igual", older.id),
    ]


async def test_odd_keys_and_values(resources: Resources, conn: asyncpg.Connection) -> None:
    digits = "9" * 5_000
    await conn.execute(
        f'CREATE TABLE "Añ""o\\" (clinica_id bigint NOT NULL REFERENCES clinica, "código" text, "n,1" int,'
        f' extra numeric, doc jsonb, j json, PRIMARY KEY (clinica_id, "código", "n,1"));'
        f'INSERT INTO "Añ""o\\" VALUES ({SMALL}, $$a"b\\c$$, 1, {digits},'
        ' $${"x": ["Recóndito"], "token": "Oculto1"}$$,'
        f" $${{\"y\": \"Mu\\u00f1ozX\"}}$$), ({SMALL}, 'ñ\u0303', 2, NULL, 'null', NULL)"
    )
    older = await back_up(resources)
    assert only(await search(resources, "recondito")).clave == f'{SMALL},a"b\\c,1'
    assert only(await search(resources, "munozx")).estado == "igual"
    assert only(await search(resources, digits[:100])).estado == "igual"
    # Neither what is secret, nor what a column or a name in a document is called.
    for typed in ("oculto1", "código", "n,1"):
        assert (await search(resources, typed)).resultados == []
    await conn.execute('DELETE FROM "Añ""o\\"')
    found = only(await search(resources, "recondito"))
    assert (found.estado, found.en_respaldo) == ("eliminado", older.id)


async def test_nothing_of_another_clinic_is_found(resources: Resources, conn: asyncpg.Connection) -> None:
    other = await add_patient(conn, LARGE)
    await back_up(resources)
    await back_up(resources, LARGE)
    assert (await search(resources, CARD)).resultados == []
    assert only(await search(resources, CARD, LARGE)).clave == str(other)
    # A file that stands where this clinic's should be is not believed.
    await conn.execute(
        f"UPDATE respaldos.respaldo SET clinica_id = {SMALL}, fecha_respaldo = now() WHERE clinica_id = {LARGE}"
    )
    found = await search(resources, CARD)
    assert found.resultados == []
    assert "dice ser de la clínica" in found.avisos[0]


async def test_a_secret_is_neither_searched_nor_shown(resources: Resources, conn: asyncpg.Connection) -> None:
    await conn.execute(
        f"ALTER TABLE paciente ADD password text, ADD pin_caja text;"
        f"UPDATE paciente SET password = 'Contraseñísima', pin_caja = 'Pinísimo' WHERE clinica_id = {SMALL}"
    )
    await back_up(resources)
    assert (await search(resources, "contrasenisima")).resultados == []
    assert (await search(resources, "pinisimo")).resultados != []
    hidden = replace(resources, secrets=replace(resources.secrets, names=("pin_caja",)))
    assert (await search(hidden, "pinisimo")).resultados == []


async def test_a_backup_that_cannot_be_read_is_said_and_the_rest_goes_on(
    resources: Resources, conn: asyncpg.Connection, store: Store
) -> None:
    code = await add_patient(conn)
    older = await back_up(resources)
    damaged, missing = await back_up(resources), await back_up(resources)
    await remove_patient(conn, code)
    damage(store, damaged)
    await store.storage.delete(missing.archivo_s3 or "")
    found = await search(resources, CARD)
    assert [(each.clave, each.en_respaldo) for each in found.resultados] == [(str(code), older.id)]
    assert sorted(aviso.split(" no se pudo")[0] for aviso in found.avisos) == [
        f"el respaldo {damaged.id}",
        f"el respaldo {missing.id}",
    ]
    assert store.options.bucket not in "".join(found.avisos)


async def test_only_these_models_and_only_these_days(resources: Resources, conn: asyncpg.Connection) -> None:
    code = await add_patient(conn)
    older = await back_up(resources)
    await remove_patient(conn, code)
    for modelos, model in (
        (("pacientes",), "pacientes"),
        (("paciente", "facturas"), "pacientes"),
        (("usuarios",), "usuarios"),
    ):
        assert only(await search(resources, "zacarias", modelos=modelos)).modelo == model
    assert (await search(resources, "zacarias", modelos=("facturas",))).resultados == []
    mistyped = await search(resources, "zacarias", modelos=("pasientes",))
    assert (mistyped.resultados, mistyped.avisos) == ([], ["no existe ningún modelo «pasientes»"])
    await conn.execute(
        "UPDATE respaldos.respaldo SET fecha_respaldo = $1 WHERE id = $2",
        older.fecha_respaldo - timedelta(days=9),
        older.id,
    )
    assert (await search(resources, CARD, dias=8)).resultados == []
    assert only(await search(resources, CARD, dias=10)).clave == str(code)


async def test_those_that_are_gone_are_told_although_there_are_too_many(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    codes = [await add_patient(conn, nombre=f"Nombre{number}") for number in range(6)]
    await back_up(resources)
    await back_up(resources)
    await remove_patient(conn, codes[3])
    found = await search(resources, FAMILY, limite=2)
    assert [each.estado for each in found.resultados] == ["eliminado", "igual", "igual"]
    assert found.hay_mas
    assert not (await search(resources, FAMILY, limite=5)).hay_mas


async def test_too_many_hits_end_the_search(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        await add_patient(conn, nombre=f"Nombre{number}")
    await back_up(resources)
    monkeypatch.setattr(scan, "MOST_HITS", 4)
    found = await search(resources, FAMILY)
    assert found.hay_mas
    assert found.avisos == [hunt.BROAD]
    assert 0 < len(found.resultados) <= 4


async def test_a_line_is_told_again_when_more_is_known(resources: Resources, conn: asyncpg.Connection) -> None:
    code = await add_patient(conn)
    oldest = await back_up(resources)
    await conn.execute("UPDATE paciente SET direccion = 'Otra' WHERE codusuario = $1", code)
    newest = await back_up(resources)
    told: list[RegistroEncontrado] = []
    end: FinDeBusqueda | None = None
    async with aclosing(buscar_registros(resources, SearchRequest(CARD), clinica_id=SMALL)) as lines:
        async for line in lines:
            if isinstance(line, FinDeBusqueda):
                end = line
            else:
                told.append(line)
    assert end == FinDeBusqueda(hay_mas=False, avisos=[])
    assert {line.numero for line in told} == {1}
    assert (told[-1].estado, told[-1].en_respaldo) == ("cambio", oldest.id)
    assert told[0].en_respaldo in {newest.id, oldest.id}


async def test_whoever_stops_listening_leaves_nothing_running(resources: Resources) -> None:
    await back_up(resources)
    async with aclosing(buscar_registros(resources, SearchRequest("ar"), clinica_id=SMALL)) as lines:
        await anext(lines)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    assert (await search(resources, "ar", limite=1)).hay_mas


async def test_a_column_that_came_since_changes_nothing(resources: Resources, conn: asyncpg.Connection) -> None:
    code = await add_patient(conn)
    await back_up(resources)
    await conn.execute("ALTER TABLE paciente ADD grupo text")
    assert only(await search(resources, CARD)).estado == "igual"
    await conn.execute("UPDATE paciente SET grupo = 'A' WHERE codusuario = $1", code)
    assert only(await search(resources, CARD)).estado == "cambio"


async def test_an_empty_clinic_without_backups(resources: Resources) -> None:
    assert await search(resources, "zacarias", 3) == RegistrosEncontrados(resultados=[], hay_mas=False, avisos=[])


async def test_a_rule_that_names_what_there_is_not(resources: Resources) -> None:
    wrong = replace(resources, labels=RecordLabels({"pasiente": "{nombre}"}))
    with pytest.raises(SettingsError, match="RECORD_LABELS: la tabla «pasiente» no existe"):
        await search(wrong, "zacarias")


async def test_a_backup_of_before_is_no_worse(resources: Resources, conn: asyncpg.Connection) -> None:
    """One whose row was made anew from the bucket says less of its file."""
    code = await add_patient(conn)
    made: Respaldo = await back_up(resources)
    await conn.execute("UPDATE respaldos.respaldo SET metadata = '{}' WHERE id = $1", made.id)
    await remove_patient(conn, code)
    assert only(await search(resources, CARD)).en_respaldo == made.id


async def test_what_is_the_platforms(resources: Resources, conn: asyncpg.Connection) -> None:
    await conn.execute(
        "CREATE TABLE tarifa (id int PRIMARY KEY, nombre text); INSERT INTO tarifa VALUES (1, 'Ñoquis')"
    )
    made = await back_up(resources, None)
    await conn.execute("DELETE FROM tarifa")
    found = only(await registros_encontrados(resources, SearchRequest("noquis"), clinica_id=None))
    assert (found.modelo, found.clave, found.estado, found.en_respaldo) == ("tarifa", "1", "eliminado", made.id)
    assert found.etiqueta == "Ñoquis"
    # A login's password is in that file, and is not found.
    hashed = await conn.fetchval("SELECT password FROM auth_user LIMIT 1")
    assert (await registros_encontrados(resources, SearchRequest(hashed[:60]), clinica_id=None)).resultados == []


async def test_a_key_that_is_of_another_type_by_now(resources: Resources, conn: asyncpg.Connection) -> None:
    await conn.execute(
        "CREATE TABLE ficha (código text PRIMARY KEY, nombre text, clinica_id bigint NOT NULL REFERENCES clinica);"
        f"INSERT INTO ficha SELECT n, 'Estrambótico ' || n, {SMALL} FROM unnest('{{A1,2,3}}'::text[]) AS n"
    )
    await back_up(resources)
    await conn.execute(
        "DELETE FROM ficha WHERE código = 'A1'; ALTER TABLE ficha ALTER código TYPE int USING código::int"
    )
    found = (await search(resources, "estrambotico")).resultados
    assert {(each.clave, each.estado.value, each.etiqueta) for each in found} == {
        ("A1", "eliminado", "Estrambótico A1"),
        ("2", "igual", "Estrambótico 2"),
        ("3", "igual", "Estrambótico 3"),
    }


async def test_too_many_bytes_end_the_search(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await conn.execute(
        "CREATE TABLE nota (id int PRIMARY KEY, clinica_id bigint NOT NULL REFERENCES clinica, texto text);"
        f"INSERT INTO nota SELECT n, {SMALL}, repeat('Estrafalario ', CASE n WHEN 2 THEN 9000 ELSE 1 END)"
        " FROM generate_series(1, 3) AS n"
    )
    code = await add_patient(conn)
    await conn.execute("UPDATE paciente SET direccion = repeat('larga ', 20000) WHERE codusuario = $1", code)
    await back_up(resources)
    monkeypatch.setattr(scan, "MOST_BYTES", 60_000)
    found = await search(resources, "estrafalario")
    assert (found.hay_mas, found.avisos) == (True, [hunt.BROAD])
    assert [each.clave for each in found.resultados] == ["1", "3"]
    # What is one with a hit counts, too.
    assert (await search(resources, FAMILY)).avisos == [hunt.BROAD]
