"""The whole of a worker, as arq reads it: `arq workers.settings.WorkerSettings` runs one.

`workers.worker` runs the same and survives what arq's own process does not. `arq --check
workers.settings.WorkerSettings` asks whether either works.
"""

import atexit
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC
from typing import ClassVar

from arq.connections import RedisSettings
from arq.cron import CronJob, cron

from app.broker.queue import JOB_SECONDS, from_json, to_json, worker_redis
from app.connections.embedded import embedded_servers
from app.connections.redis import redis_url
from app.settings import load_settings
from workers.context import open_context
from workers.jobs import Context, trabajar

# People are told as soon as they would see it themselves; where there is nothing to tell, it costs one look into a
# small index (seconds; a divisor of 60).
NOTIFY_SECONDS = 5

# arq wants all of this at import. What EMBEDDED names runs for as long as this process, whoever else uses it.
_serving = ExitStack()
atexit.register(_serving.close)
settings = _serving.enter_context(embedded_servers(load_settings()))

# A name in arq's context: what is closed at the end.
_OPENED = "opened"


async def start(context: Context) -> None:
    """Open what the jobs need, and have the cron jobs run. Raises what `open_context` raises."""
    opened = context[_OPENED] = AsyncExitStack()
    context.update(await opened.enter_async_context(open_context(settings, WorkerSettings.cron_jobs)))


async def stop(context: Context) -> None:
    """Close it again."""
    await context[_OPENED].aclose()


class WorkerSettings:
    """arq reads these."""

    functions: ClassVar[Sequence[Callable[..., Awaitable[None]]]] = [trabajar]
    # Also run at the start. In the minutes' and the hours' different parts, so that they do not all ask at once.
    cron_jobs: ClassVar[Sequence[CronJob]] = [
        cron("workers.periodic.send_notices", name="avisos", second=set(range(0, 60, NOTIFY_SECONDS))),
        cron("workers.periodic.reconcile", name="reconciliar", second=0),
        # Every minute, not once at BACKUP_HOUR:BACKUP_MINUTE: from then on the clinics come one after the other, a
        # failed one again an hour later, and a night that was missed when the worker is back.
        cron("workers.periodic.start_night", name="programar", second=30),
        # The same of the points: each clinic has its own minutes.
        cron("workers.periodic.start_points", name="puntos", second=45),
        cron("workers.periodic.warn_overdue", name="vigilar", minute=10),
        cron("workers.periodic.apply_retention", name="limpiar", minute=20),
        cron("workers.periodic.purge", name="purgar", minute=30),
        cron("workers.periodic.start_trials", name="ensayar", minute=40),
        cron("workers.periodic.start_copies", name="copiar", minute=0),
        cron("workers.periodic.prune", name="podar", minute=50),
    ]
    # Of the cron jobs. Those that go by the hour in TIME_ZONE ask for it themselves.
    timezone = UTC
    on_startup = start
    on_shutdown = stop
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
