"""Points of the day: unchanged, they have another backup's object, and are as good as that one."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from app.dump.seal import NO_SEALS
from app.dump.verifier import FileVerifier
from app.errors import FormatError, ObjectMismatch
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import transaction
from app.respaldos.jobs.run import run_next
from app.respaldos.models import Profundidad, Respaldo, TipoRespaldo
from app.respaldos.reading.comparison import comparar_respaldos
from app.respaldos.reading.download import descargar_respaldo
from app.respaldos.reading.verification import verificar_respaldo
from app.respaldos.resources import Resources
from app.respaldos.restore.request import RestoreRequest
from app.respaldos.restore.run import restaurar_respaldo
from app.respaldos.retention.delete import eliminar_respaldo
from app.respaldos.retention.reindex import reindexar
from app.respaldos.status import fleet as status_fleet
from app.respaldos.status.statistics import obtener_estadisticas
from app.storage.options import StoragePrice
from app.storage.s3 import S3Storage, StoredObject
from tests.respaldos.conftest import ANA, LARGE, SMALL, ask, back_up, connected, opened, told, trail
from tests.storage.conftest import Store
from tests.support.stored import row


async def point(resources: Resources, clinica_id: int = SMALL) -> Respaldo:
    """A point as the day's cron has it made."""
    return await back_up(resources, clinica_id, tipo=TipoRespaldo.PUNTO)


async def objects(store: Store) -> set[str]:
    """What is in the bucket, of which no upload is unfinished."""
    assert await store.uploads() == []
    return {item.key async for item in store.storage.list()}


@pytest.mark.parametrize("clinica_id", [SMALL, LARGE], ids=["one PUT", "in parts"])
async def test_an_unchanged_one_has_the_object_of_the_last_good_one(
    store: Store, own_database: str, clinica_id: int, tmp_path: Path
) -> None:
    async with opened(store, service=own_database) as resources, connected(own_database) as conn:
        full = await back_up(resources, clinica_id)
        await verificar_respaldo(resources, full)
        first, second = await point(resources, clinica_id), await point(resources, clinica_id)
        for each in (first, second):
            assert (each.respaldo_base_id, each.sin_cambios_desde) == (full.id, full.fecha_respaldo)
            assert (each.archivo_s3, each.hash_md5) == (full.archivo_s3, full.hash_md5)
            assert (each.tamaño_bytes, each.numero_registros) == (full.tamaño_bytes, full.numero_registros)
            assert each.metadata_["detalles_registros"] == full.metadata_["detalles_registros"]
            assert each.fecha_respaldo > full.fecha_respaldo
            assert each.verificado is not None
            assert each.good
        assert await objects(store) == {full.archivo_s3}
        # Everything works on it.
        for depth in Profundidad:
            await verificar_respaldo(resources, second, profundidad=depth)
        await descargar_respaldo(resources, second, tmp_path / "punto.json.gz")
        verifier = FileVerifier(NO_SEALS, sealed=False)
        verifier.feed((tmp_path / "punto.json.gz").read_bytes())
        assert verifier.finish(second.hash_md5).header.origin.id == full.id
        assert (await row(resources, full.id)).verificado_profundidad == "ensayo"
        # Its bytes are there once.
        price = StoragePrice(0.0125, least_bytes=0, least_days=0)
        asked = {"now": datetime.now(UTC), "time_zone": ZoneInfo("UTC"), "hour": 2, "minute": 0, "price": price}
        clinic = await resources.clinic.clinic(clinica_id)
        before = await obtener_estadisticas(resources, clinic=clinic, **asked)  # type: ignore[arg-type]
        await eliminar_respaldo(resources, full.id, clinica_id=clinica_id, actor=ANA)
        after = await obtener_estadisticas(resources, clinic=clinic, **asked)  # type: ignore[arg-type]
        for found in (before, after):
            assert found.tamaño_total_mb == found.tamaño_almacenado_mb == round((full.tamaño_bytes or 0) / 2**20, 2)
        async with transaction(resources) as session:
            assert (await status_fleet.backlog(session)).stored == full.tamaño_bytes
        # What changes has an object of its own, and comes back from the point.
        await conn.execute("UPDATE usuario SET telefono = '1' WHERE clinica_id = $1", clinica_id)
        third = await point(resources, clinica_id)
        assert third.respaldo_base_id is None
        assert await objects(store) == {full.archivo_s3, third.archivo_s3}
        async with comparar_respaldos(resources, first, third) as compared:
            assert [name for name, changes in compared.modelos.items() if changes.updated] == ["usuarios"]
        await restaurar_respaldo(resources, second, RestoreRequest())
        fourth = await point(resources, clinica_id)
        assert fourth.huella == full.huella != third.huella


async def test_nobody_is_written_to_of_it_and_a_night_has_an_object_of_its_own(
    resources: Resources, store: Store, conn: asyncpg.Connection
) -> None:
    await point(resources)
    await point(resources)
    assert await told(conn) == []
    night = await back_up(resources, tipo=TipoRespaldo.AUTOMATICO)
    assert night.respaldo_base_id is None
    assert len(await objects(store)) == 2
    # What was made before points were has nothing to compare by.
    await conn.execute("UPDATE respaldos.respaldo SET huella = NULL")
    assert (await point(resources)).respaldo_base_id is None


async def test_a_damaged_object_is_not_relied_on_and_marks_all_that_have_it(
    resources: Resources, store: Store, conn: asyncpg.Connection
) -> None:
    full, shared = await back_up(resources), await point(resources)
    assert full.archivo_s3 is not None
    await store.storage.delete(full.archivo_s3)
    made = await point(resources)
    assert made.respaldo_base_id is None
    assert await objects(store) == {made.archivo_s3}
    errors = await conn.fetch("SELECT verificado_error FROM respaldos.respaldo WHERE id <> $1", made.id)
    assert len(errors) == 2
    assert all("no existe" in error for (error,) in errors)
    assert [tipo for tipo, _ in await told(conn)] == ["exito", "verificacion_fallida"]
    assert ("verificacion", None) in [(accion, usuario) for accion, usuario, _ in await trail(conn)]
    # One that is found damaged, of several.
    again = await point(resources)
    assert again.respaldo_base_id == made.id
    assert made.archivo_s3 is not None
    content = b"x" * (made.tamaño_bytes or 0)
    await store.storage.client.put_object(Bucket=store.options.bucket, Key=made.archivo_s3, Body=content)
    with pytest.raises(FormatError):
        await verificar_respaldo(resources, again)
    assert not (await row(resources, made.id)).good
    assert (await row(resources, shared.id)).verificado_error is not None


async def test_a_backup_that_is_deleted_meanwhile_is_not_relied_on(
    resources: Resources, store: Store, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the fence: who deletes waits for the point that takes the object, and then finds it."""
    older, full = await back_up(resources), await back_up(resources)
    looked, go_on = asyncio.Event(), asyncio.Event()
    glance = S3Storage.glance

    async def held_glance(storage: S3Storage, stored: StoredObject, **more: object) -> None:
        await glance(storage, stored)
        looked.set()
        await go_on.wait()

    monkeypatch.setattr(S3Storage, "glance", held_glance)
    asked = await ask(resources, tipo=TipoRespaldo.PUNTO)
    making = asyncio.create_task(run_next(resources))
    await looked.wait()
    await eliminar_respaldo(resources, full.id, clinica_id=SMALL, actor=ANA)
    go_on.set()
    await making
    waits = await row(resources, asked.id)
    assert (waits.estado, waits.respaldo_base_id, waits.metadata_["error_type"]) == (
        "pendiente",
        None,
        ObjectMismatch.code,
    )
    await run_next(resources)
    made = await row(resources, asked.id)
    assert (made.estado, made.respaldo_base_id) == ("completado", older.id)
    # The other way round: deleting waits.
    async with transaction(resources) as session:
        assert await backup_queries.hold_good(session, made.id, clinica_id=SMALL)
        deleting = asyncio.create_task(eliminar_respaldo(resources, made.id, clinica_id=SMALL, actor=ANA))
        async with asyncio.timeout(30):
            while not await conn.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
        assert not deleting.done()
    await deleting


async def test_from_the_bucket_alone_the_object_is_found_and_its_points_are_not(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    full = await back_up(resources)
    await point(resources)
    await conn.execute("TRUNCATE respaldos.respaldo CASCADE")
    found = await reindexar(resources)
    assert [(each.id, each.huella) for each in found.rebuilt] == [(full.id, full.huella)]
    again = await point(resources)
    assert again.respaldo_base_id == full.id
    # No object is taken for nobody's.
    assert (await reindexar(resources)).rebuilt == []
