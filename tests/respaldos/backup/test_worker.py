"""What a worker does with a backup that somebody has asked for."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from app.errors import OperationInProgress
from app.respaldos.backup import run as making
from app.respaldos.jobs.run import run_next
from app.respaldos.models import Clase, TipoRespaldo
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from app.storage.s3 import S3Storage
from tests.respaldos.conftest import (
    LARGE,
    Held,
    ask,
    assert_consistent,
    back_up,
    opened,
    respaldo_rows,
    row_of,
    told,
    trail,
)
from tests.storage.conftest import Store
from tests.support.cancelled import Cancelled
from tests.support.fault import FaultyS3
from tests.support.jobs import expire, occupy, with_lease
from tests.support.jobs import running as running_jobs


async def test_what_was_asked_for_is_made(resources: Resources, store: Store, conn: asyncpg.Connection) -> None:
    asked = await ask(resources, LARGE, descripcion="Antes de migrar")
    assert (asked.estado, asked.usuario_nombre) == ("pendiente", "Ana Paz")
    await run_next(resources)
    row = await row_of(conn, asked.id)
    assert (row["estado"], row["intento"], row["descripcion"]) == ("completado", 1, "Antes de migrar")
    assert (row["usuario"], row["usuario_nombre"]) == ("7", "Ana Paz")
    assert (row["progreso"], row["lease_until"]) == (None, None)
    await assert_consistent(conn, store)
    assert await trail(conn) == [("creacion", "7", {"tipo_respaldo": "por_demanda"})]
    [(tipo, datos)] = await told(conn)
    assert tipo == "exito"
    assert (datos["registros"], datos["bytes"]) == (row["numero_registros"], row["tamaño_bytes"])


async def test_a_second_request_names_the_first(resources: Resources, conn: asyncpg.Connection) -> None:
    asked = await ask(resources)
    with pytest.raises(OperationInProgress, match=r"clínica 2 .*número 1, pendiente") as raised:
        await ask(resources)
    assert raised.value.respaldo_id == asked.id
    assert len(await trail(conn)) == 1


async def test_of_several_workers_one_makes_it(resources: Resources, store: Store, conn: asyncpg.Connection) -> None:
    asked = await ask(resources, LARGE)
    await asyncio.gather(*(run_next(resources) for _ in range(6)))
    assert (await row_of(conn, asked.id))["intento"] == 1
    assert await conn.fetchval("SELECT count(*) FROM respaldos.intento") == 1
    await assert_consistent(conn, store)


async def test_it_waits_while_something_else_is_under_way(resources: Resources, conn: asyncpg.Connection) -> None:
    other = await back_up(resources)
    asked = await ask(resources)
    restoring = await occupy(conn, other.id, Clase.RESTAURACION)
    await run_next(resources)
    row = await row_of(conn, asked.id)
    assert (row["estado"], row["intento"]) == ("pendiente", 0)
    await conn.execute("DELETE FROM respaldos.trabajo WHERE id = $1", restoring)
    await run_next(resources)
    assert (await row_of(conn, asked.id))["estado"] == "completado"


async def test_what_may_pass_is_tried_three_times_and_then_told_once(
    store: Store, database: str, conn: asyncpg.Connection
) -> None:
    async with opened(store, service=database, endpoint_url="http://127.0.0.1:9") as resources:
        asked = await ask(resources)
        for intento, estado in ((1, "pendiente"), (2, "pendiente"), (3, "fallido")):
            await run_next(resources)
            row = await row_of(conn, asked.id)
            assert (row["intento"], row["estado"]) == (intento, estado)
            assert row["error_type"] == "almacenamiento_no_disponible"
            assert "AWS_ENDPOINT_URL_S3" in row["error"]
            said = json.loads(row["metadata"])
            assert (said["intentos_fallidos"], said["intentos_maximos"]) == (intento, 3)
            assert len(await told(conn)) == (1 if estado == "fallido" else 0)
        await run_next(resources)
        assert (await row_of(conn, asked.id))["intento"] == 3
    [(tipo, datos)] = await told(conn)
    assert (tipo, datos["error_type"]) == ("fallo", "almacenamiento_no_disponible")
    assert "AWS_ENDPOINT_URL_S3" in datos["error"]
    assert await running_jobs(conn) == 0


async def test_interruptions_are_none_of_the_three_tries(
    store: Store, database: str, conn: asyncpg.Connection
) -> None:
    async with opened(store, service=database, endpoint_url="http://127.0.0.1:9") as resources:
        asked = await ask(resources)
        # Two deployments.
        await conn.execute("UPDATE respaldos.trabajo SET intento = 2, interrupciones = 2")
        for intento, estado in ((3, "pendiente"), (4, "pendiente"), (5, "fallido")):
            await run_next(resources)
            row = await row_of(conn, asked.id)
            assert (row["intento"], row["interrupciones"], row["estado"]) == (intento, 2, estado)


async def test_what_will_not_pass_is_not_tried_again(store: Store, database: str, conn: asyncpg.Connection) -> None:
    async with opened(store, service=database, bucket="no-hay-tal") as resources:
        asked = await ask(resources)
        await run_next(resources)
    row = await row_of(conn, asked.id)
    assert (row["estado"], row["error_type"]) == ("fallido", "bucket_inexistente")
    assert [tipo for tipo, _ in await told(conn)] == ["fallo"]


async def test_a_failure_that_passed_leaves_no_trace(
    moto_resources: Resources, moto_store: Store, faults: FaultyS3, conn: asyncpg.Connection
) -> None:
    asked = await ask(moto_resources, LARGE)
    faults.fail("complete", "503", times=9)
    await run_next(moto_resources)
    assert (await row_of(conn, asked.id))["estado"] == "pendiente"
    faults.restore()
    assert await reconciliar(moto_resources) == 1, "it is to be announced again"
    await run_next(moto_resources)
    row = await row_of(conn, asked.id)
    assert (row["estado"], row["intento"], row["error"]) == ("completado", 2, None)
    assert [tipo for tipo, _ in await told(conn)] == ["exito"]
    await assert_consistent(conn, moto_store)


async def test_a_worker_that_is_stopped_hands_its_backup_on(
    resources: Resources, store: Store, conn: asyncpg.Connection, held: Held
) -> None:
    asked = await ask(resources, LARGE)
    # However often that has happened.
    await conn.execute("UPDATE respaldos.trabajo SET intento = 7, interrupciones = 7")
    running = asyncio.create_task(run_next(resources))
    await held.reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    row = await row_of(conn, asked.id)
    assert (row["estado"], row["intento"], row["error_type"]) == ("pendiente", 8, "interrumpido")
    assert row["interrupciones"] == 8
    assert await told(conn) == []
    await assert_consistent(conn, store)
    assert await running_jobs(conn) == 0
    held.released.set()
    await run_next(resources)
    assert (await row_of(conn, asked.id))["estado"] == "completado"
    await assert_consistent(conn, store)


@pytest.mark.parametrize("number", [*range(1, 13), 40, 120])
async def test_a_stop_at_any_moment(
    resources: Resources, store: Store, conn: asyncpg.Connection, number: int
) -> None:
    asked = await ask(resources, LARGE)

    async def run() -> object:
        work: Any = run_next(resources)
        return await Cancelled(work, lambda so_far: so_far.seen.total() == number)

    running = asyncio.create_task(run())
    await asyncio.wait([running])
    assert running.cancelled()
    assert (await row_of(conn, asked.id))["estado"] == "pendiente"
    assert await running_jobs(conn) == 0
    await assert_consistent(conn, store)


async def test_a_worker_back_from_the_dead_changes_nothing(
    resources: Resources, store: Store, conn: asyncpg.Connection, held: Held
) -> None:
    asked = await ask(resources, LARGE)
    late = asyncio.create_task(run_next(resources))
    await held.reached.wait()
    await expire(conn)
    await reconciliar(resources)
    held.released.set()
    again = asyncio.create_task(run_next(resources))
    await asyncio.gather(late, again)
    row = await row_of(conn, asked.id)
    assert (row["estado"], row["intento"]) == ("completado", 2)
    assert [tipo for tipo, _ in await told(conn)] == ["exito"]
    await assert_consistent(conn, store)


async def test_a_death_past_the_last_attempt_is_told(resources: Resources, conn: asyncpg.Connection) -> None:
    asked = await ask(resources)
    await conn.execute("UPDATE respaldos.trabajo SET estado = 'procesando', intento = 3")
    await expire(conn)
    await reconciliar(resources)
    assert (await row_of(conn, asked.id))["estado"] == "fallido"
    assert [(tipo, datos["error_type"]) for tipo, datos in await told(conn)] == [("fallo", "proceso_muerto")]


async def test_the_first_success_after_a_failure_is_told_as_that(
    store: Store, database: str, resources: Resources, conn: asyncpg.Connection
) -> None:
    async with opened(store, service=database, bucket="no-hay-tal") as broken:
        await ask(broken)
        await run_next(broken)
    for _ in range(2):
        await ask(resources)
        await run_next(resources)
    # Another clinic's failures are nothing to it.
    await ask(resources, LARGE)
    await run_next(resources)
    assert [tipo for tipo, _ in await told(conn)] == ["fallo", "recuperacion", "exito", "exito"]


async def test_a_suspicious_one_is_told_as_that(
    resources: Resources, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await back_up(resources)
    monkeypatch.setattr(making, "suspicion", lambda *_: "sospechoso: tiene menos")
    await ask(resources)
    await run_next(resources)
    assert (await told(conn))[1:] == [("sospechoso", {"motivo": "sospechoso: tiene menos"})]


async def test_a_service_database_that_is_down_leaves_it_for_later(
    resources: Resources, store: Store, conn: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    asked = await ask(resources)
    async with opened(store, service="postgresql+asyncpg://nadie@127.0.0.1:9/nada") as cut_off:
        await run_next(cut_off)
    assert "DATABASE_URL" in caplog.text
    assert (await row_of(conn, asked.id))["estado"] == "pendiente"
    await run_next(resources)
    assert (await row_of(conn, asked.id))["estado"] == "completado"


async def test_nothing_to_do_is_no_error(resources: Resources) -> None:
    assert await run_next(resources) is False


async def test_a_stall_is_tried_again(
    resources: Resources, store: Store, conn: asyncpg.Connection, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = with_lease(resources, heartbeat_seconds=0.02, stalled_seconds=0.2)
    asked = await ask(resources, LARGE, tipo=TipoRespaldo.AUTOMATICO)
    await run_next(resources)
    row = await row_of(conn, asked.id)
    assert (row["estado"], row["error_type"]) == ("pendiente", "sin_avance")
    await assert_consistent(conn, store)


async def test_another_backup_is_made_while_one_is_cleaned_after(
    resources: Resources, store: Store, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ending an attempt looks after its own key only: many leftovers of others must not hold up a stop."""
    await ask(resources)
    await run_next(resources)
    await conn.execute("UPDATE respaldos.respaldo SET estado = 'fallido', archivo_s3 = NULL")
    await conn.execute("UPDATE respaldos.intento SET limpiado = NULL")
    seen: list[str] = []
    discard = S3Storage.discard

    async def noted(storage: S3Storage, key: str) -> None:
        seen.append(key)
        await discard(storage, key)

    monkeypatch.setattr(S3Storage, "discard", noted)
    monkeypatch.setattr(making, "suspicion", _mistaken)
    await ask(resources, LARGE)
    with pytest.raises(ZeroDivisionError):
        await run_next(resources)
    assert [key.split("/")[1] for key in seen] == [str(LARGE)]
    assert (await respaldo_rows(conn))[-1].error_type == "error_interno"


def _mistaken(*_: object) -> str | None:
    raise ZeroDivisionError("entre cero")
