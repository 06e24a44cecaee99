"""What cleaning, purging and reindexing ask across clinics: for the worker and the command line, and nobody else."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    ScalarSelect,
    and_,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    union,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.respaldos.models import (
    Aviso,
    Clase,
    Estado,
    Exportacion,
    Intento,
    Peticion,
    Programacion,
    Respaldo,
    TipoRespaldo,
    TokenTerminado,
    Trabajo,
    in_words,
)
from app.respaldos.retention.policy import Policy, age_limit, last_periods, point_limit
from app.respaldos.retention.queries import deleted_for, lent


async def clinics_with_backups(session: AsyncSession) -> Sequence[int | None]:
    """Whoever has a backup that is not deleted, also clinics that the tenant table does not have any more.

    None is the platform.
    """
    found = await session.scalars(
        select(Respaldo.clinica_id)
        .where(Respaldo.fecha_eliminacion.is_(None))
        .distinct()
        .order_by(Respaldo.clinica_id)
    )
    return found.all()


async def clinics_to_clean(
    session: AsyncSession, policy: Policy, *, now: datetime, time_zone: ZoneInfo
) -> Sequence[int | None]:
    """Those that the policy may delete something of; of all others it certainly deletes nothing.

    That is whoever has a backup that is not kept for its age, unless it is plain that a rule holds it. None is the
    platform.
    """
    candidate = aliased(Respaldo)
    aged = (
        candidate.fecha_eliminacion.is_(None),
        or_(candidate.retenido.is_(None), candidate.retenido_hasta <= now),
        candidate.fecha_respaldo <= age_limit(policy, now),
        candidate.estado.not_in([Estado.PENDIENTE, Estado.PROCESANDO]),
    )
    mine = Respaldo.clinica_id == candidate.clinica_id
    newer = and_(mine, tuple_(Respaldo.fecha_respaldo, Respaldo.id) > tuple_(candidate.fecha_respaldo, candidate.id))
    newer_good = (
        select(Respaldo.fecha_respaldo)
        .where(newer, Respaldo.good)
        .order_by(Respaldo.fecha_respaldo, Respaldo.id)
        .limit(1)
    )
    following = newer_good.lateral("siguiente")
    held: list[ColumnElement[bool]] = [following.c.fecha_respaldo.is_(None)]
    if policy.minimum > 1:
        held.append(~newer_good.offset(policy.minimum - 1).exists())
    for periods in last_periods(policy, now, time_zone):
        starts = literal(periods, ARRAY(DateTime(timezone=True)))
        held.append(
            and_(
                candidate.fecha_respaldo >= periods[0],
                func.width_bucket(following.c.fecha_respaldo, starts)
                > func.width_bucket(candidate.fecha_respaldo, starts),
            )
        )
    newer_completed = select(Respaldo.id).where(
        newer,
        Respaldo.estado == Estado.COMPLETADO,
        Respaldo.fecha_eliminacion.is_(None),
        Respaldo.clave_destruida.is_(None),
    )
    only = and_(
        candidate.estado == Estado.COMPLETADO,
        candidate.clave_destruida.is_(None),
        ~select(Respaldo.id).where(mine, Respaldo.good).exists(),
        ~newer_completed.exists(),
    )
    clinics = (
        select(candidate.clinica_id)
        .outerjoin(following, true())
        .where(*aged, candidate.clinica_id.is_not(None), ~or_(and_(candidate.good, or_(*held)), only))
    )
    platform = select(candidate.clinica_id).where(*aged, candidate.clinica_id.is_(None))
    # A point goes where it is old enough and a newer good one is of the same day.
    day = func.timezone(time_zone.key, candidate.fecha_respaldo).cast(Date)
    points = (
        select(candidate.clinica_id)
        .join(following, true())
        .where(
            candidate.tipo_respaldo == in_words(TipoRespaldo.PUNTO),
            candidate.fecha_eliminacion.is_(None),
            candidate.fecha_respaldo <= point_limit(policy, now),
            candidate.fecha_respaldo > age_limit(policy, now),
            candidate.good,
            func.timezone(time_zone.key, following.c.fecha_respaldo).cast(Date) == day,
        )
    )
    # What is from the future takes the place of what is older in the rules.
    future = select(Respaldo.clinica_id).where(Respaldo.fecha_eliminacion.is_(None), Respaldo.fecha_respaldo > now)
    found = await session.scalars(union(clinics, platform, points, future).order_by("clinica_id"))
    return found.all()


@dataclass(frozen=True, slots=True)
class Purgeable:
    """A backup that was deleted long enough ago; `archivo_s3` is None where it never had an object of its own."""

    respaldo_id: int
    clinica_id: int | None
    archivo_s3: str | None


async def purgeable(session: AsyncSession, *, days: int, clinica_id: int | None = None) -> list[Purgeable]:
    """Backups that were deleted `days` or more ago and have not been purged; none whose object is in use.

    In use is what is being verified or restored, what another backup or attempt has recorded under its key, and what
    is another backup's object, too, until that one is purged.
    """
    others = select(Intento.numero).where(
        Intento.archivo_s3 == Respaldo.archivo_s3,
        Intento.respaldo_id != Respaldo.id,
        Respaldo.respaldo_base_id.is_(None),
    )
    in_use = select(Trabajo.id).where(
        Trabajo.respaldo_id == Respaldo.id, Trabajo.estado.in_([Estado.PENDIENTE, Estado.PROCESANDO])
    )
    found = await session.execute(
        select(Respaldo.id, Respaldo.clinica_id, case((Respaldo.respaldo_base_id.is_(None), Respaldo.archivo_s3)))
        .where(
            Respaldo.purgado.is_(None),
            deleted_for(days),
            true() if clinica_id is None else Respaldo.clinica_id == clinica_id,
            ~others.exists(),
            ~in_use.exists(),
            ~lent(),
        )
        .order_by(Respaldo.fecha_eliminacion, Respaldo.id)
    )
    return [Purgeable(*row) for row in found]


async def prune(session: AsyncSession, *, days: int, limit: int) -> int:
    """Delete what nobody needs any more of what came to its end `days` or more ago; return how many rows that were.

    Of each table the oldest `limit` at most. Those are nights but a clinic's first, from which it counts while it has
    no good backup; attempts that have been cleaned up after, but those whose lease ran out, which are counted; jobs
    that made backups or copies, of which the backups' own rows say how they ended; exports, with their jobs, that are
    gone from S3; notices that have been sent; requests' keys; and ended tokens that would have ended by themselves.
    """
    before = func.now() - timedelta(days=days)
    first = aliased(Programacion)

    def began(mine: ColumnElement[bool]) -> ScalarSelect[Any]:
        return select(func.min(first.dia)).where(mine).scalar_subquery()

    night = or_(
        Programacion.dia > began(first.clinica_id == Programacion.clinica_id),
        and_(Programacion.clinica_id.is_(None), Programacion.dia > began(first.clinica_id.is_(None))),
    )
    deleted = 0
    for key, age, others in (
        ((Programacion.id,), Programacion.dia, night),
        ((Intento.respaldo_id, Intento.numero), Intento.limpiado, ~Intento.vencido),
        ((Trabajo.id,), Trabajo.fecha_fin, Trabajo.clase == in_words(Clase.RESPALDO)),
        ((Trabajo.id,), Trabajo.fecha_fin, Trabajo.clase == in_words(Clase.COPIA)),
        ((Exportacion.id,), Exportacion.limpiado, true()),
        ((Aviso.id,), Aviso.terminado, true()),
        ((Peticion.quien, Peticion.clave), Peticion.fecha, true()),
        ((TokenTerminado.clave,), TokenTerminado.vence, true()),
    ):
        aged = select(*key).where(age < before, others).order_by(age).limit(limit)
        gone = await session.execute(
            delete(key[0].class_)
            .where(tuple_(*key).in_(aged))
            .returning(*key)
            .execution_options(synchronize_session=False)
        )
        deleted += len(gone.all())
    return deleted


async def known_keys(session: AsyncSession, keys: Collection[str]) -> set[str]:
    """Those of the keys that a backup has, deleted or not, or that an attempt has, however it ended."""
    found = await session.scalars(
        union(
            select(Respaldo.archivo_s3).where(Respaldo.archivo_s3.in_(keys), Respaldo.respaldo_base_id.is_(None)),
            select(Intento.archivo_s3).where(Intento.archivo_s3.in_(keys)),
        )
    )
    return set(found.all())


async def add_completed(
    session: AsyncSession,
    *,
    respaldo_id: int | None,
    clinica_id: int | None,
    archivo_s3: str,
    intento: int,
    **values: Any,
) -> Respaldo | None:
    """A completed backup out of its object, and the attempt that made it; None where its key has been taken.

    It gets `respaldo_id` where that is free, else a new id; the next backup's id is past both. The transaction must
    have done nothing else before.
    """
    # An id that a backup has drawn and not committed yet looks free; and while the sequence is looked at and moved,
    # nobody may draw from it, or the move would be backward.
    await session.execute(text("LOCK TABLE respaldos.respaldo IN SHARE ROW EXCLUSIVE MODE"))
    if respaldo_id is not None:
        respaldo_id = await _reserved(session, respaldo_id)
    if await known_keys(session, [archivo_s3]):
        return None
    added = Respaldo(
        id=respaldo_id,
        clinica_id=clinica_id,
        archivo_s3=archivo_s3,
        estado=Estado.COMPLETADO,
        **values,
    )
    session.add(added)
    await session.flush()
    moment = added.fecha_respaldo
    session.add(
        Intento(
            respaldo_id=added.id,
            numero=intento,
            archivo_s3=archivo_s3,
            inicio=moment,
            fin=moment,
            limpiado=func.now(),
        )
    )
    await session.flush()
    return added


async def _reserved(session: AsyncSession, respaldo_id: int) -> int | None:
    """The id if no backup has it, else None; no later backup gets it. The table must be locked."""
    sequence = "pg_get_serial_sequence('respaldos.respaldo', 'id')"
    await session.execute(
        text(f"SELECT setval({sequence}, :id) WHERE coalesce(pg_sequence_last_value({sequence}::regclass), 0) < :id"),
        {"id": respaldo_id},
    )
    taken = await session.scalar(select(Respaldo.id).where(Respaldo.id == respaldo_id))
    return respaldo_id if taken is None else None
