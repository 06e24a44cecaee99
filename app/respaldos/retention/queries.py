"""What deleting, keeping and counting a clinic's backups asks of the database, in its caller's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, defer

from app.errors import RespaldoNotFound
from app.respaldos.audit import SERVICE
from app.respaldos.models import Accion, Estado, Evento, Politica, Respaldo
from app.respaldos.retention.expiry import FOR_EVER_DAYS
from app.respaldos.retention.policy import Policy

# Of each of the table's columns, what it says of a policy.
_RULES = {
    "days": Politica.retencion_dias,
    "point_days": Politica.retencion_puntos_dias,
    "minimum": Politica.retencion_minimo,
    "daily": Politica.retencion_diarios,
    "weekly": Politica.retencion_semanales,
    "monthly": Politica.retencion_mensuales,
    "yearly": Politica.retencion_anuales,
}

_LIVE = Respaldo.fecha_eliminacion.is_(None)
_AT_REST = Respaldo.estado.not_in([Estado.PENDIENTE, Estado.PROCESANDO])


def own_rules() -> Select[*tuple[Any, ...]]:
    """Each clinic of whose retention something has been said, and that: None is as for all."""
    return select(Politica.clinica_id, *_RULES.values()).where(or_(*(rule.is_not(None) for rule in _RULES.values())))


def over(general: Policy, row: Row[Any]) -> Policy:
    """What holds for the clinic of a row of `own_rules`."""
    said = zip(_RULES, tuple(row)[1:], strict=True)
    return replace(general, **{name: value for name, value in said if value is not None})


async def policy_of(session: AsyncSession, general: Policy, *, clinica_id: int | None) -> Policy:
    """The clinic's policy: the `general` one but for what has been said of it. Nothing is said of the platform."""
    found = await session.execute(own_rules().where(Politica.clinica_id == clinica_id))
    row = found.one_or_none()
    return over(general, row) if row is not None else general


async def live(session: AsyncSession, *, clinica_id: int | None, locked: bool) -> Sequence[Respaldo]:
    """The clinic's backups that are not deleted, without their metadata.

    `locked`: nobody else deletes, accepts or verifies one of them until the transaction ends. Whoever waited for
    the lock sees what the other one did.
    """
    wanted = (
        select(Respaldo)
        .where(Respaldo.clinica_id == clinica_id, _LIVE)
        # In one order, so that two that lock the same rows do not wait for each other.
        .order_by(Respaldo.id)
        .options(defer(Respaldo.metadata_, raiseload=True))
        .execution_options(populate_existing=True)
    )
    if locked:
        # What runs is about to be ended, which must not wait; it is not deleted anyway.
        at_rest = select(Respaldo.id).where(Respaldo.clinica_id == clinica_id, _LIVE, _AT_REST)
        await session.execute(at_rest.order_by(Respaldo.id).with_for_update(key_share=True))
    return (await session.scalars(wanted)).all()


async def recoveries(session: AsyncSession, *, clinica_id: int | None, since: datetime) -> Mapping[int, datetime]:
    """Which backups a person has taken back since then, and when last."""
    found = await session.execute(
        select(Evento.respaldo_id, func.max(Evento.fecha))
        .where(
            Evento.clinica_id == clinica_id,
            Evento.accion == Accion.RECUPERACION,
            Evento.fecha > since,
            Evento.respaldo_id.is_not(None),
        )
        .group_by(Evento.respaldo_id)
    )
    return {respaldo_id: fecha for respaldo_id, fecha in found if respaldo_id is not None}


async def deletions(session: AsyncSession, *, clinica_id: int | None, since: datetime) -> int:
    """How many of the clinic's backups people, and not retention, have deleted since then."""
    found = await session.scalar(
        select(func.count())
        .select_from(Evento)
        .where(
            Evento.clinica_id == clinica_id,
            Evento.accion == Accion.ELIMINACION,
            Evento.fecha > since,
            Evento.direccion != SERVICE.direccion,
        )
    )
    return found or 0


async def locked(session: AsyncSession, respaldo_id: int, *, clinica_id: int | None) -> Respaldo:
    """The clinic's backup of that id, deleted or not, which nobody else changes until the transaction ends.

    Raises RespaldoNotFound, in the same words where the backup is another clinic's.
    """
    found = await session.scalar(
        select(Respaldo)
        .where(Respaldo.id == respaldo_id, Respaldo.clinica_id == clinica_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise RespaldoNotFound(f"no existe el respaldo {respaldo_id}")
    return found


async def mark_deleted(session: AsyncSession, respaldo_id: int, *, clinica_id: int | None) -> bool:
    """Hide the backup; False where it is deleted already, or is pending or running."""
    marked = await session.scalar(
        update(Respaldo)
        .where(
            Respaldo.id == respaldo_id,
            Respaldo.clinica_id == clinica_id,
            _LIVE,
            _AT_REST,
        )
        .values(fecha_eliminacion=func.now())
        .returning(Respaldo.id)
    )
    return marked is not None


def deleted_for(days: int) -> ColumnElement[bool]:
    """Whether the backup was deleted at least so many days before the transaction began, by the database's clock."""
    return Respaldo.fecha_eliminacion <= func.now() - timedelta(days=min(days, FOR_EVER_DAYS))


def lent() -> ColumnElement[bool]:
    """Whether the backup's object is also another one's, which has not been purged."""
    other = aliased(Respaldo)
    # None is added while this is looked at: a point takes the object of a good backup, which is not deleted, or the
    # one that this has, which is not purged.
    return exists().where(other.respaldo_base_id == Respaldo.id, other.purgado.is_(None))


async def begin_purge(session: AsyncSession, respaldo_id: int, *, clinica_id: int | None, days: int) -> bool:
    """Give up a deleted backup's object, so that nobody takes it back while S3 removes it.

    False where somebody just has, where it was deleted less than `days` ago, or where another backup has the object.
    """
    begun = await session.scalar(
        update(Respaldo)
        .where(
            Respaldo.id == respaldo_id,
            Respaldo.clinica_id == clinica_id,
            deleted_for(days),
            Respaldo.purgado.is_(None),
            ~lent(),
        )
        .values(purga_iniciada=func.now())
        .returning(Respaldo.id)
    )
    return begun is not None


async def mark_purged(session: AsyncSession, respaldo_id: int, *, clinica_id: int | None) -> None:
    """Record that the deleted backup has no object any more."""
    await session.execute(
        update(Respaldo)
        .where(
            Respaldo.id == respaldo_id,
            Respaldo.clinica_id == clinica_id,
            Respaldo.fecha_eliminacion.is_not(None),
        )
        .values(purgado=func.now())
    )
