"""What server, database or role are set to changes nothing of a restore, or is a reason not to begin."""

import pytest

from app.clinic import database as reading
from app.clinic.database import LOCKS_SQL, TEMPORARY_LOCKS, recorded, refuse_too_many_locks
from app.clinic.restore import database as restoring
from app.errors import CatalogError, PermissionMissing
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import ROLE, Writer, ordinary
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import restore, staged
from tests.support.restore_cases import goes_back
from tests.support.two_clinics import TWO_CLINICS

HOSTILE = (
    "array_nulls = off",
    "xmloption = document",
    "default_transaction_read_only = on",
    "default_transaction_isolation = 'serializable'",
    "quote_all_identifiers = on",
    "transform_null_equals = on",
    "standard_conforming_strings = off",
    "synchronous_commit = off",
    "idle_session_timeout = '9s'",
)
TABLES = """
CREATE TABLE ficha (id int PRIMARY KEY, a text[], tabla regclass, texto text, clinica_id int NOT NULL);
INSERT INTO ficha VALUES (1, '{a,NULL,"NULL"}', 'ficha', E'\\\\n', 1), (2, '{}', NULL, '', 2);
"""


async def test_a_restore_and_a_trial_under_settings_of_every_kind(any_database: Database) -> None:
    sql = any_database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = await ordinary(any_database)
    for setting in HOSTILE:
        await sql.execute(f'ALTER ROLE {ROLE} IN DATABASE "{any_database.name}" SET {setting}')
    await goes_back(sql, clinics, "DELETE FROM ficha WHERE id = 1")
    await sql.execute(f'GRANT CREATE ON DATABASE "{any_database.name}" TO {ROLE}')
    backup = await back_up(clinics, 1)
    async with clinics.trying(1) as trial:
        verified = await staged(trial.staging, backup.file)
        assert await trial.load(verified.totals, lambda _model: None, lambda _model, _size: None) == []


async def test_a_session_that_checks_no_key_is_not_taken_for_one_that_does(database: Database) -> None:
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = database.clinics()
    backup = await back_up(clinics, 1)
    for role in ("CURRENT_USER", ROLE):
        # An ordinary role may be given what it may not take away.
        clinics = await ordinary(database) if role == ROLE else clinics
        await sql.execute(f'ALTER ROLE {role} IN DATABASE "{database.name}" SET session_replication_role = replica')
    with pytest.raises(PermissionMissing, match=r"session_replication_role.*ALTER ROLE … RESET"):
        await restore(clinics, backup.file)
    await restore(database.clinics(), backup.file)


async def test_locks_that_the_server_has_not_are_not_taken(database: Database) -> None:
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    async with database.clinics().snapshot(1) as snapshot:
        entries = recorded(snapshot.catalogue, 1)
    # To take them all would hurt the tests beside this one.
    await refuse_too_many_locks(sql, entries, temporary=TEMPORARY_LOCKS)
    with pytest.raises(CatalogError, match=r"hacen falta 30,00\d bloqueos para 3 tablas .*max_locks_per_transaction"):
        await refuse_too_many_locks(sql, entries, temporary=10_000)


async def test_whatever_reads_all_tables_asks_for_the_locks_first(
    database: Database, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    # As on a server where others have all of them.
    monkeypatch.setattr(reading, "LOCKS_SQL", f"SELECT needed, 0 FROM ({LOCKS_SQL}) AS asked")
    for opened in (clinics.snapshot, clinics.restoring, clinics.trying, clinics.comparing):
        with pytest.raises(CatalogError, match=r"el servidor tiene libres 0: .*max_locks_per_transaction"):
            async with opened(1):
                pass
    monkeypatch.undo()
    await restore(clinics, backup.file, simulate=True)


async def test_tables_are_dropped_a_few_at_a_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sql = database.sql
    await sql.execute(
        f"""SET search_path = public; {TWO_CLINICS} {TABLES}
        CREATE SCHEMA respaldos_prueba; CREATE TABLE respaldos_prueba.eliminadas (en xid8, temporal bool);
        CREATE FUNCTION respaldos_prueba.anota() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO respaldos_prueba.eliminadas SELECT pg_current_xact_id(), is_temporary
            FROM pg_event_trigger_dropped_objects() WHERE object_type = 'table'; END $$;
        CREATE EVENT TRIGGER anota ON sql_drop EXECUTE FUNCTION respaldos_prueba.anota()"""
    )
    monkeypatch.setattr(restoring, "DROPPED_AT_ONCE", 2)
    clinics = database.clinics()
    backup = await back_up(clinics, 1)
    await restore(clinics, backup.file)
    async with clinics.trying(1) as trial:
        verified = await staged(trial.staging, backup.file)
        await trial.load(verified.totals, lambda _model: None, lambda _model, _size: None)
    counted = await sql.fetch(
        "SELECT t.temporal, sum(t.n)::int AS tablas, max(t.n)::int AS juntas FROM"
        " (SELECT temporal, count(*) AS n FROM respaldos_prueba.eliminadas GROUP BY en, temporal) AS t"
        " GROUP BY t.temporal ORDER BY t.temporal"
    )
    # A trial's three, and of a restore five for each of them.
    assert [tuple(row) for row in counted] == [(False, 3, 2), (True, 15, 2)]
