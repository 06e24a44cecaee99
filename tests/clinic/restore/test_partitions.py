"""Partitioned tables are restored through their root, tables that inherit by themselves."""

from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed
from tests.support.restore_cases import Case, come_back

CASES = [
    Case(
        "moved",
        """
        CREATE TABLE cita (id int, dia date NOT NULL, nota text, clinica_id int NOT NULL) PARTITION BY RANGE (dia);
        CREATE TABLE "cita's 2025" (nota text, clinica_id int NOT NULL, id int, dia date NOT NULL);
        ALTER TABLE cita ATTACH PARTITION "cita's 2025" FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
        CREATE TABLE resto PARTITION OF cita DEFAULT PARTITION BY HASH (id);
        CREATE TABLE resto_0 PARTITION OF resto FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE resto_1 PARTITION OF resto FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        INSERT INTO cita VALUES (1, '2025-05-05', 'a', 1), (2, '2026-05-05', 'b', 1), (3, '2025-05-05', 'c', 2),
            (4, '2026-06-06', 'd', 1), (5, '2025-07-07', 'e', 1);
        """,
        "UPDATE cita SET dia = '2026-01-01' WHERE id IN (1, 3); UPDATE cita SET dia = '2025-02-02' WHERE id = 2;"
        " UPDATE cita SET nota = NULL WHERE id = 4; DELETE FROM cita WHERE id = 5;"
        " INSERT INTO cita VALUES (6, '2025-08-08', 'f', 1), (6, '2028-08-08', 'f', 1);"
        " UPDATE cita SET dia = '2025-05-05' WHERE id = 3",
        # Without a key, a change is a row less and a row more.
        {"cita": (4, 0, 5)},
    ),
    Case(
        "moved_key",
        """
        CREATE TABLE cita (id int, sala int, nota text, clinica_id int NOT NULL, PRIMARY KEY (id, sala))
            PARTITION BY LIST (sala);
        CREATE TABLE una PARTITION OF cita FOR VALUES IN (1);
            CREATE TABLE otra PARTITION OF cita FOR VALUES IN (2, 3);
        CREATE TABLE diente (id int PRIMARY KEY, cita_id int NOT NULL, sala int NOT NULL,
            FOREIGN KEY (cita_id, sala) REFERENCES cita ON UPDATE CASCADE ON DELETE CASCADE);
        INSERT INTO cita VALUES (1, 1, 'a', 1), (2, 2, 'b', 1), (3, 3, 'c', 2);
        INSERT INTO diente VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3);
        """,
        "UPDATE cita SET sala = 2 WHERE id = 1; UPDATE cita SET nota = 'z' WHERE id = 2;"
        " DELETE FROM diente WHERE id = 2",
        {"cita": (1, 1, 1), "diente": (1, 1, 0)},
    ),
    Case(
        # A column that is no part of the key says the partition; what is unique is so in one partition only.
        "unique_in_one",
        """
        CREATE TABLE cita (id int NOT NULL, dia int NOT NULL, codigo text, clinica_id int NOT NULL)
            PARTITION BY LIST (dia);
        CREATE TABLE lunes PARTITION OF cita (UNIQUE (codigo), UNIQUE (id)) FOR VALUES IN (1);
        CREATE TABLE resto PARTITION OF cita DEFAULT;
        CREATE TABLE nota (n int PRIMARY KEY, cita int REFERENCES lunes (id), clinica_id int NOT NULL);
        INSERT INTO cita VALUES (1, 1, 'a', 1), (2, 1, 'b', 1), (3, 2, 'a', 1), (4, 1, 'c', 2);
        INSERT INTO nota VALUES (1, 1, 1), (2, NULL, 1), (4, 4, 2);
        """,
        "UPDATE nota SET cita = NULL WHERE n = 1; UPDATE cita SET codigo = codigo || '?' WHERE clinica_id = 1;"
        " UPDATE cita SET codigo = CASE id WHEN 1 THEN 'b' ELSE 'a' END WHERE clinica_id = 1;"
        " UPDATE nota SET cita = 2 WHERE n = 2",
        {"cita": (2, 0, 2), "nota": (0, 2, 0)},
    ),
    Case(
        "swapped_in_one",
        """
        CREATE TABLE cita (id int, dia int, codigo text, clinica_id int NOT NULL, PRIMARY KEY (id, dia))
            PARTITION BY LIST (dia);
        CREATE TABLE lunes PARTITION OF cita (UNIQUE (codigo)) FOR VALUES IN (1);
        CREATE TABLE resto PARTITION OF cita DEFAULT;
        INSERT INTO cita VALUES (1, 1, 'a', 1), (2, 1, 'b', 1), (3, 2, 'a', 1), (4, 1, 'c', 2);
        """,
        "UPDATE cita SET codigo = codigo || '?' WHERE clinica_id = 1 AND dia = 1;"
        " UPDATE cita SET codigo = CASE id WHEN 1 THEN 'b' ELSE 'a' END WHERE clinica_id = 1 AND dia = 1",
        {"cita": (0, 2, 0)},
    ),
    Case(
        # Only rows of one partition have to point to somebody.
        "key_of_one",
        """
        CREATE TABLE jefe (id int PRIMARY KEY, clinica_id int NOT NULL);
        CREATE TABLE cita (id int, dia int, jefe_id int, nota text, clinica_id int NOT NULL, PRIMARY KEY (id, dia))
            PARTITION BY LIST (dia);
        CREATE TABLE lunes PARTITION OF cita (FOREIGN KEY (jefe_id) REFERENCES jefe) FOR VALUES IN (1);
        CREATE TABLE resto PARTITION OF cita DEFAULT;
        INSERT INTO jefe VALUES (1, 1), (2, 2);
        INSERT INTO cita VALUES (1, 1, 1, 'a', 1), (2, 2, 99, 'b', 1), (3, 1, 2, 'c', 2), (4, 2, 98, 'd', 1);
        """,
        "UPDATE cita SET nota = 'z' WHERE id = 2; DELETE FROM cita WHERE id IN (1, 4); DELETE FROM jefe WHERE id = 1",
        {"jefe": (1, 0, 0), "cita": (2, 1, 0)},
    ),
    Case(
        # Moving it would be refused while a key points to its partition.
        "pointed_in_one",
        """
        CREATE TABLE cita (id int NOT NULL, dia int NOT NULL, clinica_id int NOT NULL) PARTITION BY LIST (dia);
        CREATE TABLE lunes PARTITION OF cita (UNIQUE (id)) FOR VALUES IN (1);
        CREATE TABLE resto PARTITION OF cita DEFAULT;
        CREATE TABLE nota (n int PRIMARY KEY, cita int REFERENCES lunes (id), clinica_id int NOT NULL);
        INSERT INTO cita VALUES (1, 1, 1), (2, 2, 1), (3, 1, 2); INSERT INTO nota VALUES (1, 1, 1), (3, 3, 2);
        """,
        "DELETE FROM nota WHERE n = 1; DELETE FROM cita WHERE id = 1; INSERT INTO cita VALUES (1, 2, 1);"
        " DELETE FROM cita WHERE id = 2; INSERT INTO cita VALUES (2, 1, 1)",
        {"cita": (2, 0, 2), "nota": (1, 0, 0)},
    ),
    Case(
        "inherited",
        """
        CREATE TABLE registro (id int PRIMARY KEY, v text, clinica_id int NOT NULL);
        CREATE TABLE foto (imagen bytea, PRIMARY KEY (id)) INHERITS (registro);
        CREATE TABLE nota (id int PRIMARY KEY, registro_id int NOT NULL REFERENCES registro ON DELETE CASCADE);
        INSERT INTO registro VALUES (1, 'a', 1), (2, 'b', 2), (5, 'e', 1);
        INSERT INTO foto VALUES (1, 'c', 2, '\\x00'), (3, 'd', 1, '\\xff'), (5, 'f', 1, NULL);
        INSERT INTO nota VALUES (1, 1), (2, 2), (3, 5);
        """,
        "DELETE FROM ONLY registro WHERE id = 1; UPDATE ONLY registro SET v = 'x' WHERE id = 5;"
        " DELETE FROM foto WHERE id = 3; UPDATE foto SET v = 'y' WHERE id = 5;"
        " INSERT INTO foto VALUES (9, 'n', 1, NULL)",
        {"registro": (1, 1, 0), "foto": (1, 1, 1), "nota": (1, 0, 0)},
    ),
]


@crossed
async def test_partitions_and_tables_that_inherit(any_database: Database, writer: Writer) -> None:
    await come_back(any_database, writer, *CASES)
