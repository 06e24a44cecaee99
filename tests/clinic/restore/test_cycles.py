"""Tables that point to each other and to themselves, whatever their foreign keys do when a row goes."""

from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed
from tests.support.restore_cases import Case, come_back

RULES = {
    "deferred": "DEFERRABLE INITIALLY DEFERRED",
    "deferrable": "DEFERRABLE INITIALLY IMMEDIATE",
    "immediate": "",
    "cascade": "ON DELETE CASCADE",
    "cascade_deferred": "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
    "restrict": "ON DELETE RESTRICT",
}
OPTIONAL_RULES = {
    **{name: RULES[name] for name in ("deferred", "immediate", "cascade", "restrict")},
    "set_null": "ON DELETE SET NULL",
    "set_default": "ON DELETE SET DEFAULT",
    "updated": "ON DELETE SET NULL ON UPDATE CASCADE",
}

TWO = """
CREATE TABLE equipo (id int PRIMARY KEY, nombre text UNIQUE, jefe int NOT NULL,
    persona_id int NOT NULL REFERENCES persona);
CREATE TABLE miembro (id int PRIMARY KEY, nombre text UNIQUE, equipo_id int NOT NULL);
INSERT INTO equipo VALUES (1, 'a', 100, 11), (2, 'b', 200, 12), (3, 'c', 300, 21);
INSERT INTO miembro VALUES (100, 'x', 1), (101, 'y', 1), (200, 'z', 2), (300, 'w', 3);
ALTER TABLE equipo ADD FOREIGN KEY (jefe) REFERENCES miembro {rule};
ALTER TABLE miembro ADD FOREIGN KEY (equipo_id) REFERENCES equipo {rule};
"""

# One statement for both tables, since neither can be changed first: a pair is gone, and another has its names.
TWO_DAMAGE = """
WITH a AS (DELETE FROM equipo WHERE id = 1 RETURNING 1), b AS (DELETE FROM miembro WHERE equipo_id = 1 RETURNING 1)
    SELECT FROM a, b;
WITH a AS (INSERT INTO equipo VALUES (9, 'a', 900, 12) RETURNING 1),
    b AS (INSERT INTO miembro VALUES (900, 'x', 9), (901, 'y', 2) RETURNING 1) SELECT FROM a, b;
UPDATE miembro SET nombre = 'zz' WHERE id = 200;
"""

SELF = """
CREATE TABLE carpeta (id int PRIMARY KEY, nombre text UNIQUE, padre int, clinica_id int NOT NULL);
INSERT INTO carpeta VALUES (1, 'a', NULL, 1), (2, 'b', 1, 1), (3, 'c', 2, 1), (4, 'd', 2, 1), (5, 'e', 5, 1),
    (20, 'x', NULL, 2), (21, 'y', 20, 2);
ALTER TABLE carpeta ADD FOREIGN KEY (padre) REFERENCES carpeta {rule};
CREATE TABLE hoja (id int PRIMARY KEY, carpeta_id int REFERENCES carpeta {rule}, clinica_id int NOT NULL);
INSERT INTO hoja VALUES (1, 3, 1), (2, 1, 1), (3, NULL, 1), (4, 21, 2);
"""

# Upside down: the root hangs from a new branch, names have changed hands, an old branch is gone.
SELF_DAMAGE = """
UPDATE hoja SET carpeta_id = NULL WHERE id = 2;
UPDATE carpeta SET padre = NULL WHERE id = 3;
DELETE FROM hoja WHERE id = 1; DELETE FROM carpeta WHERE id = 4;
INSERT INTO carpeta VALUES (7, 'd', NULL, 1), (6, 'f', 7, 1);
INSERT INTO hoja VALUES (9, 7, 1);
UPDATE hoja SET carpeta_id = 6 WHERE id = 3;
UPDATE carpeta SET padre = 6 WHERE id = 1;
UPDATE carpeta SET nombre = 'temp' WHERE id = 1; UPDATE carpeta SET nombre = 'a' WHERE id = 2;
UPDATE carpeta SET nombre = 'b' WHERE id = 1;
"""

THREE = """
CREATE TABLE a (id int PRIMARY KEY, u int UNIQUE, c_id int, clinica_id int NOT NULL);
CREATE TABLE b (id int PRIMARY KEY, u int UNIQUE, a_id int NOT NULL);
CREATE TABLE c (id int PRIMARY KEY, u int UNIQUE, b_id int NOT NULL);
INSERT INTO a VALUES (1, 1, 1, 1), (2, 2, 2, 1), (3, 3, NULL, 1), (9, 9, 9, 2);
INSERT INTO b VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3), (9, 9, 9);
INSERT INTO c VALUES (1, 1, 1), (2, 2, 2), (9, 9, 9);
ALTER TABLE a ADD FOREIGN KEY (c_id) REFERENCES c (u) ON UPDATE CASCADE {rule};
ALTER TABLE b ADD FOREIGN KEY (a_id) REFERENCES a (u) ON UPDATE CASCADE {rule};
ALTER TABLE c ADD FOREIGN KEY (b_id) REFERENCES b (u) ON UPDATE CASCADE {rule};
"""

# What the keys point to are unique values that have changed.
THREE_DAMAGE = """
UPDATE a SET c_id = NULL WHERE id IN (1, 2); DELETE FROM c WHERE id = 1; DELETE FROM b WHERE id = 1;
DELETE FROM a WHERE id = 1;
UPDATE a SET u = 30 WHERE id = 3;
INSERT INTO a VALUES (4, 1, 2, 1); INSERT INTO b VALUES (4, 1, 1); UPDATE a SET c_id = 2 WHERE id = 3;
"""


@crossed
async def test_tables_that_need_each_other(any_database: Database, writer: Writer) -> None:
    two = [
        Case(f"dos_{name}", TWO.format(rule=rule), TWO_DAMAGE, {"equipo": (1, 0, 1), "miembro": (2, 1, 2)})
        for name, rule in RULES.items()
    ]
    three = [
        Case(
            f"tres_{name}",
            THREE.format(rule=RULES[name]),
            THREE_DAMAGE,
            {"a": (1, 2, 1), "b": (1, 1, 1), "c": (1, 0, 0)},
        )
        for name in ("deferred", "immediate", "cascade")
    ]
    await come_back(any_database, writer, *two, *three)


async def test_trees_in_one_table(database: Database, writer: Writer) -> None:
    await come_back(
        database,
        writer,
        *(
            Case(name, SELF.format(rule=rule), SELF_DAMAGE, {"carpeta": (1, 3, 2), "hoja": (1, 2, 1)})
            for name, rule in OPTIONAL_RULES.items()
        ),
    )


CHILDREN = """
CREATE TABLE ficha (id int PRIMARY KEY, codigo text UNIQUE, n int GENERATED ALWAYS AS IDENTITY,
    clinica_id int NOT NULL);
INSERT INTO ficha (id, codigo, clinica_id) VALUES (1, 'a', 1), (2, 'b', 1), (3, 'c', 1), (4, 'd', 2);
CREATE TABLE sin_clave (ficha_id int REFERENCES ficha {rule}, place text, "$at" int, nota json, donde point,
    f text, c int);
INSERT INTO sin_clave VALUES (1, 'x', 1, '1', '(1,2)'), (1, 'x', 1, '1', '(1,2)'), (2, 'y', 2, NULL, NULL),
    (3, 'z', 3, NULL, NULL), (4, 'w', 4, '{{}}', NULL);
CREATE TABLE con_clave (line int PRIMARY KEY, codigo text REFERENCES ficha (codigo) {rule}, place text);
INSERT INTO con_clave VALUES (1, 'a', 'p'), (2, 'a', 'q'), (3, 'b', NULL), (4, 'd', NULL);
CREATE TABLE nieta (con_clave_id int NOT NULL REFERENCES con_clave {rule}, que int);
INSERT INTO nieta VALUES (1, 1), (1, 1), (3, 2), (4, 4);
"""

# The three codes go round, so that each row has to make room for another, with all that hangs from it unchanged.
CHILDREN_DAMAGE = """
CREATE TEMP TABLE antes AS SELECT line, codigo FROM con_clave;
UPDATE con_clave SET codigo = NULL WHERE codigo <> 'd';
UPDATE ficha SET codigo = codigo || '?' WHERE clinica_id = 1;
UPDATE ficha SET codigo = CASE id WHEN 1 THEN 'b' WHEN 2 THEN 'c' ELSE 'a' END WHERE clinica_id = 1;
UPDATE con_clave c SET codigo = a.codigo FROM antes a WHERE a.line = c.line; DROP TABLE antes;
"""


async def test_what_hangs_from_rows_that_make_room_for_each_other(database: Database, writer: Writer) -> None:
    await come_back(
        database,
        writer,
        *(
            Case(name, CHILDREN.format(rule=rule), CHILDREN_DAMAGE, {"ficha": (0, 3, 0)})
            for name, rule in OPTIONAL_RULES.items()
        ),
    )
