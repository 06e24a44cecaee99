"""What a backup does not hold is told, and looking for it neither fails a backup nor holds it up."""

import asyncio

import pytest

from app.clinic.catalogue.introspection import TableName
from app.clinic.reading.checks import Check, LargeObjects, Unchecked, unclassified
from app.errors import DatabaseError
from tests.clinic.conftest import Database
from tests.support.case_blind import CASE_BLIND
from tests.support.clinic_backup import back_up
from tests.support.two_clinics import TWO_CLINICS

# A rule that takes its time where that is limited to these tests' 0.2 seconds: in a check, but not in a dump.
SLOW_RULE = """
CASE WHEN current_setting('statement_timeout') <> '200ms' THEN t.de ELSE (SELECT t.de FROM pg_sleep(60 + t.id)) END
"""

# Row 3 of `nota` is nobody's; row 4 of `ficha` is clinic 1's and points to a person of clinic 2.
SLOW = """
CREATE TABLE nota (id int PRIMARY KEY, de int);
CREATE TABLE ficha (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, nota_id int REFERENCES nota,
    persona_id int REFERENCES persona);
INSERT INTO nota VALUES (1, 1), (2, 2), (3, NULL);
INSERT INTO ficha VALUES (4, 1, 2, 21);
"""


@pytest.fixture
def _short_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.clinic.database.COUNT_SECONDS", 0.2)
    monkeypatch.setattr("app.clinic.reading.snapshot.COUNT_SECONDS", 0.2)
    monkeypatch.setattr("app.clinic.catalogue.advice.RULE_SECONDS", 0.2)


@pytest.mark.usefixtures("_short_counts")
async def test_a_check_that_takes_too_long_is_told_and_the_backup_goes_on(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS + SLOW)
    clinics = any_database.clinics(rules={"nota": SLOW_RULE})
    backup = await back_up(clinics, 1)
    assert (backup.ids("nota"), backup.ids("ficha"), backup.unowned) == ([1], [4], [])
    assert backup.unchecked == [
        Unchecked(TableName("public", "nota"), Check.UNOWNED, 0.2),
        Unchecked(TableName("public", "ficha"), Check.CROSS_TENANT, 0.2),
    ]
    assert list(map(str, backup.unchecked)) == [
        "nota: no se pudo comprobar en 0.2 segundos si hay registros que no son de ninguna clínica;"
        " la orden `respaldos catalogo` lo comprueba sin límite de tiempo",
        "ficha: no se pudo comprobar en 0.2 segundos si hay registros que apuntan a otra clínica;"
        " la orden `respaldos catalogo` lo comprueba sin límite de tiempo",
    ]
    census = await clinics.census()
    assert [(str(found.table), found.rows) for found in census.unowned] == [("nota", 1)]
    assert sorted(found.foreign_key.columns[0] for found in census.cross_tenant) == ["nota_id", "persona_id"]


@pytest.mark.usefixtures("_short_counts")
async def test_one_slow_table_keeps_no_other_from_being_checked(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + SLOW
        + """
        CREATE TABLE antes (id int PRIMARY KEY, clinica_id int REFERENCES clinica, persona_id int REFERENCES persona);
        CREATE TABLE zona (id int PRIMARY KEY, clinica_id int REFERENCES clinica, persona_id int REFERENCES persona);
        INSERT INTO antes VALUES (1, NULL, NULL), (2, 1, 21);
        INSERT INTO zona VALUES (1, NULL, NULL), (2, 1, 21);
        """
    )
    backup = await back_up(any_database.clinics(rules={"nota": SLOW_RULE}), 1)
    assert {str(found.table) for found in backup.unchecked} == {"nota", "ficha"}
    assert {str(found.table): found.rows for found in backup.unowned} == {"antes": 1, "zona": 1}
    assert {str(found.table): found.rows for found in backup.cross_tenant} == {"antes": 1, "ficha": 1, "zona": 1}


async def test_a_backup_waits_for_whoever_locks_a_table_that_a_rule_reads(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE mapa (nota int, de int); CREATE TABLE nota (id int PRIMARY KEY);
        INSERT INTO mapa VALUES (1, 1); INSERT INTO nota VALUES (1), (2);
        """
    )
    rule = "(SELECT m.de FROM mapa m WHERE m.nota = t.id)"
    clinics = any_database.clinics(rules={"nota": rule}, exclude=("mapa",))
    await any_database.sql.execute("BEGIN; LOCK TABLE mapa")
    backing_up = asyncio.create_task(back_up(clinics, 1))
    other = await any_database.connect()
    try:
        while not await other.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
            await asyncio.sleep(0.02)
    finally:
        await other.close()
    await any_database.sql.execute("ROLLBACK")
    backup = await backing_up
    assert (backup.ids("nota"), [count.rows for count in backup.unowned]) == ([1], [1])


async def test_each_count_is_a_step(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS + SLOW)
    opened: list[str] = []
    checked: list[str] = []
    clinics = any_database.clinics(rules={"nota": "t.de"})
    async with clinics.snapshot(1, lambda: opened.append("step")) as snapshot:
        strays = await snapshot.cross_tenant(lambda: checked.append("step"))
    # Seven that find whose the rows are; the owners of `nota`, whether it names a clinic that is none, its rows
    # without owner, and the large objects; then the keys of `ficha`, and which of the rows that they point to are
    # another clinic's.
    assert (len(opened), len(checked)) == (11, 3)
    assert len(strays) == 2


async def test_the_rows_without_owner_are_counted_once_for_all_clinics(database: Database) -> None:
    """Even while a rule fails with a row, so that every backup has to do without it."""
    await database.sql.execute(
        f"{TWO_CLINICS} CREATE TABLE nota (id int PRIMARY KEY, clinica_id int REFERENCES clinica);"
        " CREATE TABLE cosa (dato text); INSERT INTO nota VALUES (1, NULL); INSERT INTO cosa VALUES ('x')"
    )
    clinics = database.clinics(rules={"cosa": "t.dato::int"})
    first = await back_up(clinics, 1)
    await database.sql.execute("INSERT INTO nota VALUES (2, NULL)")
    assert [count.rows for backup in (first, await back_up(clinics, 2)) for count in backup.unowned] == [1, 1]
    await database.sql.execute("DELETE FROM cosa")
    again = {str(count.table): count.rows for count in (await back_up(clinics, 1)).unowned}
    assert again == {"nota": 2}


async def test_where_each_clinic_has_a_schema_what_they_share_is_counted_once(database: Database) -> None:
    await database.sql.execute(
        "CREATE TABLE clinica (id int PRIMARY KEY, schema_name text); CREATE SCHEMA a; CREATE SCHEMA b;"
        "INSERT INTO clinica VALUES (1, 'a'), (2, 'b');"
        "CREATE TABLE dominio (id int PRIMARY KEY, clinica_id int REFERENCES clinica);"
        "CREATE TABLE a.ficha (id int PRIMARY KEY, dominio_id int REFERENCES dominio);"
        "CREATE TABLE b.ficha (id int PRIMARY KEY, dominio_id int REFERENCES dominio);"
        "INSERT INTO dominio VALUES (1, NULL)"
    )
    clinics = database.clinics(kind="schema")
    first = await back_up(clinics, 1)
    await database.sql.execute("INSERT INTO dominio VALUES (2, NULL)")
    assert [count.rows for backup in (first, await back_up(clinics, 2)) for count in backup.unowned] == [1, 1]


async def test_large_objects_are_told(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS)
    assert (await any_database.clinics().census()).unowned == []
    await any_database.sql.execute("SELECT lo_from_bytea(0, 'radiografía') FROM generate_series(1, 1200)")
    backup = await back_up(any_database.clinics(), 1)
    census = await any_database.clinics().census()
    said = "objetos grandes de PostgreSQL (pg_largeobject), que no están en ningún respaldo: 1,200"
    assert list(map(str, backup.unowned)) == list(map(str, census.unowned)) == [said]
    assert isinstance(backup.unowned[0], LargeObjects)


FOREIGN = """
CREATE FOREIGN DATA WRAPPER otro; CREATE SERVER lejos FOREIGN DATA WRAPPER otro; CREATE SCHEMA fuera;
CREATE FOREIGN TABLE ajena (id int, clinica_id int) SERVER lejos;
CREATE FOREIGN TABLE fuera.precio (id int) SERVER lejos;
"""


async def test_foreign_tables_are_told_unless_they_are_excluded(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS + FOREIGN)
    said = (
        "ajena: tabla externa, sus registros son de otro servidor y no están en el respaldo"
        " (si así debe ser, nómbrela en EXCLUDE_TABLES)"
    )
    async with any_database.clinics().snapshot(1) as snapshot:
        both = unclassified(snapshot.catalogue)
    assert (both[0].split(":")[0], both[1:]) == ("fuera.precio", [said])
    clinics = any_database.clinics(exclude=("fuera.precio",))
    assert unclassified((await clinics.census()).catalogue) == [said]
    assert set((await back_up(clinics, 1)).lines) == {"clinica", "persona"}


async def test_rows_that_a_broken_promise_left_out_are_counted(any_database: Database) -> None:
    await any_database.sql.execute(
        f"""SET search_path = public; {TWO_CLINICS}
        CREATE TABLE consulta (id int PRIMARY KEY, persona_id int NOT NULL REFERENCES persona,
            atendida_por int REFERENCES persona);
        CREATE TABLE evento (id int PRIMARY KEY, clinica_id int, datos jsonb);
        INSERT INTO consulta VALUES (1, 11, NULL);
        INSERT INTO evento VALUES (1, 1, '{{"c": 1}}'), (2, 1, '{{"c": 2}}'), (3, 2, '{{}}');
        SET session_replication_role = replica;
        INSERT INTO consulta VALUES (2, 99, 12), (3, 99, 21), (4, 98, NULL);
        RESET session_replication_role
        """
    )
    clinics = any_database.clinics(rules={"evento": "(t.datos ->> 'c')::int"})
    astray = "consulta: registros que no están en el respaldo, porque su persona_id apunta a un registro de persona"
    ruled = "evento: registros que no están en el respaldo, porque su clinica_id dice que lo son"
    assert [str(lost) for lost in (await back_up(clinics, 1)).lost] == [
        f"{astray} que no existe: 1",
        f"{ruled} y OWNERSHIP_RULES dice que no: 1",
    ]
    for lost in ((await back_up(clinics, None)).lost, (await clinics.census()).lost):
        assert [str(each) for each in lost] == [f"{astray} que no existe: 3"]


async def test_a_column_with_a_name_that_a_restore_needs_is_said_beforehand(database: Database) -> None:
    await database.sql.execute(
        f'SET search_path = public; {TWO_CLINICS} ALTER TABLE persona ADD "respaldos$hash" int'
    )
    async with database.clinics().snapshot(1) as snapshot:
        (said,) = unclassified(snapshot.catalogue)
    assert said.startswith("persona: tiene una columna «respaldos$hash», nombre reservado")


# Whose a `visita` is takes following two keys; one of them is compared by a function that takes its time. In an index
# PostgreSQL would not end it, since it holds a page.
SLOW_KEYS = f"""
{TWO_CLINICS} {CASE_BLIND.replace(", MERGES", "")}
CREATE TABLE cuenta (correo extensions.citexto PRIMARY KEY, clinica_id int REFERENCES clinica);
INSERT INTO cuenta VALUES ('Ana', 1), ('Leo', 2);
CREATE TABLE visita (id int PRIMARY KEY, correo extensions.citexto REFERENCES cuenta,
    persona_id int REFERENCES persona);
INSERT INTO visita VALUES (1, 'ANA', NULL), (2, 'ana', 11), (3, NULL, 12), (4, 'leo', NULL);
DO $$ DECLARE name text; BEGIN
    FOREACH name IN ARRAY ARRAY['indexscan', 'indexonlyscan', 'bitmapscan'] LOOP
        EXECUTE format('ALTER DATABASE %I SET enable_%s = off', current_database(), name);
    END LOOP;
END $$;
"""
SLOW_COMPARISON = """
CREATE OR REPLACE FUNCTION extensions.eq(extensions.citexto, extensions.citexto) RETURNS bool LANGUAGE plpgsql STRICT
    AS $$ BEGIN IF current_setting('statement_timeout') = '{limit}' THEN PERFORM pg_sleep(60); END IF;
    RETURN lower($1::text) = lower($2::text); END $$;
"""


async def test_whose_rows_are_is_found_one_by_one_where_together_takes_too_long(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.clinic.owners.find.COUNT_SECONDS", 0.2)
    await any_database.sql.execute(SLOW_KEYS)
    clinics = any_database.clinics()
    before = await back_up(clinics, 1)
    quick: list[None] = []
    async with clinics.snapshot(1, on_step=lambda: quick.append(None)):
        pass
    await any_database.sql.execute(SLOW_COMPARISON.format(limit="200ms"))
    slow: list[None] = []
    async with clinics.snapshot(1, on_step=lambda: slow.append(None)):
        pass
    # A sign of life for each count, where there was one for all.
    assert len(slow) > len(quick)
    after = await back_up(clinics, 1)
    assert (after.ids("visita"), after.lines) == ([1, 2, 3], before.lines)


async def test_whose_rows_are_is_not_looked_for_without_end(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.clinic.owners.find.OWNERS_SECONDS", 0.3)
    await any_database.sql.execute(SLOW_KEYS + SLOW_COMPARISON.format(limit="300ms"))
    with pytest.raises(DatabaseError, match=r"no se supo en 0\.3 segundos de quién son los registros"):
        await back_up(any_database.clinics(), 1)
