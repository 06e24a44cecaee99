"""The queue carries news and nothing else, and says so when it cannot."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from app.broker import queue as module
from app.broker.queue import Queue, open_queue
from app.errors import QueueUnavailable
from tests.support.redis import RedisServer
from tests.support.tcp_proxy import tcp_proxy


@pytest.fixture
async def queue(redis: RedisServer) -> AsyncIterator[Queue]:
    """The queue of an empty Redis."""
    async with open_queue(redis.url) as found:
        yield found


async def test_a_job_is_its_row_and_its_attempt(queue: Queue, redis: RedisServer) -> None:
    await queue.respaldo(7, 0)
    await queue.restauracion(7, 2)
    with redis.client() as client:
        jobs = {key: json.loads(client.get(key) or b"") for key in client.keys("arq:job:*")}
    said = {key.decode(): (job["f"], job["a"]) for key, job in jobs.items()}
    assert said == {
        "arq:job:7:0": ("respaldar", [7]),
        "arq:job:restauracion:7:2": ("restaurar", [7]),
    }
    assert redis.jobs() == 2


async def test_the_same_news_is_told_once(queue: Queue, redis: RedisServer) -> None:
    for _ in range(3):
        await queue.respaldo(7, 0)
    assert redis.jobs() == 1
    await queue.respaldo(7, 1)
    assert redis.jobs() == 2


async def test_a_job_whose_worker_died_before_claiming_is_free_again(queue: Queue, redis: RedisServer) -> None:
    await queue.respaldo(7, 0)
    with redis.client() as client:
        running = "arq:in-progress:7:0"
        client.set(running, b"1", ex=module.JOB_SECONDS + 10)
        await queue.respaldo(7, 0)
        assert client.exists(running), "it may be claiming just now"
        client.expire(running, module.JOB_SECONDS - 60)
        await queue.respaldo(7, 0)
        assert not client.exists(running)
    assert redis.jobs() == 1


async def test_opening_asks_nothing(redis: RedisServer) -> None:
    async with open_queue("redis://127.0.0.1:9/0") as queue:
        for ask in (queue.check(), queue.respaldo(1, 0), queue.restauracion(1, 0), queue.worker_health()):
            with pytest.raises(QueueUnavailable, match=r"^Redis no responde \(REDIS_URL\): .+"):
                await ask


async def test_a_redis_that_hangs_is_given_up(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.2)
    parts = urlsplit(redis.url)
    async with (
        tcp_proxy(parts.hostname or "", parts.port or 0) as proxy,
        open_queue(f"redis://127.0.0.1:{proxy.port}/0") as queue,
    ):
        await queue.check()
        proxy.hang()
        async with asyncio.timeout(20):
            with pytest.raises(QueueUnavailable):
                await queue.respaldo(1, 0)
        proxy.restore()
        await queue.respaldo(1, 0)
        assert redis.jobs() == 1


async def test_a_connection_that_was_lost_meanwhile_is_made_anew(queue: Queue, redis: RedisServer) -> None:
    await queue.check()
    with redis.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)
    await queue.respaldo(7, 0)
    assert redis.jobs() == 1


async def test_a_waiting_request_is_not_kept_long() -> None:
    started = time.monotonic()
    async with open_queue("redis://127.0.0.1:9/0") as queue:
        with pytest.raises(QueueUnavailable):
            await queue.check()
    assert time.monotonic() - started < 15


async def test_who_has_not_been_worker_health_is_told_apart(queue: Queue, redis: RedisServer) -> None:
    assert await queue.worker_health() == (False, False)
    await queue.record_periodic_health()
    assert await queue.worker_health() == (False, True)
    with redis.client() as client:
        # By itself, or a process that died would be well for ever.
        assert 60 < int(client.ttl("respaldos:periodic:health-check")) <= 150
