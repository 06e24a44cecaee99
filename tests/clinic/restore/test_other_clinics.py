"""Other clinics go on writing while one is restored, wait for nothing, and keep every row."""

import asyncio
import time

from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import assert_restored, restore
from tests.support.two_clinics import TWO_CLINICS

TABLES = """
CREATE TABLE tipo (id int PRIMARY KEY, nombre text); INSERT INTO tipo SELECT n,
    'tipo ' || n FROM generate_series(1, 9) n;
CREATE TABLE ficha (id serial PRIMARY KEY, codigo text UNIQUE, tipo_id int NOT NULL REFERENCES tipo,
    persona_id int NOT NULL REFERENCES persona);
CREATE TABLE nota (id serial PRIMARY KEY, ficha_id int NOT NULL REFERENCES ficha, texto text);
INSERT INTO ficha (codigo, tipo_id, persona_id) SELECT 'c' || n, 1 + n % 9, (ARRAY[11, 12, 21])[1 + n % 3]
    FROM generate_series(1, 6000) AS n;
INSERT INTO nota (ficha_id, texto) SELECT id, repeat('x', 100) FROM ficha;
"""
OTHERS = (
    "UPDATE ficha SET codigo = codigo || '.' WHERE persona_id = 21 AND id % 50 = {n} % 50",
    "INSERT INTO ficha (codigo, tipo_id, persona_id) VALUES ('otra ' || {n}, 1 + {n} % 9, 21)",
    "INSERT INTO nota (ficha_id, texto) SELECT max(id), 'n' FROM ficha WHERE persona_id = 21",
    "DELETE FROM nota WHERE id ="
    " (SELECT max(n.id) FROM nota n JOIN ficha f ON f.id = n.ficha_id WHERE f.persona_id = 21)",
    "UPDATE tipo SET nombre = 'tipo ' || {n} WHERE id = 1 + {n} % 9",
)


async def test_nobody_else_waits_or_loses_a_row(database: Database, writer: Writer) -> None:
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute(
        "DELETE FROM nota USING ficha f WHERE f.id = ficha_id AND f.persona_id <> 21 AND f.id % 2 = 0;"
        " DELETE FROM ficha WHERE persona_id <> 21 AND id % 2 = 0;"
        " UPDATE ficha SET codigo = codigo || '!' WHERE persona_id <> 21;"
        " INSERT INTO ficha (codigo, tipo_id, persona_id) SELECT 'nueva ' || n, 1, 11 FROM generate_series(1, 500) n"
    )
    longest, turns = 0.0, 0
    done = asyncio.Event()

    async def write() -> None:
        nonlocal longest, turns
        connection = await database.connect()
        try:
            while not done.is_set():
                for statement in OTHERS:
                    started = time.monotonic()
                    await connection.execute(statement.format(n=turns))
                    longest = max(longest, time.monotonic() - started)
                turns += 1
        finally:
            await connection.close()

    writing = asyncio.create_task(write())
    while turns < 2:
        await asyncio.sleep(0.01)
    before = turns
    await restore(clinics, backup.file)
    meanwhile = turns - before
    done.set()
    await writing
    await assert_restored(clinics, backup)
    assert meanwhile > 2
    # A moment, on a machine that has much else to do.
    assert longest < 2
    # All that they wrote is there.
    assert await sql.fetchval("SELECT count(*) FROM ficha WHERE codigo LIKE 'otra %'") == turns
    last = {1 + turn % 9: f"tipo {turn}" for turn in range(turns)}
    found = {row["id"]: row["nombre"] for row in await sql.fetch("SELECT id, nombre FROM tipo")}
    assert last.items() <= found.items()
