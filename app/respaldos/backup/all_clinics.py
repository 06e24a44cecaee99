"""A backup of many clinics at once, made by the workers."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.errors import DatabaseUnavailable
from app.respaldos.audit import Actor
from app.respaldos.backup import fleet as backup_fleet
from app.respaldos.backup.fleet import Unmade
from app.respaldos.databases import Databases, transaction
from app.respaldos.jobs.request import Announcer
from app.respaldos.models import Estado, TipoRespaldo

# Added by one transaction, which stays well under a second.
BATCH = 500

# How often it is asked how far they are: one statement, however many they are (seconds).
POLL_SECONDS = 2.0

# The workers go on meanwhile, and whoever looks can wait as long (seconds).
AWAY_SECONDS = 300.0


@dataclass(slots=True)
class FleetBackup:
    """What was asked for, and how far it is: `requested` are backups, `skipped` clinics with something under way."""

    requested: list[int] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    states: dict[Estado, int] = field(default_factory=dict)
    unmade: list[Unmade] = field(default_factory=list)

    @property
    def made(self) -> int:
        """How many are completed."""
        return self.states.get(Estado.COMPLETADO, 0)

    @property
    def ended(self) -> int:
        """How many have come to an end, one way or another."""
        return sum(self.states.get(estado, 0) for estado in (Estado.COMPLETADO, Estado.FALLIDO, Estado.CANCELADO))


async def request_all(
    databases: Databases,
    queue: Announcer,
    clinics: Sequence[int],
    *,
    descripcion: str,
    actor: Actor,
    found: FleetBackup,
) -> None:
    """Add a pending backup of each clinic that has nothing under way to `found`, which holds what was done so far.

    Raises DatabaseError, and QueueUnavailable where workers cannot be told; what has been added by then, they make.
    """
    await queue.check()
    for first in range(0, len(clinics), BATCH):
        batch = clinics[first : first + BATCH]
        async with transaction(databases) as session:
            busy = await backup_fleet.busy(session, among=batch)
            free = [clinica_id for clinica_id in batch if clinica_id not in busy]
            respaldos = (
                await backup_fleet.add_pending(
                    session, free, tipo=TipoRespaldo.MANUAL, descripcion=descripcion, actor=actor
                )
                if free
                else []
            )
        found.requested += [respaldo.id for respaldo in respaldos]
        added = {respaldo.clinica_id for respaldo in respaldos}
        found.skipped += [clinica_id for clinica_id in batch if clinica_id not in added]
        found.states[Estado.PENDIENTE] = len(found.requested)
        await queue.announce(len(respaldos))


async def watch_all(databases: Databases, found: FleetBackup, on_look: Callable[[], None]) -> None:
    """Return when all that was requested has come to an end; `on_look` is called after each look.

    A database that is away is asked again for AWAY_SECONDS. Raises DatabaseError: who looks may look again.
    """
    answered = time.monotonic()
    while True:
        try:
            async with transaction(databases) as session:
                found.states = await backup_fleet.count_states(session, found.requested)
            answered = time.monotonic()
        except DatabaseUnavailable:
            if time.monotonic() - answered > AWAY_SECONDS:
                raise
        on_look()
        # What retention has removed meanwhile is no longer anywhere.
        if found.ended >= sum(found.states.values()):
            break
        await asyncio.sleep(POLL_SECONDS)
    async with transaction(databases) as session:
        found.unmade = await backup_fleet.unmade(session, found.requested)
