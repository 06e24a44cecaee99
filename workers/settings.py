"""What `arq workers.settings.WorkerSettings` runs."""

from contextlib import AsyncExitStack
from typing import Any, ClassVar

from arq import cron
from arq.connections import RedisSettings
from arq.cron import CronJob

from app.connections import open_resources
from app.errors import SettingsError
from app.respaldos import reconciliar as operation
from app.settings import load_settings

settings = load_settings()


async def startup(context: dict[Any, Any]) -> None:
    """Open what the jobs work with."""
    stack = AsyncExitStack()
    context["stack"] = stack
    context["resources"] = await stack.enter_async_context(open_resources(settings))


async def shutdown(context: dict[Any, Any]) -> None:
    """Close it again."""
    await context["stack"].aclose()


async def reconciliar(context: dict[Any, Any]) -> None:
    """Every minute, and at start: end what dead processes left open."""
    await operation.reconciliar(context["resources"])


def _redis_settings() -> RedisSettings:
    if settings.redis_url is None:
        raise SettingsError("REDIS_URL: falta")
    return RedisSettings.from_dsn(settings.redis_url.get_secret_value())


class WorkerSettings:
    """arq reads these."""

    cron_jobs: ClassVar[list[CronJob]] = [cron(reconciliar, second=0, run_at_startup=True)]  # type: ignore[arg-type]
    on_startup = startup
    on_shutdown = shutdown
    redis_settings = _redis_settings()
    # A kept result would refuse the same job's next run.
    keep_result = 0
    timezone = settings.time_zone
    # arq's default of an hour is no health check (seconds).
    health_check_interval = 30
