"""What the keys of all clinics ask of the database: for the worker, the command line and a superadmin."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.models import Clave


async def known(session: AsyncSession, ids: Collection[str]) -> set[str]:
    """Those of the ids that a key has, destroyed or not."""
    return set((await session.scalars(select(Clave.id).where(Clave.id.in_(ids)))).all())


async def to_wrap(session: AsyncSession, *, master_id: str, after: str, limit: int) -> Sequence[Clave]:
    """Keys with an id after that one which another master key has wrapped, or which the bucket has not got so."""
    found = await session.scalars(
        select(Clave)
        .where(
            Clave.destruida.is_(None),
            or_(Clave.maestra != master_id, Clave.copiada.is_(None)),
            Clave.id > after,
        )
        .order_by(Clave.id)
        .limit(limit)
    )
    return found.all()


async def to_erase(session: AsyncSession) -> Sequence[Clave]:
    """Destroyed keys of which the bucket may have something."""
    found = await session.scalars(select(Clave).where(Clave.destruida.is_not(None), Clave.copiada.is_not(None)))
    return found.all()


async def every(session: AsyncSession) -> Sequence[Clave]:
    """All keys, by clinic, oldest first."""
    found = await session.scalars(select(Clave).order_by(Clave.clinica_id.nulls_first(), Clave.fecha_creacion))
    return found.all()


@dataclass(frozen=True, slots=True)
class Wrapped:
    """How many keys a master key has wrapped; of how many the bucket has no copy."""

    master_id: str | None
    keys: int
    uncopied: int


async def wrapped_by(session: AsyncSession) -> list[Wrapped]:
    """By master key, the keys that are not destroyed."""
    found = await session.execute(
        select(Clave.maestra, func.count(), func.count().filter(Clave.copiada.is_(None)))
        .where(Clave.destruida.is_(None))
        .group_by(Clave.maestra)
        .order_by(Clave.maestra)
    )
    return [Wrapped(*row) for row in found]
