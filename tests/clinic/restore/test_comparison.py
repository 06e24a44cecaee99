"""A comparison with today says what a restore of the whole clinic would do, and a preview says the same."""

from dataclasses import dataclass

import asyncpg
import pytest

from app.clinic.restore.database import RestoreDatabase
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed
from tests.support.clinic_backup import Backup, back_up
from tests.support.clinic_restore import counts, restore, staged
from tests.support.django import DJANGO
from tests.support.two_clinics import TWO_CLINICS

TABLES = f"""
SET search_path = public; {TWO_CLINICS} {DJANGO}
CREATE TABLE lista (id int PRIMARY KEY, clinica_id int REFERENCES clinica, texto text);
INSERT INTO lista VALUES (1, NULL, 'a'), (2, NULL, 'b');
CREATE TABLE interno (id serial PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, nombre text,
    lista_id int REFERENCES lista);
INSERT INTO interno (clinica_id, nombre, lista_id) SELECT 1 + n % 2, 'n' || n, 1 FROM generate_series(1, 6) AS n;
CREATE TABLE nota (id serial PRIMARY KEY, interno_id int NOT NULL REFERENCES interno, monto numeric(10, 2));
INSERT INTO nota (interno_id, monto) SELECT n, n FROM generate_series(1, 6) AS n;
"""

Counts = dict[str, tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Kind:
    """What has happened since the backup; `counted` is what a restore inserts, updates and deletes."""

    changes: str
    counted: Counts
    named: tuple[str, ...] = ()
    unbroken: bool = True


KINDS = {
    "people-at-work": Kind(
        "UPDATE nota SET monto = 0 WHERE id = 2; DELETE FROM nota WHERE id = 4;"
        " INSERT INTO interno (clinica_id, nombre) VALUES (1, 'nueva'); INSERT INTO nota (interno_id) VALUES (7)",
        {"nota": (1, 1, 1), "interno": (0, 0, 1)},
    ),
    "moved-to-another-clinic": Kind(
        "UPDATE interno SET clinica_id = 2 WHERE id = 2; DELETE FROM nota WHERE id = 2", {}, ("«interno»", "«nota»")
    ),
    "came-from-another-clinic": Kind(
        "UPDATE interno SET clinica_id = 1 WHERE id = 3; INSERT INTO nota (interno_id) VALUES (3), (4)",
        {"nota": (0, 0, 1)},
        ("«interno»", "«nota»"),
    ),
    "came-and-nobody-knows": Kind(
        "UPDATE interno SET clinica_id = 1 WHERE id = 3",
        {"interno": (0, 0, 1), "nota": (0, 0, 1)},
        ("«interno»", "«nota»"),
        unbroken=False,
    ),
    "became-the-clinics": Kind("UPDATE lista SET clinica_id = 1 WHERE id = 1", {"lista": (0, 1, 0)}),
    "lost-its-owner": Kind(
        "ALTER TABLE interno ALTER clinica_id DROP NOT NULL; UPDATE interno SET clinica_id = NULL WHERE id = 4",
        {"interno": (0, 1, 0)},
    ),
    "added-by-a-migration": Kind(
        "INSERT INTO django_content_type (app_label, model) VALUES ('recetas', 'receta')", {}
    ),
    "filled-by-a-migration": Kind(
        "ALTER TABLE interno ADD activo bool NOT NULL DEFAULT true, ADD apodo text;"
        " UPDATE interno SET apodo = nombre; UPDATE interno SET nombre = 'otro' WHERE id = 6;"
        " ALTER TABLE nota ALTER monto TYPE numeric(12, 4); UPDATE nota SET monto = 7 WHERE id = 2",
        {"interno": (0, 1, 0), "nota": (0, 1, 0)},
    ),
    "all-of-it": Kind(
        "UPDATE interno SET clinica_id = 3 - clinica_id WHERE id IN (2, 3); DELETE FROM nota WHERE id = 2;"
        " ALTER TABLE interno ADD activo bool NOT NULL DEFAULT true, ADD apodo text; UPDATE interno SET apodo = 'x';"
        " ALTER TABLE nota ALTER monto TYPE numeric(12, 4); UPDATE nota SET monto = 7 WHERE id = 4;"
        " UPDATE lista SET clinica_id = 1 WHERE id = 1; INSERT INTO interno (clinica_id, nombre) VALUES (1, 'nueva')",
        {"interno": (0, 0, 1), "nota": (0, 1, 0), "lista": (0, 1, 0)},
        ("«interno»", "«nota»"),
    ),
}


async def compare(
    clinics: RestoreDatabase, older: Backup, newer: Backup | None = None, *, unbroken: bool = True
) -> tuple[Counts, list[str]]:
    """What a comparison counts of the models that differ, as a restore would change them; and what it says."""
    async with clinics.comparing(1) as comparison:
        await staged(comparison.older, older.file)
        if newer is not None:
            await staged(comparison.newer, newer.file)
        found = await comparison.find(unbroken=unbroken)
        rows: dict[str, list[str]] = {}
        async for model, row in comparison.rows():
            rows.setdefault(model, []).append(row.kind)
        # Every row that counts is shown, and no other.
        told = {
            model: (shown.count("insertados"), shown.count("actualizados"), shown.count("eliminados"))
            for model, shown in rows.items()
        }
        counted = {name: (c.inserted, c.updated, c.deleted) for name, c in found.items() if c.any}
        assert told == counted
        return counted, comparison.avisos


@crossed
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_it_counts_and_names_what_a_preview_does(any_database: Database, writer: Writer, kind: Kind) -> None:
    await any_database.sql.execute(TABLES)
    backup = await back_up(await writer(any_database), 1)
    for statement in kind.changes.split(";"):
        await any_database.sql.execute(statement)
    clinics = await writer(any_database)
    foreseen = await restore(clinics, backup.file, simulate=True, unbroken=kind.unbroken)
    counted, avisos = await compare(clinics, backup, unbroken=kind.unbroken)
    assert counted == counts(foreseen) == kind.counted
    assert {aviso.split("»")[0] + "»" for aviso in avisos} == set(kind.named)
    assert set(avisos) <= set(foreseen.avisos)


async def _in_schemas(sql: asyncpg.Connection) -> None:
    await sql.execute(
        f"CREATE TABLE clinica (id int PRIMARY KEY, schema_name text UNIQUE, plan text); CREATE SCHEMA a;"
        f" INSERT INTO clinica VALUES (1, 'a'); SET search_path = a, public; {DJANGO}"
    )


async def test_what_migrations_added_to_the_clinics_own_schema(database: Database, writer: Writer) -> None:
    await _in_schemas(database.sql)
    clinics = await writer(database, kind="schema")
    backup = await back_up(clinics, 1)
    await database.sql.execute("INSERT INTO django_content_type (app_label, model) VALUES ('recetas', 'receta')")
    foreseen = await restore(clinics, backup.file, simulate=True)
    counted, avisos = await compare(clinics, backup)
    assert counted == counts(foreseen) == {}
    assert avisos == [aviso for aviso in foreseen.avisos if "migraciones" in aviso] != []


async def test_it_also_has_what_no_restore_of_the_whole_clinic_touches(database: Database, writer: Writer) -> None:
    """The clinic's own row, and logins and privileges of its own schema."""
    await _in_schemas(database.sql)
    clinics = await writer(database, kind="schema")
    backup = await back_up(clinics, 1)
    await database.sql.execute("UPDATE clinica SET plan = 'otro'; UPDATE auth_permission SET name = 'otro'")
    assert counts(await restore(clinics, backup.file, simulate=True)) == {}
    assert (await compare(clinics, backup))[0] == {"auth_permission": (0, 1, 0), "clinica": (0, 1, 0)}


async def test_of_two_backups_nobody_can_tell_what_moved(database: Database, writer: Writer) -> None:
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    older = await back_up(clinics, 1)
    await database.sql.execute("UPDATE interno SET clinica_id = 3 - clinica_id WHERE id IN (2, 3)")
    newer = await back_up(clinics, 1)
    assert await compare(clinics, older, newer) == ({"interno": (1, 0, 1), "nota": (1, 0, 1)}, [])


async def test_of_two_backups_a_new_column_is_no_change_of_every_row(database: Database, writer: Writer) -> None:
    await database.sql.execute(TABLES)
    older = await back_up(await writer(database), 1)
    for statement in KINDS["filled-by-a-migration"].changes.split(";"):
        await database.sql.execute(statement)
    clinics = await writer(database)
    newer = await back_up(clinics, 1)
    said = ["«interno»: columnas que solo uno de los respaldos tiene, y no se comparan: activo, apodo"]
    with_today, _ = await compare(clinics, older)
    assert with_today == KINDS["filled-by-a-migration"].counted
    for one, another in ((older, newer), (newer, older)):
        assert await compare(clinics, one, another) == (with_today, said)
