"""A connection to Redis that has ended is told as redis-py tells it, on the event loop that the service runs on."""

import asyncio

import pytest
import uvloop
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from app.broker.connection import connection_class
from app.demo.embedded import Addresses


def test_the_address_says_how_it_is_connected() -> None:
    assert issubclass(connection_class("redis://127.0.0.1:6379/0"), Connection)
    assert issubclass(connection_class("rediss://127.0.0.1:6379/0"), SSLConnection)


def test_a_connection_that_ends_before_it_is_written_to(servers: Addresses) -> None:
    url = servers.redis_url or ""

    async def written(kind: type[AbstractConnection]) -> None:
        async with Redis.from_url(url, connection_class=kind) as redis:
            connection = await redis.connection_pool.get_connection()
            connection._writer.transport.abort()
            while not connection._writer.transport.is_closing():
                await asyncio.sleep(0)
            await asyncio.sleep(0.01)
            await connection.send_command("PING")

    with pytest.raises(RuntimeError, match="handler is closed"):
        uvloop.run(written(Connection))
    with pytest.raises(RedisConnectionError):
        uvloop.run(written(connection_class(url)))
