"""What server, database or role are set to changes nothing of a restore, or is a reason not to begin."""

import pytest

from app.clinic.database import TEMPORARY_LOCKS, recorded, refuse_too_many_locks
from app.errors import CatalogError, PermissionMissing
from tests.clinic.backup import back_up
from tests.clinic.conftest import Database
from tests.clinic.restore.comes_back import goes_back
from tests.clinic.restore.conftest import ROLE, ordinary
from tests.clinic.restore.restoring import restore, staged
from tests.clinic.test_ownership import TWO_CLINICS

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
