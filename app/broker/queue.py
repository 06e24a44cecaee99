"""Tells workers that there are jobs to claim; the database says which."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from arq.connections import ArqRedis
from arq.constants import (
    default_queue_name,
    expires_extra_ms,
    health_check_key_suffix,
    in_progress_key_prefix,
    job_key_prefix,
)
from arq.jobs import serialize_job
from arq.utils import timestamp_ms
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.broker.connection import connection_class, redis_errors

# The function of the worker, and the arq job that is left for each job of ours: a ticket, with which a worker claims
# the best of those that wait.
FUNCTION = "trabajar"

# How long an arq job may run. The lease decides about a dead worker's row; this only bounds how long Redis remembers
# the ticket (seconds).
JOB_SECONDS = 24 * 3600

# Where arq's worker says every half minute that it takes jobs, and for how long that holds.
_TAKING_JOBS = default_queue_name + health_check_key_suffix

# The same of its periodic tasks: the reconciler says so every minute, and may be late once (seconds).
_PERIODIC_HEALTH, _PERIODIC_HEALTH_SECONDS = "respaldos:periodic:health-check", 150

# Tickets that are left together.
AT_ONCE = 500

# A request waits for this, so it is short (seconds).
_CONNECT_SECONDS, _ANSWER_SECONDS = 2.0, 5.0

# A worker whose Redis is away asks again after this, for as long as it takes: what it does meanwhile needs no Redis
# (seconds).
WORKER_PAUSE_SECONDS = 1.0


def to_json(job: dict[str, Any]) -> bytes:
    """A job as Redis keeps it. arq's own choice, pickle, would run whatever somebody puts there."""
    return json.dumps(job).encode()


def from_json(data: bytes) -> dict[str, Any]:
    """What `to_json` gave."""
    job: dict[str, Any] = json.loads(data)
    return job


def worker_redis(redis_url: str) -> ArqRedis:
    """What a worker takes its jobs from. Nothing is connected before it is used, and a Redis that is away is waited
    for: a call ends when it is back."""
    return _redis(redis_url, Retry(ConstantBackoff(WORKER_PAUSE_SECONDS), -1))


@dataclass(frozen=True, slots=True)
class RedisServer:
    """By `policy` it makes room when it is full. `appends`: it writes each change down."""

    policy: str
    appends: bool


class Queue:
    """Where jobs are left for the workers; made by `open_queue`, which also closes it.

    Every method raises QueueUnavailable where Redis does not answer.
    """

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis

    async def check(self) -> None:
        """Raise unless Redis answers."""
        with redis_errors():
            await self._redis.ping()

    async def server(self) -> RedisServer:
        """How the Redis is set up, as far as it tells."""
        with redis_errors():
            memory, persistence = await self._redis.info("memory"), await self._redis.info("persistence")
        return RedisServer(
            policy=str(memory.get("maxmemory_policy", "noeviction")),
            appends=bool(int(persistence.get("aof_enabled", 0))),
        )

    async def record_periodic_health(self) -> None:
        """Leave word that a worker runs its periodic tasks."""
        with redis_errors():
            await self._redis.set(_PERIODIC_HEALTH, "", ex=_PERIODIC_HEALTH_SECONDS)

    async def worker_health(self) -> tuple[bool, bool]:
        """Whether a worker has lately said that it takes jobs, and whether one that it runs its periodic tasks."""
        with redis_errors():
            taking_jobs, periodic = await self._redis.mget(_TAKING_JOBS, _PERIODIC_HEALTH)
        return taking_jobs is not None, periodic is not None

    async def silent_workers(self) -> str | None:
        """A sentence where `worker_health` is not well."""
        taking_jobs, periodic = await self.worker_health()
        heard = {"de quien hace los respaldos": taking_jobs, "de quien programa la noche y avisa": periodic}
        silent = [of_whom for of_whom, well in heard.items() if not well]
        if not silent:
            return None
        return f"no hay noticias {' ni '.join(silent)}; revise que «respaldos worker» esté en marcha, y qué dice"

    async def announce(self, jobs: int = 1) -> None:
        """Have workers claim so many jobs."""
        # As `enqueue_job` leaves each, which asks Redis four times for it: for 10,000, of which nobody else knows the
        # ids, that was 12 s of a processor.
        now = timestamp_ms()
        ticket = serialize_job(FUNCTION, (), {}, None, now, serializer=to_json)
        with redis_errors():
            for first in range(0, jobs, AT_ONCE):
                async with self._redis.pipeline(transaction=True) as pipeline:
                    for _ in range(min(AT_ONCE, jobs - first)):
                        id_ = uuid.uuid4().hex
                        pipeline.psetex(job_key_prefix + id_, expires_extra_ms, ticket)
                        pipeline.zadd(default_queue_name, {id_: now})
                    await pipeline.execute()

    async def announce_missing(self, jobs: int) -> None:
        """The same for all that wait: only as many as there are no tickets for, since Redis may have lost some.

        What a worker has taken is no such ticket, whether it lives or not.
        """
        with redis_errors():
            tickets = await self._redis.zrange(default_queue_name, 0, -1)
            taken = [in_progress_key_prefix + ticket.decode() for ticket in tickets]
            free = (await self._redis.mget(taken)).count(None) if taken else 0
        await self.announce(jobs - free)


@asynccontextmanager
async def open_queue(redis_url: str) -> AsyncIterator[Queue]:
    """The queue in the Redis of that address, closed at the end of the block. It is connected when it is used."""
    redis = _redis(redis_url, Retry(ConstantBackoff(0), 1))
    try:
        yield Queue(redis)
    finally:
        with redis_errors():
            await redis.aclose()


def _redis(redis_url: str, retry: Retry) -> ArqRedis:
    redis: ArqRedis = ArqRedis.from_url(
        redis_url,
        connection_class=connection_class(redis_url),
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=_ANSWER_SECONDS,
        retry=retry,
        # OSError too: what a refused connection raises is not yet one of the others when it is decided.
        retry_on_error=[RedisConnectionError, RedisTimeoutError, OSError],
    )
    redis.job_serializer, redis.job_deserializer = to_json, from_json
    return redis
