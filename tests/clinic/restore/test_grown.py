"""A clinic whose rows are found by their keys where they do not say it comes back as any other does."""

import random

import asyncpg
import pytest

from app.demo.sample.generate import GrownOptions
from app.demo.sample.grown_schema import GROWN_OWNED
from app.errors import RestoreRefused
from tests.clinic.conftest import Database, GrownDatabase, make_grown
from tests.clinic.restore.conftest import Writer, ordinary, superuser
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import assert_restored, counts, models, record, restore
from tests.support.grown_owners import whose
from tests.support.restore_cases import assert_unchanged, contents, goes_back

tenth = pytest.mark.parametrize("grown", [0.1], indirect=True, ids=["tenth-without"])

# Rows gone, changed, new, moved within their clinic; by `{mine_X}`, those of clinic 1 in table X.
DAMAGE = """
SET search_path = public;
DELETE FROM item_receta AS t WHERE {mine_item_receta} AND id % 2 = 0;
DELETE FROM mensaje AS t WHERE {mine_mensaje} AND id % 3 = 0;
DELETE FROM paciente_etiqueta AS t WHERE {mine_paciente_etiqueta};
DELETE FROM respuesta_encuesta AS t WHERE {mine_respuesta_encuesta};
DELETE FROM auditoria AS t WHERE {mine_auditoria} AND id % 2 = 1;
UPDATE consulta AS t SET sillon_id = NULL, motivo = motivo || '!' WHERE {mine_consulta} AND id % 2 = 0;
UPDATE documento AS t SET url = 'https://otro.example', paciente_id = NULL WHERE {mine_documento} AND id % 2 = 0
    AND clinica_id IS NOT NULL;
UPDATE area AS t SET padre_id = NULL WHERE {mine_area} AND clinica_id IS NOT NULL;
UPDATE factura AS t SET caja_id = NULL WHERE {mine_factura};
UPDATE pago AS t SET cierre_id = NULL WHERE {mine_pago};
DELETE FROM gasto AS t WHERE {mine_gasto};
DELETE FROM caja AS t WHERE {mine_caja}; DELETE FROM cierre_caja AS t WHERE {mine_cierre_caja};
DELETE FROM turno_personal AS t WHERE {mine_turno_personal};
UPDATE itemdefactura AS t SET clinica_id = CASE WHEN clinica_id IS NULL THEN 1 END WHERE {mine_itemdefactura};
INSERT INTO tarea (titulo, hecha, clinica_id) SELECT 'nueva', false, 1 FROM generate_series(1, 3);
INSERT INTO area (nombre, padre_id) SELECT 'de nadie más', min(id) FROM area AS t WHERE {mine_area};
"""


def _damage(grown: GrownDatabase, text: str = DAMAGE) -> str:
    mine = {f"mine_{table.name}": f"{whose(grown.sample, table.name)} = 1" for table in GROWN_OWNED}
    return text.format(**mine)


async def test_what_changed_goes_back(grown: GrownDatabase, writer: Writer) -> None:
    plan = await goes_back(grown.sql, await writer(grown), _damage(grown))
    changed = counts(plan)
    assert changed["tarea"] == (0, 0, 3)
    # Of a cycle that was gone, every row is there again.
    assert all(changed[name][0] > 0 for name in ("caja", "cierre_caja", "turno_personal"))
    assert changed["area"][2] == 1


async def test_a_clinic_that_lost_everything_comes_back(grown: GrownDatabase) -> None:
    clinics = grown.clinics()
    before, backup = await contents(grown.sql), await back_up(clinics, 1)
    await grown.sql.execute("SET session_replication_role = replica")
    for table in GROWN_OWNED:
        await grown.sql.execute(f"DELETE FROM {table.name} AS t WHERE {whose(grown.sample, table.name)} = 1")
    await grown.sql.execute("RESET session_replication_role")
    assert (await back_up(clinics, 1)).verified.records == 1
    plan = await restore(clinics, backup.file)
    assert sum(inserted for inserted, _, _ in counts(plan).values()) == backup.verified.records - 1
    assert await contents(grown.sql) == before


async def test_clinics_with_strays_and_rows_of_nobody_beside_them(database: Database) -> None:
    grown = await make_grown(database, GrownOptions(0.1, orphans=4, strays=3))
    clinics = grown.clinics()
    backups = {clinica_id: await back_up(clinics, clinica_id) for clinica_id in (1, 2, 3)}
    theirs = f"{whose(grown.sample, 'tarea')} = 2"
    await grown.sql.execute(f"DELETE FROM tarea AS t WHERE {theirs}; UPDATE seguro SET nombre = 'x' WHERE id > 0")
    for clinica_id, backup in backups.items():
        await restore(clinics, backup.file, clinica_id)
    await assert_unchanged(clinics, backups)


@tenth
async def test_one_patient_with_what_hangs_from_her(grown: GrownDatabase, writer: Writer) -> None:
    clinics = await writer(grown)
    backup, other = await back_up(clinics, 1), await back_up(clinics, 2)
    key = await grown.sql.fetchval("SELECT min(codpaciente) FROM consulta WHERE clinica_id = 1")
    await grown.sql.execute(
        _damage(
            grown,
            f"DELETE FROM cita_recordatorio USING consulta AS c WHERE c.id = consulta_id AND codpaciente = {key};"
            f"UPDATE paciente SET direccion = 'otra' WHERE codusuario = {key};"
            "UPDATE proveedor AS t SET nombre = 'otro' WHERE {mine_proveedor}",
        )
    )
    scope = record(f"pacientes:{key}")
    foreseen = await restore(clinics, backup.file, scope=scope, simulate=True)
    plan = await restore(clinics, backup.file, scope=scope)
    assert plan == foreseen
    assert set(counts(plan)) == {"pacientes", "cita_recordatorio"}
    after = await back_up(clinics, 1)
    assert {name for name, lines in after.lines.items() if lines != backup.lines[name]} == {"proveedor"}
    await assert_restored(clinics, other, 2)


@tenth
async def test_some_models_with_what_they_need(grown: GrownDatabase) -> None:
    clinics = grown.clinics()
    backup, other = await back_up(clinics, 1), await back_up(clinics, 2)
    await grown.sql.execute(
        _damage(
            grown,
            "DELETE FROM item_receta AS t WHERE {mine_item_receta}; DELETE FROM receta AS t WHERE {mine_receta};"
            "UPDATE tarea AS t SET titulo = 'otro' WHERE {mine_tarea}",
        )
    )
    plan = await restore(clinics, backup.file, scope=models("item_receta"))
    assert set(counts(plan)) == {"item_receta", "receta"}
    assert plan.needed.keys() == {"receta"}
    after = await back_up(clinics, 1)
    assert after.lines["item_receta"] == backup.lines["item_receta"]
    assert after.lines["tarea"] != backup.lines["tarea"]
    await assert_restored(clinics, other, 2)


@tenth
async def test_a_row_that_is_another_clinics_now_is_named(grown: GrownDatabase) -> None:
    clinics = grown.clinics()
    backup = await back_up(clinics, 1)
    key = await grown.sql.fetchval(_damage(grown, "SELECT min(id) FROM insumo AS t WHERE {mine_insumo}"))
    await grown.sql.execute("UPDATE insumo SET clinica_id = 2 WHERE id = $1", key)
    with pytest.raises(RestoreRefused, match=rf"«insumo».*\({key}\)"):
        await restore(clinics, backup.file, strict=True)


@pytest.mark.parametrize("seed", range(2))
async def test_what_is_foreseen_is_what_happens(database: Database, seed: int) -> None:
    """Any damage that the database allows, over and over, by both kinds of role in turn."""
    grown = await make_grown(database, GrownOptions(0.1))
    chance = random.Random(seed)
    roles = [await superuser(grown), await ordinary(grown)]
    backup, other = await back_up(roles[0], 1), await back_up(roles[0], 2)
    for turn in range(3):
        clinics = roles[turn % 2]
        done = 0
        for _ in range(20):
            if await _happens(grown, chance):
                done += 1
        assert done
        foreseen = await restore(clinics, backup.file, simulate=True)
        assert await restore(clinics, backup.file) == foreseen
        await assert_restored(clinics, backup)
        await assert_restored(clinics, other, 2)


async def _happens(grown: GrownDatabase, chance: random.Random) -> bool:
    """Rows of clinic 1 in a table by chance go, change, or no longer point anywhere; whether the database let it."""
    table = chance.choice(GROWN_OWNED)
    some = f"{whose(grown.sample, table.name)} = 1 AND t.{table.key} % {chance.randint(2, 9)} = 0"
    free = [column.name for column in table.columns[:-1] if column.nullable and not column.generated]
    acts = [f"DELETE FROM {table.name} AS t WHERE {some}"]
    if free:
        # Whoever has no label keeps the keys that say whose it is.
        acts.append(f"UPDATE {table.name} AS t SET {chance.choice(free)} = NULL WHERE {some} AND clinica_id = 1")
    transaction = grown.sql.transaction()
    await transaction.start()
    try:
        await grown.sql.execute(chance.choice(acts))
        await grown.sql.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except asyncpg.IntegrityConstraintViolationError:
        await transaction.rollback()
        return False
    await transaction.commit()
    return True
