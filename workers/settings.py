"""What arq's worker is made of; `arq --check workers.settings.WorkerSettings` asks whether one works."""

import atexit
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from typing import ClassVar

from arq.connections import RedisSettings

from app.broker.queue import JOB_SECONDS, from_json, to_json, worker_redis
from app.connections import embedded_servers, redis_url
from app.settings import load_settings
from workers.jobs import trabajar

# arq wants all of this at import. What EMBEDDED names runs for as long as this process, whoever else uses it.
_serving = ExitStack()
atexit.register(_serving.close)
settings = _serving.enter_context(embedded_servers(load_settings()))


class WorkerSettings:
    """arq reads these."""

    functions: ClassVar[Sequence[Callable[..., Awaitable[None]]]] = [trabajar]
    redis_pool = worker_redis(redis_url(settings))
    # For `arq --check` only.
    redis_settings = RedisSettings.from_dsn(redis_url(settings))
    job_serializer = to_json
    job_deserializer = from_json
    # Each keeps a connection and a snapshot of the clinics' database open and most of a core busy. With four on one
    # core, 200 small backups took 5 % less time altogether, and each of them 1.9 times as long.
    max_jobs = 2
    job_timeout = JOB_SECONDS
    # A dead worker's jobs stay at the head of the queue for JOB_SECONDS, and arq looks no further than this.
    queue_read_limit = 1000
    # A kept result would refuse the same job's next run.
    keep_result = 0
    # A free place is filled when the queue is looked at the next time; half a second is long beside a small backup.
    poll_delay = 0.1
    # arq's default of an hour is no health check (seconds).
    health_check_interval = 30
    timezone = settings.time_zone
