"""The database is lost, and the first store with it: the second has all that is needed."""

from dataclasses import replace
from typing import Any

import asyncpg

from app.connections.storage import copy_options
from app.diagnostics.servers import copies
from app.respaldos.keys.destroy import confirmar_destruccion, pedir_destruccion
from app.respaldos.keys.rotate import rotar_claves
from app.respaldos.resources import Resources
from app.respaldos.retention.reindex import reindexar
from app.settings import CopyBucket, Settings
from tests.respaldos.conftest import ANA, LARGE, SMALL, back_up
from tests.storage.conftest import Store
from tests.support.copies import away, copies_of, copying, second, second_server, with_copies, work
from tests.support.damage import damage
from tests.support.encrypting import with_masters
from tests.support.fault import FaultyS3
from tests.support.rclone import KEY, SECRET
from tests.support.restores import DAMAGE, conn, everybody, resources, restore
from tests.support.stored import row

__all__ = ["conn", "copying", "resources", "second", "second_server"]


async def lose_rows(conn: asyncpg.Connection) -> None:
    await conn.execute("TRUNCATE respaldos.respaldo, respaldos.clave CASCADE")


async def test_rows_come_from_the_copies_alone_and_clinics_back_with_them(
    copying: Resources, store: Store, conn: asyncpg.Connection
) -> None:
    encrypting = with_masters(copying, "2026")
    made = await back_up(encrypting)
    await work(encrypting)
    await lose_rows(conn)
    before = await everybody(copying)
    await conn.execute(DAMAGE)
    async with away(store) as nobody:
        left = replace(with_masters(copying, "2026"), storage=nobody.storage)
        found = await reindexar(left)
        (rebuilt,) = found.rebuilt
        assert (rebuilt.id, rebuilt.hash_md5, rebuilt.good) == (made.id, made.hash_md5, True)
        assert (rebuilt.solo_en_copia is not None, len(found.away), found.damaged) == (True, 1, [])
        await restore(left, await row(copying, rebuilt.id), sin_respaldo_previo=True)
    assert await everybody(copying) == before


async def test_what_the_first_store_has_lost_or_damaged_comes_from_the_second(
    copying: Resources, store: Store, second: Store, conn: asyncpg.Connection
) -> None:
    sound, spoilt, gone = await back_up(copying), await back_up(copying, LARGE), await back_up(copying)
    await work(copying)
    await lose_rows(conn)
    damage(store, spoilt)
    await store.storage.delete(gone.archivo_s3 or "")
    found = await reindexar(copying)
    assert found.damaged == [], "it is not left out"
    only_copy = {each.id: each.solo_en_copia is not None for each in found.rebuilt}
    assert only_copy == {sound.id: False, spoilt.id: True, gone.id: True}
    assert await copies_of(copying, gone) == {"oficina": "completa"}
    assert (await reindexar(copying)).rebuilt == []


async def test_another_master_key_and_a_destruction_reach_the_copies(
    copying: Resources, second: Store, conn: asyncpg.Connection
) -> None:
    encrypting = with_masters(copying, "2026")
    await back_up(encrypting)
    await work(encrypting)
    (key,) = [item.key async for item in second.storage.list("claves/")]
    assert second.folder is not None
    assert (await rotar_claves(with_masters(copying, "2027", "2026"))).failed == {}
    wrapped = await conn.fetchval("SELECT envoltura FROM respaldos.clave WHERE maestra = '2027'")
    assert (second.folder / key).read_text() == wrapped

    async with away(second) as nobody:
        gone = with_copies(encrypting, oficina=nobody)
        assert list((await rotar_claves(with_masters(gone, "2027"))).failed) == ["copia oficina"]
    name = "Clínica pequeña"
    await pedir_destruccion(copying, clinica_id=SMALL, nombre=name, por="ana", actor=ANA)
    destroyed = await confirmar_destruccion(copying, clinica_id=SMALL, nombre=name, por="luis", actor=ANA)
    assert destroyed.left == ()
    assert [item.key async for item in second.storage.list("claves/")] == []


async def test_a_key_is_written_over_where_it_may_not_be_deleted(
    resources: Resources, moto_store: Store, faults: FaultyS3
) -> None:
    faults.refuses = only_write
    encrypting = with_masters(with_copies(resources, oficina=moto_store), "2026")
    await back_up(encrypting)
    await work(encrypting)
    name = "Clínica pequeña"
    await pedir_destruccion(encrypting, clinica_id=SMALL, nombre=name, por="ana", actor=ANA)
    destroyed = await confirmar_destruccion(encrypting, clinica_id=SMALL, nombre=name, por="luis", actor=ANA)
    assert ["«oficina»" in why for why in destroyed.left] == [True]
    (key,) = [item.key async for item in moto_store.storage.list("claves/")]
    async with moto_store.storage.download(key) as chunks:
        assert b"".join([chunk async for chunk in chunks]) == b"destruida\n"


def only_write(environ: dict[str, Any]) -> tuple[str, str] | None:
    """Keys that may not delete."""
    return ("403 Forbidden", "AccessDenied") if environ["REQUEST_METHOD"] == "DELETE" else None


async def test_revisar_looks_into_each_bucket(moto_store: Store, faults: FaultyS3) -> None:
    given = {"access_key_id": KEY, "secret_access_key": SECRET, "endpoint_url": moto_store.options.endpoint_url}
    there = CopyBucket.model_validate({"name": "oficina", "bucket": moto_store.options.bucket, **given})
    missing = there.model_copy(update={"name": "otra", "bucket": "no-existe"})
    settings = Settings(_env_file=None, copy_buckets=(there, missing))
    assert copy_options(there).bucket == moto_store.options.bucket
    faults.refuses = only_write
    found = await copies(settings)
    states = {(each.subject, each.level) for each in found}
    assert ("copia «oficina»", "bien") in states
    assert any("no dejan borrar" in each.detail for each in found)
    (wrong,) = [each for each in found if each.level == "mal"]
    assert (wrong.subject, wrong.remedy) == ("copia «otra»", "revise «otra» en COPY_BUCKETS")
