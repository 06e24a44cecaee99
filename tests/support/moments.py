"""Moments of a large clinic's backup that a worker makes through proxies."""

import asyncpg

from tests.service.conftest import Slowed
from tests.storage.conftest import PART, Store
from tests.support.processes import eventually
from tests.support.tcp_proxy import Direction


async def mid_dump(slow: Slowed, conn: asyncpg.Connection, store: Store) -> None:
    """Half of the rows are read."""

    async def reached() -> bool:
        return slow.clinic.forwarded[Direction.TO_CLIENT] > 1_500_000

    await eventually(reached)
    slow.hang()
    await _assert_running(conn)
    assert [item async for item in store.storage.list()] == []


async def mid_upload(slow: Slowed, conn: asyncpg.Connection, store: Store) -> None:
    """Some parts are in S3."""

    async def reached() -> bool:
        return slow.s3.forwarded[Direction.TO_SERVER] > 3 * PART

    await eventually(reached)
    slow.hang()
    await _assert_running(conn)
    assert len(await store.uploads()) == 1
    assert [item async for item in store.storage.list()] == []


async def uploaded(slow: Slowed, conn: asyncpg.Connection, store: Store) -> None:
    """The object is whole, and is being read back."""

    async def reached() -> bool:
        return bool([item async for item in store.storage.list()])

    await eventually(reached)
    slow.hang()
    await _assert_running(conn)


async def _assert_running(conn: asyncpg.Connection) -> None:
    estado = await conn.fetchval("SELECT estado FROM respaldos.respaldo ORDER BY id DESC LIMIT 1")
    assert estado == "procesando", "the moment was missed"


MOMENTS = {"mid-dump": mid_dump, "mid-upload": mid_upload, "uploaded": uploaded}
