"""What PostgreSQL has and few databases use: it is restored, or refused with a way out that is one."""

import pytest

from app.clinic.reading.checks import unclassified
from app.clinic.reading.records import MOST_COLUMNS
from app.errors import RestoreRefused, SchemaDiffers
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import ROLE, Writer, crossed, ordinary, superuser
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import models, restore
from tests.support.restore_cases import Case, assert_unchanged, come_back, create

ROWS = "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1), (3, 'c', 2);"
TABLE = f"CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE, clinica_id int NOT NULL); {ROWS}"
POINTING = """
CREATE TABLE h (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE, v text REFERENCES t (v),
    clinica_id int NOT NULL);
INSERT INTO h VALUES (1, 1, NULL, 2), (2, NULL, 'c', 2);
"""
SWAP = "UPDATE t SET v = '?' WHERE id = 1; UPDATE t SET v = 'a' WHERE id = 2; UPDATE t SET v = 'b' WHERE id = 1"

SUPERUSERS = [
    Case(
        "also",
        f"{TABLE} CREATE TABLE nota (v text); CREATE RULE anota AS ON UPDATE TO t DO ALSO INSERT INTO also.nota"
        " VALUES (NEW.v)",
        # What the rule writes when it acts in a restore would stay.
        "UPDATE t SET v = 'z' WHERE id = 2; TRUNCATE nota",
        {"t": (0, 1, 0)},
    ),
    Case(
        "instead",
        f"{TABLE} CREATE RULE guarda AS ON DELETE TO t DO INSTEAD NOTHING",
        "INSERT INTO t VALUES (9, 'n', 1)",
        {"t": (0, 0, 1)},
    ),
    Case("swapped", TABLE + POINTING, SWAP, {"t": (0, 2, 0)}),
    Case(
        "dangling",
        f"{TABLE} CREATE TABLE p (v text PRIMARY KEY, clinica_id int NOT NULL);"
        " ALTER TABLE t ADD CONSTRAINT hacia FOREIGN KEY (v) REFERENCES p NOT VALID",
        "DELETE FROM t WHERE id = 1",
        {"t": (1, 0, 0)},
    ),
]

PUBLISHED = f"CREATE TABLE t (id int, v text, clinica_id int NOT NULL); {ROWS} CREATE PUBLICATION todo FOR ALL TABLES"
OVERLOADED = """
CREATE FUNCTION calcula(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE t (id int PRIMARY KEY, v regproc, clinica_id int NOT NULL);
INSERT INTO t VALUES (1, 'calcula', 1); CREATE FUNCTION calcula(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
"""

# What is refused, what that says, and the way out.
REFUSED = [
    # It is read in whatever is restored, so it comes first.
    (
        Case("overloaded", OVERLOADED, "DELETE FROM t", {}),
        "overloaded.calcula.* otro nombre",
        "ALTER FUNCTION overloaded.calcula(text) RENAME TO otra",
    ),
    (SUPERUSERS[0], "«also.t» tiene reglas .*: anota. .*DISABLE RULE", "ALTER TABLE also.t DISABLE RULE anota"),
    (SUPERUSERS[1], "reglas .*: guarda. .*DISABLE RULE", "ALTER TABLE instead.t DISABLE RULE guarda"),
    (
        Case("published", PUBLISHED, "INSERT INTO t VALUES (9, 'n', 1)", {}),
        '"t".*REPLICA IDENTITY FULL',
        "ALTER TABLE published.t REPLICA IDENTITY FULL",
    ),
    (
        SUPERUSERS[3],
        r"«t» no admite lo que se restaura \(hacia\): .*DROP CONSTRAINT",
        "ALTER TABLE dangling.t DROP CONSTRAINT hacia",
    ),
    (
        SUPERUSERS[2],
        "«swapped.h» .* se vuelven a agregar .*GRANT SET ON PARAMETER .*: 1",
        f"GRANT SET ON PARAMETER session_replication_role TO {ROLE}",
    ),
]


async def test_whoever_may_switch_off_restores_past_rules_and_what_points_from_elsewhere(database: Database) -> None:
    await come_back(database, superuser, *SUPERUSERS)


@crossed
async def test_what_is_refused_says_the_way_out(any_database: Database, writer: Writer) -> None:
    sql = any_database.sql
    refused = [each for each in REFUSED if writer is ordinary or each[0] not in SUPERUSERS]
    await create(sql, *(case for case, _, _ in refused))
    clinics = await writer(any_database)
    backups = {clinica_id: await back_up(clinics, clinica_id) for clinica_id in (1, 2)}
    try:
        for case, says, way_out in refused:
            await sql.execute(f"SET search_path = {case.name}; {case.damage}; RESET search_path")
            scope = models(f"{case.name}.t")
            with pytest.raises(RestoreRefused, match=says):
                await restore(clinics, backups[1].file, scope=scope)
            await sql.execute(way_out)
            await restore(clinics, backups[1].file, scope=scope)
    finally:
        # The role is the server's.
        if writer is ordinary:
            await sql.execute(f"REVOKE SET ON PARAMETER session_replication_role FROM {ROLE}")
    await assert_unchanged(clinics, backups)


@crossed
async def test_a_table_of_too_many_columns_is_said_beforehand(any_database: Database, writer: Writer) -> None:
    most = ", ".join(f"c{number} int" for number in range(MOST_COLUMNS - 2))
    wide = f"CREATE TABLE t (id int PRIMARY KEY, clinica_id int NOT NULL, {most}); INSERT INTO t VALUES (1, 1, 7)"
    sql = any_database.sql
    await create(sql, Case("wide", wide, "", {}))
    clinics = await writer(any_database)
    backup = await back_up(clinics, 1)
    await sql.execute("DELETE FROM wide.t")
    await restore(clinics, backup.file)
    assert await sql.fetchval("SELECT c5 FROM wide.t") is None
    await sql.execute("ALTER TABLE wide.t ADD uno_mas int")
    async with clinics.snapshot(1) as snapshot:
        assert any("1,598 columnas" in said for said in unclassified(snapshot.catalogue))
    with pytest.raises(SchemaDiffers, match=r"«wide\.t» tiene 1,598 columnas, .* 1,597 como mucho"):
        await restore(clinics, backup.file)
