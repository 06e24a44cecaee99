"""The platform's backups: made, kept, proven and restored as a clinic's are, and apart from every clinic's."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from app.errors import FormatError, InvalidRequest, LastGoodBackup, OperationInProgress, RespaldoNotFound
from app.respaldos import audit
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import transaction
from app.respaldos.models import Profundidad
from app.respaldos.reading import queries as reading_queries
from app.respaldos.reading.comparison import comparar_respaldos
from app.respaldos.reading.verification import verificar_respaldo
from app.respaldos.resources import Resources
from app.respaldos.retention.clean import limpiar_respaldos_antiguos
from app.respaldos.retention.delete import eliminar_respaldo
from app.respaldos.retention.policy import Policy
from app.respaldos.retention.purge import purgar
from app.respaldos.retention.reindex import reindexar
from app.respaldos.schedule.fleet import newest_good_and_trial
from app.respaldos.schedule.nights import programar
from app.respaldos.schedule.overdue import vigilar
from app.respaldos.status import queries as status_queries
from app.storage.options import StoragePrice
from tests.respaldos.conftest import ANA, LA_PAZ, SMALL, Held, ask, back_up
from tests.support.jobs import expire
from tests.support.restores import assert_refused, conn, newest, resources, restore
from tests.support.stored import keys, live_ids, stored

__all__ = ["conn", "resources"]


async def test_its_file_is_apart_and_no_clinic_sees_it(resources: Resources) -> None:
    respaldo = await back_up(resources, None)
    assert respaldo.clinica_id is None
    assert (respaldo.archivo_s3 or "").startswith("backups/plataforma/")
    assert respaldo.metadata_["detalles_registros"]["clinica"] == 3
    async with transaction(resources) as session:
        for clinica_id in (1, 2, 3):
            with pytest.raises(RespaldoNotFound):
                await backup_queries.get(session, respaldo.id, clinica_id=clinica_id)
            assert (await backup_queries.page(session, clinica_id=clinica_id, limit=10, offset=0))[1] == 0
            assert (
                await status_queries.totals(
                    session, clinica_id=clinica_id, price=StoragePrice(0), now=datetime.now(UTC)
                )
            ).all == 0
        assert (await backup_queries.get(session, respaldo.id, clinica_id=None)).id == respaldo.id


async def test_a_clinics_backup_is_not_the_platforms(resources: Resources) -> None:
    respaldo = await back_up(resources)
    async with transaction(resources) as session:
        with pytest.raises(RespaldoNotFound):
            await backup_queries.get(session, respaldo.id, clinica_id=None)
        assert (await backup_queries.page(session, clinica_id=None, limit=10, offset=0))[1] == 0
        assert (await reading_queries.page(session, clinica_id=None, limit=10, offset=0))[1] == 0
        lines, _ = await audit.page(session, clinica_id=None, accion=None, limit=10, offset=0)
        assert respaldo.id not in {line.respaldo_id for line in lines}


async def test_one_at_a_time_and_the_clinics_go_on(resources: Resources, held: Held) -> None:
    running = asyncio.create_task(back_up(resources, None))
    await held.reached.wait()
    with pytest.raises(OperationInProgress, match="la plataforma ya tiene un respaldo en curso"):
        await ask(resources, clinica_id=None)
    held.released.set()
    await back_up(resources)
    first = await running
    await ask(resources, clinica_id=None)
    with pytest.raises(OperationInProgress, match="la plataforma tiene un respaldo en curso"):
        await restore(resources, first)


async def test_what_runs_for_the_platform_keeps_no_clinic_from_its_night(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    now = datetime(2026, 5, 20, 5, 0, tzinfo=LA_PAZ)
    await ask(resources, clinica_id=None)
    made = await programar(resources, now=now, time_zone=LA_PAZ, hour=2, minute=0)
    assert sorted(item.clinica_id or 0 for item in made) == [1, 2, 3]
    await conn.execute("UPDATE respaldos.trabajo SET estado = 'completado' WHERE clinica_id IS NULL")
    (platform,) = await programar(resources, now=now, time_zone=LA_PAZ, hour=2, minute=0)
    assert platform.clinica_id is None
    assert await programar(resources, now=now, time_zone=LA_PAZ, hour=2, minute=0) == []


async def test_people_are_told_when_it_has_none(resources: Resources, conn: asyncpg.Connection) -> None:
    now = datetime.now(LA_PAZ)
    for clinica_id in (1, 2, 3):
        await stored(resources, clinica_id)
    await stored(resources, None, days=2)
    assert await vigilar(resources, now=now) == 1
    assert await vigilar(resources, now=now) == 0
    assert await conn.fetchval("SELECT count(*) FROM respaldos.aviso WHERE clinica_id IS NULL") == 1


async def test_the_last_good_one_stays(resources: Resources) -> None:
    old = await stored(resources, None, days=90)
    newer = await stored(resources, None, days=60)
    clinics = await stored(resources, SMALL, days=1)
    await limpiar_respaldos_antiguos(resources, Policy(days=30, minimum=1))
    assert await live_ids(resources, None) == [newer]
    assert await live_ids(resources, SMALL) == [clinics]
    assert old not in await live_ids(resources, None)
    with pytest.raises(LastGoodBackup, match="el único bueno de la plataforma"):
        await eliminar_respaldo(resources, newer, clinica_id=None, actor=ANA)


async def test_deleted_and_purged(resources: Resources) -> None:
    first = await back_up(resources, None)
    second = await back_up(resources, None)
    await eliminar_respaldo(resources, first.id, clinica_id=None, actor=ANA)
    assert await purgar(resources, days=0) == 1
    assert await keys(resources) == {second.archivo_s3}


async def test_it_is_proven(resources: Resources) -> None:
    respaldo = await back_up(resources, None)
    for depth in Profundidad:
        await verificar_respaldo(resources, respaldo, profundidad=depth)
    async with transaction(resources) as session:
        assert (await backup_queries.get(session, respaldo.id, clinica_id=None)).verificado_profundidad == "ensayo"
        (due,) = await newest_good_and_trial(session, among=[1, 2, 3])
    assert (due.clinica_id, due.respaldo_id) == (None, respaldo.id)


async def test_a_process_that_died_is_found_out(resources: Resources, conn: asyncpg.Connection, held: Held) -> None:
    running = asyncio.create_task(back_up(resources, None))
    await held.reached.wait()
    await expire(conn)
    held.released.set()
    again = await back_up(resources, None)
    assert again.estado == "completado"
    with pytest.raises(Exception, match="otro proceso se hizo cargo"):
        await running


async def test_a_restore_saves_first_inserts_and_says_what_it_left(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    await conn.execute("CREATE TABLE suelta (dato text); INSERT INTO suelta VALUES ('x')")
    respaldo = await back_up(resources, None)
    await conn.execute("DELETE FROM suelta")
    await conn.execute("UPDATE clinica SET nombre = 'Otro nombre' WHERE id = 1")
    await restore(resources, respaldo)
    row = await newest(conn)
    assert "«clinica»: 1 registros existen hoy con otro contenido" in row["avisos"]
    previous = await conn.fetchrow("SELECT clinica_id FROM respaldos.respaldo WHERE id = $1", row["respaldo_previo"])
    assert previous is not None
    assert previous["clinica_id"] is None
    assert await conn.fetchval("SELECT dato FROM suelta") == "x"
    assert await conn.fetchval("SELECT nombre FROM clinica WHERE id = 1") == "Otro nombre"
    await restore(resources, respaldo, actualizar=True)
    assert await conn.fetchval("SELECT nombre FROM clinica WHERE id = 1") == "Clínica grande"
    with pytest.raises(InvalidRequest, match="no un registro"):
        await restore(resources, respaldo, registros=("clinica:1",))
    for asked in ({"con_accesos": True}, {"con_clinica": True}):
        with pytest.raises(InvalidRequest, match="filas como las demás"):
            await restore(resources, respaldo, **asked)
    clinics = await back_up(resources)
    with pytest.raises(InvalidRequest, match="es del respaldo de la plataforma"):
        await restore(resources, clinics, actualizar=True)


async def test_a_clinics_file_in_its_place(resources: Resources, conn: asyncpg.Connection) -> None:
    clinics = await back_up(resources)
    await conn.execute("UPDATE respaldos.respaldo SET clinica_id = NULL WHERE id = $1", clinics.id)
    async with transaction(resources) as session:
        forged = await backup_queries.get(session, clinics.id, clinica_id=None)
    with pytest.raises(FormatError, match=f"de la clínica {SMALL}, y debería ser el {clinics.id} de la plataforma"):
        await restore(resources, forged)
    await assert_refused(conn, FormatError.code)


async def test_two_of_them_compared(resources: Resources, conn: asyncpg.Connection) -> None:
    before = await back_up(resources, None)
    await conn.execute("UPDATE clinica SET nombre = 'Otro nombre' WHERE id = 1")
    after = await back_up(resources, None)
    for other in (after, None):
        async with comparar_respaldos(resources, before, other) as compared:
            changed = {model: changes.updated for model, changes in compared.modelos.items() if changes.any}
        assert changed == {"clinica": 1}


async def test_its_rows_are_found_again_in_the_bucket(resources: Resources, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources, None)
    await conn.execute("DELETE FROM respaldos.respaldo")
    (found,) = (await reindexar(resources)).rebuilt
    assert (found.id, found.clinica_id, found.hash_md5) == (respaldo.id, None, respaldo.hash_md5)
    assert await vigilar(resources, now=datetime.now(LA_PAZ) - timedelta(days=1)) == 0
