"""What a worker does again and again beside its jobs: `python -m workers.periodic`.

Not arq's cron: its jobs wait in the same queue as the backups, so that in a busy night the reconciler would come
after two hundred of them. And a process of its own, for which Redis may be away: the night is put down all the same,
and people are told. Every worker goes these rounds; what they do is made to be done by several at once, and a round
that is late or left out loses nothing.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import uvloop

from app.broker.queue import Queue, open_queue
from app.clinic.people.recipients import ClinicRecipients
from app.connections import (
    clinic_database_url,
    embedded_servers,
    open_resources,
    redis_url,
    retention_policy,
    tenancy,
)
from app.errors import RespaldosError, SettingsError
from app.notify.options import NotifySuccess, SmtpOptions, WebhookOptions
from app.notify.sender import Notifier
from app.respaldos.reconcile import reconciliar
from app.respaldos.resources import Databases, Resources
from app.respaldos.retention.clean import limpiar_respaldos_antiguos
from app.respaldos.retention.purge import purgar
from app.respaldos.schedule.nights import programar
from app.respaldos.schedule.overdue import vigilar
from app.respaldos.schedule.trials import programar_ensayos
from app.settings import Settings, load_settings
from workers.stop import end_all, told_to_stop

log = logging.getLogger(__name__)

# How long until the next time (seconds). Looked up when the rounds begin, so that a test's worker can have others.
MINUTE = 60.0
HOUR = 3600.0

# People are told at once, as they see it; where there is nothing to tell, it costs one look into a small index.
MOMENT = 5.0


@dataclass(frozen=True, slots=True)
class Round:
    """`act` is done at the start and then again `seconds` after its end."""

    name: str
    seconds: float
    act: Callable[[], Awaitable[None]]


@asynccontextmanager
async def going_round(rounds: Sequence[Round]) -> AsyncIterator[None]:
    """Go the rounds while the block runs. One that fails says so in the log, and is gone again."""
    going = [asyncio.create_task(_go(each), name=each.name) for each in rounds]
    try:
        yield
    finally:
        await end_all(lambda: going)


async def _go(each: Round) -> None:
    while True:
        try:
            await each.act()
        except RespaldosError as exc:
            log.warning("%s: %s", each.name, exc)
        except Exception:
            # A mistake of ours in one of them must not end the others: who would say so, if not the reconciler?
            log.exception("%s: error interno", each.name)
        await asyncio.sleep(each.seconds)


async def go_rounds(settings: Settings) -> None:
    """Go all of them until told to stop."""
    told = told_to_stop()
    async with (
        open_resources(settings) as resources,
        open_queue(redis_url(settings)) as queue,
        going_round(_rounds(settings, resources, queue)),
    ):
        await told.wait()


def _rounds(settings: Settings, resources: Resources, queue: Queue) -> Sequence[Round]:
    notifier = _notifier(settings, resources)

    async def reconcile() -> None:
        """End what dead processes left open, and put back into Redis what it does not have."""
        waiting = await reconciliar(resources)
        # A Redis that is away is to be in the log, also while nothing waits for it.
        await queue.going_rounds()
        await queue.announce_missing(waiting)

    async def schedule() -> None:
        """Begin the night's backups that are due. What Redis does not hear of now, it hears from `reconcile`."""
        due = await programar(
            resources,
            now=datetime.now(UTC),
            time_zone=settings.time_zone,
            hour=settings.backup_hour,
            minute=settings.backup_minute,
        )
        await queue.announce(len(due))

    async def notify() -> None:
        await notifier.send_pending()

    async def watch() -> None:
        await vigilar(resources, now=datetime.now(settings.time_zone))

    async def clean() -> None:
        """Delete what retention does not keep; whatever the hour, the answer is the same."""
        await limpiar_respaldos_antiguos(resources, retention_policy(settings))

    async def purge() -> None:
        await purgar(resources, days=settings.purge_days)

    async def prove() -> None:
        """Have the week's trials made that are due, and drop what one of a dead process left."""
        await resources.restore.drop_abandoned_trials()
        await queue.announce(len(await programar_ensayos(resources, now=datetime.now(UTC))))

    return (
        Round("reconciliar", MINUTE, reconcile),
        Round("programar", MINUTE, schedule),
        Round("avisos", MOMENT, notify),
        Round("vigilar", HOUR, watch),
        Round("limpiar", HOUR, clean),
        Round("purgar", HOUR, purge),
        Round("ensayar", HOUR, prove),
    )


def _notifier(settings: Settings, databases: Databases) -> Notifier:
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


if __name__ == "__main__":
    with embedded_servers(load_settings()) as addressed:
        uvloop.run(go_rounds(addressed))
