"""The exports of all clinics: whose link it is, and of which nothing is to be left.

Each function takes part in its caller's transaction.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.respaldos.models import Estado, Exportacion, Respaldo, Trabajo

_DELETED = Respaldo.fecha_eliminacion.is_not(None)


async def by_link(session: AsyncSession, enlace: str) -> Exportacion | None:
    """The export of which that is the good link, while it is there."""
    return await session.scalar(
        select(Exportacion).where(
            Exportacion.enlace == enlace,
            Exportacion.limpiado.is_(None),
            Exportacion.vence > func.now(),
            ~Exportacion.respaldo.has(_DELETED),
        )
    )


async def over(session: AsyncSession) -> Sequence[Exportacion]:
    """Those that nobody can have any more, and of which something may be in S3."""
    found = await session.scalars(select(Exportacion).where(_over()).order_by(Exportacion.id))
    return found.all()


async def mark_clean(session: AsyncSession, exportacion_id: int) -> None:
    """Record that nothing of it is left in S3."""
    await session.execute(
        update(Exportacion)
        .where(Exportacion.id == exportacion_id, _over())
        .values(limpiado=func.now())
        .execution_options(synchronize_session=False)
    )


def _over() -> ColumnElement[bool]:
    ended = Exportacion.trabajo.has(Trabajo.estado.in_([Estado.FALLIDO, Estado.CANCELADO]))
    made = Exportacion.trabajo.has(Trabajo.estado == Estado.COMPLETADO)
    return and_(
        Exportacion.limpiado.is_(None),
        or_(ended, and_(made, or_(Exportacion.vence <= func.now(), Exportacion.respaldo.has(_DELETED)))),
    )
