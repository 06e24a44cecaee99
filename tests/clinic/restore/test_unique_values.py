"""Unique values that have changed hands since the backup."""

from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed
from tests.support.restore_cases import Case, come_back

ROWS = "(1, 'a', 1), (2, 'b', 1), (3, 'c', 1), (4, 'd', 1), (5, NULL, 1), (6, 'f', 1), (20, 'x', 2)"

# Two swapped, three went round with a new row's, one was freed by a deleted row, one NULL was filled.
DAMAGE = """
UPDATE t SET v = v || '?' WHERE clinica_id = 1;
DELETE FROM t WHERE id = 6;
UPDATE t SET v = CASE id WHEN 1 THEN 'b' WHEN 2 THEN 'a' WHEN 3 THEN 'd' WHEN 4 THEN 'f' WHEN 5 THEN 'q' END
    WHERE clinica_id = 1;
INSERT INTO t VALUES (7, 'c', 1);
"""
CHANGES = {"t": (1, 5, 1)}

TABLE = f"CREATE TABLE t (id int PRIMARY KEY, v text, clinica_id int NOT NULL); INSERT INTO t VALUES {ROWS};"

CASES = [
    Case("constraint", TABLE + "ALTER TABLE t ADD UNIQUE (v)", DAMAGE, CHANGES),
    Case("nulls", TABLE + "ALTER TABLE t ADD UNIQUE NULLS NOT DISTINCT (v)", DAMAGE, CHANGES),
    Case("composite", TABLE + "ALTER TABLE t ADD UNIQUE (clinica_id, v)", DAMAGE, CHANGES),
    Case("partial", TABLE + "CREATE UNIQUE INDEX ON t (v) WHERE id < 100", DAMAGE, CHANGES),
    Case("expression", TABLE + "CREATE UNIQUE INDEX ON t (lower(v))", DAMAGE, CHANGES),
    Case("exclusion", TABLE + "ALTER TABLE t ADD EXCLUDE USING btree (v WITH =)", DAMAGE, CHANGES),
    Case("deferred", TABLE + "ALTER TABLE t ADD UNIQUE (v) DEFERRABLE INITIALLY DEFERRED", DAMAGE, CHANGES),
    Case("deferrable", TABLE + "ALTER TABLE t ADD UNIQUE (v) DEFERRABLE INITIALLY IMMEDIATE", DAMAGE, CHANGES),
    Case(
        "generated",
        f"CREATE TABLE t (id int PRIMARY KEY, v text, clinica_id int NOT NULL, g text UNIQUE GENERATED ALWAYS AS"
        f" (upper(v)) STORED); INSERT INTO t VALUES {ROWS};",
        DAMAGE,
        CHANGES,
    ),
    Case(
        "no_primary_key",
        f"CREATE TABLE t (id int NOT NULL UNIQUE, v text UNIQUE, clinica_id int NOT NULL);"
        f" INSERT INTO t VALUES {ROWS};",
        DAMAGE,
        CHANGES,
    ),
    # No row is told from another, so each change is a row less and a row more.
    Case(
        "no_key",
        f"CREATE TABLE t (id int UNIQUE, v text UNIQUE, clinica_id int NOT NULL); INSERT INTO t VALUES {ROWS};",
        DAMAGE,
        {"t": (6, 0, 6)},
    ),
]

DEFERRED = [
    # PostgreSQL itself has to look at these: no trigger is switched off.
    Case(
        "exclusion_deferred",
        TABLE + "ALTER TABLE t ADD EXCLUDE USING btree (v WITH =) DEFERRABLE INITIALLY DEFERRED",
        DAMAGE,
        CHANGES,
    ),
    Case(
        "ranges",
        """
        CREATE TABLE t (id int PRIMARY KEY, turno int4range, clinica_id int NOT NULL,
            EXCLUDE USING gist (turno WITH &&));
        INSERT INTO t VALUES (1, '[1,5)', 1), (2, '[5,9)', 1), (3, '[9,12)', 1), (20, '[20,30)', 2);
        """,
        "UPDATE t SET turno = int4range(lower(turno) + 30, upper(turno) + 30) WHERE clinica_id = 1;"
        "UPDATE t SET turno = CASE id WHEN 1 THEN '[4,8)'::int4range WHEN 2 THEN '[8,10)' ELSE '[1,4)' END"
        " WHERE clinica_id = 1",
        {"t": (0, 3, 0)},
    ),
]

TEMPORAL = [
    Case(
        "temporal",
        """
        CREATE TABLE t (id int PRIMARY KEY, sala int4range, horas int4range, clinica_id int NOT NULL,
            UNIQUE (sala, horas WITHOUT OVERLAPS));
        INSERT INTO t VALUES (1, '[1,2)', '[1,5)', 1), (2, '[1,2)', '[5,9)', 1), (20, '[2,3)', '[1,9)', 2);
        """,
        "DELETE FROM t WHERE id = 2; UPDATE t SET horas = '[2,8)' WHERE id = 1;"
        " INSERT INTO t VALUES (2, '[1,2)', '[8,12)', 1)",
        {"t": (0, 2, 0)},
    ),
    Case(
        "periods_of_a_key",
        """
        CREATE TABLE t (id int4range, horas int4range, v text, clinica_id int NOT NULL,
            PRIMARY KEY (id, horas WITHOUT OVERLAPS));
        CREATE TABLE h (n int PRIMARY KEY, t int4range, horas int4range, clinica_id int NOT NULL,
            FOREIGN KEY (t, PERIOD horas) REFERENCES t (id, PERIOD horas));
        INSERT INTO t VALUES ('[1,2)', '[1,5)', 'a', 1), ('[1,2)', '[5,9)', 'b', 1), ('[2,3)', '[1,9)', 'c', 2);
        INSERT INTO h VALUES (1, '[1,2)', '[3,7)', 1), (2, '[2,3)', '[1,2)', 2);
        """,
        "UPDATE h SET horas = '[3,4)' WHERE n = 1; DELETE FROM t WHERE v = 'b'; UPDATE t SET horas = '[2,4)'"
        " WHERE v = 'a'",
        {"t": (2, 0, 1), "h": (0, 1, 0)},
    ),
]


@crossed
async def test_unique_values_go_back_to_whom_they_belonged(any_database: Database, writer: Writer) -> None:
    await come_back(any_database, writer, *CASES)


async def test_what_only_postgresql_can_check(database: Database, writer: Writer) -> None:
    await come_back(database, writer, *DEFERRED)


async def test_values_that_may_not_overlap(database: Database, writer: Writer) -> None:
    await come_back(database, writer, *TEMPORAL)
