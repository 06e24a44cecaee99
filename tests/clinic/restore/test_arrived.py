"""Rows that came from another clinic since the backup: nobody else has them any more, so a restore leaves them."""

import pytest

from app.errors import RestoreRefused
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import assert_restored, counts, left_to_do, restore
from tests.support.restore_cases import leftovers
from tests.support.two_clinics import TWO_CLINICS

TABLES = """
CREATE TABLE interno (id serial PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, correo text UNIQUE);
CREATE TABLE medico (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica);
CREATE TABLE cita (id serial PRIMARY KEY, interno_id int NOT NULL REFERENCES interno,
    medico_id int REFERENCES medico);
-- Keys that people choose, and keys of which each session draws several.
CREATE TABLE sala (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica);
CREATE SEQUENCE de_varias CACHE 20;
CREATE TABLE nota (id int PRIMARY KEY DEFAULT nextval('de_varias'), clinica_id int NOT NULL REFERENCES clinica);
INSERT INTO interno (clinica_id, correo) SELECT 1 + n % 2, n || '@x' FROM generate_series(1, 6) AS n;
INSERT INTO medico (clinica_id) VALUES (1), (2);
INSERT INTO cita (interno_id) SELECT n FROM generate_series(1, 6) AS n;
INSERT INTO sala SELECT n, 1 + n % 2 FROM generate_series(1, 6) AS n;
INSERT INTO nota (clinica_id) SELECT 1 + n % 2 FROM generate_series(1, 6) AS n;
"""
# The patient 3 comes, has an appointment with a new doctor, who has another with a new patient.
ARRIVES = """
UPDATE interno SET clinica_id = 1 WHERE id = 3; UPDATE sala SET clinica_id = 1 WHERE id = 3;
UPDATE nota SET clinica_id = 1 WHERE id = 3;
INSERT INTO medico (clinica_id) VALUES (1); INSERT INTO interno (clinica_id, correo) VALUES (1, 'nuevo');
INSERT INTO cita (interno_id, medico_id) VALUES (3, 3), (7, 3), (2, 1);
DELETE FROM cita WHERE interno_id = 4; UPDATE interno SET correo = '3' WHERE id = 2;
"""
STAY = [
    "«medico», registros que el respaldo no tiene y se quedan: 1 ligados a registros que no eran de la clínica (3);"
    " con --estricto se eliminan",
    "«interno», registros que el respaldo no tiene y se quedan: 1 que ya estaban antes del respaldo y no eran de la"
    " clínica (“3@x” (3)); con --estricto se eliminan",
    "«cita», registros que el respaldo no tiene y se quedan: 1 que ya estaban antes del respaldo y no eran de la"
    " clínica y 1 ligados a registros que no eran de la clínica (3, 7); con --estricto se eliminan",
]


def _going(*models: str) -> list[str]:
    return [
        f"«{model}»: de los registros que se eliminan, 1 tienen claves anteriores a la última del respaldo; si"
        " vinieron de otra clínica, nadie más los tendrá después, fuera del respaldo previo"
        for model in models
    ]


@crossed
async def test_they_stay_with_what_hangs_from_them(any_database: Database, writer: Writer) -> None:
    sql = any_database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = await writer(any_database)
    backup = await back_up(clinics, 1)
    await sql.execute(ARRIVES)
    other = await back_up(clinics, 2)
    foreseen = await restore(clinics, backup.file, unbroken=True, simulate=True)
    plan = await restore(clinics, backup.file, unbroken=True)
    assert plan == foreseen
    assert sorted(plan.avisos) == sorted([*STAY, *_going("sala", "nota")])
    assert counts(plan) == {"interno": (0, 1, 1), "cita": (1, 0, 2), "sala": (0, 0, 1), "nota": (0, 0, 1)}
    after = await back_up(clinics, 1)
    stayed = {model: set(lines) - set(backup.lines[model]) for model, lines in after.lines.items()}
    assert {model: len(lines) for model, lines in stayed.items() if lines} == {"interno": 1, "cita": 2, "medico": 1}
    assert all(set(lines) <= set(after.lines[model]) for model, lines in backup.lines.items())
    await assert_restored(clinics, other, 2)
    assert await leftovers(sql) == []
    assert await left_to_do(clinics, backup.file, unbroken=True) == {}


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "restored-since"])
async def test_they_go_where_that_is_asked_for_or_cannot_be_known(
    database: Database, writer: Writer, *, strict: bool
) -> None:
    await database.sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(ARRIVES)
    plan = await restore(clinics, backup.file, strict=strict, unbroken=strict)
    assert sorted(plan.avisos) == sorted(_going("interno", "cita", "sala", "nota"))
    await assert_restored(clinics, backup)


async def test_what_is_new_is_not_taken_for_it(database: Database, writer: Writer) -> None:
    """A key that nobody drew is beyond the sequence, and all that are drawn later come before it."""
    sql = database.sql
    await sql.execute(
        f"SET search_path = public; {TWO_CLINICS} {TABLES} INSERT INTO interno VALUES (1000, 1, 'a mano')"
    )
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute("INSERT INTO interno (clinica_id, correo) VALUES (1, 'nuevo')")
    assert counts(await restore(clinics, backup.file, unbroken=True)) == {"interno": (0, 0, 1)}
    await assert_restored(clinics, backup)


async def test_one_that_took_the_unique_value_of_a_row_that_comes_back(database: Database, writer: Writer) -> None:
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute(
        "DELETE FROM cita WHERE interno_id = 2; DELETE FROM interno WHERE id = 2;"
        " UPDATE interno SET clinica_id = 1, correo = '2@x' WHERE id = 3"
    )
    with pytest.raises(RestoreRefused, match="«interno»"):
        await restore(clinics, backup.file, unbroken=True)
    await restore(clinics, backup.file, unbroken=True, strict=True)
    await assert_restored(clinics, backup)


async def test_one_that_took_the_unique_value_of_a_row_that_moved_away(database: Database, writer: Writer) -> None:
    sql = database.sql
    await sql.execute(
        f"SET search_path = public; {TWO_CLINICS} CREATE TABLE ficha (id serial PRIMARY KEY, nombre text, numero int,"
        " clinica_id int NOT NULL REFERENCES clinica, UNIQUE (clinica_id, numero));"
        " INSERT INTO ficha (nombre, numero, clinica_id) VALUES ('ana', 1, 1), ('luis', 1, 2), ('eva', 2, 1)"
    )
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute("UPDATE ficha SET clinica_id = 2, numero = 7 WHERE id = 1")
    await sql.execute("UPDATE ficha SET clinica_id = 1 WHERE id = 2")
    assert await left_to_do(clinics, backup.file, unbroken=True) == {}
    assert await sql.fetchval("SELECT array_agg(clinica_id ORDER BY id) FROM ficha") == [2, 1, 1]
