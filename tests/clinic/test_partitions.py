"""Partitions are read through their root, tables that inherit stand for themselves."""

from app.clinic.reading.checks import unclassified
from tests.clinic.conftest import Database
from tests.support.clinic_backup import back_up_all
from tests.support.two_clinics import TWO_CLINICS


async def test_partitions_and_foreign_keys_to_them(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE cita (id int, dia date, persona_id int NOT NULL REFERENCES persona, PRIMARY KEY (id, dia))
            PARTITION BY RANGE (dia);
        CREATE TABLE cita_2025 PARTITION OF cita FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
        CREATE TABLE cita_2026 PARTITION OF cita FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
            PARTITION BY LIST (id);
        CREATE TABLE cita_2026_pares PARTITION OF cita_2026 FOR VALUES IN (2, 4);
        CREATE TABLE cita_2026_resto PARTITION OF cita_2026 DEFAULT;
        CREATE TABLE diente (id int PRIMARY KEY, cita_id int NOT NULL, dia date NOT NULL,
            FOREIGN KEY (cita_id, dia) REFERENCES cita);
        CREATE TABLE pieza (id int PRIMARY KEY, cita_id int, dia date, vecina int REFERENCES pieza,
            FOREIGN KEY (cita_id, dia) REFERENCES cita) PARTITION BY HASH (id);
        CREATE TABLE pieza_0 PARTITION OF pieza FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE pieza_1 PARTITION OF pieza FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        INSERT INTO cita VALUES (1, '2025-05-05', 11), (2, '2026-05-05', 12), (3, '2026-06-06', 21),
            (4, '2026-07-07', 21);
        INSERT INTO diente VALUES (1, 1, '2025-05-05'), (2, 2, '2026-05-05'), (3, 3, '2026-06-06'),
            (4, 4, '2026-07-07');
        INSERT INTO pieza VALUES (1, 1, '2025-05-05', NULL), (2, NULL, NULL, 1), (3, NULL, NULL, 2),
            (4, 4, '2026-07-07', NULL), (5, NULL, NULL, 4), (6, NULL, NULL, 6);
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert [backups[1].ids(model) for model in ("cita", "diente", "pieza")] == [[1, 2], [1, 2], [1, 2, 3]]
    assert [backups[2].ids(model) for model in ("cita", "diente", "pieza")] == [[3, 4], [3, 4], [4, 5]]
    assert set(backups[1].lines) == {"clinica", "persona", "cita", "diente", "pieza"}


PARTITIONED = """
CREATE TABLE cita (id int, dia date, clinica_id int NOT NULL REFERENCES clinica, PRIMARY KEY (id, dia))
    PARTITION BY RANGE (dia);
CREATE TABLE cita_2025 (dia date, id int, clinica_id int, UNIQUE (id));
ALTER TABLE cita_2025 ALTER clinica_id SET NOT NULL, ALTER id SET NOT NULL, ALTER dia SET NOT NULL;
ALTER TABLE cita ATTACH PARTITION cita_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE cita_2026 PARTITION OF cita DEFAULT;
INSERT INTO cita VALUES (1, '2025-05-05', 1), (2, '2025-05-05', 2), (1, '2026-06-06', 2), (1, '2026-07-07', 1);
"""


async def test_a_foreign_key_to_a_single_partition_is_followed_to_its_root(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + PARTITIONED
        + """
        CREATE TABLE nota (n int PRIMARY KEY, cita int NOT NULL, dia date NOT NULL,
            FOREIGN KEY (dia, cita) REFERENCES cita_2025 (dia, id));
        INSERT INTO nota VALUES (7, 1, '2025-05-05'), (8, 2, '2025-05-05');
        """
    )
    clinics = any_database.clinics()
    backups = await back_up_all(clinics)
    assert (backups[1].ids("nota", "n"), backups[2].ids("nota", "n")) == ([7], [8])
    assert unclassified((await clinics.census()).catalogue) == []


async def test_a_foreign_key_to_what_is_unique_in_one_partition_only_is_told(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + PARTITIONED
        + """
        CREATE TABLE nota (n int PRIMARY KEY, cita int NOT NULL REFERENCES cita_2025 (id));
        CREATE TABLE vista (n int PRIMARY KEY, cita int NOT NULL REFERENCES cita_2025 (id));
        INSERT INTO nota VALUES (7, 1), (8, 2);
        """
    )
    rule = "(SELECT c.clinica_id FROM cita_2025 c WHERE c.id = t.cita)"
    clinics = any_database.clinics(rules={"nota": rule}, exclude=("vista",))
    backups = await back_up_all(clinics)
    assert (backups[1].ids("nota", "n"), backups[2].ids("nota", "n")) == ([7], [8])
    assert unclassified((await clinics.census()).catalogue) == [
        "nota: su cita apunta a una sola partición, cita_2025, donde no se puede seguir"
        " (si de ahí viene el dueño, dígalo en OWNERSHIP_RULES)"
    ]
    unruled = unclassified((await any_database.clinics(exclude=("vista",)).census()).catalogue)
    assert [aviso.split(",")[0] for aviso in unruled] == [
        "nota: tabla sin clasificar",
        "nota: su cita apunta a una sola partición",
    ]


async def test_tables_that_inherit_stand_for_themselves(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE registro (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica);
        CREATE TABLE registro_foto (foto bytea, PRIMARY KEY (id)) INHERITS (registro);
        CREATE TABLE nota (id int PRIMARY KEY, registro_id int NOT NULL REFERENCES registro);
        INSERT INTO registro VALUES (1, 1), (2, 2);
        INSERT INTO registro_foto VALUES (1, 2, '\\x00'), (3, 1, '\\xff');
        INSERT INTO nota VALUES (1, 1), (2, 2);
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert [backups[1].ids(model) for model in ("registro", "registro_foto", "nota")] == [[1], [3], [1]]
    assert [backups[2].ids(model) for model in ("registro", "registro_foto", "nota")] == [[2], [1], [2]]


async def test_unlogged_tables_and_deferred_foreign_keys(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE UNLOGGED TABLE sesion (id int PRIMARY KEY,
            persona_id int NOT NULL REFERENCES persona DEFERRABLE INITIALLY DEFERRED);
        BEGIN; INSERT INTO sesion VALUES (1, 13), (2, 21); INSERT INTO persona VALUES (13, 1); COMMIT;
        CREATE TEMP TABLE temporal (clinica_id int); CREATE VIEW vista AS TABLE sesion;
        CREATE MATERIALIZED VIEW copia AS TABLE sesion;
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert (backups[1].ids("sesion"), backups[2].ids("sesion")) == ([1], [2])
    assert set(backups[1].lines) == {"clinica", "persona", "sesion"}
