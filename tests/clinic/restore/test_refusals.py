"""What today's rows do not allow is refused by name, and nothing is changed."""

import asyncio
import time

import pytest

from app.clinic.restore import database as restore_database
from app.clinic.restore import session as restore_session
from app.errors import DatabaseUnavailable, OperationInProgress, RestoreDiffers, RestoreRefused
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed, ordinary, superuser
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import WHOLE, assert_restored, changed, counts, loaded, restore
from tests.support.restore_cases import assert_unchanged, leftovers
from tests.support.two_clinics import TWO_CLINICS

RULES = {
    "nothing": "",
    "cascade": "ON DELETE CASCADE",
    "set_null": "ON DELETE SET NULL",
    "set_default": "ON DELETE SET DEFAULT",
    "restrict": "ON DELETE RESTRICT",
    "deferred": "DEFERRABLE INITIALLY DEFERRED",
    "deferred_cascade": "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
}
FICHA = """
CREATE TABLE ficha (id int PRIMARY KEY, codigo text UNIQUE, clinica_id int NOT NULL);
INSERT INTO ficha VALUES (1, 'a', 1), (2, 'b', 1), (9, 'i', 2);
"""


def _pointing(prefix: str, rules: dict[str, str], columns: str) -> str:
    return "".join(
        f"CREATE TABLE {prefix}_{name} (id int PRIMARY KEY, ficha_id int DEFAULT 9 REFERENCES ficha {rule}{columns});"
        for name, rule in rules.items()
    )


@crossed
async def test_rows_that_are_not_restored_and_point_to_what_would_go(any_database: Database, writer: Writer) -> None:
    sql = any_database.sql
    others = _pointing("otra", RULES, ", clinica_id int NOT NULL DEFAULT 2")
    outside = {name: RULES[name] for name in ("nothing", "cascade")}
    excluded = _pointing("fuera", outside, "")
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {FICHA} {others} {excluded}")
    tenancy = {"exclude": tuple(f"fuera_{name}" for name in outside)}
    backup = await back_up(await writer(any_database, **tenancy), 1)
    # One more, which hangs from the clinic's rows, made since.
    await sql.execute("CREATE TABLE nueva_hoy (id int PRIMARY KEY, ficha_id int REFERENCES ficha ON DELETE CASCADE)")
    clinics = await writer(any_database, **tenancy)
    await sql.execute("INSERT INTO ficha VALUES (3, 'c', 1)")
    for table in (*(f"otra_{name}" for name in RULES), *tenancy["exclude"], "nueva_hoy"):
        await sql.execute(f"INSERT INTO {table} (id, ficha_id) VALUES (1, 3)")
        with pytest.raises(RestoreRefused, match=f"«{table}».*ficha_id.*«ficha».*3"):
            await restore(clinics, backup.file)
        assert await leftovers(sql) == []
        assert await sql.fetchval(f"SELECT ficha_id FROM {table}") == 3
        assert await sql.fetchval("SELECT count(*) FROM ficha") == 4
        if table == "nueva_hoy":
            assert counts(await restore(clinics, backup.file, scope=changed())) == {}
        await sql.execute(f"UPDATE {table} SET ficha_id = NULL")
    assert counts(await restore(clinics, backup.file)) == {"ficha": (0, 0, 1)}


async def test_another_clinics_row_that_points_to_one_that_would_go_for_a_moment(database: Database) -> None:
    """Only where the keys cannot be switched off does it matter that two rows swap what another points to."""
    sql = database.sql
    rules = {name: RULES[name] for name in ("nothing", "cascade", "set_null", "deferred")}
    others = "".join(
        f"CREATE TABLE otra_{name} (id int PRIMARY KEY, ficha text REFERENCES ficha (codigo) {rule},"
        " clinica_id int NOT NULL); "
        for name, rule in rules.items()
    )
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {FICHA} {others}")
    backup = await back_up(await superuser(database), 1)
    await sql.execute("UPDATE ficha SET codigo = codigo || '?' WHERE clinica_id = 1")
    await sql.execute("UPDATE ficha SET codigo = CASE id WHEN 1 THEN 'b' ELSE 'a' END WHERE clinica_id = 1")
    for name, rule in rules.items():
        await sql.execute(f"INSERT INTO otra_{name} VALUES (1, 'a', 2)")
        before = await back_up(await superuser(database), 2)
        if "DELETE" in rule or "DEFERRABLE" not in rule:
            with pytest.raises(RestoreRefused, match=f"«otra_{name}».*«ficha».*a"):
                await restore(await ordinary(database), backup.file)
        else:
            await restore(await ordinary(database), backup.file, simulate=True)
        await restore(await superuser(database), backup.file, simulate=True)
        await assert_restored(await superuser(database), before, 2)
        await sql.execute(f"DELETE FROM otra_{name}")


@crossed
async def test_a_unique_value_that_somebody_else_has(any_database: Database, writer: Writer) -> None:
    sql = any_database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {FICHA}")
    clinics = await writer(any_database)
    backup = await back_up(clinics, 1)
    await sql.execute("UPDATE ficha SET codigo = 'libre' WHERE id = 1; UPDATE ficha SET codigo = 'a' WHERE id = 9")
    changed = {clinica_id: await back_up(clinics, clinica_id) for clinica_id in (1, 2)}
    with pytest.raises(
        RestoreRefused,
        match=r"“a” \(«ficha» 1\) no puede volver: otro registro, que no es de la clínica, tiene hoy codigo = a,",
    ):
        await restore(clinics, backup.file)
    await assert_unchanged(clinics, changed)
    await sql.execute("UPDATE ficha SET codigo = 'otro' WHERE id = 9")
    await restore(clinics, backup.file)
    await assert_restored(clinics, backup)


async def test_a_row_that_has_lost_its_owner_is_in_the_way(database: Database) -> None:
    sql = database.sql
    await sql.execute(
        f"{TWO_CLINICS} CREATE TABLE cita (id int PRIMARY KEY, persona_id int NOT NULL REFERENCES persona);"
        " INSERT INTO cita VALUES (5, 11), (6, 12)"
    )
    clinics = await superuser(database)
    backup = await back_up(clinics, 1)
    await sql.execute("SET session_replication_role = replica; DELETE FROM persona WHERE id = 11")
    with pytest.raises(RestoreRefused, match="esas claves de «cita» son hoy de otra clínica, o de ninguna: 5"):
        await restore(clinics, backup.file)
    assert await sql.fetchval("SELECT array_agg(id ORDER BY id) FROM cita") == [5, 6]
    await sql.execute("DELETE FROM cita WHERE id = 5")
    assert counts(await restore(clinics, backup.file)) == {"persona": (1, 0, 0), "cita": (1, 0, 0)}
    await assert_restored(clinics, backup)


async def test_another_sessions_lock_is_waited_for_a_while_only(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert restore_session.LOCK_SECONDS == 5, "as docs/restore.md says"
    monkeypatch.setattr(restore_database, "LOCK_SECONDS", 0.3)
    monkeypatch.setattr(restore_session, "LOCK_SECONDS", 0.3)
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {FICHA}")
    # A trigger that acts has nothing to do with it.
    await sql.execute(
        "CREATE FUNCTION calla() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
        " CREATE TRIGGER calla BEFORE UPDATE ON ficha FOR EACH ROW EXECUTE FUNCTION calla()"
    )
    clinics = await ordinary(database)
    backup = await back_up(clinics, 1)
    await sql.execute("UPDATE ficha SET codigo = 'z' WHERE id = 2")
    changed = {clinica_id: await back_up(clinics, clinica_id) for clinica_id in (1, 2)}
    transaction = sql.transaction()
    await transaction.start()
    await sql.execute("SELECT FROM ficha WHERE id = 2 FOR UPDATE")
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match="bloqueada por otro proceso"):
        await restore(clinics, backup.file)
    assert time.monotonic() - started > 0.3
    await transaction.rollback()
    await assert_unchanged(clinics, changed)
    assert await leftovers(sql) == []


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ("UPDATE ficha SET codigo = 'y' WHERE id = 2", RestoreRefused, "actualizar en «ficha».*alguien los cambió"),
        ("DELETE FROM ficha WHERE id = 3", RestoreRefused, "eliminar en «ficha».*alguien los cambió"),
        (
            "UPDATE ficha SET codigo = 'y' WHERE id = 3",
            RestoreRefused,
            r"eliminar en «ficha» .*: “y” \(3\)\): alguien",
        ),
        ("INSERT INTO ficha VALUES (4, 'd', 1)", RestoreDiffers, r"«ficha».*: “d” \(4\)"),
        ("INSERT INTO ficha VALUES (1, 'a', 1)", RestoreRefused, "«ficha» cambió mientras.*1"),
        (
            "INSERT INTO ficha VALUES (1, 'a', 2)",
            RestoreRefused,
            r"claves de «ficha» son hoy de otra clínica.*: “a” \(1\)",
        ),
        ("UPDATE persona SET clinica_id = 2 WHERE id = 11", RestoreDiffers, "«persona».*11"),
        ("INSERT INTO lista VALUES ('x', 1)", RestoreDiffers, "«lista»"),
    ],
)
async def test_a_clinic_that_is_written_to_meanwhile(
    database: Database, writer: Writer, change: str, error: type[Exception], says: str
) -> None:
    sql = database.sql
    await sql.execute(
        f"SET search_path = public; {TWO_CLINICS} {FICHA}"
        " CREATE TABLE lista (que text, clinica_id int NOT NULL); INSERT INTO lista VALUES ('x', 1)"
    )
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute(
        "DELETE FROM ficha WHERE id = 1; UPDATE ficha SET codigo = 'z' WHERE id = 2;"
        " INSERT INTO ficha VALUES (3, 'c', 1)"
    )
    changed = {}

    async def interrupted() -> None:
        async with loaded(clinics, backup.file) as (session, verified):
            await session.begin(WHOLE)
            await session.compare(lambda _model: None)
            await sql.execute(change)
            changed.update({clinica_id: await back_up(clinics, clinica_id) for clinica_id in (1, 2)})
            await session.apply(lambda _model: None)
            await session.prove(verified, lambda _model, _size: None)

    with pytest.raises(error, match=says):
        await interrupted()
    await assert_unchanged(clinics, changed)
    assert await leftovers(sql) == []


async def test_two_restores_of_one_clinic_at_once(database: Database) -> None:
    await database.sql.execute(f"SET search_path = public; {TWO_CLINICS}")
    clinics = database.clinics()
    one, two = [await back_up(clinics, clinica_id) for clinica_id in (1, 2)]
    async with loaded(clinics, one.file) as (session, _):
        await session.begin(WHOLE)
        with pytest.raises(OperationInProgress, match="clínica 1"):
            await restore(clinics, one.file)
        assert counts(await asyncio.wait_for(restore(clinics, two.file, 2), 20)) == {}
        await session.rollback()
    assert counts(await restore(clinics, one.file)) == {}
