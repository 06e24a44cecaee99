"""Keys that are not compared by what `=` means in our sessions: another type's operator, two collations."""

import pytest

from app.errors import RestoreRefused
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed
from tests.support.case_blind import CASE_BLIND
from tests.support.clinic_backup import back_up, back_up_all
from tests.support.clinic_restore import assert_restored, counts, models, record, restore
from tests.support.restore_cases import goes_back
from tests.support.two_clinics import TWO_CLINICS

TABLES = """
CREATE TABLE tipo (codigo extensions.citexto PRIMARY KEY);
INSERT INTO tipo VALUES ('Qr'), ('nada');
CREATE TABLE cuenta (correo extensions.citexto, sede int, clinica_id int NOT NULL, PRIMARY KEY (correo, sede));
INSERT INTO cuenta VALUES ('Ana@x.bo', 1, 1), ('eva@x.bo', 1, 1), ('leo@x.bo', 1, 2);
-- Whose they are is known by these keys alone, one of which may be empty.
CREATE TABLE visita (id int PRIMARY KEY, correo extensions.citexto NOT NULL, sede int NOT NULL,
    tipo extensions.citexto REFERENCES tipo, previa int REFERENCES visita,
    FOREIGN KEY (correo, sede) REFERENCES cuenta);
INSERT INTO visita VALUES (1, 'ana@X.bo', 1, 'QR', NULL), (2, 'EVA@x.bo', 1, NULL, 1), (3, 'LEO@x.bo', 1, NULL, NULL);
CREATE TABLE nota (id int PRIMARY KEY, clinica_id int, correo extensions.citexto, sede int,
    FOREIGN KEY (correo, sede) REFERENCES cuenta);
INSERT INTO nota VALUES (1, NULL, 'ANA@x.bo', 1), (2, 1, NULL, NULL), (3, NULL, 'Leo@x.bo', 1);
"""
DAMAGE = """
UPDATE visita SET tipo = NULL; DELETE FROM tipo WHERE codigo OPERATOR(extensions.=) 'qr';
UPDATE visita SET previa = NULL; DELETE FROM visita WHERE id = 1;
DELETE FROM nota WHERE id = 1; DELETE FROM cuenta WHERE correo OPERATOR(extensions.=) 'ANA@X.BO';
"""


@crossed
async def test_a_type_whose_operators_are_outside_of_the_search_path(any_database: Database, writer: Writer) -> None:
    sql = any_database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {CASE_BLIND} {TABLES}")
    clinics = await writer(any_database)
    backups = await back_up_all(clinics)
    assert (backups[1].ids("visita"), backups[2].ids("visita")) == ([1, 2], [3])
    assert (backups[1].ids("nota"), backups[2].ids("nota")) == ([1, 2], [3])
    assert (backups[1].referenced("tipo", "codigo"), backups[2].referenced("tipo", "codigo")) == (["Qr"], [])
    assert [backup.unowned + backup.cross_tenant for backup in backups.values()] == [[], []]
    assert counts(await goes_back(sql, clinics, DAMAGE))["visita"] == (1, 1, 0)


async def test_a_row_that_points_by_such_a_key_is_never_left_dangling(database: Database, writer: Writer) -> None:
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {CASE_BLIND} {TABLES}")
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute(
        "INSERT INTO cuenta VALUES ('nuevo@x.bo', 1, 1); CREATE TABLE ajena (id int PRIMARY KEY,"
        " correo extensions.citexto, sede int, FOREIGN KEY (correo, sede) REFERENCES cuenta (correo, sede));"
        " INSERT INTO ajena VALUES (1, 'NUEVO@x.bo', 1)"
    )
    clinics = await writer(database, exclude=("ajena",))
    with pytest.raises(RestoreRefused, match="«ajena» que no se restauran apuntan"):
        await restore(clinics, backup.file)


@crossed
async def test_parts_that_hang_by_such_a_key(any_database: Database, writer: Writer) -> None:
    sql = any_database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {CASE_BLIND} {TABLES}")
    clinics = await writer(any_database)
    backup = await back_up(clinics, 1)
    await sql.execute(DAMAGE)
    plan = await restore(clinics, backup.file, scope=record("cuenta:Ana@x.bo,1"))
    assert counts(plan) == {"cuenta": (1, 0, 0), "visita": (1, 1, 0), "nota": (1, 0, 0)}
    assert {model: changes.inserted for model, changes in plan.references.items()} == {"tipo": 1}
    await assert_restored(clinics, backup)
    await sql.execute(
        "DELETE FROM nota WHERE id = 1; UPDATE visita SET previa = NULL; DELETE FROM visita WHERE id = 1;"
        " DELETE FROM cuenta WHERE correo OPERATOR(extensions.=) 'ana@x.bo'"
    )
    plan = await restore(clinics, backup.file, scope=models("nota"))
    assert (counts(plan), plan.needed) == ({"nota": (1, 0, 0), "cuenta": (1, 0, 0)}, {"cuenta": 1})


async def test_rows_that_moved_with_what_they_point_to_by_such_a_key(database: Database, writer: Writer) -> None:
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {CASE_BLIND} {TABLES}")
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute(
        "DELETE FROM nota WHERE id = 1;"
        " UPDATE cuenta SET clinica_id = 2 WHERE correo OPERATOR(extensions.=) 'ana@x.bo'"
    )
    plan = await restore(clinics, backup.file)
    # What hung from her is not added to the other clinic's.
    assert [aviso for aviso in plan.avisos if aviso.startswith("«nota»")] == [
        "«nota»: dependen de registros que hoy son de otra clínica, y no se restauran: 1"
    ]
    assert await sql.fetchval("SELECT count(*) FROM nota") == 2


@crossed
async def test_two_collations_in_one_key(any_database: Database, writer: Writer) -> None:
    sql = any_database.sql
    await sql.execute(
        f"""SET search_path = public; {TWO_CLINICS}
        CREATE COLLATION una (provider = libc, locale = 'C'); CREATE COLLATION otra (provider = libc, locale = 'C');
        CREATE TABLE tipo (codigo text COLLATE una PRIMARY KEY); INSERT INTO tipo VALUES ('qr');
        CREATE TABLE sede (codigo text COLLATE una PRIMARY KEY, clinica_id int NOT NULL);
        INSERT INTO sede VALUES ('norte', 1), ('sur', 2);
        CREATE TABLE caja (id int PRIMARY KEY, sede text COLLATE otra NOT NULL REFERENCES sede,
            tipo text COLLATE otra REFERENCES tipo);
        INSERT INTO caja VALUES (1, 'norte', 'qr'), (2, 'norte', NULL), (3, 'sur', NULL)
        """
    )
    clinics = await writer(any_database)
    backups = await back_up_all(clinics)
    assert (backups[1].ids("caja"), backups[2].ids("caja")) == ([1, 2], [3])
    damage = "DELETE FROM caja WHERE sede = 'norte'; DELETE FROM sede WHERE clinica_id = 1; DELETE FROM tipo"
    assert counts(await goes_back(sql, clinics, damage)) == {"sede": (1, 0, 0), "caja": (2, 0, 0)}
