"""Second copies: made after the backup by whoever works, proven, tried again, and told of where they are not."""

from dataclasses import replace

import asyncpg

from app.respaldos.contract import RespaldoEnLista
from app.respaldos.copies import fleet as copy_fleet
from app.respaldos.copies.request import avisar_de_copias, pedir_copias
from app.respaldos.databases import transaction
from app.respaldos.models import TipoRespaldo
from app.respaldos.resources import Resources
from app.respaldos.retention.delete import eliminar_respaldo
from tests.respaldos.conftest import ANA, LARGE, SMALL, back_up
from tests.storage.conftest import Store
from tests.support.copies import away, copies_of, copying, destroy, second, second_server, with_copies, work
from tests.support.damage import damage
from tests.support.encrypting import with_masters
from tests.support.stored import keys, row

__all__ = ["copying", "second", "second_server"]


def content(store: Store) -> dict[str, bytes]:
    """Every object of the bucket."""
    assert store.folder is not None
    return {str(path.relative_to(store.folder)): path.read_bytes() for path in store.folder.rglob("*.gz*")}


async def test_a_backup_is_copied_as_it_is(copying: Resources, store: Store, second: Store) -> None:
    large = await back_up(copying, LARGE)
    encrypted = await back_up(with_masters(copying, "2026"))
    (pending,) = RespaldoEnLista.of(await row(copying, large.id), retention_days=30).copias
    assert (pending.destino, pending.estado_display) == ("oficina", "Pendiente")
    assert content(second) == {}

    await work(with_masters(copying, "2026"))
    assert content(second) == content(store)
    assert await second.uploads() == []
    for made in (large, encrypted):
        (copy,) = RespaldoEnLista.of(await row(copying, made.id), retention_days=30).copias
        assert copy.estado_display == "Completa"
        assert copy.fecha > made.fecha_creacion
    # Without the first store, what is encrypted is opened with the master key alone.
    assert (
        {item.key async for item in second.storage.list("claves/")}
        == {key for key in await keys(copying) if key.startswith("claves/")}
        != set()
    )


async def test_points_that_share_an_object_share_its_copy(copying: Resources, second: Store) -> None:
    first = await back_up(copying)
    early = await back_up(copying, tipo=TipoRespaldo.PUNTO)
    assert (early.respaldo_base_id, await copies_of(copying, early)) == (first.id, {"oficina": "pendiente"})
    await work(copying)
    late = await back_up(copying, tipo=TipoRespaldo.PUNTO)
    for each in (first, early, late):
        assert await copies_of(copying, each) == {"oficina": "completa"}
    assert len(content(second)) == 1


async def test_backups_from_before_there_was_the_bucket_come_by_a_copy(
    resources: Resources, copying: Resources, second: Store, conn: asyncpg.Connection
) -> None:
    older = await back_up(resources)
    deleted = await back_up(resources)
    await back_up(resources)
    await eliminar_respaldo(resources, deleted.id, clinica_id=SMALL, actor=ANA)
    assert await pedir_copias(copying) == 2
    assert await pedir_copias(copying) == 0, "nobody is asked twice"
    await work(copying)
    assert (await copies_of(copying, older), await copies_of(copying, deleted)) == ({"oficina": "completa"}, {})
    assert len(content(second)) == 2
    assert await pedir_copias(copying) == 0


async def test_one_that_is_deleted_before_it_was_copied_is_not(copying: Resources, second: Store) -> None:
    deleted = await back_up(copying)
    await back_up(copying)
    await eliminar_respaldo(copying, deleted.id, clinica_id=SMALL, actor=ANA)
    await work(copying)
    assert await copies_of(copying, deleted) == {}
    assert len(content(second)) == 1


async def test_a_store_that_is_away_is_told_of_once_and_copied_to_when_it_is_back(
    copying: Resources, second: Store, conn: asyncpg.Connection
) -> None:
    async with away(second) as elsewhere:
        gone = with_copies(copying, oficina=elsewhere)
        made = await back_up(gone)
        await work(gone)
        assert await copies_of(copying, made) == {"oficina": "fallida"}
        assert await conn.fetchval("SELECT intento FROM respaldos.trabajo WHERE clase = 'copia'") == 3
        assert (await pedir_copias(gone), await conn.fetchval("SELECT count(*) FROM respaldos.trabajo")) == (0, 2)
        assert [await avisar_de_copias(gone) for _ in range(3)] == [1, 0, 0]
    told = await conn.fetchrow("SELECT clinica_id, datos FROM respaldos.aviso WHERE tipo = 'copia_fallida'")
    assert told is not None
    assert told["clinica_id"] is None, "that is the platform's affair"
    assert "«oficina»" in told["datos"]
    async with transaction(copying) as session:
        (lacking,) = await copy_fleet.backlogs(session)
    assert (lacking.destino, lacking.pending, lacking.failed, lacking.oldest) == (
        *("oficina", 0, 1, made.fecha_respaldo),
    )

    assert await pedir_copias(copying) == 1
    await work(copying)
    assert await copies_of(copying, made) == {"oficina": "completa"}
    assert await avisar_de_copias(copying) == 0


async def test_what_is_damaged_is_not_copied(copying: Resources, store: Store, second: Store) -> None:
    made = await back_up(copying, LARGE)
    damage(store, made)
    await work(copying)
    copy = (await row(copying, made.id)).copias["oficina"]
    assert (copy["estado"], "no es el que se guardó: MD5" in copy["error"]) == ("fallida", True)
    assert await second.leftovers() == []


async def test_a_copy_that_is_there_is_read_and_one_that_is_wrong_replaced(
    copying: Resources, store: Store, second: Store, conn: asyncpg.Connection
) -> None:
    made = await back_up(copying)
    await work(copying)
    for spoilt in ("", "damaged", "gone"):
        if spoilt == "damaged":
            damage(second, made)
        elif spoilt == "gone":
            await destroy(second)
        await conn.execute("UPDATE respaldos.respaldo SET copias = '{}'")
        assert await pedir_copias(copying) == 1
        await work(copying)
        assert content(second) == content(store)
        assert await copies_of(copying, made) == {"oficina": "completa"}


async def test_a_worker_that_does_not_know_the_bucket_says_so(copying: Resources, second: Store) -> None:
    made = await back_up(copying)
    await work(replace(copying, copies=()))
    copy = (await row(copying, made.id)).copias["oficina"]
    assert (copy["estado"], "COPY_BUCKETS" in copy["error"]) == ("fallida", True)
