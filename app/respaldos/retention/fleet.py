"""What cleaning, purging and reindexing ask across clinics: for the worker and the command line, and nobody else."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    ScalarSelect,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    delete,
    exists,
    false,
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
from sqlalchemy.orm import InstrumentedAttribute, aliased

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
from app.respaldos.retention.queries import deleted_for, lent, over, own_rules


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


async def own_policies(session: AsyncSession, general: Policy) -> dict[int | None, Policy]:
    """The policy of each clinic of which something has been said: the `general` one but for that."""
    found = await session.execute(own_rules())
    return {row.clinica_id: over(general, row) for row in found}


async def clinics_to_clean(
    session: AsyncSession,
    policy: Policy,
    *,
    now: datetime,
    time_zone: ZoneInfo,
    own: Mapping[int | None, Policy] | None = None,
) -> Sequence[int | None]:
    """Those that the policy, or their `own` one, may delete something of; of all others it certainly deletes nothing.

    That is whoever has a backup that is not kept for its age, unless it is plain that a rule holds it. None is the
    platform.
    """
    general = _Limits.of(policy, now, time_zone)
    platform = select(Respaldo.clinica_id).where(*_aged(Respaldo, general, now), Respaldo.clinica_id.is_(None))
    # What is from the future takes the place of what is older in the rules.
    future = select(Respaldo.clinica_id).where(Respaldo.fecha_eliminacion.is_(None), Respaldo.fecha_respaldo > now)
    parts = [platform, future]
    if own:
        mine = _own_limits(own, now, time_zone)
        theirs = _Limits(mine.c.aged, mine.c.aged_points, mine.c.minimum, [mine.c[name] for name in _PERIODS])
        parts += _to_clean(theirs, now, time_zone, lambda clinica_id: mine.c.id == clinica_id)
        parts += _to_clean(general, now, time_zone, lambda clinica_id: ~exists().where(mine.c.id == clinica_id))
    else:
        parts += _to_clean(general, now, time_zone, lambda clinica_id: clinica_id.is_not(None))
    found = await session.scalars(union(*parts).order_by("clinica_id"))
    return found.all()


_TIMES = ARRAY(DateTime(timezone=True))

# Of a policy, when the periods of each of its rules began: as many rules as it may have.
_PERIODS = ("days", "weeks", "months", "years")


@dataclass(frozen=True, slots=True)
class _Limits:
    """A policy at one moment, as PostgreSQL compares with it: as values, or as columns that have each clinic's.

    `periods` are, for each rule, when its periods began, oldest first, and when the last one ends; NULL is no rule.
    """

    aged: ColumnElement[datetime]
    aged_points: ColumnElement[datetime]
    minimum: ColumnElement[int]
    periods: Sequence[ColumnElement[Any]]

    @classmethod
    def of(cls, policy: Policy, now: datetime, time_zone: ZoneInfo) -> Self:
        """Of one policy."""
        return cls(
            literal(age_limit(policy, now)),
            literal(point_limit(policy, now)),
            literal(policy.minimum),
            [literal(periods, _TIMES) for periods in last_periods(policy, now, time_zone)],
        )


def _own_limits(own: Mapping[int | None, Policy], now: datetime, time_zone: ZoneInfo) -> CTE:
    """The limits of each clinic's own policy, by its `id`. Many clinics have few policies between them."""
    policies = list(dict.fromkeys(own.values()))
    place = {policy: number for number, policy in enumerate(policies)}
    periods = [last_periods(policy, now, time_zone) for policy in policies]
    # Arrays of one length alone make an array, so each is a text.
    written = [
        ["{" + ",".join(map(str, each[rule])) + "}" if rule < len(each) else None for each in periods]
        for rule in range(len(_PERIODS))
    ]
    rules = func.unnest(
        bindparam(None, list(range(len(policies))), type_=ARRAY(Integer)),
        bindparam(None, [age_limit(each, now) for each in policies], type_=_TIMES),
        bindparam(None, [point_limit(each, now) for each in policies], type_=_TIMES),
        bindparam(None, [each.minimum for each in policies], type_=ARRAY(Integer)),
        *(bindparam(None, each, type_=ARRAY(Text)) for each in written),
    ).table_valued("place", "aged", "aged_points", "minimum", *_PERIODS, name="rule")
    rule = rules.render_derived()
    limits = (
        select(
            cast(rule.c.place, Integer).label("place"),
            *(cast(rule.c[name], DateTime(timezone=True)).label(name) for name in ("aged", "aged_points")),
            cast(rule.c.minimum, Integer).label("minimum"),
            *(cast(rule.c[name], _TIMES).label(name) for name in _PERIODS),
        )
        .cte("limits")
        .prefix_with("MATERIALIZED")
    )
    clinic = (
        func.unnest(
            bindparam(None, list(own), type_=ARRAY(BigInteger)),
            bindparam(None, [place[policy] for policy in own.values()], type_=ARRAY(Integer)),
        )
        .table_valued(column("id", BigInteger), column("place", Integer), name="clinic")
        .render_derived()
    )
    columns = [each for each in limits.c if each.name != "place"]
    return select(clinic.c.id, *columns).join(limits, limits.c.place == clinic.c.place).cte("own")


def _aged(candidate: type[Respaldo], limits: _Limits, now: datetime) -> tuple[ColumnElement[bool], ...]:
    """What is not kept for its age."""
    return (
        candidate.fecha_eliminacion.is_(None),
        or_(candidate.retenido.is_(None), candidate.retenido_hasta <= now),
        candidate.fecha_respaldo <= limits.aged,
        candidate.estado.not_in([Estado.PENDIENTE, Estado.PROCESANDO]),
    )


def _to_clean(
    limits: _Limits,
    now: datetime,
    time_zone: ZoneInfo,
    among: Callable[[InstrumentedAttribute[int | None]], ColumnElement[bool]],
) -> list[Select[int | None]]:
    """Of these clinics, those with something old that no rule plainly holds, and those with points to be thinned."""
    candidate = aliased(Respaldo)
    mine = Respaldo.clinica_id == candidate.clinica_id
    newer = and_(mine, tuple_(Respaldo.fecha_respaldo, Respaldo.id) > tuple_(candidate.fecha_respaldo, candidate.id))
    newer_good = (
        select(Respaldo.fecha_respaldo)
        .where(newer, Respaldo.good)
        .order_by(Respaldo.fecha_respaldo, Respaldo.id)
        .limit(1)
    )
    following = newer_good.lateral("siguiente")
    held: list[ColumnElement[bool]] = [
        following.c.fecha_respaldo.is_(None),
        and_(limits.minimum > 1, ~newer_good.offset(limits.minimum - 1).exists()),
    ]
    for starts in limits.periods:
        period = func.width_bucket(candidate.fecha_respaldo, starts)
        later = func.width_bucket(following.c.fecha_respaldo, starts) > period
        held.append(func.coalesce(and_(period > 0, later), false()))
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
        .where(
            *_aged(candidate, limits, now),
            among(candidate.clinica_id),
            ~or_(and_(candidate.good, or_(*held)), only),
        )
    )
    # A point goes where it is old enough and a newer good one is of the same day.
    day = func.timezone(time_zone.key, candidate.fecha_respaldo).cast(Date)
    points = (
        select(candidate.clinica_id)
        .join(following, true())
        .where(
            candidate.tipo_respaldo == in_words(TipoRespaldo.PUNTO),
            candidate.fecha_eliminacion.is_(None),
            candidate.fecha_respaldo <= limits.aged_points,
            candidate.fecha_respaldo > limits.aged,
            candidate.good,
            among(candidate.clinica_id),
            func.timezone(time_zone.key, following.c.fecha_respaldo).cast(Date) == day,
        )
    )
    return [clinics, points]


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


async def with_key(session: AsyncSession, archivo_s3: str) -> Respaldo | None:
    """The backup that has an object of that key of its own, deleted or not, or whose attempt had it."""
    found = await session.scalars(
        select(Respaldo)
        .outerjoin(Intento, and_(Intento.respaldo_id == Respaldo.id, Intento.archivo_s3 == archivo_s3))
        .where(
            or_(
                and_(Respaldo.archivo_s3 == archivo_s3, Respaldo.respaldo_base_id.is_(None)),
                Intento.archivo_s3 == archivo_s3,
            )
        )
        .order_by(Respaldo.archivo_s3.is_distinct_from(archivo_s3))
        .limit(1)
    )
    return found.first()


async def saying_the_same(
    session: AsyncSession, *, clinica_id: int | None, huella: str, fecha_respaldo: datetime
) -> Sequence[Respaldo]:
    """The clinic's backups of that moment that say just that and can be restored from, each with its own object."""
    found = await session.scalars(
        select(Respaldo)
        .where(
            Respaldo.clinica_id == clinica_id,
            Respaldo.fecha_respaldo == fecha_respaldo,
            Respaldo.huella == huella,
            Respaldo.estado == Estado.COMPLETADO,
            Respaldo.fecha_eliminacion.is_(None),
            Respaldo.clave_destruida.is_(None),
            Respaldo.verificado_error.is_(None),
            Respaldo.respaldo_base_id.is_(None),
        )
        .order_by(Respaldo.id)
    )
    return found.all()


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
