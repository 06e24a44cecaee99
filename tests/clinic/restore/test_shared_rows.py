"""Shared rows that are missing are put back; none is changed, and none goes."""

import pytest

from app.errors import RestoreRefused
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import EVERYTHING, WHOLE, assert_restored, restore
from tests.support.restore_cases import assert_unchanged, leftovers
from tests.support.two_clinics import TWO_CLINICS

TABLES = """
CREATE TABLE pais (id int PRIMARY KEY, nombre text UNIQUE);
CREATE TABLE ciudad (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, pais_id int NOT NULL REFERENCES pais);
CREATE TABLE region (id int PRIMARY KEY, capital int REFERENCES ciudad, padre int REFERENCES region);
ALTER TABLE ciudad ADD region_id int REFERENCES region;
CREATE TABLE sigla (codigo char(3) NOT NULL, texto json);
CREATE UNIQUE INDEX ON sigla (codigo);
ALTER TABLE persona ADD ciudad_id int REFERENCES ciudad, ADD sigla char(3) REFERENCES sigla (codigo);
INSERT INTO pais VALUES (1, 'Bolivia'), (2, 'Perú');
INSERT INTO ciudad (pais_id) VALUES (1), (1), (2), (2);
INSERT INTO region VALUES (1, 1, NULL), (2, 2, 1), (3, 3, 3);
UPDATE ciudad SET region_id = CASE id WHEN 1 THEN 2 WHEN 2 THEN 1 ELSE 3 END;
INSERT INTO sigla VALUES ('a', '{ }'), ('b', 'null');
UPDATE persona SET ciudad_id = 1, sigla = 'a' WHERE id = 11; UPDATE persona SET ciudad_id = 3,
    sigla = 'b' WHERE id = 21;
"""
SHARED = ("pais", "ciudad", "region", "sigla")


async def _rows(database: Database) -> dict[str, list[str]]:
    return {
        table: [row[0] for row in await database.sql.fetch(f"SELECT t::text FROM {table} AS t ORDER BY 1")]
        for table in SHARED
    }


@crossed
async def test_missing_ones_come_back_and_others_stay(any_database: Database, writer: Writer) -> None:
    sql = any_database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = await writer(any_database)
    backup, other = await back_up(clinics, 1), await back_up(clinics, 2)
    before = await _rows(any_database)
    await sql.execute(
        "UPDATE persona SET ciudad_id = NULL, sigla = NULL WHERE clinica_id = 1; UPDATE ciudad SET region_id = NULL"
        " WHERE id < 3; DELETE FROM region WHERE id < 3; DELETE FROM ciudad WHERE id = 1; DELETE FROM sigla WHERE"
        " codigo = 'a'; UPDATE pais SET nombre = 'Otro' WHERE id = 1; INSERT INTO pais VALUES (3, 'Chile')"
    )
    plan = await restore(clinics, backup.file)
    assert {name: (c.inserted, c.updated, c.deleted) for name, c in plan.references.items() if c.any} == {
        "ciudad": (1, 0, 0),
        "region": (2, 0, 0),
        "sigla": (1, 0, 0),
    }
    await assert_restored(clinics, backup)
    await assert_restored(clinics, other, 2)
    after = await _rows(any_database)
    assert after["pais"] == ["(1,Otro)", "(2,Perú)", "(3,Chile)"]
    assert (after["region"], after["sigla"]) == (before["region"], before["sigla"])
    # The one that was there keeps what it says now.
    assert after["ciudad"] == ["(1,1,2)", "(2,1,)", "(3,2,3)", "(4,2,3)"]
    assert not any(c.any for c in (await restore(clinics, backup.file)).references.values())


async def test_a_name_that_another_shared_row_has_now(database: Database, writer: Writer) -> None:
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute(
        "INSERT INTO pais VALUES (7, 'Nuevo'); UPDATE ciudad SET pais_id = 7 WHERE pais_id = 1;"
        " DELETE FROM pais WHERE id = 1; UPDATE pais SET nombre = 'Bolivia' WHERE id = 7"
    )
    changed = {clinica_id: await back_up(clinics, clinica_id) for clinica_id in (1, 2)}
    with pytest.raises(RestoreRefused, match="pais_nombre_key"):
        await restore(clinics, backup.file)
    await assert_unchanged(clinics, changed)


async def test_strict_refuses_other_content(database: Database, writer: Writer) -> None:
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute("UPDATE pais SET nombre = 'Otro' WHERE id = 2; INSERT INTO pais VALUES (3, 'Chile')")
    await restore(clinics, backup.file, strict=True)
    for change, says in (
        ("UPDATE sigla SET texto = '{}' WHERE codigo = 'a'", "«sigla».*: a"),
        ("UPDATE pais SET nombre = 'Uno' WHERE id = 1", r"«pais».*: “Uno” \(1\)"),
    ):
        await sql.execute(change)
        with pytest.raises(RestoreRefused, match=says):
            await restore(clinics, backup.file, strict=True)
        await restore(clinics, backup.file)
    assert await leftovers(sql) == []


async def test_a_shared_row_that_means_something_else_now(database: Database, writer: Writer) -> None:
    sql = database.sql
    await sql.execute(
        f"SET search_path = public; {TWO_CLINICS} CREATE TABLE forma (id int PRIMARY KEY, nombre text, token text);"
        " CREATE TABLE cobro (id int PRIMARY KEY, clinica_id int NOT NULL, forma_id int NOT NULL REFERENCES forma);"
        " INSERT INTO forma VALUES (1, 'qr', 'a'), (2, 'vale', 'b'); INSERT INTO cobro VALUES (1, 1, 1), (2, 1, 2)"
    )
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute("UPDATE forma SET nombre = 'cheque', token = 'z' WHERE id = 1; DELETE FROM cobro")
    with pytest.raises(
        RestoreRefused, match=r"«forma», que es de todas las clínicas, tiene otro contenido: “cheque” \(1\)"
    ):
        await restore(clinics, backup.file, strict=True)
    plan = await restore(clinics, backup.file)
    assert plan.meanings == {"forma": "“qr” (1) (nombre: era «qr» y hoy es «cheque»; token)"}
    # Nothing is pointed to it again.
    assert (await restore(clinics, backup.file)).meanings == {}


async def test_a_number_that_is_another_clinics_in_that_database(database: Database) -> None:
    await database.sql.execute(f"SET search_path = public; {TWO_CLINICS}")
    clinics = database.clinics()
    backup = await back_up(clinics, 1)
    await database.sql.execute("UPDATE clinica SET nombre = 'Otra' WHERE id = 1")
    for scope in (WHOLE, EVERYTHING):
        with pytest.raises(RestoreRefused, match="la clínica 1 es otra en esa base de datos: su fila de «clinica»"):
            await restore(clinics, backup.file, strict=True, scope=scope)
    with pytest.raises(RestoreRefused, match="la clínica 1 es otra"):
        await restore(database.clinics(name_column="como"), backup.file, strict=True)
