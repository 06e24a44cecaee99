"""The jobs of all clinics, and the lock under which any is added or claimed.

Each function takes part in its caller's transaction.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, not_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.jobs.kinds import those
from app.respaldos.models import Clase, Estado, Trabajo

# Nobody else's lock has this number.
_LOCK = 5_270_181_008

# A number that no clinic has, since NULL is among nothing.
_PLATFORM = -1


async def serialize(session: AsyncSession) -> None:
    """Wait for whoever is adding or claiming a job, and keep others from it until the transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


async def best_waiting(session: AsyncSession) -> Trabajo | None:
    """The pending job that is to be claimed next; nobody else adds or claims one until the transaction ends.

    Not one that has to wait: for its next try, or for an exclusive job of its clinic. By priority, then the oldest;
    but a reading of a clinic that has one running already comes after all others.
    """
    await serialize(session)
    reading = those(lambda kind: kind.reading)
    clinic = func.coalesce(Trabajo.clinica_id, _PLATFORM)

    def running(condition: ColumnElement[bool]) -> Select[Any]:
        return select(clinic).where(Trabajo.estado == Estado.PROCESANDO, condition).correlate(None)

    held_back = and_(Trabajo.clase.in_(reading), clinic.in_(running(Trabajo.clase.in_(reading))))
    # One after the other, so that each ends with the first row that its index finds: 10,000 took a tenth of a second.
    for which in (~held_back, held_back):
        found: Trabajo | None = await session.scalar(
            select(Trabajo)
            .where(
                Trabajo.estado == Estado.PENDIENTE,
                Trabajo.proximo <= func.clock_timestamp(),
                not_(and_(Trabajo.exclusiva, clinic.in_(running(Trabajo.exclusiva.is_(True))))),
                which,
            )
            .order_by(Trabajo.prioridad, Trabajo.id)
            .limit(1)
            # One that somebody is just cancelling does not hold up the others.
            .with_for_update(skip_locked=True)
        )
        if found is not None:
            return found
    return None


async def waiting(session: AsyncSession) -> int:
    """How many jobs a worker could claim by now, or could if their clinic had nothing else under way."""
    found = await session.scalar(
        select(func.count()).where(Trabajo.estado == Estado.PENDIENTE, Trabajo.proximo <= func.clock_timestamp())
    )
    return found or 0


async def expired(session: AsyncSession, *, kinds: Collection[Clase], job_id: int | None = None) -> Sequence[Trabajo]:
    """Running jobs of these kinds whose lease has run out, locked; none that somebody else is just ending.

    Of all of them only that one, where one is named.
    """
    which = (Trabajo.id == job_id,) if job_id is not None else ()
    found = await session.scalars(
        select(Trabajo)
        .where(
            Trabajo.clase.in_(kinds),
            Trabajo.estado == Estado.PROCESANDO,
            Trabajo.lease_until < func.clock_timestamp(),
            *which,
        )
        .order_by(Trabajo.id)
        # Two who wait for each other's rows would deadlock.
        .with_for_update(skip_locked=True)
    )
    return found.all()
