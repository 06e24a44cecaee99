"""The jobs in arq's own worker, until the queue is empty."""

import asyncio
from typing import Any

import asyncpg
from arq.worker import Worker

from app.broker.queue import from_json, open_queue, to_json, worker_redis
from app.respaldos.models import Profundidad
from app.respaldos.reading.verification import pedir_verificacion
from app.respaldos.resources import Resources
from tests.respaldos.conftest import ANA, LARGE, NEW, SMALL, ask, assert_consistent, respaldo_rows, row_of
from tests.storage.conftest import Store
from tests.support.redis import RedisServer
from workers.jobs import RESOURCES, RUNNING, STOPPING, trabajar


def worker_on(redis: RedisServer, context: dict[Any, Any]) -> Worker:
    """A worker that stops when there is nothing left."""
    # arq's type for a job takes any arguments.
    jobs: list[Any] = [trabajar]
    return Worker(
        functions=jobs,
        redis_pool=worker_redis(redis.url),
        job_serializer=to_json,
        job_deserializer=from_json,
        burst=True,
        handle_signals=False,
        poll_delay=0.01,
        max_jobs=4,
        keep_result=0,
        ctx=context,
    )


def context_of(resources: Resources) -> dict[Any, Any]:
    """What the jobs find."""
    return {RESOURCES: resources, RUNNING: set(), STOPPING: asyncio.Event()}


async def test_what_is_asked_for_is_done(
    resources: Resources, redis: RedisServer, store: Store, conn: asyncpg.Connection
) -> None:
    context = context_of(resources)
    worker = worker_on(redis, context)
    async with open_queue(redis.url) as queue:
        for clinica_id in (LARGE, SMALL, NEW):
            await ask(resources, clinica_id)
            await queue.announce()
        try:
            await worker.main()
            assert {row.estado for row in await respaldo_rows(conn)} == {"completado"}
            assert not context[RUNNING]
            await pedir_verificacion(
                resources, queue, 2, clinica_id=SMALL, profundidad=Profundidad.COMPLETA, actor=ANA
            )
            await worker.main()
        finally:
            # arq's own way to close uses a method that redis-py warns about.
            await worker.pool.aclose()
        assert redis.jobs() == 0
    assert (await row_of(conn, 2))["verificado_profundidad"] == "completa"
    assert (worker.jobs_complete, worker.jobs_failed) == (4, 0)
    await assert_consistent(conn, store)


async def test_more_tickets_than_jobs_harm_nothing(
    resources: Resources, redis: RedisServer, conn: asyncpg.Connection
) -> None:
    worker = worker_on(redis, context_of(resources))
    asked = await ask(resources)
    async with open_queue(redis.url) as queue:
        await queue.announce(5)
        try:
            await worker.main()
        finally:
            # arq's own way to close uses a method that redis-py warns about.
            await worker.pool.aclose()
    assert worker.jobs_failed == 0
    row = await row_of(conn, asked.id)
    assert (row["estado"], row["intento"]) == ("completado", 1)


async def test_a_job_that_begins_while_the_worker_stops_is_left_for_another(
    resources: Resources, conn: asyncpg.Connection
) -> None:
    context = context_of(resources)
    asked = await ask(resources)
    context[STOPPING].set()
    job = asyncio.create_task(trabajar(context))
    await asyncio.wait([job])
    assert job.cancelled()
    assert (await row_of(conn, asked.id))["estado"] == "pendiente"
    assert not context[RUNNING]
