"""A trial judges as the restore does."""

import pytest

from app.errors import PermissionMissing, RestoreRefused
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import ROLE, Writer, crossed, ordinary
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import left_to_do, restore
from tests.support.tried import tried
from tests.support.two_clinics import TWO_CLINICS


@crossed
async def test_old_rows_that_a_new_constraint_does_not_bind(any_database: Database, writer: Writer) -> None:
    sql = any_database.sql
    newer = int(await sql.fetchval("SHOW server_version_num")) >= 180000
    await sql.execute(
        f"SET search_path = public; {TWO_CLINICS}"
        " CREATE TABLE pago (id int PRIMARY KEY, persona_id int, otra_id int, monto int, nota text,"
        " clinica_id int NOT NULL); INSERT INTO pago VALUES (1, 99, 98, -1, NULL, 1), (2, 11, 11, 5, 'x', 1);"
        " ALTER TABLE pago ADD FOREIGN KEY (persona_id) REFERENCES persona NOT VALID;"
        " ALTER TABLE pago ADD CONSTRAINT positivo CHECK (monto > 0) NOT VALID"
    )
    expected = ["positivo"]
    if newer:
        await sql.execute(
            "ALTER TABLE pago ADD FOREIGN KEY (otra_id) REFERENCES persona NOT ENFORCED;"
            " ALTER TABLE pago ADD CONSTRAINT pequeno CHECK (monto > 7) NOT ENFORCED;"
            " ALTER TABLE pago ADD CONSTRAINT anotado NOT NULL nota NOT VALID"
        )
        expected = ["anotado", "positivo"]
    clinics = await writer(any_database)
    if writer is ordinary:
        await sql.execute(f'GRANT CREATE ON DATABASE "{any_database.name}" TO {ROLE}')
    backup = await back_up(clinics, 1)
    assert sorted(await tried(clinics, backup)) == [
        f"«pagos»: hay registros que no cumplen «{name}», que no está validada: los que falten no se podrán agregar"
        " mientras exista"
        for name in expected
    ]
    assert await left_to_do(clinics, backup.file) == {}
    await sql.execute("DELETE FROM pago WHERE id = 1")
    with pytest.raises(RestoreRefused, match=r"positivo|nota|pago_persona_id_fkey"):
        await restore(clinics, backup.file)


async def test_rights_that_the_restore_would_miss(database: Database) -> None:
    await database.sql.execute(
        f"SET search_path = public; {TWO_CLINICS} CREATE TABLE forma (id int PRIMARY KEY);"
        " CREATE TABLE pago (id serial PRIMARY KEY, forma_id int NOT NULL REFERENCES forma, clinica_id int NOT NULL);"
        " INSERT INTO forma VALUES (1); INSERT INTO pago VALUES (1, 1, 1)"
    )
    clinics = await ordinary(database)
    await database.sql.execute(f'GRANT CREATE ON DATABASE "{database.name}" TO {ROLE}')
    backup = await back_up(clinics, 1)
    assert await tried(clinics, backup) == []
    # Where keys are not switched off, PostgreSQL locks what is pointed to, with the owner's rights.
    await database.sql.execute(f"REVOKE UPDATE, DELETE ON forma FROM {ROLE}")
    assert await tried(clinics, backup) == []
    await database.sql.execute(f"REVOKE DELETE ON pago FROM {ROLE}; REVOKE UPDATE ON pago_id_seq FROM {ROLE}")
    with pytest.raises(
        PermissionMissing, match="no podría: le falta DELETE en «pago», UPDATE en «pago_id_seq»; déselo"
    ):
        await tried(clinics, backup)
    await database.sql.execute(
        f"GRANT DELETE ON pago TO {ROLE}; GRANT UPDATE ON pago_id_seq TO {ROLE};"
        f" GRANT SET ON PARAMETER session_replication_role TO {ROLE}"
    )
    try:
        with pytest.raises(PermissionMissing, match="no podría: le falta UPDATE en «forma»; déselo"):
            await tried(clinics, backup)
        await database.sql.execute("DELETE FROM pago")
        with pytest.raises(PermissionMissing, match="forma"):
            await restore(clinics, backup.file)
    finally:
        await database.sql.execute(f"REVOKE SET ON PARAMETER session_replication_role FROM {ROLE}")
