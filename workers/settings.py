"""What `arq workers.settings.WorkerSettings` runs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import ClassVar

import uvloop
from arq.connections import RedisSettings

from app.clinic.recipients import ClinicRecipients
from app.connections import clinic_database_url, open_resources, redis_url, retention_policy, tenancy
from app.errors import SettingsError
from app.notify.options import NotifySuccess, SmtpOptions, WebhookOptions
from app.notify.sender import Notifier
from app.queue import JOB_SECONDS, Queue, from_json, open_queue, to_json, worker_redis
from app.respaldos.limpiar_respaldos_antiguos import limpiar_respaldos_antiguos
from app.respaldos.programar import programar
from app.respaldos.purgar import purgar
from app.respaldos.reconciliar import reconciliar
from app.respaldos.resources import Databases, Resources
from app.respaldos.vigilar import vigilar
from app.settings import load_settings
from workers import rounds
from workers.jobs import OUTBOX, RESOURCES, RUNNING, Context, respaldar, verificar
from workers.rounds import Round, going_round
from workers.stop import stop_gently

# Set before arq makes its loop: PostgreSQL's rows come through it at the speed that DESIGN §6 measured.
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

settings = load_settings()


async def startup(context: Context) -> None:
    """Open what the jobs work with, and begin the rounds."""
    stack = AsyncExitStack()
    context["stack"] = stack
    context[RUNNING] = set()
    stop_gently(context)
    outbox = context[OUTBOX] = asyncio.Event()
    resources = context[RESOURCES] = await stack.enter_async_context(open_resources(settings))
    queue = await stack.enter_async_context(open_queue(redis_url(settings)))
    await stack.enter_async_context(going_round(_rounds(resources, queue, outbox)))


async def shutdown(context: Context) -> None:
    """Close it again."""
    await context["stack"].aclose()


def _rounds(resources: Resources, queue: Queue, outbox: asyncio.Event) -> Sequence[Round]:
    notifier = _notifier(resources)

    async def reconcile() -> None:
        """End what dead processes left open, and put back into Redis what it does not have."""
        pending = await reconciliar(resources)
        for waiting in pending.respaldos:
            await queue.respaldo(waiting.id, waiting.intento)
        for waiting in pending.restauraciones:
            await queue.restauracion(waiting.id, waiting.intento)

    async def schedule() -> None:
        """Begin the night's backups that are due."""
        due = await programar(
            resources,
            now=datetime.now(UTC),
            time_zone=settings.time_zone,
            hour=settings.backup_hour,
            minute=settings.backup_minute,
        )
        for respaldo in due:
            await queue.respaldo(respaldo.id, respaldo.intento)

    async def notify() -> None:
        await notifier.send_pending()

    async def watch() -> None:
        if await vigilar(resources, now=datetime.now(settings.time_zone)):
            outbox.set()

    async def clean() -> None:
        """Delete what retention does not keep; whatever the hour, the answer is the same."""
        await limpiar_respaldos_antiguos(resources, retention_policy(settings))

    async def purge() -> None:
        await purgar(resources, days=settings.purge_days)

    return (
        Round("reconciliar", rounds.MINUTE, reconcile),
        Round("programar", rounds.MINUTE, schedule),
        Round("avisos", rounds.MINUTE, notify, sooner=outbox),
        Round("vigilar", rounds.HOUR, watch),
        Round("limpiar", rounds.HOUR, clean),
        Round("purgar", rounds.HOUR, purge),
    )


def _notifier(databases: Databases) -> Notifier:
    smtp = webhook = None
    if settings.email_host is not None:
        password = settings.email_host_password
        smtp = SmtpOptions(
            host=settings.email_host,
            port=settings.email_port,
            tls=settings.email_use_tls,
            user=settings.email_host_user,
            password=password.get_secret_value() if password is not None else None,
            sender=settings.default_from_email,
        )
    if settings.webhook_url is not None:
        if settings.webhook_secret is None:
            raise SettingsError("WEBHOOK_SECRET: falta, porque WEBHOOK_URL tiene valor")
        webhook = WebhookOptions(settings.webhook_url, settings.webhook_secret.get_secret_value())
    return Notifier(
        databases,
        recipients=ClinicRecipients(
            clinic_database_url(settings), tenancy(settings), admin_roles=settings.admin_roles
        ),
        smtp=smtp,
        webhook=webhook,
        notify_success=NotifySuccess(settings.notify_success),
        time_zone=settings.time_zone,
    )


class WorkerSettings:
    """arq reads these."""

    functions: ClassVar[Sequence[Callable[..., Awaitable[None]]]] = [respaldar, verificar]
    on_startup = startup
    on_shutdown = shutdown
    redis_pool = worker_redis(redis_url(settings))
    # For `arq --check` only.
    redis_settings = RedisSettings.from_dsn(redis_url(settings))
    job_serializer = to_json
    job_deserializer = from_json
    # Each keeps a connection to the clinics' database and most of a core busy.
    max_jobs = 4
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
