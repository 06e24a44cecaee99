"""Looking at a backup's object afterwards: what is found, where it is written, and what is not held against it."""

import asyncio
import hashlib
import itertools
import json
from typing import Any

import asyncpg
import pytest

from app.errors import AlreadyPurged, FormatError, NotCompleted, ObjectNotFound, RespaldoNotFound, StorageUnavailable
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import transaction
from app.respaldos.jobs.run import run_next
from app.respaldos.models import Profundidad, Respaldo, Restauracion
from app.respaldos.reading import queries as reading_queries
from app.respaldos.reading import verification as module
from app.respaldos.reading.verification import pedir_verificacion, verificar_respaldo
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Resources
from tests.respaldos.conftest import ANA, LARGE, SMALL, ask, back_up, opened, row_of, told, trail
from tests.storage.conftest import Store
from tests.support.damage import damage
from tests.support.fault import FaultyS3
from tests.support.jobs import expire, restauracion_row, with_lease

RAPIDA, COMPLETA = Profundidad.RAPIDA, Profundidad.COMPLETA


async def asked(
    resources: Resources, respaldo: Respaldo, profundidad: Profundidad = COMPLETA, clinica_id: int = SMALL
) -> Restauracion:
    """A verification that waits for a worker."""
    return await pedir_verificacion(
        resources, None, respaldo.id, clinica_id=clinica_id, profundidad=profundidad, actor=ANA
    )


@pytest.mark.parametrize("profundidad", list(Profundidad))
async def test_a_sound_backup(resources: Resources, conn: asyncpg.Connection, profundidad: Profundidad) -> None:
    respaldo = await back_up(resources)
    waiting = await asked(resources, respaldo, profundidad)
    assert (waiting.trabajo.estado, waiting.trabajo.intento, waiting.tipo) == ("pendiente", 0, "verificacion")
    await run_next(resources)
    found = await restauracion_row(conn, waiting.id)
    assert (found["estado"], found["error"], found["lease_until"]) == ("completado", None, None)
    assert found["resultado"]["correcto"] is True
    assert found["fecha_fin"] is not None
    row = await row_of(conn, respaldo.id)
    assert row["verificado"] is not None
    assert (row["verificado_profundidad"], row["verificado_error"]) == (profundidad, None)
    accion, usuario, detalle = (await trail(conn))[-1]
    assert (accion, usuario, detalle["correcto"]) == ("verificacion", "7", True)
    assert detalle["profundidad"] == profundidad


@pytest.mark.parametrize(
    ("harm", "profundidad", "code"),
    [
        ("missing", RAPIDA, "objeto_inexistente"),
        ("missing", COMPLETA, "objeto_inexistente"),
        ("longer", RAPIDA, "objeto_distinto"),
        # The embedded store's ETag is the MD5 of what it has.
        ("a bit", RAPIDA, "objeto_distinto"),
        ("a bit", COMPLETA, "archivo_invalido"),
    ],
)
async def test_an_object_that_is_not_the_backup(
    resources: Resources, store: Store, conn: asyncpg.Connection, harm: str, profundidad: Profundidad, code: str
) -> None:
    respaldo = await back_up(resources, LARGE)
    if harm == "missing":
        await store.storage.delete(respaldo.archivo_s3 or "")
    else:
        damage(store, respaldo, size=1 if harm == "longer" else 0)
    waiting = await asked(resources, respaldo, profundidad, LARGE)
    await run_next(resources)
    found = await restauracion_row(conn, waiting.id)
    assert (found["estado"], found["error_type"], found["intento"]) == ("fallido", code, 1)
    assert found["resultado"] == {"correcto": False}
    row = await row_of(conn, respaldo.id)
    assert (row["verificado_profundidad"], row["verificado_error"]) == (profundidad, found["error"])
    assert (await told(conn))[-1] == (
        "verificacion_fallida",
        {"error": found["error"], "profundidad": profundidad},
    )
    assert (await trail(conn))[-1][2]["correcto"] is False


async def test_a_store_that_is_down_says_nothing_about_the_backup(
    resources: Resources, store: Store, database: str, conn: asyncpg.Connection
) -> None:
    respaldo = await back_up(resources)
    waiting = await asked(resources, respaldo)
    async with opened(store, service=database, endpoint_url="http://127.0.0.1:9") as cut_off:
        for estado in ("pendiente", "pendiente", "fallido"):
            await run_next(cut_off)
            assert (await restauracion_row(conn, waiting.id))["estado"] == estado
    row = await row_of(conn, respaldo.id)
    assert (row["verificado"], row["verificado_error"]) == (None, None)
    assert [tipo for tipo, _ in await told(conn)] == ["exito"]
    accion, _, detalle = (await trail(conn))[-1]
    assert (accion, detalle["correcto"]) == ("verificacion", None)
    assert "AWS_ENDPOINT_URL_S3" in detalle["error"]


async def test_a_download_that_breaks_off_is_tried_again(
    moto_resources: Resources, faults: FaultyS3, conn: asyncpg.Connection
) -> None:
    respaldo = await back_up(moto_resources, LARGE)
    waiting = await asked(moto_resources, respaldo, COMPLETA, LARGE)
    faults.fail("get", "short", times=2)
    await run_next(moto_resources)
    assert (await restauracion_row(conn, waiting.id))["estado"] == "pendiente"
    faults.restore()
    assert await reconciliar(moto_resources) == 1, "it is to be announced again"
    await run_next(moto_resources)
    found = await restauracion_row(conn, waiting.id)
    assert (found["estado"], found["error"], found["error_type"]) == ("completado", None, None)


@pytest.mark.parametrize("profundidad", [COMPLETA, Profundidad.ENSAYO])
async def test_a_bit_that_changed_on_its_way_says_nothing_about_the_backup(
    moto_resources: Resources, faults: FaultyS3, conn: asyncpg.Connection, profundidad: Profundidad
) -> None:
    respaldo = await back_up(moto_resources)
    waiting = await asked(moto_resources, respaldo, profundidad)
    faults.fail("get", "flipped")
    await run_next(moto_resources)
    found = await restauracion_row(conn, waiting.id)
    assert (found["estado"], "no es lo que hay allí" in found["error"]) == ("pendiente", True)
    assert (await row_of(conn, respaldo.id))["verificado"] is None
    assert [tipo for tipo, _ in await told(conn)] == ["exito"]
    assert await reconciliar(moto_resources) == 1
    await run_next(moto_resources)
    assert (await row_of(conn, respaldo.id))["verificado_error"] is None
    assert (await restauracion_row(conn, waiting.id))["estado"] == "completado"


async def test_an_object_in_parts_is_not_taken_for_a_damaged_one(
    moto_resources: Resources, conn: asyncpg.Connection
) -> None:
    """Its ETag is no MD5 there."""
    respaldo = await back_up(moto_resources, LARGE)
    found = await moto_resources.storage.head(respaldo.archivo_s3 or "")
    assert found is not None
    assert found.etag is not None
    assert "-" in found.etag
    waiting = await asked(moto_resources, respaldo, RAPIDA, LARGE)
    await run_next(moto_resources)
    assert (await restauracion_row(conn, waiting.id))["estado"] == "completado"


async def test_a_glance_does_not_clear_what_a_reading_found(
    resources: Resources, store: Store, conn: asyncpg.Connection
) -> None:
    respaldo = await back_up(resources)
    await conn.execute(
        "UPDATE respaldos.respaldo SET verificado = now(), verificado_profundidad = 'completa',"
        " verificado_error = 'dañado'"
    )
    await asked(resources, respaldo, RAPIDA)
    await run_next(resources)
    assert (await row_of(conn, respaldo.id))["verificado_error"] == "dañado"
    await asked(resources, respaldo, COMPLETA)
    await run_next(resources)
    assert (await row_of(conn, respaldo.id))["verificado_error"] is None


async def test_a_passing_look_clears_what_an_equal_or_lesser_one_found(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    respaldo = await back_up(resources)
    depths = list(Profundidad)
    for failed, passing in itertools.product(depths, depths):
        for depth, error in ((failed, "dañado"), (passing, None)):
            async with transaction(resources) as session:
                await backup_queries.mark_verified(
                    session, respaldo.id, clinica_id=SMALL, profundidad=depth, error=error
                )
        cleared = (await row_of(conn, respaldo.id))["verificado_error"] is None
        assert cleared == (depths.index(passing) >= depths.index(failed)), (failed, passing)
        await conn.execute("UPDATE respaldos.respaldo SET verificado_error = NULL, verificado_profundidad = NULL")


async def test_nor_does_a_glance_after_another_that_found_the_object_gone(
    resources: Resources, store: Store, conn: asyncpg.Connection
) -> None:
    respaldo = await back_up(resources)
    damage(store, respaldo)
    await asked(resources, respaldo, COMPLETA)
    await run_next(resources)
    assert store.folder is not None
    path = store.folder / (respaldo.archivo_s3 or "")
    content = path.read_bytes()
    path.unlink()
    await asked(resources, respaldo, RAPIDA)
    await run_next(resources)
    path.write_bytes(content)
    await conn.execute(
        "UPDATE respaldos.respaldo SET hash_md5 = $1", hashlib.md5(content, usedforsecurity=False).hexdigest()
    )
    await asked(resources, respaldo, RAPIDA)
    await run_next(resources)
    row = await row_of(conn, respaldo.id)
    assert (row["verificado_profundidad"], row["verificado_error"] is None) == (COMPLETA, False)


async def test_a_glance_under_way_does_not_stand_for_a_reading(resources: Resources) -> None:
    respaldo = await back_up(resources)
    glance = await asked(resources, respaldo, RAPIDA)
    reading = await asked(resources, respaldo, COMPLETA)
    assert (reading.id != glance.id, reading.profundidad) == (True, COMPLETA)


async def test_an_object_that_was_removed_on_purpose_is_no_alarm(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    respaldo = await back_up(resources)
    await conn.execute("UPDATE respaldos.respaldo SET fecha_eliminacion = now(), purgado = now()")
    async with transaction(resources) as session:
        purged = await backup_queries.get(session, respaldo.id, clinica_id=SMALL, deleted=True)
    with pytest.raises(AlreadyPurged, match="ya se borró"):
        await verificar_respaldo(resources, purged)
    assert (await row_of(conn, respaldo.id))["verificado_error"] is None


async def test_one_at_a_time(resources: Resources, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    waiting = await asyncio.gather(*(asked(resources, respaldo) for _ in range(6)))
    assert len({each.id for each in waiting}) == 1
    await asyncio.gather(*(run_next(resources) for _ in range(6)))
    assert (await restauracion_row(conn, waiting[0].id))["intento"] == 1
    assert (await asked(resources, respaldo)).id != waiting[0].id


async def test_only_a_completed_backup_of_the_clinics_own(resources: Resources) -> None:
    pending = await ask(resources)
    with pytest.raises(NotCompleted, match="está pendiente"):
        await asked(resources, pending)
    with pytest.raises(RespaldoNotFound):
        await asked(resources, pending, clinica_id=LARGE)


async def test_one_that_is_deleted_meanwhile(resources: Resources, store: Store, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    waiting = await asked(resources, respaldo)
    await conn.execute("UPDATE respaldos.respaldo SET fecha_eliminacion = now()")
    await store.storage.delete(respaldo.archivo_s3 or "")
    await run_next(resources)
    found = await restauracion_row(conn, waiting.id)
    assert (found["estado"], found["error_type"]) == ("fallido", "respaldo_no_completado")
    assert [tipo for tipo, _ in await told(conn)] == ["exito"], "nobody is told that a deleted one is bad"


@pytest.fixture
def held_reading(monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """A verification stops before it has looked: the first event says so, the second lets it go on."""
    reached, released = asyncio.Event(), asyncio.Event()
    check = module._check

    async def held(*given: Any) -> Any:
        reached.set()
        await released.wait()
        return await check(*given)

    monkeypatch.setattr(module, "_check", held)
    return reached, released


async def test_a_worker_that_is_stopped_hands_it_on(
    resources: Resources, conn: asyncpg.Connection, held_reading: tuple[asyncio.Event, asyncio.Event]
) -> None:
    reached, released = held_reading
    waiting = await asked(resources, await back_up(resources))
    running = asyncio.create_task(run_next(resources))
    await reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    found = await restauracion_row(conn, waiting.id)
    assert (found["estado"], found["intento"], found["interrupciones"]) == ("pendiente", 1, 1)
    released.set()
    await run_next(resources)
    assert (await restauracion_row(conn, waiting.id))["estado"] == "completado"


async def test_interruptions_are_none_of_the_three_tries(
    store: Store, database: str, resources: Resources, conn: asyncpg.Connection
) -> None:
    waiting = await asked(resources, await back_up(resources))
    await conn.execute(
        "UPDATE respaldos.trabajo SET intento = 2, interrupciones = 2 WHERE restauracion_id = $1", waiting.id
    )
    async with opened(store, service=database, endpoint_url="http://127.0.0.1:9") as without_s3:
        for intento, estado in ((3, "pendiente"), (4, "pendiente"), (5, "fallido")):
            await run_next(without_s3)
            found = await restauracion_row(conn, waiting.id)
            assert (found["intento"], found["interrupciones"], found["estado"]) == (intento, 2, estado)


async def test_the_dead_are_followed_by_others(
    resources: Resources,
    conn: asyncpg.Connection,
    held_reading: tuple[asyncio.Event, asyncio.Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reached, released = held_reading
    respaldo = await back_up(resources)
    waiting = await asked(resources, respaldo)
    late = asyncio.create_task(run_next(resources))
    await reached.wait()
    await expire(conn)
    await reconciliar(resources)
    assert (await restauracion_row(conn, waiting.id))["estado"] == "pendiente"
    released.set()
    await late
    found = await restauracion_row(conn, waiting.id)
    assert (found["estado"], found["intento"], found["error_type"]) == ("pendiente", 1, "proceso_muerto")
    assert (await row_of(conn, respaldo.id))["verificado"] is None
    await run_next(resources)
    assert (await restauracion_row(conn, waiting.id))["estado"] == "completado"


async def test_past_the_last_attempt(resources: Resources, conn: asyncpg.Connection) -> None:
    waiting = await asked(resources, await back_up(resources))
    dead = "UPDATE respaldos.trabajo SET estado = 'procesando', intento = 3, lease_until = now() - interval '1s'"
    await conn.execute(f"{dead}, interrupciones = 1 WHERE restauracion_id = $1", waiting.id)
    await reconciliar(resources)
    assert (await restauracion_row(conn, waiting.id))["estado"] == "pendiente"
    await conn.execute(f"{dead}, interrupciones = 0 WHERE restauracion_id = $1", waiting.id)
    await reconciliar(resources)
    found = await restauracion_row(conn, waiting.id)
    assert (found["estado"], found["error_type"]) == ("fallido", "proceso_muerto")
    assert found["fecha_fin"] is not None
    assert (await trail(conn))[-1][0] == "verificacion"


async def test_how_far_it_is_can_be_seen(
    resources: Resources,
    conn: asyncpg.Connection,
    held_reading: tuple[asyncio.Event, asyncio.Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resources = with_lease(resources, heartbeat_seconds=0.02)
    reached, released = held_reading
    respaldo = await back_up(resources)
    waiting = await asked(resources, respaldo)
    running = asyncio.create_task(run_next(resources))
    await reached.wait()
    async with asyncio.timeout(10):
        while (progreso := (await restauracion_row(conn, waiting.id))["progreso"]) is None:
            await asyncio.sleep(0.01)
    assert json.loads(progreso)["bytes_esperados"] == respaldo.tamaño_bytes
    released.set()
    await running
    assert (await restauracion_row(conn, waiting.id))["progreso"] is None


async def test_the_command_line_records_what_it_finds(
    resources: Resources, store: Store, conn: asyncpg.Connection
) -> None:
    respaldo = await back_up(resources)
    await verificar_respaldo(resources, respaldo)
    row = await row_of(conn, respaldo.id)
    assert (row["verificado_profundidad"], row["verificado_error"]) == ("completa", None)
    damage(store, respaldo)
    with pytest.raises(FormatError):
        await verificar_respaldo(resources, respaldo)
    assert (await row_of(conn, respaldo.id))["verificado_error"] is not None
    await store.storage.delete(respaldo.archivo_s3 or "")
    with pytest.raises(ObjectNotFound):
        await verificar_respaldo(resources, respaldo)
    assert [accion for accion, _, _ in await trail(conn)] == ["creacion", *["verificacion"] * 3]


async def test_the_command_line_without_s3_records_nothing(
    resources: Resources, store: Store, database: str, conn: asyncpg.Connection
) -> None:
    respaldo = await back_up(resources)
    async with opened(store, service=database, endpoint_url="http://127.0.0.1:9") as cut_off:
        with pytest.raises(StorageUnavailable):
            await verificar_respaldo(cut_off, respaldo)
    assert (await row_of(conn, respaldo.id))["verificado"] is None


async def test_they_are_listed_newest_first_and_apart(resources: Resources) -> None:
    small, large = await back_up(resources, SMALL), await back_up(resources, LARGE)
    theirs = await asked(resources, large, clinica_id=LARGE)
    await run_next(resources)
    mine = []
    for _ in range(3):
        waiting = await asked(resources, small)
        await run_next(resources)
        mine.append(waiting.id)
    async with transaction(resources) as session:
        rows, total = await reading_queries.page(session, clinica_id=SMALL, limit=2, offset=0)
        assert ([row.id for row in rows], total) == (mine[:0:-1], 3)
        rows, total = await reading_queries.page(session, clinica_id=SMALL, limit=2, offset=2)
        assert ([row.id for row in rows], total) == (mine[:1], 3)
        assert (await reading_queries.get(session, theirs.id, clinica_id=LARGE)).id == theirs.id
        with pytest.raises(RespaldoNotFound, match=f"restauración {theirs.id}"):
            await reading_queries.get(session, theirs.id, clinica_id=SMALL)
