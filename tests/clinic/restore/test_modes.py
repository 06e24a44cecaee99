"""What is missing, or what has changed as well, while whatever is new stays: of a clinic, of models, of records."""

from collections.abc import Awaitable, Callable

import pytest

from app.clinic.restore.scope import Scope
from app.clinic.restore.session import Plan
from app.clinic.restore.taken import ConflictsFound
from app.errors import RestoreDiffers, RestoreRefused
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed, ordinary, superuser
from tests.support.clinic_backup import Backup, back_up
from tests.support.clinic_restore import (
    WHOLE,
    assert_restored,
    changed,
    counts,
    left_to_do,
    loaded,
    missing,
    models,
    record,
    restore,
)
from tests.support.restore_cases import contents, leftovers
from tests.support.two_clinics import TWO_CLINICS

# A person who is a user, and what is theirs: a chain of keys that are one another's; a composite key, a table without
# any, a circle, rows that do not say their clinic, a shared table.
TABLES = f"""SET search_path = public; {TWO_CLINICS}
CREATE TABLE forma (id int PRIMARY KEY, nombre text UNIQUE);
CREATE TABLE usuario (id int PRIMARY KEY, clinica_id int REFERENCES clinica, nombre text, correo text UNIQUE);
CREATE TABLE paciente (id int PRIMARY KEY REFERENCES usuario, ficha int UNIQUE, ultima int);
CREATE TABLE cita (id int PRIMARY KEY, paciente_id int NOT NULL REFERENCES paciente, hora int, nota text);
ALTER TABLE paciente ADD FOREIGN KEY (ultima) REFERENCES cita DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE diente (cita_id int REFERENCES cita, pieza text, nota text, PRIMARY KEY (cita_id, pieza));
CREATE TABLE pago (cita_id int NOT NULL REFERENCES cita, forma_id int REFERENCES forma, monto numeric);
CREATE TABLE aviso (id int PRIMARY KEY, clinica_id int, paciente_id int REFERENCES paciente ON DELETE SET NULL);
INSERT INTO forma VALUES (1, 'qr'), (2, 'efectivo'), (3, 'cheque');
INSERT INTO usuario VALUES (1, 1, 'Ana', 'a@x'), (2, 1, 'Eva', 'e@x'), (9, 2, 'Ida', 'i@x');
INSERT INTO paciente VALUES (1, 10, NULL), (2, 20, NULL), (9, 90, NULL);
INSERT INTO cita VALUES (1, 1, 8, 'a'), (2, 1, 9, 'b'), (3, 2, 10, 'c'), (9, 9, 8, 'z');
UPDATE paciente SET ultima = 2 WHERE id = 1;
INSERT INTO diente VALUES (1, '11', 'x'), (2, '11', 'y'), (3, '11', NULL), (9, '11', 'w');
INSERT INTO pago VALUES (1, 1, 1.0), (1, 1, 1.0), (2, 2, 5), (3, 2, 7), (9, 1, 9);
INSERT INTO aviso VALUES (1, 1, 1), (2, NULL, 2), (9, 2, 9);
"""

# Ana is gone with all that was hers, a shared row with it; Eva has changed; and both clinics have gone on working.
DAMAGE = """
UPDATE paciente SET ultima = NULL WHERE id = 1; DELETE FROM pago WHERE cita_id IN (1, 2);
DELETE FROM diente WHERE cita_id IN (1, 2); DELETE FROM cita WHERE paciente_id = 1; DELETE FROM paciente WHERE id = 1;
DELETE FROM usuario WHERE id = 1; UPDATE pago SET forma_id = 2 WHERE forma_id = 1; DELETE FROM forma WHERE id = 1;
UPDATE usuario SET nombre = 'Eva María' WHERE id = 2; UPDATE diente SET nota = 'n' WHERE cita_id = 3;
INSERT INTO usuario VALUES (3, 1, 'Noa', 'n@x'); INSERT INTO paciente VALUES (3, 30, NULL);
INSERT INTO cita VALUES (4, 3, 8, 'n'), (5, 2, 11, 'm'); INSERT INTO diente VALUES (5, '12', 'q');
INSERT INTO pago VALUES (3, 2, 8), (5, 3, 3);
"""

Rows = dict[str, list[str]]


async def _read(database: Database) -> Rows:
    names = ("forma", "usuario", "paciente", "cita", "diente", "pago", "aviso")
    return {
        name: [row for (row,) in await database.sql.fetch(f"SELECT t::text FROM {name} t ORDER BY 1")]
        for name in names
    }


async def _damaged(
    database: Database, writer: Writer
) -> tuple[Callable[[Scope], Awaitable[Plan]], Rows, Rows, Backup]:
    """What restores the backup in a scope, and sees that it is as foreseen, and all; the rows before, and now."""
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    backup, before = await back_up(clinics, 1), await _read(database)
    await database.sql.execute(DAMAGE)
    damaged = await _read(database)

    async def part(scope: Scope) -> Plan:
        foreseen = await restore(clinics, backup.file, scope=scope, simulate=True)
        plan = await restore(clinics, backup.file, scope=scope)
        assert plan == foreseen
        assert await leftovers(database.sql) == []
        assert await left_to_do(clinics, backup.file, scope=scope) == {}
        return plan

    return part, before, damaged, backup


@crossed
async def test_what_is_missing_comes_back_and_everything_else_stays(any_database: Database, writer: Writer) -> None:
    part, before, damaged, _ = await _damaged(any_database, writer)
    plan = await part(missing())
    assert counts(plan) == {
        "usuarios": (1, 0, 0),
        "pacientes": (1, 0, 0),
        "cita": (2, 0, 0),
        "diente": (2, 0, 0),
        "pagos": (3, 0, 0),
    }
    assert plan.references["forma"].inserted == 1
    assert plan.avisos[-1] == (
        "«aviso»: apuntaban, por paciente_id, a registros de «pacientes» que vuelven; hoy no apuntan a ninguno, y"
        " quedan así: 1"
    )
    assert plan.avisos[-2] == (
        "registros que se dejan como están hoy: «cita» (2 que el respaldo no tiene), «usuarios» (1 con otro contenido"
        " y 1 que el respaldo no tiene), «pacientes» (1 que el respaldo no tiene), «aviso» (1 con otro contenido),"
        " «diente» (1 con otro contenido y 1 que el respaldo no tiene), «pagos» (2 que el respaldo no tiene)"
    )
    after = await _read(any_database)
    for table, rows in after.items():
        gone = [row for row in before[table] if row.split(",")[0] in {"(1", "(2"} and row not in damaged[table]]
        new = [row for row in rows if row not in damaged[table]]
        assert set(damaged[table]) <= set(rows), table
        assert set(new) <= set(gone), table
    assert "(1,10,2)" in after["paciente"]
    assert after["pago"].count("(1,1,1.0)") == 2


@crossed
async def test_what_has_changed_is_put_back_too_and_nothing_goes(any_database: Database, writer: Writer) -> None:
    part, before, _, _ = await _damaged(any_database, writer)
    plan = await part(changed())
    assert {model: deleted for model, (_, _, deleted) in counts(plan).items() if deleted} == {}
    assert {model: updated for model, (_, updated, _) in counts(plan).items() if updated} == {
        "usuarios": 1,
        "diente": 1,
        "aviso": 1,
    }
    after = await _read(any_database)
    for table, rows in {"usuario": 4, "paciente": 4, "cita": 6, "diente": 5, "aviso": 3}.items():
        assert set(before[table]) <= set(after[table]), table
        assert len(after[table]) == rows, table
    # Without a key, and the other clinic's.
    assert [row for row in after["pago"] if row not in before["pago"]] == ["(3,2,8)", "(5,3,3)", "(9,2,9)"]
    assert {"(4,3,8,n)", "(5,2,11,m)"} < set(after["cita"])


@pytest.mark.parametrize("mode", [missing, changed])
async def test_of_models_and_of_records(database: Database, writer: Writer, mode: Callable[[Scope], Scope]) -> None:
    part, before, damaged, _ = await _damaged(database, writer)
    corrected = int(mode is changed)
    plan = await part(mode(models("diente")))
    # The teeth need the appointments, those the patient, who is a user.
    assert counts(plan) == {
        "usuarios": (1, 0, 0),
        "pacientes": (1, 0, 0),
        "cita": (2, 0, 0),
        "diente": (2, corrected, 0),
    }
    assert plan.needed == {"usuarios": 1, "pacientes": 1, "cita": 2}
    after = await _read(database)
    assert [after[table] for table in ("pago", "aviso", "forma")] == [
        damaged[table] for table in ("pago", "aviso", "forma")
    ]
    assert ("(3,11,)" in after["diente"]) is (mode is changed)
    plan = await part(mode(record("cita:1", "paciente:2")))
    assert {model: done for model, done in counts(plan).items() if any(done)} == {
        "pagos": (2, 0, 0),
        **({"usuarios": (0, 1, 0)} if corrected else {}),
    }
    assert plan.references["forma"].inserted == 1
    after = await _read(database)
    assert "(5,2,11,m)" in after["cita"]
    assert "(5,3,3)" in after["pago"]
    assert "(2,2,5)" not in after["pago"]
    assert before["forma"] == after["forma"]


async def test_without_a_key_what_changed_comes_back_beside_it(database: Database) -> None:
    await database.sql.execute(TABLES)
    clinics = await superuser(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(
        "UPDATE pago SET monto = 70 WHERE cita_id = 3; DELETE FROM pago WHERE ctid IN"
        " (SELECT ctid FROM pago WHERE cita_id = 1 LIMIT 1)"
    )
    plan = await restore(clinics, backup.file, scope=missing())
    assert counts(plan) == {"pagos": (2, 0, 0)}
    assert plan.avisos[0].startswith("«pagos» no tiene clave, así que de un registro que cambió no se sabe cuál era")
    amounts = await database.sql.fetch("SELECT cita_id, monto FROM pago WHERE cita_id IN (1, 3) ORDER BY 1, 2")
    assert [(cita, str(monto)) for cita, monto in amounts] == [(1, "1.0"), (1, "1.0"), (3, "7"), (3, "70")]
    assert await left_to_do(clinics, backup.file, scope=missing()) == {}


@pytest.mark.parametrize("mode", [missing, changed])
async def test_somebody_may_work_meanwhile(database: Database, writer: Writer, mode: Callable[..., Scope]) -> None:
    """Of a restore that takes nothing away only the rows that it writes need be as they were compared."""
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(DAMAGE)
    async with loaded(clinics, backup.file) as (session, verified):
        await session.begin(mode())
        await session.compare(lambda _model: None)
        await database.sql.execute("INSERT INTO cita VALUES (6, 2, 12, 'o'); UPDATE cita SET nota = 'p' WHERE id = 5")
        assert await session.changed_since() == []
        await session.apply(lambda _model: None)
        await database.sql.execute("INSERT INTO cita VALUES (7, 2, 13, 'o'); DELETE FROM diente WHERE cita_id = 5")
        await session.prove(verified, lambda _model, _size: None)
        await session.commit()
    assert await database.sql.fetchval("SELECT array_agg(id ORDER BY id) FROM cita WHERE paciente_id < 3") == [
        1, 2, 3, 5, 6, 7,
    ]  # fmt: skip


@pytest.mark.parametrize("scope", [changed(), changed(models("cita", "pagos")), changed(record("paciente:2"))])
async def test_somebody_may_edit_what_was_as_in_the_backup(database: Database, writer: Writer, scope: Scope) -> None:
    """Meanwhile, and at last while it writes: that stays as they have made it."""
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(DAMAGE)
    async with loaded(clinics, backup.file) as (session, verified):
        await session.begin(scope)
        await session.compare(lambda _model: None)
        await database.sql.execute(
            "UPDATE cita SET nota = 'edited' WHERE id = 3; DELETE FROM pago WHERE (cita_id, monto) = (3, 7)"
        )
        assert await session.changed_since() == []
        await session.apply(lambda _model: None)
        await database.sql.execute("UPDATE aviso SET clinica_id = 1 WHERE id = 2")
        await session.prove(verified, lambda _model, _size: None)
        await session.commit()
    assert await database.sql.fetchval("SELECT nota FROM cita WHERE id = 3") == "edited"
    assert await database.sql.fetchval("SELECT count(*) FROM pago WHERE (cita_id, monto) = (3, 7)") == 0


@pytest.mark.parametrize("mode", [missing, changed])
async def test_of_several_alike_one_may_go_meanwhile(
    database: Database, writer: Writer, mode: Callable[..., Scope]
) -> None:
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute("DELETE FROM pago WHERE ctid IN (SELECT ctid FROM pago WHERE cita_id = 1 LIMIT 1)")
    async with loaded(clinics, backup.file) as (session, verified):
        await session.begin(mode())
        await session.compare(lambda _model: None)
        await database.sql.execute("DELETE FROM pago WHERE cita_id = 1")
        await session.apply(lambda _model: None)
        await session.prove(verified, lambda _model, _size: None)
        await session.commit()
    assert await database.sql.fetchval("SELECT count(*) FROM pago WHERE cita_id = 1") == 1


@crossed
async def test_a_trigger_that_changes_what_is_written_takes_it_back(any_database: Database, writer: Writer) -> None:
    """Of lines that are alike, each that was written is looked for beside those that were there."""
    await any_database.sql.execute(TABLES)
    await any_database.sql.execute(
        "CREATE FUNCTION otra() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.monto = 2; RETURN NEW; END $$;"
        " CREATE TRIGGER otra BEFORE INSERT ON pago FOR EACH ROW EXECUTE FUNCTION otra();"
        " ALTER TABLE pago ENABLE ALWAYS TRIGGER otra"
    )
    clinics = await writer(any_database)
    backup = await back_up(clinics, 1)
    await any_database.sql.execute("DELETE FROM pago WHERE ctid IN (SELECT ctid FROM pago WHERE cita_id = 1 LIMIT 1)")
    for scope in (missing(), changed()):
        with pytest.raises(RestoreDiffers, match="«pagos» no volvió a leerse"):
            await restore(clinics, backup.file, scope=scope)


async def test_a_row_that_is_overtaken_is_not_put_back(database: Database, writer: Writer) -> None:
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(DAMAGE)
    now = await contents(database.sql)
    async with loaded(clinics, backup.file) as (session, _verified):
        await session.begin(changed())
        await session.compare(lambda _model: None)
        await database.sql.execute("UPDATE usuario SET nombre = 'Eva' WHERE id = 2")
        assert await session.changed_since() == ["usuarios"]
        with pytest.raises(RestoreRefused, match="alguien los cambió"):
            await session.apply(lambda _model: None)
    assert {name for name, rows in (await contents(database.sql)).items() if rows != now[name]} == {"public.usuario"}


@pytest.mark.parametrize(
    "writes", ["UPDATE cita SET nota = 'x' WHERE id = 5", "DELETE FROM diente WHERE cita_id = 5"]
)
async def test_a_trigger_that_writes_another_row_of_the_clinic_takes_it_back(database: Database, writes: str) -> None:
    await database.sql.execute(TABLES)
    await database.sql.execute(
        "CREATE FUNCTION otra() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN {writes}; RETURN NEW; END $$;"
        " CREATE TRIGGER otra AFTER INSERT ON usuario FOR EACH ROW EXECUTE FUNCTION otra()"
    )
    clinics = await ordinary(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(DAMAGE)
    now = await contents(database.sql)
    for scope in (missing(), changed(), missing(record("paciente:1"))):
        with pytest.raises(RestoreRefused, match="escribió más de lo que se restaura"):
            await restore(clinics, backup.file, scope=scope)
        assert await contents(database.sql) == now


async def test_unique_values_that_changed_places(database: Database, writer: Writer) -> None:
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(
        "UPDATE usuario SET correo = '?' WHERE id = 1; UPDATE usuario SET correo = 'a@x' WHERE id = 2;"
        " UPDATE usuario SET correo = 'e@x' WHERE id = 1"
    )
    # Nothing is missing, so nothing is done; what has changed goes back.
    assert await left_to_do(clinics, backup.file, scope=missing()) == {}
    assert counts(await restore(clinics, backup.file, scope=changed())) == {"usuarios": (0, 2, 0)}
    await assert_restored(clinics, backup)
    # One of the two alone would have what the other has.
    await database.sql.execute(
        "UPDATE usuario SET correo = '?' WHERE id = 1; UPDATE usuario SET correo = 'a@x' WHERE id = 2;"
        " UPDATE usuario SET correo = 'e@x' WHERE id = 1"
    )
    for scope in (record("usuario:1"), changed(record("usuario:1"))):
        with pytest.raises(
            ConflictsFound, match=r"\(«usuarios» 1\) no puede volver: “Eva” \(«usuarios» 2\) tiene hoy correo = a@x"
        ):
            await restore(clinics, backup.file, scope=scope)
    assert counts(await restore(clinics, backup.file, scope=record("usuario:1", "usuario:2"))) == {
        "usuarios": (0, 2, 0)
    }
    await assert_restored(clinics, backup)


async def test_what_is_another_clinics_today_is_not_missing(database: Database, writer: Writer) -> None:
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute("UPDATE usuario SET clinica_id = 2 WHERE id = 1; DELETE FROM pago WHERE cita_id = 3")
    other = await back_up(clinics, 2)
    for scope in (missing(), changed(), missing(record("paciente:1")), changed(record("usuario:1"))):
        plan = await restore(clinics, backup.file, scope=scope)
        assert any("son hoy de otra clínica, y se dejan donde están: “Ana” (1)" in aviso for aviso in plan.avisos)
        await assert_restored(clinics, other, 2)


async def test_a_clinic_without_rows(database: Database, writer: Writer) -> None:
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    await database.sql.execute("INSERT INTO clinica VALUES (3, 'Vacía')")
    empty = await back_up(clinics, 3)
    await database.sql.execute("INSERT INTO usuario VALUES (50, 3, 'Sol', 's@x')")
    for scope in (missing(), changed()):
        assert await left_to_do(clinics, empty.file, 3, scope=scope) == {}
    assert counts(await restore(clinics, empty.file, 3, scope=WHOLE)) == {"usuarios": (0, 0, 1)}
