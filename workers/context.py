"""What jobs and periodic tasks work with: arq's context."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from arq.cron import CronJob

from app import tracing
from app.broker.queue import open_queue
from app.clinic.people.recipients import ClinicRecipients
from app.connections.databases import clinic_database_url, tenancy
from app.connections.notify import smtp_options, webhook_options
from app.connections.redis import redis_url
from app.connections.resources import open_resources
from app.diagnostics.local import log_problems, names
from app.errors import RespaldosError
from app.notify.mail_renderer import MailRenderer
from app.notify.options import NotifySuccess
from app.notify.sender import Notifier
from app.respaldos.databases import Databases
from app.respaldos.resources import Resources
from app.settings import Settings
from workers.jobs import RESOURCES, RUNNING, STOPPING, Context
from workers.periodic import NOTIFIER, QUEUE, SETTINGS, run_periodically
from workers.stop import cancel_until_done

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_context(settings: Settings, cron_jobs: Sequence[CronJob]) -> AsyncIterator[Context]:
    """The context, for as long as the block runs; the cron jobs are run meanwhile.

    Nothing is connected before it is used. Raises SettingsError, QueueUnavailable where REDIS_URL is missing.
    """
    tracing.start("respaldos-worker")
    async with AsyncExitStack() as stack:
        resources = await stack.enter_async_context(open_resources(settings, count_unowned=True))
        context: Context = {
            SETTINGS: settings,
            RESOURCES: resources,
            QUEUE: await stack.enter_async_context(open_queue(redis_url(settings))),
            NOTIFIER: _notifier(settings, resources),
            RUNNING: set(),
            STOPPING: asyncio.Event(),
        }
        await stack.enter_async_context(run_periodically(cron_jobs, context))
        problems = asyncio.create_task(_log_problems(resources))
        stack.push_async_callback(cancel_until_done, lambda: {problems})
        log_problems(names())
        yield context


async def _log_problems(resources: Resources) -> None:
    """Say at the start what of OWNERSHIP_RULES, of which backups tell too, and RECORD_LABELS cannot be followed."""
    try:
        labels = await resources.clinic.label_problems(resources.secrets, resources.labels)
        for problem in (*await resources.clinic.problems(), *labels):
            log.warning("%s", problem)
    except RespaldosError as exc:
        log.warning("%s", exc.for_log)


def _notifier(settings: Settings, databases: Databases) -> Notifier:
    return Notifier(
        databases,
        recipients=ClinicRecipients(
            clinic_database_url(settings), tenancy(settings), admin_roles=settings.admin_roles
        ),
        smtp=smtp_options(settings),
        webhook=webhook_options(settings),
        notify_success=NotifySuccess(settings.notify_success),
        time_zone=settings.time_zone,
        renderer=MailRenderer(public_url=settings.public_url, support_contact=settings.support_contact),
    )
