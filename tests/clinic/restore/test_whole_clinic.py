"""A whole clinic comes back exactly, and nobody else notices."""

from tests.clinic.conftest import Database, GrownDatabase
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import EVERYTHING, assert_restored, counts, restore

RULES = {"auth_user": {"email": "usuario.correoelectronico"}}

CHANGES = """
SET search_path = public;
DELETE FROM pago_en_linea WHERE idpago IN (SELECT p.id FROM pago p JOIN factura f ON f.id = p.idfactura
    WHERE f.clinica_id = 1);
UPDATE factura SET montototal = montototal + 1, razon_social = 'Ñandú "S.A."' WHERE clinica_id = 1 AND id % 3 = 0;
UPDATE paciente SET contacto_emergencia = 'null', alergias = '[0:1]={a,NULL}'
    WHERE clinica_id = 1 AND codusuario % 2 = 0;
UPDATE clinica SET nombre = 'Otra' WHERE id = 1;
INSERT INTO bitacora (accion, modelo, descripcion, ip_address, user_agent, fecha, clinica_id)
    SELECT 'x', 'y', 'z', '10.0.0.1', 'w', now(), 1 FROM generate_series(1, 5);
"""


async def test_what_changed_goes_back(either_sample: Database) -> None:
    sample = either_sample
    # In the grown one a person may be two clinics' patient, which this rule does not allow.
    clinics = sample.clinics(rules={} if isinstance(sample, GrownDatabase) else RULES)
    backup, others = await back_up(clinics, 1), [await back_up(clinics, other) for other in (2, 3)]
    await sample.sql.execute(CHANGES)
    plan = await restore(clinics, backup.file, scope=EVERYTHING, simulate=True)
    assert (await back_up(clinics, 1)).verified.totals != backup.verified.totals
    analyzed = "SELECT array_agg(relname::text ORDER BY relname) FROM pg_stat_user_tables WHERE last_analyze > $1"
    simulated = await sample.sql.fetchval("SELECT clock_timestamp()")
    assert await restore(clinics, backup.file, scope=EVERYTHING) == plan
    # Whatever reads them next plans for the rows that are there now; of `bitacora` too few are others.
    changed = ["clinica", "factura", "paciente", "pago_en_linea"]
    assert await sample.sql.fetchval(analyzed, simulated) == changed
    # Only the columns that rows are found by were looked at, so autovacuum still comes for all.
    waiting = "SELECT bool_and(n_mod_since_analyze > 0) FROM pg_stat_user_tables WHERE relname = ANY($1)"
    assert await sample.sql.fetchval(waiting, changed)
    await assert_restored(clinics, backup)
    assert counts(plan)["clinica"] == (0, 1, 0)
    assert counts(plan)["bitacoras"] == (0, 0, 5)
    assert counts(await restore(clinics, backup.file)) == {}
    for number, other in enumerate(others, 2):
        await assert_restored(clinics, other, number)
