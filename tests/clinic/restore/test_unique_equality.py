"""Rows of one table that a unique index compares otherwise than `=` does in our sessions."""

import pytest

from app.clinic.restore.taken import ConflictsFound
from app.errors import RestoreRefused
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed, superuser
from tests.support.case_blind import CASE_BLIND
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import assert_restored, counts, missing, models, record, restore
from tests.support.restore_cases import goes_back
from tests.support.two_clinics import TWO_CLINICS

TABLES = f"""
SET search_path = public; {TWO_CLINICS} {CASE_BLIND}
CREATE TABLE cuenta (correo extensions.citexto PRIMARY KEY, clinica_id int NOT NULL, nombre text);
INSERT INTO cuenta VALUES ('Ana@x.bo', 1, 'Ana'), ('Eva@x.bo', 1, 'Eva'), ('Leo@x.bo', 2, 'Leo');
CREATE TABLE nota (id int PRIMARY KEY, correo extensions.citexto NOT NULL REFERENCES cuenta);
INSERT INTO nota VALUES (1, 'ana@x.bo'), (2, 'EVA@x.bo'), (3, 'leo@x.bo');
CREATE TABLE ficha (id serial PRIMARY KEY, clinica_id int NOT NULL, correo extensions.citexto UNIQUE);
INSERT INTO ficha (clinica_id, correo) VALUES (1, 'Ana@x.bo'), (2, 'leo@x.bo'), (1, 'eva@x.bo');
CREATE TABLE tipo (codigo extensions.citexto PRIMARY KEY, nombre text);
INSERT INTO tipo VALUES ('Qr', 'código');
"""
WRITTEN_OTHERWISE = "UPDATE cuenta SET correo = 'ANA@X.bo' WHERE nombre = 'Ana'"


@crossed
async def test_a_key_that_is_written_otherwise_is_the_same_key(any_database: Database, writer: Writer) -> None:
    await any_database.sql.execute(TABLES)
    plan = await goes_back(any_database.sql, await writer(any_database), WRITTEN_OTHERWISE)
    assert counts(plan) == {"cuenta": (0, 1, 0)}


async def test_a_row_from_outside_still_points_to_it(database: Database) -> None:
    await database.sql.execute(TABLES)
    await database.sql.execute("CREATE TABLE ajena (correo extensions.citexto REFERENCES cuenta)")
    clinics = await superuser(database, exclude=("ajena",))
    backup = await back_up(clinics, 1)
    await database.sql.execute(f"{WRITTEN_OTHERWISE}; INSERT INTO ajena VALUES ('ana@x.bo')")
    assert counts(await restore(clinics, backup.file)) == {"cuenta": (0, 1, 0)}
    await assert_restored(clinics, backup)


@crossed
async def test_one_record_is_found_by_it(any_database: Database, writer: Writer) -> None:
    await any_database.sql.execute(TABLES)
    clinics = await writer(any_database)
    backup = await back_up(clinics, 1)
    await any_database.sql.execute(WRITTEN_OTHERWISE)
    assert counts(await restore(clinics, backup.file, scope=record("cuenta:ana@x.bo"))) == {"cuenta": (0, 1, 0)}
    await assert_restored(clinics, backup)


async def test_what_a_part_points_to_is_there(database: Database, writer: Writer) -> None:
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(f"DELETE FROM nota WHERE id = 1; {WRITTEN_OTHERWISE}")
    plan = await restore(clinics, backup.file, scope=models("nota"))
    assert (counts(plan), plan.needed) == ({"nota": (1, 0, 0)}, {})


async def test_what_a_part_points_to_is_another_clinics(database: Database, writer: Writer) -> None:
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(
        f"DELETE FROM nota WHERE id = 1; {WRITTEN_OTHERWISE}; UPDATE cuenta SET clinica_id = 2 WHERE nombre = 'Ana'"
    )
    plan = await restore(clinics, backup.file, scope=models("nota"))
    assert counts(plan) == {}
    assert "«cuenta»: son hoy de otra clínica, y se dejan donde están: “Ana” (Ana@x.bo)" in plan.avisos
    await database.sql.execute("UPDATE cuenta SET nombre = 'Ada' WHERE nombre = 'Ana'")
    with pytest.raises(RestoreRefused, match="apuntarían a registros de «cuenta» que hoy son de otra clínica"):
        await restore(clinics, backup.file, scope=models("nota"))


async def test_a_row_that_moved_is_found_by_it(database: Database, writer: Writer) -> None:
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(f"{WRITTEN_OTHERWISE}; UPDATE cuenta SET clinica_id = 2 WHERE nombre = 'Ana'")
    plan = await restore(clinics, backup.file)
    assert counts(plan) == {}
    assert "«cuenta»: son hoy de otra clínica, y se dejan donde están: “Ana” (Ana@x.bo)" in plan.avisos


@crossed
async def test_unique_values_that_changed_places(any_database: Database, writer: Writer) -> None:
    await any_database.sql.execute(TABLES)
    swap = (
        "UPDATE ficha SET correo = 'otro' WHERE id = 1; UPDATE ficha SET correo = 'ANA@x.bo' WHERE id = 3;"
        " UPDATE ficha SET correo = 'EVA@x.bo' WHERE id = 1"
    )
    plan = await goes_back(any_database.sql, await writer(any_database), swap)
    assert counts(plan) == {"ficha": (0, 2, 0)}


async def test_a_row_that_came_and_took_a_unique_value_goes(database: Database, writer: Writer) -> None:
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(
        "DELETE FROM ficha WHERE id = 1; UPDATE ficha SET clinica_id = 1, correo = 'ANA@x.bo' WHERE id = 2"
    )
    assert counts(await restore(clinics, backup.file, unbroken=True)) == {"ficha": (1, 0, 1)}
    await assert_restored(clinics, backup)


@crossed
@pytest.mark.parametrize("when", ["NOT DEFERRABLE", "DEFERRABLE"])
async def test_a_value_that_somebody_has_by_now(any_database: Database, writer: Writer, when: str) -> None:
    sql = any_database.sql
    await sql.execute(f"{TABLES} ALTER TABLE ficha DROP CONSTRAINT ficha_correo_key, ADD UNIQUE (correo) {when}")
    clinics = await writer(any_database)
    backup = await back_up(clinics, 1)
    # Another clinic's, and one of the clinic's that stays.
    await sql.execute("DELETE FROM ficha WHERE id = 1; UPDATE ficha SET correo = 'ANA@x.bo' WHERE id = 2")
    with pytest.raises(ConflictsFound, match=r"otro registro, que no es .*, tiene hoy correo = Ana@x\.bo"):
        await restore(clinics, backup.file)
    await sql.execute("UPDATE ficha SET correo = '-' WHERE id = 2; UPDATE ficha SET correo = 'ANA@x.bo' WHERE id = 3")
    with pytest.raises(ConflictsFound, match=r"«ficha» 1 no puede volver: «ficha» 3 tiene hoy correo = ANA@x\.bo"):
        await restore(clinics, backup.file, scope=missing())
    assert await sql.fetchval("SELECT count(*) FROM ficha") == 2
    await restore(clinics, backup.file)
    await assert_restored(clinics, backup)


@crossed
async def test_the_platforms_rows(any_database: Database, writer: Writer) -> None:
    sql = any_database.sql
    await sql.execute(TABLES)
    clinics = await writer(any_database)
    backup = await back_up(clinics, None)
    await sql.execute("UPDATE tipo SET codigo = 'QR'")
    plan = await restore(clinics, backup.file, None)
    assert (counts(plan), plan.differing) == ({}, {"tipo": 1})
    assert counts(await restore(clinics, backup.file, None, update=True)) == {"tipo": (0, 1, 0)}


async def test_an_index_of_another_collation_than_its_column(database: Database, writer: Writer) -> None:
    await database.sql.execute(
        f"""SET search_path = public; {TWO_CLINICS} {CASE_BLIND}
        CREATE TABLE ficha (id int PRIMARY KEY, clinica_id int NOT NULL, nombre extensions.citexto COLLATE "C");
        CREATE UNIQUE INDEX ON ficha (nombre COLLATE pg_c_utf8);
        INSERT INTO ficha VALUES (1, 1, 'Óscar'), (2, 2, 'Ómar'), (3, 1, 'Ángel')
        """
    )
    swap = (
        "UPDATE ficha SET nombre = '-' WHERE id = 1; UPDATE ficha SET nombre = 'óscar' WHERE id = 3;"
        " UPDATE ficha SET nombre = 'ángel' WHERE id = 1"
    )
    plan = await goes_back(database.sql, await writer(database), swap)
    assert counts(plan) == {"ficha": (0, 2, 0)}
