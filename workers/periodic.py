"""What a worker does at set times: the coroutines of arq's cron jobs, and what runs these.

`WorkerSettings.cron_jobs` is the schedule. arq itself would put each of them into its queue, where in a busy night
they wait behind two hundred backups, and where without Redis nothing is put. So they are run here, as tasks beside
the jobs: while Redis is away the night's backups are added all the same, and people are told. Every worker runs all
of them; of what looks at all backups, one does it for all. What they do may be done by several at once, late, or
twice; one that is left out loses nothing.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from arq.cron import CronJob

from app.connections.policy import points, retention_policy
from app.errors import RespaldosError
from app.respaldos.copies.purge import borrar_copias
from app.respaldos.copies.request import avisar_de_copias, pedir_copias
from app.respaldos.reconcile import reconciliar
from app.respaldos.retention.clean import limpiar_respaldos_antiguos
from app.respaldos.retention.prune import podar
from app.respaldos.retention.purge import purgar
from app.respaldos.schedule.nights import programar
from app.respaldos.schedule.overdue import vigilar
from app.respaldos.schedule.points import programar_puntos
from app.respaldos.schedule.trials import programar_ensayos
from app.respaldos.turns import take_turn
from workers.jobs import RESOURCES, Context
from workers.stop import cancel_until_done

log = logging.getLogger(__name__)

# Names in arq's context, beside those of the jobs.
SETTINGS = "settings"
QUEUE = "queue"
NOTIFIER = "notifier"

# What one worker does for all is done at least this far apart: a little less than the hour after which all of them
# ask again, since their clocks may differ (seconds).
TURN_SECONDS = 50 * 60

# When arq is to run what is run here.
_NEVER = datetime.max.replace(tzinfo=UTC)


@asynccontextmanager
async def run_periodically(cron_jobs: Sequence[CronJob], context: Context) -> AsyncIterator[None]:
    """Run each cron job at once and then at its times (UTC), while the block runs; one that fails is run again.

    arq, whose worker may have the same cron jobs, finds none of them due from then on.
    """
    tasks = [asyncio.create_task(_repeat(replace(cron_job), context), name=cron_job.name) for cron_job in cron_jobs]
    for cron_job in cron_jobs:
        cron_job.next_run = _NEVER
    try:
        yield
    finally:
        await cancel_until_done(lambda: tasks)


async def _repeat(cron_job: CronJob, context: Context) -> None:
    logged = None
    while True:
        logged = await _run(cron_job, context, logged)
        await asyncio.sleep(_seconds_to_next(cron_job))


def _seconds_to_next(cron_job: CronJob) -> float:
    # Not in TIME_ZONE: arq counts on by the clock on the wall, and where that is set back leaves an hour out.
    now = datetime.now(UTC)
    cron_job.calculate_next(now)
    assert cron_job.next_run is not None  # noqa: S101 (that is what was calculated)
    return (cron_job.next_run - now).total_seconds()


async def _run(cron_job: CronJob, context: Context, logged: Any) -> Any:
    """Run it once. Return what identifies its failure, or None; a failure that `logged` identifies is not logged."""
    try:
        await cron_job.coroutine(context)
    except RespaldosError as exc:
        # Not its words: what a server that is away answers changes while it comes back.
        failure: Any = type(exc)
        if failure != logged:
            log.warning("%s: %s", cron_job.name, exc.for_log)
        return failure
    except Exception as exc:
        # A mistake of ours in one of them must not end the others: who would say so, if not the reconciler?
        failure = repr(exc)
        if failure != logged:
            log.exception("%s: error interno", cron_job.name)
        return failure
    return None


async def reconcile(context: Context) -> None:
    """End what dead processes left open, and put back into Redis what it does not have."""
    queue = context[QUEUE]
    waiting = await reconciliar(context[RESOURCES])
    # A Redis that is away is to be in the log, also while nothing waits for it.
    await queue.record_periodic_health()
    await queue.announce_missing(waiting)


async def start_night(context: Context) -> None:
    """Add the night's backups that are due. What Redis does not hear of now, it hears from `reconcile`."""
    settings = context[SETTINGS]
    due = await programar(
        context[RESOURCES],
        now=datetime.now(UTC),
        time_zone=settings.time_zone,
        hour=settings.backup_hour,
        minute=settings.backup_minute,
        window=timedelta(minutes=settings.backup_window_minutes),
    )
    await context[QUEUE].announce(len(due))


async def start_points(context: Context) -> None:
    """Add the points of the day whose turn it is."""
    settings = context[SETTINGS]
    due = await programar_puntos(
        context[RESOURCES],
        now=datetime.now(UTC),
        time_zone=settings.time_zone,
        general=points(settings),
    )
    await context[QUEUE].announce(len(due))


async def send_notices(context: Context) -> None:
    """Tell people what waits to be told."""
    await context[NOTIFIER].send_pending()


async def warn_overdue(context: Context) -> None:
    """Warn of clinics without a good backup, once a day."""
    await vigilar(context[RESOURCES], now=datetime.now(context[SETTINGS].time_zone))


async def apply_retention(context: Context) -> None:
    """Delete what retention does not keep, once for all workers; whatever the hour, the answer is the same."""
    resources = context[RESOURCES]
    if await take_turn(resources, "limpiar", seconds=TURN_SECONDS):
        await limpiar_respaldos_antiguos(resources, retention_policy(context[SETTINGS]), all_decisions=False)


async def purge(context: Context) -> None:
    """Remove from S3 what was deleted PURGE_DAYS ago, and from the second copies what was before theirs."""
    await purgar(context[RESOURCES], days=context[SETTINGS].purge_days)
    await borrar_copias(context[RESOURCES])


async def start_copies(context: Context) -> None:
    """Add the copies that are missing, and tell of those that fail, once for all workers."""
    resources = context[RESOURCES]
    if resources.copies and await take_turn(resources, "copiar", seconds=TURN_SECONDS):
        await context[QUEUE].announce(await pedir_copias(resources))
        await avisar_de_copias(resources)


async def prune(context: Context) -> None:
    """Delete the service's own rows that nobody needs any more, once for all workers."""
    if await take_turn(context[RESOURCES], "podar", seconds=TURN_SECONDS):
        await podar(context[RESOURCES])


async def start_trials(context: Context) -> None:
    """Add the week's trials that are due, and drop what one of a dead process left."""
    resources = context[RESOURCES]
    await resources.restore.drop_abandoned_trials()
    await context[QUEUE].announce(len(await programar_ensayos(resources, now=datetime.now(UTC))))
