"""Connections to Redis: how they end, in one word."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from app.errors import QueueUnavailable


@contextmanager
def redis_errors() -> Iterator[None]:
    """Raise QueueUnavailable where Redis does not answer."""
    try:
        yield
    except (RedisError, OSError) as exc:
        raise QueueUnavailable(f"Redis no responde (REDIS_URL): {str(exc) or type(exc).__name__}") from exc


def connection_class(redis_url: str) -> type[AbstractConnection]:
    """What connects to an address of that scheme, to be given to `Redis.from_url`.

    uvloop raises a bare RuntimeError for a connection that has ended when redis-py writes to it; redis-py would let
    that pass, and neither try again nor call it a RedisError.
    """
    base: type[AbstractConnection] = parse_url(redis_url).get("connection_class", Connection)

    async def send_packed_command(self: AbstractConnection, *args: Any, **kwargs: Any) -> None:
        try:
            await base.send_packed_command(self, *args, **kwargs)
        except RuntimeError as exc:
            if "handler is closed" not in str(exc):
                raise
            raise RedisConnectionError(str(exc)) from exc

    return type(base.__name__, (base,), {"send_packed_command": send_packed_command})
