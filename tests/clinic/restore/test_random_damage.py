"""Whatever has happened to a clinic, a restore does what it foresaw, and nothing else."""

import random

import asyncpg
import pytest

from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import ordinary, superuser
from tests.support.clinic_backup import clinic_file
from tests.support.clinic_restore import counts, restore
from tests.support.restore_cases import contents
from tests.support.two_clinics import TWO_CLINICS

# Keys of every behaviour, a unique value in each table, a shared table, a tree, a table without key.
TABLES = """
CREATE TABLE tipo (id int PRIMARY KEY, nombre text);
INSERT INTO tipo VALUES (1, 'a'), (2, 'b'), (3, 'c');
CREATE TABLE paciente (id serial PRIMARY KEY, carnet text, tipo_id int NOT NULL REFERENCES tipo,
    clinica_id int NOT NULL
    REFERENCES clinica, datos jsonb, UNIQUE (clinica_id, carnet));
CREATE TABLE consulta (id serial PRIMARY KEY, paciente_id int NOT NULL REFERENCES paciente ON DELETE CASCADE,
    turno int UNIQUE NULLS NOT DISTINCT, anterior int REFERENCES consulta ON DELETE SET NULL);
CREATE TABLE factura (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, consulta_id int REFERENCES consulta
    DEFERRABLE INITIALLY DEFERRED, numero text UNIQUE, monto numeric, clinica_id int REFERENCES clinica,
    doble numeric GENERATED ALWAYS AS (monto * 2) STORED);
CREATE TABLE pago (factura_numero text NOT NULL REFERENCES factura (numero) ON UPDATE CASCADE, monto numeric,
    nota json);
CREATE TABLE bitacora (clinica_id int, que text);
INSERT INTO paciente (carnet, tipo_id, clinica_id, datos) SELECT 'c' || n, 1 + n % 3, 1 + n % 2, '{"a": 1.0}'
    FROM generate_series(1, 40) n;
INSERT INTO consulta (paciente_id, turno, anterior) SELECT 1 + n % 40, n, CASE WHEN n > 40 THEN n - 40 END
    FROM generate_series(1, 80) n;
INSERT INTO factura (consulta_id, numero, monto, clinica_id) SELECT c.id, 'F' || c.id, c.id * 1.10, p.clinica_id
    FROM consulta c JOIN paciente p ON p.id = c.paciente_id WHERE c.id % 2 = 0;
INSERT INTO pago SELECT numero, monto, '{}' FROM factura, generate_series(1, 2);
INSERT INTO bitacora SELECT 1 + n % 2, 'x' || n % 5 FROM generate_series(1, 40) n;
"""

# {a} and {b} are two of the clinic's numbers at random; each may fail, as it would for the clinic's own program.
ACTS = [
    "DELETE FROM pago WHERE factura_numero IN (SELECT numero FROM factura WHERE clinica_id = 1 AND id % 7 = {a} % 7)",
    "DELETE FROM factura WHERE clinica_id = 1 AND id % 5 = {a} % 5",
    "DELETE FROM consulta WHERE id = (SELECT id FROM mias ORDER BY id OFFSET {a} % 20 LIMIT 1)",
    "DELETE FROM paciente WHERE clinica_id = 1 AND id % 9 = {a} % 9",
    "INSERT INTO paciente (carnet, tipo_id, clinica_id) VALUES ('n{a}', 1 + {a} % 3, 1)",
    "INSERT INTO consulta (paciente_id, turno, anterior) SELECT id, 1000 + {a},"
    " NULL FROM paciente WHERE clinica_id = 1"
    " ORDER BY id DESC LIMIT 1",
    "INSERT INTO factura (consulta_id, numero, monto, clinica_id) SELECT max(id), 'N{a}', {a}, 1 FROM mias",
    "INSERT INTO pago SELECT numero, {a}, '[1.0]' FROM factura WHERE clinica_id = 1 ORDER BY id LIMIT 3",
    "UPDATE paciente SET datos = 'null', tipo_id = 1 + {b} % 3 WHERE clinica_id = 1 AND id % 4 = {a} % 4",
    "UPDATE paciente SET carnet = carnet || '+' WHERE clinica_id = 1; UPDATE paciente p SET carnet = o.carnet"
    " FROM (SELECT id, 'c' || (SELECT min(substr(trim(q.carnet, '+'), 2)) FROM paciente q WHERE q.clinica_id = 1"
    " AND q.id > x.id) AS carnet FROM paciente x) o WHERE o.id = p.id AND o.carnet IS NOT NULL AND p.clinica_id = 1",
    "UPDATE consulta SET turno = turno + 5000 WHERE id IN (SELECT id FROM mias);"
    " UPDATE consulta SET turno = turno - 4996"
    " WHERE id IN (SELECT id FROM mias WHERE id % 2 = 0)",
    "UPDATE consulta SET paciente_id = (SELECT max(id) FROM paciente WHERE clinica_id = 1) WHERE id IN"
    " (SELECT id FROM mias WHERE id % 6 = {a} % 6)",
    "UPDATE consulta SET anterior = {b} WHERE id IN (SELECT id FROM mias WHERE id % 3 = {a} % 3) AND {b} IN"
    " (SELECT id FROM mias)",
    "UPDATE factura SET numero = numero || '*' WHERE clinica_id = 1 AND id % 2 = {a} % 2",
    "UPDATE factura SET monto = monto + 0.00, clinica_id = CASE WHEN {a} % 2 = 0 THEN 1 END WHERE clinica_id = 1"
    " AND consulta_id IS NOT NULL AND id % 3 = 0",
    "DELETE FROM bitacora WHERE clinica_id = 1 AND que = 'x{b}'; INSERT INTO bitacora VALUES (1, 'x1'), (1, NULL)",
    "UPDATE pago SET nota = NULL WHERE factura_numero IN (SELECT numero FROM factura WHERE clinica_id = 1 LIMIT 4)",
]
VIEW = """
CREATE VIEW mias AS SELECT c.id FROM consulta c JOIN paciente p ON p.id = c.paciente_id WHERE p.clinica_id = 1;
"""


@pytest.mark.parametrize("seed", range(2))
async def test_what_is_foreseen_is_what_happens(any_database: Database, seed: int) -> None:
    sql = any_database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES} {VIEW}")
    chance = random.Random(seed)
    roles = [await superuser(any_database), await ordinary(any_database)]
    before, file = await contents(sql), await clinic_file(roles[0], 1)
    for turn in range(4):
        clinics = roles[turn % 2]
        done = 0
        for _ in range(chance.randint(1, 14)):
            act = chance.choice(ACTS).format(a=chance.randint(1, 80), b=chance.randint(1, 40))
            transaction = sql.transaction()
            await transaction.start()
            try:
                await sql.execute(act)
                await sql.execute("SET CONSTRAINTS ALL IMMEDIATE")
            except asyncpg.IntegrityConstraintViolationError:
                # As it would be for the clinic's own program: it did not happen.
                await transaction.rollback()
            else:
                await transaction.commit()
                done += 1
        assert done
        foreseen = await restore(clinics, file, simulate=True)
        assert await restore(clinics, file) == foreseen
        assert await contents(sql) == before
        assert counts(await restore(clinics, file)) == {}
