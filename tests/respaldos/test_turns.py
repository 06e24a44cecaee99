"""What one worker does for all is done by one of them, and again when its time has come."""

import asyncio

import asyncpg

from app.respaldos.resources import Resources
from app.respaldos.turns import take_turn


async def test_of_many_who_ask_at_once_one_is_told_to_do_it(resources: Resources) -> None:
    for _ in range(2):
        asked = await asyncio.gather(*(take_turn(resources, "limpiar", seconds=0.5) for _ in range(8)))
        assert sorted(asked) == [False] * 7 + [True]
        await asyncio.sleep(0.6)


async def test_each_task_has_turns_of_its_own(resources: Resources) -> None:
    assert await take_turn(resources, "limpiar", seconds=60)
    assert await take_turn(resources, "podar", seconds=60)
    assert not await take_turn(resources, "limpiar", seconds=60)


async def test_one_that_its_worker_did_not_live_to_end_is_begun_again(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    assert await take_turn(resources, "limpiar", seconds=3000)
    await conn.execute("UPDATE respaldos.tarea SET inicio = now() - interval '51 minutes'")
    assert await take_turn(resources, "limpiar", seconds=3000)


async def test_a_clock_that_was_set_back_does_not_put_it_off(resources: Resources, conn: asyncpg.Connection) -> None:
    assert await take_turn(resources, "limpiar", seconds=3000)
    await conn.execute("UPDATE respaldos.tarea SET inicio = now() + interval '1 year'")
    assert await take_turn(resources, "limpiar", seconds=3000)
