"""Tables that are not what they were when the backup was made."""

import pytest

from app.clinic.restore.taken import ConflictsFound
from app.errors import RespaldosError, RestoreRefused, SchemaDiffers
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed
from tests.support.clinic_backup import back_up, lines_of
from tests.support.clinic_restore import counts, restore
from tests.support.restore_cases import leftovers
from tests.support.two_clinics import TWO_CLINICS

TABLES = """
CREATE TABLE ficha (id int PRIMARY KEY, codigo text UNIQUE, monto numeric(12,4), hijo int, clinica_id int NOT NULL);
CREATE TABLE nota (id int PRIMARY KEY, ficha_id int NOT NULL REFERENCES ficha);
INSERT INTO ficha VALUES (1, 'a', 1.25, 1, 1), (2, 'b', 2.1255, NULL, 1), (3, 'c', 3, 3, 2), (4, 'd', 4, 4, 1);
INSERT INTO nota VALUES (1, 1), (2, 2), (3, 3);
"""
DAMAGE = """
DELETE FROM nota WHERE id = 1; DELETE FROM ficha WHERE id = 1;
UPDATE ficha SET codigo = codigo || '?' WHERE clinica_id = 1;
"""

REFUSED: list[tuple[str, type[RespaldosError], str]] = [
    ("ALTER TABLE ficha DROP hijo", SchemaDiffers, "«hijo» de «ficha».*no existe"),
    ("ALTER TABLE ficha RENAME hijo TO hija", SchemaDiffers, "«hijo» de «ficha».*no existe"),
    (
        "ALTER TABLE ficha DROP hijo; ALTER TABLE ficha ADD hijo int GENERATED ALWAYS AS (id) STORED",
        SchemaDiffers,
        "«hijo» de «ficha».*calculada",
    ),
    (
        "ALTER TABLE ficha ADD nueva int; UPDATE ficha SET nueva = 7; ALTER TABLE ficha ALTER nueva SET NOT NULL",
        SchemaDiffers,
        "«ficha».*obligatorias.*nueva",
    ),
    ("ALTER TABLE ficha ALTER codigo TYPE jsonb USING to_jsonb(codigo)", SchemaDiffers, "«codigo».*text.*jsonb"),
    ("ALTER TABLE ficha ALTER monto TYPE numeric(12,2)", SchemaDiffers, "«monto» era numeric.*perderían algo"),
    ("ALTER TABLE ficha ALTER codigo TYPE int USING NULL", SchemaDiffers, "«codigo».*no admite un valor"),
    (
        "UPDATE ficha SET hijo = 0 WHERE hijo IS NULL; ALTER TABLE ficha ALTER hijo SET NOT NULL",
        RestoreRefused,
        r"ficha\.hijo» es obligatoria",
    ),
    ("ALTER TABLE ficha ADD CONSTRAINT pocos CHECK (monto < 2) NOT VALID", RestoreRefused, "pocos"),
    (
        "ALTER TABLE ficha ADD CONSTRAINT siempre NOT NULL hijo NOT VALID",
        RestoreRefused,
        r"ficha\.hijo» es obligatoria",
    ),
    (
        "ALTER TABLE ficha ALTER clinica_id DROP NOT NULL; UPDATE ficha SET clinica_id = NULL WHERE id = 4;"
        " ALTER TABLE ficha DROP CONSTRAINT ficha_pkey CASCADE, ADD PRIMARY KEY (codigo), ADD UNIQUE (id);"
        " ALTER TABLE nota ADD FOREIGN KEY (ficha_id) REFERENCES ficha (id)",
        ConflictsFound,
        "«ficha» d no puede volver: otro registro, que no es de la clínica, tiene hoy id = 4.*ficha_id_key",
    ),
    ("DROP TABLE nota", SchemaDiffers, "tabla «nota»"),
    ("ALTER TABLE nota RENAME TO notas", SchemaDiffers, "tabla «nota»"),
    (
        "ALTER TABLE nota DROP ficha_id; ALTER TABLE nota ADD ficha_id int",
        SchemaDiffers,
        "«nota» hoy no es de la clínica",
    ),
]


async def test_what_cannot_take_the_backups_rows(database: Database, writer: Writer) -> None:
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute(DAMAGE)
    for change, error, says in REFUSED:
        await sql.execute(
            f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {TWO_CLINICS} {TABLES} {DAMAGE} {change}"
        )
        clinics = await writer(database)
        rows = "SELECT array_agg(t::text ORDER BY t::text) FROM ficha AS t"
        before = await sql.fetchval(rows)
        with pytest.raises(RespaldosError, match=says) as caught:
            await restore(clinics, backup.file)
        assert type(caught.value) is error, change
        assert await leftovers(sql) == []
        assert await sql.fetchval(rows) == before


@crossed
async def test_new_columns_keep_their_values_in_rows_that_stay(any_database: Database, writer: Writer) -> None:
    sql = any_database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = await writer(any_database)
    backup, other = await back_up(clinics, 1), await back_up(clinics, 2)
    await sql.execute(DAMAGE)
    # The two codes also swap, so that both rows have to be taken out and put in again.
    await sql.execute(
        """
        INSERT INTO ficha VALUES (1, 'x', 1.25, 1, 1); UPDATE ficha SET codigo = 'a' WHERE id = 2;
        ALTER TABLE ficha ADD nula text, ADD fija int NOT NULL DEFAULT 5, ADD n int GENERATED ALWAYS AS IDENTITY;
        UPDATE ficha SET nula = 'n' || id, fija = id * 10; DELETE FROM ficha WHERE id = 4;
        """
    )
    numbers = {row["id"]: row["n"] for row in await sql.fetch("SELECT id, n FROM ficha WHERE id < 4")}
    clinics = await writer(any_database)
    plan = await restore(clinics, backup.file)
    assert counts(plan) == {"ficha": (1, 2, 0), "nota": (1, 0, 0)}
    found = await sql.fetch("SELECT id, codigo, nula, fija, n FROM ficha ORDER BY id")
    assert [tuple(row) for row in found[:3]] == [
        (1, "a", "n1", 10, numbers[1]),
        (2, "b", "n2", 20, numbers[2]),
        (3, "c", "n3", 30, numbers[3]),
    ]
    assert (found[3]["nula"], found[3]["fija"]) == (None, 5)
    assert len(other.lines["ficha"]) == 1


async def test_a_table_made_since_stays_as_it_is(database: Database, writer: Writer) -> None:
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute(
        DAMAGE + "CREATE TABLE nueva (id int PRIMARY KEY, ficha_id int NOT NULL REFERENCES ficha ON DELETE CASCADE);"
        " INSERT INTO nueva VALUES (1, 2), (2, 3)"
    )
    clinics = await writer(database)
    await restore(clinics, backup.file)
    assert await sql.fetchval("SELECT array_agg(ficha_id ORDER BY id) FROM nueva") == [2, 3]
    assert (await lines_of(clinics, 1))["ficha"] == backup.lines["ficha"]
