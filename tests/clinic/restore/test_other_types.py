"""Columns, enums and tables that were made otherwise since the backup, with nothing lost."""

import pytest

from app.clinic.restore.scope import Scope
from app.errors import RestoreRefused, SchemaDiffers
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed
from tests.support.clinic_backup import back_up, lines_of
from tests.support.clinic_restore import counts, left_to_do, restore
from tests.support.tried import tried
from tests.support.two_clinics import TWO_CLINICS

TABLES = f"""SET search_path = public; {TWO_CLINICS}
CREATE TYPE animo AS ENUM ('triste', 'feliz', 'serio');
CREATE TABLE t (id int PRIMARY KEY, clinica_id int NOT NULL, n numeric(10, 2), dia date, correo varchar(20), j json,
    i int, animo animo);
CREATE TABLE por_animo (animo animo, clinica_id int NOT NULL, nota text, PRIMARY KEY (animo, clinica_id));
CREATE TABLE cita (id int PRIMARY KEY, dia date NOT NULL, nota text, clinica_id int NOT NULL);
INSERT INTO t VALUES (1, 1, 1.5, '2026-01-01', 'Ana@x', '{{"b":1, "a": null}}', 1, 'triste'),
    (2, 1, NULL, NULL, NULL, 'null', NULL, NULL), (3, 1, 2, '2026-02-02', 'ñ', NULL, 7, 'feliz'),
    (4, 2, 3, NULL, 'x', '1', 1, 'serio');
INSERT INTO por_animo VALUES ('triste', 1, 'a'), ('feliz', 1, 'b'), ('serio', 1, 'c'), ('feliz', 2, 'd');
INSERT INTO cita VALUES (1, '2026-01-01', 'a', 1), (2, '2027-01-01', 'b', 1), (3, '2026-01-01', 'c', 2);
"""
MIGRATION = """
ALTER TABLE t ALTER n TYPE numeric(12, 4), ALTER dia TYPE timestamp, ALTER correo TYPE text, ALTER j TYPE jsonb,
    ALTER i TYPE text;
ALTER TYPE animo RENAME TO viejo; CREATE TYPE animo AS ENUM ('serio', 'feliz', 'triste');
ALTER TABLE t ALTER animo TYPE animo USING animo::text::animo;
ALTER TABLE por_animo ALTER animo TYPE animo USING animo::text::animo; DROP TYPE viejo;
ALTER TABLE cita RENAME TO cita_vieja; ALTER TABLE cita_vieja DROP CONSTRAINT cita_pkey;
CREATE TABLE cita (id int, dia date NOT NULL, nota text, clinica_id int NOT NULL, PRIMARY KEY (id, dia))
    PARTITION BY RANGE (dia);
CREATE TABLE cita_2026 PARTITION OF cita FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE cita_resto PARTITION OF cita DEFAULT; INSERT INTO cita SELECT * FROM cita_vieja; DROP TABLE cita_vieja;
"""


@crossed
async def test_lossless_changes_are_no_difference(any_database: Database, writer: Writer) -> None:
    sql = any_database.sql
    await sql.execute(TABLES)
    backup = await back_up(any_database.clinics(), 1)
    await sql.execute(MIGRATION)
    clinics = await writer(any_database)
    before = {clinica_id: await lines_of(clinics, clinica_id) for clinica_id in (1, 2)}
    assert await left_to_do(clinics, backup.file) == {}
    await sql.execute(
        "DELETE FROM t WHERE id = 1; UPDATE t SET n = 9.0001 WHERE id = 3; DELETE FROM por_animo WHERE nota = 'b';"
        " DELETE FROM cita WHERE id = 1; UPDATE cita SET nota = 'z' WHERE id = 2"
    )
    plan = await restore(clinics, backup.file)
    assert counts(plan) == {"t": (1, 1, 0), "por_animo": (1, 0, 0), "cita": (1, 1, 0)}
    assert {clinica_id: await lines_of(clinics, clinica_id) for clinica_id in (1, 2)} == before
    assert await tried(any_database.clinics(), backup) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("ALTER TABLE t ALTER n TYPE numeric(10, 1)", r"«n» era numeric.10,2. y hoy es numeric.10,1., y .*: 1\."),
        ("ALTER TABLE t ALTER correo TYPE varchar(3)", r"«correo» era .*, y estos registros perderían algo: 1\."),
        ("ALTER TABLE t ALTER correo TYPE int USING 1", "«correo» era .* y hoy es integer, que no admite"),
    ],
)
async def test_a_value_that_would_not_come_back_is_refused(
    database: Database, writer: Writer, change: str, says: str
) -> None:
    await database.sql.execute(TABLES)
    await database.sql.execute("UPDATE t SET n = 1.55 WHERE id = 1")
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute("DELETE FROM t WHERE clinica_id = 1")
    await database.sql.execute(change)
    with pytest.raises(SchemaDiffers, match=says):
        await restore(clinics, backup.file)
    # Nor does it keep other models.
    await database.sql.execute("DELETE FROM por_animo WHERE nota = 'b'")
    assert counts(await restore(clinics, backup.file, scope=Scope(models=("por_animo",)))) == {"por_animo": (1, 0, 0)}


async def test_a_value_that_a_type_of_the_same_name_lacks_names_its_model(database: Database, writer: Writer) -> None:
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(
        "DELETE FROM t WHERE clinica_id = 1; ALTER TABLE t DROP animo; ALTER TYPE animo RENAME TO viejo;"
        " CREATE TYPE animo AS ENUM ('serio'); ALTER TABLE t ADD animo animo"
    )
    with pytest.raises(RestoreRefused, match=r"«t» no admite un valor .*triste.*ALTER TYPE … ADD VALUE"):
        await restore(clinics, backup.file, scope=Scope(models=("t",)))
    await database.sql.execute("ALTER TYPE animo ADD VALUE 'triste'; ALTER TYPE animo ADD VALUE 'feliz'")
    assert counts(await restore(clinics, backup.file, scope=Scope(models=("t",)))) == {"t": (3, 0, 0)}
