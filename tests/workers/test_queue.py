"""The queue tells workers that there are jobs and nothing else, and says so when it cannot."""

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


async def test_a_ticket_says_nothing_of_the_job(queue: Queue, redis: RedisServer) -> None:
    await queue.announce(2)
    with redis.client() as client:
        tickets = [json.loads(client.get(key) or b"") for key in client.keys("arq:job:*")]
    assert [(ticket["f"], ticket["a"]) for ticket in tickets] == [("trabajar", [])] * 2
    assert redis.jobs() == 2


async def test_only_what_redis_has_lost_is_announced_again(queue: Queue, redis: RedisServer) -> None:
    await queue.announce(2)
    for waiting, tickets in ((2, 2), (1, 2), (5, 5), (0, 5)):
        await queue.announce_missing(waiting)
        assert redis.jobs() == tickets
    with redis.client() as client:
        client.flushall()
    await queue.announce_missing(3)
    assert redis.jobs() == 3


async def test_the_ticket_of_a_worker_that_died_is_made_up_for(queue: Queue, redis: RedisServer) -> None:
    await queue.announce()
    with redis.client() as client:
        (ticket,) = client.zrange("arq:queue", 0, -1)
        # As arq marks what a worker has taken.
        client.set(f"arq:in-progress:{ticket.decode()}", b"1", ex=module.JOB_SECONDS + 10)
    for _ in range(2):
        await queue.announce_missing(1)
        assert redis.jobs() == 2


async def test_opening_asks_nothing(redis: RedisServer) -> None:
    async with open_queue("redis://127.0.0.1:9/0") as queue:
        for ask in (queue.check(), queue.announce(), queue.announce_missing(1), queue.silent_workers()):
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
                await queue.announce()
        # What was given up is on its way still, and would arrive as a ticket too many.
        proxy.drop()
        proxy.restore()
        await queue.announce()
        assert redis.jobs() == 1


async def test_a_connection_that_was_lost_meanwhile_is_made_anew(queue: Queue, redis: RedisServer) -> None:
    await queue.check()
    with redis.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)
    await queue.announce()
    assert redis.jobs() == 1


async def test_a_waiting_request_is_not_kept_long() -> None:
    started = time.monotonic()
    async with open_queue("redis://127.0.0.1:9/0") as queue:
        with pytest.raises(QueueUnavailable):
            await queue.check()
    assert time.monotonic() - started < 15


async def test_which_worker_is_silent_is_told_apart(queue: Queue, redis: RedisServer) -> None:
    both = await queue.silent_workers()
    assert both is not None
    assert "de quien hace los respaldos ni de quien programa" in both
    await queue.record_periodic_health()
    one = await queue.silent_workers()
    assert one is not None
    assert "programa" not in one
    with redis.client() as client:
        # By itself, or a process that died would be well for ever.
        assert 60 < int(client.ttl("respaldos:periodic:health-check")) <= 150


async def test_how_the_server_is_set_up(queue: Queue, redis: RedisServer) -> None:
    server = await queue.server()
    assert (server.policy, server.appends) == ("noeviction", True)
