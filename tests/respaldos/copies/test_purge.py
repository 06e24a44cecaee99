"""A deleted backup's copy stays longer than its object, brings it back meanwhile, and goes in its own time."""

from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from app.errors import AlreadyPurged
from app.respaldos.copies.purge import borrar_copias
from app.respaldos.models import Respaldo, TipoRespaldo
from app.respaldos.reading.verification import verificar_respaldo
from app.respaldos.resources import Resources
from app.respaldos.retention.delete import eliminar_respaldo, recuperar_respaldo
from app.respaldos.retention.purge import purgar
from tests.respaldos.conftest import ANA, SMALL, back_up
from tests.storage.conftest import Store
from tests.support.copies import COPY_DAYS, age, away, copies_of, copying, second, second_server, with_copies, work
from tests.support.fault import FaultyS3
from tests.support.stored import keys, row

__all__ = ["copying", "second", "second_server"]


async def purged(resources: Resources, conn: asyncpg.Connection, *respaldos: Respaldo, days: int) -> None:
    """Deleted so many days ago, and purged."""
    for respaldo in respaldos:
        await eliminar_respaldo(resources, respaldo.id, clinica_id=SMALL, actor=ANA)
    await age(conn, days)
    # A shared object goes after the points that have it.
    assert sum([await purgar(resources, days=7) for _ in range(2)]) == len(respaldos)


async def copied_keys(second: Store) -> set[str]:
    return {item.key async for item in second.storage.list()}


async def test_a_copy_goes_after_its_own_time_and_with_the_last_point(
    copying: Resources, second: Store, conn: asyncpg.Connection
) -> None:
    first = await back_up(copying)
    point = await back_up(copying, tipo=TipoRespaldo.PUNTO)
    other = await back_up(copying)
    await work(copying)
    await purged(copying, conn, first, point, days=COPY_DAYS - 1)
    assert await keys(copying) == {other.archivo_s3}
    assert await borrar_copias(copying) == 0
    assert await copied_keys(second) == {first.archivo_s3, other.archivo_s3}

    await age(conn, COPY_DAYS, first.id)
    assert await borrar_copias(copying) == 0, "the point was deleted later"
    await age(conn, COPY_DAYS)
    assert [await borrar_copias(copying) for _ in range(2)] == [1, 0]
    assert await copied_keys(second) == {other.archivo_s3}
    assert (await row(copying, first.id)).copies == []
    assert await copies_of(copying, point) == {"oficina": "borrada"}
    with pytest.raises(AlreadyPurged):
        await recuperar_respaldo(copying, first.id, clinica_id=SMALL, actor=ANA)


async def test_what_was_purged_comes_back_from_its_copy(copying: Resources, conn: asyncpg.Connection) -> None:
    deleted = await back_up(copying)
    await back_up(copying)
    await work(copying)
    await purged(copying, conn, deleted, days=10)
    with pytest.raises(AlreadyPurged):
        await recuperar_respaldo(replace(copying, copies=()), deleted.id, clinica_id=SMALL, actor=ANA)
    back = await recuperar_respaldo(copying, deleted.id, clinica_id=SMALL, actor=ANA)
    assert (back.good, back.being_purged) == (True, False)
    assert back.solo_en_copia is not None
    assert await verificar_respaldo(copying, back) is not None
    assert (await row(copying, deleted.id)).good
    # Deleted again, it goes as any other.
    await purged(copying, conn, deleted, days=COPY_DAYS)
    assert await borrar_copias(copying) == 1


async def test_keys_that_may_not_delete_leave_it_to_the_store(
    resources: Resources, moto_store: Store, faults: FaultyS3, conn: asyncpg.Connection
) -> None:
    asked = []

    def refuse(environ: dict[str, Any]) -> tuple[str, str] | None:
        if environ["REQUEST_METHOD"] != "DELETE":
            return None
        asked.append(environ["PATH_INFO"])
        return "403 Forbidden", "AccessDenied"

    faults.refuses = refuse
    copying = with_copies(resources, oficina=moto_store)
    deleted = await back_up(copying)
    await back_up(copying)
    await work(copying)
    assert await copies_of(copying, deleted) == {"oficina": "completa"}, "it takes no right to delete"
    await purged(copying, conn, deleted, days=COPY_DAYS)
    async with away(moto_store) as nobody:
        assert await borrar_copias(with_copies(copying, oficina=nobody)) == 0
    assert await copies_of(copying, deleted) == {"oficina": "completa"}, "it is tried again"

    assert [await borrar_copias(copying) for _ in range(2)] == [0, 0]
    assert asked == [f"/{moto_store.options.bucket}/{deleted.archivo_s3}"], "once"
    assert await copies_of(copying, deleted) == {"oficina": "conservada"}


async def test_a_removal_that_was_cut_off_is_done_again(
    copying: Resources, second: Store, conn: asyncpg.Connection
) -> None:
    deleted = await back_up(copying)
    kept = await back_up(copying)
    await work(copying)
    await purged(copying, conn, deleted, days=COPY_DAYS)
    await conn.execute(
        "UPDATE respaldos.respaldo SET copias = jsonb_set(copias, '{oficina,estado}', to_jsonb('borrando'::text))"
        " WHERE id = $1",
        deleted.id,
    )
    with pytest.raises(AlreadyPurged):
        await recuperar_respaldo(copying, deleted.id, clinica_id=SMALL, actor=ANA)
    assert await borrar_copias(copying) == 1
    assert await copied_keys(second) == {kept.archivo_s3}
