"""A clinic restored after a release: the system has migrated between the backup and today."""

from collections.abc import Sequence

import asyncpg
import pytest

from app.clinic.catalogue.migrations import django_since
from app.clinic.restore.database import RestoreDatabase
from app.errors import RestoreDiffers, RestoreRefused, SchemaDiffers
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed
from tests.support.clinic_backup import Backup, back_up, lines_of
from tests.support.clinic_restore import assert_restored, counts, left_to_do, loaded, models, restore
from tests.support.django import DJANGO
from tests.support.two_clinics import TWO_CLINICS

# What Django makes before the first model of one's own, in the schema that comes first in the path.
FICHAS = """
CREATE TABLE ficha (id int PRIMARY KEY, codigo text UNIQUE, {tenant});
INSERT INTO ficha VALUES (1, 'a'{one}), (2, 'b'{one}), (3, 'c'{one}), (4, 'd'{one});
"""

# A new app with a model and rows in it, new columns, what Django writes of both; and what people did since.
MIGRATED = """
INSERT INTO django_migrations (app, name) VALUES ('fichas', '0003_alergias'), ('recetas', '0001_initial');
CREATE TABLE receta (id int PRIMARY KEY, ficha_id int NOT NULL REFERENCES ficha DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE ficha ADD alergias text, ADD activa bool NOT NULL DEFAULT true;
INSERT INTO django_content_type (app_label, model) VALUES ('recetas', 'receta');
INSERT INTO auth_permission (name, content_type_id, codename) VALUES ('Can add receta', 3, 'add_receta');
INSERT INTO receta VALUES (1, 2), (2, 3);
"""
DAMAGE = """
UPDATE ficha SET codigo = codigo || '?', alergias = 'látex', activa = false WHERE id IN (1, 2);
DELETE FROM ficha WHERE id = 4; UPDATE ficha SET alergias = 'polen' WHERE id = 3;
"""
COLUMNS = (
    "«ficha»: columnas que el respaldo no conoce: alergias, activa. Los registros que se corrigen conservan lo que"
    " tienen en ellas; los que se agregan reciben el valor por omisión (alergias: vacío; activa: true)"
)
CAME = (
    "«django_migrations»: migraciones que se aplicaron después del respaldo: fichas (0003_alergias);"
    " recetas, que es nueva (0001_initial)"
)
AFTER = [(1, "a", "látex", False), (2, "b", "látex", False), (3, "c", "polen", True), (4, "d", None, True)]


async def since(clinics: RestoreDatabase, backup: Backup, clinica_id: int = 1) -> list[str]:
    """What the preview says of migrations."""
    async with loaded(clinics, backup.file, clinica_id) as (session, _):
        return await session.migrations_since()


@crossed
async def test_clinics_that_share_the_tables(any_database: Database, writer: Writer) -> None:
    sql = any_database.sql
    fichas = FICHAS.format(tenant="clinica_id int NOT NULL", one=", 1")
    await sql.execute(
        f"SET search_path = public; {TWO_CLINICS} {DJANGO} {fichas} INSERT INTO ficha VALUES (9, 'z', 2)"
    )
    clinics = await writer(any_database)
    backup = await back_up(clinics, 1)
    assert await since(clinics, backup) == []
    assert (await restore(clinics, backup.file, simulate=True)).avisos == ()

    await sql.execute(f"{MIGRATED} {DAMAGE} INSERT INTO receta VALUES (9, 9)")
    clinics = await writer(any_database)
    other = await back_up(clinics, 2)
    assert await since(clinics, backup) == [CAME]
    foreseen = await restore(clinics, backup.file, simulate=True)
    # Another clinic's row is not counted.
    assert foreseen.avisos == (
        "«receta», tabla que el respaldo no conoce: 2 registros, que se dejan como están",
        COLUMNS,
    )
    assert await restore(clinics, backup.file) == foreseen
    rows = await sql.fetch("SELECT id, codigo, alergias, activa FROM ficha WHERE id < 9 ORDER BY id")
    assert [tuple(row) for row in rows] == AFTER
    assert await sql.fetchval("SELECT array_agg(id ORDER BY id) FROM receta") == [1, 2, 9]
    assert await sql.fetchval("SELECT count(*) FROM django_content_type") == 3
    await assert_restored(clinics, other, 2)
    assert await left_to_do(clinics, backup.file) == {}


async def _schemas(database: Database, writer: Writer) -> tuple[RestoreDatabase, Backup]:
    """Two clinics, each with a schema of its own, and the first one's backup."""
    await database.sql.execute(
        f"""
        CREATE TABLE clinica (id int PRIMARY KEY, schema_name text UNIQUE); CREATE SCHEMA a; CREATE SCHEMA b;
        INSERT INTO clinica VALUES (1, 'a'), (2, 'b');
        SET search_path = a, public; {DJANGO} {FICHAS.format(tenant="x int", one="")}
        SET search_path = b, public; {DJANGO} {FICHAS.format(tenant="x int", one="")}
        SET search_path = a, public;
        """
    )
    clinics = await writer(database, kind="schema")
    return clinics, await back_up(clinics, 1)


async def migrate(database: Database, writer: Writer, *also: str) -> RestoreDatabase:
    """The release, in the first clinic's schema; and the service's view of it."""
    for statements in (MIGRATED, DAMAGE, *also):
        await database.sql.execute(statements)
    return await writer(database, kind="schema")


@crossed
async def test_a_clinic_with_a_schema_of_its_own(any_database: Database, writer: Writer) -> None:
    sql = any_database.sql
    clinics, backup = await _schemas(any_database, writer)
    clinics = await migrate(
        any_database,
        writer,
        "UPDATE django_content_type SET model = 'cobro' WHERE id = 2",
    )
    other = await back_up(clinics, 2)
    # The other clinic's schema has not been migrated yet.
    assert await since(clinics, other, 2) == []
    assert await since(clinics, backup) == [CAME]
    foreseen = await restore(clinics, backup.file, simulate=True)
    assert foreseen.avisos == (
        "«receta», tabla que el respaldo no conoce: 2 registros, que se dejan como están",
        COLUMNS,
        "«django_content_type», lo que agregaron las migraciones: 1 registro, que se deja como está",
    )
    assert counts(foreseen)["django_content_type"] == (0, 1, 0)
    assert await restore(clinics, backup.file) == foreseen
    # What migrations made stays, and everything else is the file's.
    after = await lines_of(clinics, 1)
    assert after["django_content_type"] == [
        *backup.lines["django_content_type"],
        '{"id":3,"app_label":"recetas","model":"receta"}',
    ]
    rows = await sql.fetch("SELECT id, codigo, alergias, activa FROM ficha ORDER BY id")
    assert [tuple(row) for row in rows] == AFTER
    assert len(after["receta"]) == 2
    await assert_restored(clinics, other, 2)
    assert await left_to_do(clinics, backup.file) == {}
    # As one of some models, too.
    plan = await restore(clinics, backup.file, scope=models("django_content_type"))
    assert (counts(plan), (await lines_of(clinics, 1))["django_content_type"]) == ({}, after["django_content_type"])


async def test_a_content_type_that_was_made_again_is_the_files_one(database: Database, writer: Writer) -> None:
    """It is not one that the file lacks: the file has it by another key."""
    _, backup = await _schemas(database, writer)
    clinics = await migrate(
        database,
        writer,
        "DELETE FROM django_content_type WHERE model = 'pago';"
        " INSERT INTO django_content_type (app_label, model) VALUES ('pagos', 'pago')",
    )
    plan = await restore(clinics, backup.file)
    assert counts(plan)["django_content_type"] == (1, 0, 1)
    found = await database.sql.fetch("SELECT id, model FROM django_content_type ORDER BY id")
    assert [tuple(row) for row in found] == [(1, "ficha"), (2, "pago"), (3, "receta")]


async def test_a_row_that_stays_and_points_to_one_that_would_go(database: Database, writer: Writer) -> None:
    _, backup = await _schemas(database, writer)
    await database.sql.execute("ALTER TABLE django_content_type ADD ficha_id int REFERENCES ficha")
    clinics = await migrate(
        database,
        writer,
        "INSERT INTO ficha VALUES (5, 'e'); UPDATE django_content_type SET ficha_id = 5 WHERE id = 3",
    )
    with pytest.raises(RestoreRefused, match=r"«a\.django_content_type» que no se restauran.*ficha_id.*«ficha».*5"):
        await restore(clinics, backup.file)


@pytest.mark.parametrize(
    "act",
    [
        "DELETE FROM a.django_content_type WHERE id = 4",
        "UPDATE a.django_content_type SET model = 'x' WHERE id = 4",
        "INSERT INTO a.django_content_type VALUES (5, 'x', 'y')",
    ],
)
async def test_no_other_difference_passes_with_the_rows_that_stay(
    database: Database, writer: Writer, act: str
) -> None:
    _, backup = await _schemas(database, writer)
    # A trigger that acts whatever the role, on a row that nothing points to.
    clinics = await migrate(
        database,
        writer,
        f"""
        INSERT INTO django_content_type VALUES (4, 'recetas', 'suelta');
        CREATE FUNCTION a.otra() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {act}; RETURN NULL; END $$;
        CREATE TRIGGER otra AFTER UPDATE ON ficha EXECUTE FUNCTION a.otra();
        ALTER TABLE ficha ENABLE ALWAYS TRIGGER otra;
        """,
    )
    before = await lines_of(clinics, 1)
    with pytest.raises(RestoreDiffers, match=r"«django_content_type».*otra"):
        await restore(clinics, backup.file)
    assert await lines_of(clinics, 1) == before


async def test_a_column_without_a_default_says_what_helps(database: Database, writer: Writer) -> None:
    """As Django leaves it: what its migration gave the rows of that day is not the column's default."""
    _, backup = await _schemas(database, writer)
    clinics = await migrate(database, writer, "ALTER TABLE ficha ALTER activa DROP DEFAULT")
    async with loaded(clinics, backup.file) as (session, _):
        await session.begin(models("ficha"))
        plan = await session.compare(lambda _model: None)
    assert "activa: no hay, y es obligatoria" in plan.avisos[1]
    with pytest.raises(SchemaDiffers, match=r"«ficha».*activa.*SET DEFAULT"):
        await restore(clinics, backup.file)
    await database.sql.execute("ALTER TABLE ficha ALTER activa SET DEFAULT false")
    await restore(clinics, backup.file)
    assert (await lines_of(clinics, 1))["ficha"][3] == '{"id":4,"codigo":"d","x":null,"alergias":null,"activa":false}'


async def test_what_other_tables_of_migrations_say(database: Database, writer: Writer) -> None:
    sql: asyncpg.Connection = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} CREATE TABLE alembic_version (version_num text);")
    await sql.execute("INSERT INTO alembic_version VALUES ('b2'), ('a1')")
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    assert await since(clinics, backup) == []
    await sql.execute(
        "DELETE FROM alembic_version WHERE version_num = 'a1'; UPDATE alembic_version SET version_num = 'c3'"
    )
    assert await since(clinics, backup) == ["«alembic_version»: al hacer el respaldo iba en a1, b2, y hoy va en c3"]
    await sql.execute("DROP TABLE alembic_version; CREATE TABLE django_migrations (id int, app text, name text)")
    clinics = await writer(database)
    assert await since(clinics, backup) == [
        "«alembic_version»: el respaldo dice hasta dónde iba, y hoy no está, o no se puede leer",
        "«django_migrations»: el respaldo no dice hasta dónde iba",
    ]


CAME_WORDS = "migraciones que se aplicaron después del respaldo: "
GONE_WORDS = "migraciones que estaban aplicadas al hacer el respaldo y hoy no lo están: "
GONE_END = ". El sistema volvió a una versión anterior, o sus migraciones se reescribieron"


@pytest.mark.parametrize(
    ("heads", "applied", "said"),
    [
        ([], [], []),
        (["a.1", "b.2"], [("b", "1"), ("a", "1"), ("b", "2")], []),
        (["a.1"], [("a", "1"), ("b", "1"), ("a", "2"), ("a", "3")], [f"{CAME_WORDS}a (2, 3); b, que es nueva (1)"]),
        (["a.1"], [("a", "1"), ("a", "2"), ("a", "1")], []),
        (
            ["a.1"],
            [("a", str(number)) for number in range(1, 9)],
            [f"{CAME_WORDS}a (2 … 8, 7 en total)"],
        ),
        (
            ["a.3", "b.1", "c.1"],
            [("a", "1"), ("a", "2"), ("c", "1"), ("c", "2")],
            [
                f"{CAME_WORDS}c (2)",
                f"{GONE_WORDS}a.3 (hoy la última es 2); b.1 (hoy no hay ninguna){GONE_END}",
            ],
        ),
    ],
    ids=["none", "the-same", "later", "applied-twice", "many", "rolled-back"],
)
def test_the_migrations_between(
    heads: Sequence[str], applied: Sequence[tuple[str, str]], said: Sequence[str]
) -> None:
    assert list(django_since(heads, applied)) == said
