"""Rows whose owner is not what it was when the backup was made."""

from collections.abc import Awaitable

import pytest

from app.errors import RestoreRefused
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed, ordinary, superuser
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import EVERYTHING, WHOLE, assert_restored, counts, models, restore, staged
from tests.support.restore_cases import assert_unchanged, goes_back, leftovers
from tests.support.two_clinics import TWO_CLINICS

RULE = {"cuenta": "(SELECT p.clinica_id FROM persona p WHERE p.correo = t.email)"}
TABLES = """
ALTER TABLE persona ADD correo text UNIQUE; UPDATE persona SET correo = id || '@x';
CREATE TABLE cuenta (id int PRIMARY KEY, email text UNIQUE, clave text);
CREATE TABLE nota (id int PRIMARY KEY, clinica_id int REFERENCES clinica, persona_id int REFERENCES persona
    ON DELETE SET NULL, texto text);
CREATE TABLE hoja (id int PRIMARY KEY, padre int REFERENCES hoja ON DELETE SET NULL, persona_id int REFERENCES persona
    ON DELETE SET NULL);
CREATE TABLE sin_clave (nota_id int REFERENCES nota ON DELETE SET NULL, que text);
INSERT INTO cuenta VALUES (1, '11@x', 'a'), (2, '12@x', 'b'), (3, '21@x', 'c'), (4, 'nadie@x', 'd');
-- By column; by person; another clinic's by person; nobody's; one that points into the other clinic.
INSERT INTO nota VALUES (1, 1, NULL, 'a'), (2, NULL, 11, 'b'), (3, NULL, 21, 'c'), (4, NULL, NULL, 'd'), (5, 1,
    21, 'e'),
    (6, 2, 11, 'f');
INSERT INTO hoja VALUES (1, NULL, 11), (2, 1, NULL), (3, 2, NULL), (4, NULL, 21), (5, 4, NULL);
INSERT INTO sin_clave VALUES (2, 'x'), (2, 'x'), (3, 'y'), (5, 'z');
"""


async def _ready(database: Database) -> None:
    await database.sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")


@crossed
async def test_rows_that_lost_their_owner_are_taken_back(any_database: Database, writer: Writer) -> None:
    await _ready(any_database)
    plan = await goes_back(
        any_database.sql,
        await writer(any_database, rules=RULE),
        # The person is gone, and with her what said whose all that is; some of it has been changed since.
        "UPDATE nota SET persona_id = NULL WHERE id = 6; UPDATE nota SET persona_id = 11 WHERE id = 6;"
        " DELETE FROM cuenta WHERE id = 2; UPDATE cuenta SET clave = 'z' WHERE id = 1;"
        " UPDATE nota SET texto = 'z' WHERE id = 2; UPDATE persona SET correo = 'otro@x' WHERE id = 11;"
        " UPDATE nota SET persona_id = NULL WHERE id = 2; UPDATE hoja SET persona_id = NULL WHERE id = 1;"
        " DELETE FROM sin_clave WHERE nota_id = 2; UPDATE nota SET clinica_id = NULL WHERE id = 1",
    )
    assert counts(plan) == {
        "persona": (0, 1, 0),
        "cuenta": (1, 1, 0),
        "nota": (0, 2, 0),
        "hoja": (0, 1, 0),
        "sin_clave": (2, 0, 0),
    }


async def test_rows_that_point_into_another_clinic_come_back_so(database: Database, writer: Writer) -> None:
    await _ready(database)
    plan = await goes_back(
        database.sql,
        await writer(database, rules=RULE),
        "DELETE FROM sin_clave WHERE nota_id = 5; DELETE FROM nota WHERE id = 5;"
        " UPDATE nota SET texto = 'x' WHERE id = 1",
    )
    assert counts(plan) == {"nota": (1, 1, 0), "sin_clave": (1, 0, 0)}


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ("UPDATE persona SET clinica_id = 2 WHERE id = 12", {"persona": [12], "cuenta": [2]}),
        ("UPDATE nota SET persona_id = 21, texto = 'b' WHERE id = 2", {"nota": [2], "sin_clave": [2, 2]}),
        # The person 11 is the other clinic's by now, and so would be again what has been given to 12 since.
        (
            "UPDATE persona SET clinica_id = 2 WHERE id = 11; UPDATE hoja SET persona_id = 12 WHERE id = 1;"
            " UPDATE nota SET persona_id = 12, texto = 'z' WHERE id = 2",
            {"persona": [11], "cuenta": [1], "nota": [2], "hoja": [1]},
        ),
        (
            "UPDATE nota SET clinica_id = 2 WHERE id = 1; DELETE FROM hoja WHERE id = 3;"
            " UPDATE hoja SET persona_id = 21 WHERE id = 1",
            {"nota": [1], "hoja": [1, 2, 3]},
        ),
    ],
)
async def test_rows_that_are_another_clinics_now_stay_there(
    database: Database, writer: Writer, change: str, moved: dict[str, list[int]]
) -> None:
    await _ready(database)
    clinics = await writer(database, rules=RULE)
    backup = await back_up(clinics, 1)
    await database.sql.execute(f"{change}; INSERT INTO nota VALUES (9, 1, 12, 'nueva')")
    changed = {clinica_id: await back_up(clinics, clinica_id) for clinica_id in (1, 2)}
    with pytest.raises(RestoreRefused, match=r"esas claves de .* son hoy de otra clínica"):
        await restore(clinics, backup.file, strict=True)
    await assert_unchanged(clinics, changed)
    plan = await restore(clinics, backup.file)
    assert {aviso.split(":")[0] for aviso in plan.avisos} == {f"«{model}»" for model in moved}
    await assert_restored(clinics, changed[2], 2)
    after = await back_up(clinics, 1)
    for model, lines in backup.lines.items():
        key, left = "nota_id" if model == "sin_clave" else "id", moved.get(model, ())
        restored = [line for line, id_ in zip(lines, backup.ids(model, key), strict=True) if id_ not in left]
        today = zip(changed[1].lines[model], changed[1].ids(model, key), strict=True)
        assert sorted(after.lines[model]) == sorted([*restored, *(line for line, id_ in today if id_ in left)]), model
    assert await leftovers(database.sql) == []


async def test_a_key_that_is_another_row_of_another_clinic_now(database: Database, writer: Writer) -> None:
    await _ready(database)
    clinics = await writer(database, rules=RULE)
    backup = await back_up(clinics, 1)
    await database.sql.execute("UPDATE nota SET clinica_id = 2, texto = 'otra' WHERE id = 1")
    with pytest.raises(RestoreRefused, match=r"esas claves de «nota» son hoy de otra clínica, o de ninguna: 1\."):
        await restore(clinics, backup.file)


@crossed
async def test_a_clinic_that_is_gone_with_all_that_was_its(any_database: Database, writer: Writer) -> None:
    sql = any_database.sql
    await _ready(any_database)
    clinics = await writer(any_database, rules=RULE)
    backup, other = await back_up(clinics, 1), await back_up(clinics, 2)
    empty = (
        "DELETE FROM sin_clave WHERE nota_id IN (2, 5); DELETE FROM nota WHERE clinica_id = 1 OR id = 2;"
        " DELETE FROM hoja WHERE id < 4; DELETE FROM cuenta WHERE id < 3;"
        " UPDATE nota SET persona_id = NULL WHERE id = 6; DELETE FROM persona WHERE clinica_id = 1"
    )
    await sql.execute(empty)
    emptied = await back_up(clinics, 1)
    await restore(clinics, backup.file)
    await assert_restored(clinics, backup)
    await sql.execute(f"{empty}; DELETE FROM clinica WHERE id = 1")
    with pytest.raises(RestoreRefused, match=r"no está hoy en «clinica».*--con-clinica"):
        await restore(clinics, backup.file)
    plan = await restore(clinics, backup.file, scope=EVERYTHING)
    assert counts(plan)["clinica"] == (1, 0, 0)
    await assert_restored(clinics, backup)
    # And back to nothing but itself.
    plan = await restore(clinics, emptied.file)
    assert {change[:2] for change in counts(plan).values()} == {(0, 0)}
    await assert_restored(clinics, emptied)
    assert [line for model, lines in other.lines.items() for line in lines if model != "nota"] == [
        line for model, lines in (await back_up(clinics, 2)).lines.items() for line in lines if model != "nota"
    ]


async def test_a_row_that_became_the_clinics_is_nobodys_again(database: Database, writer: Writer) -> None:
    """One of the platform's rows, which the clinic's point to, is not lost with what the clinic has got since."""
    sql = database.sql
    await sql.execute(
        f"SET search_path = public; {TWO_CLINICS}"
        " CREATE TABLE lista (id int PRIMARY KEY, clinica_id int REFERENCES clinica, texto text);"
        " CREATE TABLE precio (id int PRIMARY KEY, persona_id int NOT NULL REFERENCES persona,"
        " lista_id int REFERENCES lista ON DELETE CASCADE);"
        " INSERT INTO lista VALUES (1, NULL, 'a'), (2, NULL, 'b'); INSERT INTO precio VALUES (1, 11, 1), (2, 21, 2)"
    )
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute("UPDATE lista SET clinica_id = 1 WHERE id = 1")
    await restore(clinics, backup.file)
    await assert_restored(clinics, backup)
    assert await sql.fetchval("SELECT clinica_id IS NULL FROM lista WHERE id = 1")


async def test_a_rule_that_fails_with_a_row_stops_only_its_own_table(database: Database) -> None:
    """Another clinic's row, of which nobody can say whose it is."""
    sql = database.sql
    await _ready(database)
    clinics = database.clinics(rules={"cuenta": f"0 / (5 - t.id) + {RULE['cuenta']}"})
    before, platform = await back_up(clinics, 1), await back_up(clinics, None)
    await sql.execute("INSERT INTO cuenta VALUES (5, 'x@x', 'e')")
    since = await back_up(clinics, 1)
    await sql.execute("UPDATE persona SET correo = 'z' WHERE id = 12; DELETE FROM cuenta WHERE id = 4")
    said = "registros de «cuenta»\\. OWNERSHIP_RULES: la regla de «cuenta» falla con un registro: division by zero"
    for file, clinica_id in ((before.file, 1), (platform.file, None)):
        with pytest.raises(RestoreRefused, match=said):
            await restore(clinics, file, clinica_id)
    assert counts(await restore(clinics, before.file, scope=models("persona"), simulate=True)) == {
        "persona": (0, 1, 0)
    }
    async with clinics.comparing(1) as comparison:
        await staged(comparison.older, since.file)
        assert [model for model, changes in (await comparison.find()).items() if changes.any] == ["persona"]
    assert counts(await restore(clinics, since.file)) == {"persona": (0, 1, 0)}
    await assert_restored(clinics, since)
    assert await leftovers(sql) == []


async def test_rows_that_never_had_what_they_point_to(database: Database) -> None:
    """As old data of a key that nobody has validated; a role that cannot switch it off cannot write them again."""
    sql = database.sql
    await sql.execute(
        f"SET search_path = public; {TWO_CLINICS} CREATE TABLE pago (id int PRIMARY KEY, persona_id int,"
        " clinica_id int"
        " NOT NULL); INSERT INTO pago VALUES (1, 11, 1), (2, 99, 1), (3, 98, 2);"
        " ALTER TABLE pago ADD FOREIGN KEY (persona_id) REFERENCES persona NOT VALID"
    )
    with pytest.raises(RestoreRefused, match="pago_persona_id_fkey"):
        await goes_back(sql, await ordinary(database), "DELETE FROM pago WHERE clinica_id = 1")
    await sql.execute("INSERT INTO pago VALUES (1, 11, 1)")
    await sql.execute("SET session_replication_role = replica; INSERT INTO pago VALUES (2, 99, 1)")
    await sql.execute("SET session_replication_role = origin")
    plan = await goes_back(sql, await superuser(database), "DELETE FROM pago WHERE clinica_id = 1")
    assert counts(plan) == {"pagos": (2, 0, 0)}


async def test_each_statement_is_a_step(database: Database) -> None:
    """One that takes minutes to say whose rows are is no standstill while others follow."""
    await _ready(database)
    clinics = await superuser(database, rules=RULE)
    backup = await back_up(clinics, 1)
    steps: list[None] = []
    seen: list[int] = []

    async def run(phase: Awaitable[object]) -> None:
        before = len(steps)
        await phase
        seen.append(len(steps) - before)

    async with clinics.restoring(1, lambda: steps.append(None)) as session:
        await staged(session.staging, backup.file)
        await run(session.begin(WHOLE))
        await run(session.compare(lambda _model: None))
        await run(session.changed_since())
        await run(session.apply(lambda _model: None))
    async with clinics.comparing(1, lambda: steps.append(None)) as comparison:
        await staged(comparison.older, backup.file)
        await run(comparison.find())
    assert min(seen) > 3
