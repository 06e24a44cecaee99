"""A restore of the platform and of every clinic, in this process.

Where it is needed, there may be neither Redis nor a worker; and what workers would do meanwhile, the night's backups
of what is not restored yet, is best not done.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.errors import ClinicNotFound, RespaldosError
from app.respaldos.audit import COMMAND_LINE, Actor
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import transaction
from app.respaldos.resources import Resources
from app.respaldos.restore import fleet as restore_fleet
from app.respaldos.restore.fleet import Chosen
from app.respaldos.restore.request import RestoreRequest
from app.respaldos.restore.run import restaurar_respaldo

# As many as a worker does: while PostgreSQL works for one, another's file is read.
AT_ONCE = 2

# So many in a row that failed for a reason that may pass: a server is away, and so it would be for all others.
_AWAY = 6


@dataclass(frozen=True, slots=True)
class Unrestored:
    """One that could not be restored; `error` says why."""

    chosen: Chosen
    error: RespaldosError


@dataclass(slots=True)
class FleetRestore:
    """What is to be restored, from the newest good backups before a moment, and how far it is.

    `already` were restored from the same backup before, `without` are clinics of today that have no good one, `gone`
    are clinics that the table of clinics did not have any more when the platform's backup was taken.
    """

    before: datetime
    platform: Chosen | None = None
    clinics: list[Chosen] = field(default_factory=list)
    already: list[int] = field(default_factory=list)
    without: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    restored: list[Chosen] = field(default_factory=list)
    failed: list[Unrestored] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many there are to restore."""
        return len(self.clinics) + (self.platform is not None)

    @property
    def complete(self) -> bool:
        """Whether all that should be there is."""
        return not self.failed and not self.without


async def plan_all(resources: Resources, *, before: datetime) -> FleetRestore:
    """What a restore of all of them would do. Raises DatabaseError.

    A clinic is left alone that was last restored from the very same backup and has rows today: so whoever was
    interrupted goes on.
    """
    async with transaction(resources) as session:
        chosen = await restore_fleet.newest_good(session, before=before)
        restored_from = await restore_fleet.last_restored(session)
    found = FleetRestore(before)
    for each in chosen:
        if each.clinica_id is None:
            found.platform = each
        elif restored_from.get(each.clinica_id) == each.respaldo_id and await _has_rows(resources, each.clinica_id):
            found.already.append(each.clinica_id)
        else:
            found.clinics.append(each)
    return found


async def _has_rows(resources: Resources, clinica_id: int) -> bool:
    """Whether the clinic is there, whatever has become of the database since somebody restored it."""
    try:
        async with resources.restore.snapshot(clinica_id, own=True) as snapshot:
            return not await snapshot.is_empty()
    except ClinicNotFound:
        return False


async def restore_all(
    resources: Resources,
    found: FleetRestore,
    request: RestoreRequest,
    on_step: Callable[[], None],
    *,
    actor: Actor = COMMAND_LINE,
) -> None:
    """Restore what is planned, the platform first; `on_step` is called after each.

    One that is refused keeps no other from being restored, and is tried again when those are: its rows may point to
    theirs. Raises the error of a server that stays away; what is done by then stays, and the next call goes on.
    """
    if found.platform is not None:
        try:
            await _restore(resources, found.platform, request, actor)
            found.restored.append(found.platform)
        except RespaldosError as exc:
            found.failed.append(Unrestored(found.platform, exc))
        on_step()
    there = {clinic.id for clinic in await resources.restore.clinics()}
    waiting = _those_that_were(found, there)
    platforms = list(found.failed)
    while waiting:
        before = len(found.restored)
        refused = await _one_round(resources, found, waiting, there, request, actor, on_step)
        found.failed = platforms + refused
        waiting = [each.chosen for each in refused] if len(found.restored) > before else []
    planned = {each.clinica_id for each in found.clinics} | set(found.already) | set(found.gone)
    found.without = sorted({clinic.id for clinic in await resources.restore.clinics()} - planned)


def _those_that_were(found: FleetRestore, there: Collection[int]) -> list[Chosen]:
    """The clinics but those that had been deleted before the platform was backed up; those are noted as `gone`."""
    platform = found.platform
    if platform is None or found.failed:
        return found.clinics
    kept = [
        each for each in found.clinics if each.clinica_id in there or each.fecha_respaldo >= platform.fecha_respaldo
    ]
    found.gone = sorted({each.clinica_id for each in found.clinics if each.clinica_id is not None} - _ids(kept))
    found.clinics = kept
    return kept


def _ids(chosen: Collection[Chosen]) -> set[int]:
    return {each.clinica_id for each in chosen if each.clinica_id is not None}


async def _one_round(
    resources: Resources,
    found: FleetRestore,
    waiting: Collection[Chosen],
    there: Collection[int],
    request: RestoreRequest,
    actor: Actor,
    on_step: Callable[[], None],
) -> list[Unrestored]:
    """Try each of them once; return what was refused. Raises where a server is away."""
    left, refused = deque(waiting), list[Unrestored]()
    in_a_row = 0

    async def restore_some() -> None:
        nonlocal in_a_row
        while left and in_a_row < _AWAY:
            chosen = left.popleft()
            of_this = request if chosen.clinica_id in there else replace(request, con_clinica=True)
            try:
                await _restore(resources, chosen, of_this, actor)
            except RespaldosError as exc:
                refused.append(Unrestored(chosen, exc))
                in_a_row = in_a_row + 1 if exc.transient else 0
            else:
                found.restored.append(chosen)
                in_a_row = 0
            on_step()

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(restore_some())
    if in_a_row >= _AWAY:
        raise refused[-1].error
    return refused


async def _restore(resources: Resources, chosen: Chosen, request: RestoreRequest, actor: Actor) -> None:
    async with transaction(resources) as session:
        respaldo = await backup_queries.get(session, chosen.respaldo_id, clinica_id=chosen.clinica_id)
    await restaurar_respaldo(resources, respaldo, request, actor=actor)
