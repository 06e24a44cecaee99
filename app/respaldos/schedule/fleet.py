"""Nights, points and trials of all clinics, and who is overdue. It crosses clinics, so it is for the worker alone.

Every statement is about sets of clinics, or about the platform; each function takes part in its caller's transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    DateTime,
    Select,
    and_,
    any_,
    bindparam,
    column,
    exists,
    func,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.selectable import TableValuedAlias

from app.dump.whose import named
from app.respaldos.audit import SERVICE
from app.respaldos.backup import fleet as backup_fleet
from app.respaldos.jobs.kinds import POINT_PRIORITY
from app.respaldos.models import (
    Aviso,
    Clase,
    Estado,
    Politica,
    Profundidad,
    Programacion,
    Punto,
    Respaldo,
    Restauracion,
    TipoAviso,
    TipoRespaldo,
    Trabajo,
)

# Clinics by their ids, or None: the platform, whose night is one more.
Among: TypeAlias = Sequence[int] | None

# A failed night is tried again this long after its last backup was made.
RETRY_AFTER = timedelta(hours=1)

DESCRIPTION = "Respaldo automático de la noche"


async def unplanned(session: AsyncSession, dia: date, *, among: Among) -> Sequence[int | None]:
    """Those that have no row for that day yet."""
    if among is None:
        there = await session.scalar(select(Programacion.id).where(*_of_day(dia, None)))
        return [None] if there is None else []
    clinic = _clinics(among)
    planned = exists().where(Programacion.clinica_id == clinic.c.id, Programacion.dia == dia)
    found = await session.scalars(select(clinic.c.id).where(~planned).order_by(clinic.c.id))
    return found.all()


async def plan(session: AsyncSession, dia: date, planned: Mapping[int | None, datetime]) -> None:
    """Put the clinics' backups of that day down for those times; who has a row already keeps it."""
    await session.execute(
        insert(Programacion)
        .values([{"clinica_id": id_, "dia": dia, "previsto": previsto} for id_, previsto in planned.items()])
        .on_conflict_do_nothing()
    )


async def start_due(
    session: AsyncSession, dia: date, *, among: Among, now: datetime, retry: bool, limit: int
) -> list[Respaldo]:
    """Make a pending backup for those of the clinics whose night is due, at most `limit` of them.

    With `retry`, also for those whose last one of that night failed and is older than RETRY_AFTER. A clinic with
    something under way is left for later. Rows that another scheduler holds are left to it.
    """
    due = await _due(session, dia, among, now, limit)
    if retry and len(due) < limit:
        due += await _failed(session, dia, among, now, limit - len(due))
    if not due:
        return []
    respaldos = await backup_fleet.add_pending(
        session, due, tipo=TipoRespaldo.AUTOMATICO, descripcion=DESCRIPTION, actor=SERVICE
    )
    if not respaldos:
        return []
    night = update(Programacion).where(Programacion.dia == dia)
    if among is None:
        night = night.where(Programacion.clinica_id.is_(None))
        made_for: Any = respaldos[0].id
    else:
        ids = [respaldo.id for respaldo in respaldos]
        night = night.where(Programacion.clinica_id == Respaldo.clinica_id, Respaldo.id.in_(ids))
        made_for = Respaldo.id
    await session.execute(
        night.values(respaldo_id=made_for, intentos=Programacion.intentos + 1).execution_options(
            synchronize_session=False
        )
    )
    return respaldos


async def _due(session: AsyncSession, dia: date, among: Among, now: datetime, limit: int) -> list[int | None]:
    """Clinics whose night has not been begun, locked."""
    found = await session.scalars(
        select(Programacion.clinica_id)
        .where(
            *_of_day(dia, among),
            Programacion.intentos == 0,
            Programacion.previsto <= now,
            _idle(among),
        )
        .order_by(Programacion.previsto, Programacion.clinica_id)
        .limit(limit)
        .with_for_update(of=Programacion, skip_locked=True)
    )
    return list(found)


async def _failed(session: AsyncSession, dia: date, among: Among, now: datetime, limit: int) -> list[int | None]:
    """Clinics whose last backup of that night failed long enough ago, locked.

    PostgreSQL looks again at a row that another scheduler has just changed: it points at a new backup then, so
    that the join fails.
    """
    found = await session.scalars(
        select(Programacion.clinica_id)
        .join(Respaldo, Respaldo.id == Programacion.respaldo_id)
        .where(
            *_of_day(dia, among),
            Respaldo.estado == Estado.FALLIDO,
            Respaldo.fecha_creacion <= now - RETRY_AFTER,
            _idle(among),
        )
        .order_by(Respaldo.fecha_creacion, Programacion.clinica_id)
        .limit(limit)
        .with_for_update(of=Programacion, skip_locked=True)
    )
    return list(found)


@dataclass(frozen=True, slots=True)
class Overdue:
    """A clinic, or the platform, without a good backup for too long; `last` is when its newest one was taken."""

    clinica_id: int | None
    last: datetime | None


async def overdue(session: AsyncSession, *, among: Among, since: datetime) -> list[Overdue]:
    """Those that have had no good backup since then.

    One that never had one is among them if its first night was planned before `since`.
    """
    if among is None:
        newest = select(func.max(Respaldo.fecha_respaldo)).where(Respaldo.clinica_id.is_(None), Respaldo.good)
        begun = select(func.min(Programacion.previsto)).where(Programacion.clinica_id.is_(None))
        taken = await session.scalar(newest)
        reference = taken or await session.scalar(begun)
        return [Overdue(None, taken)] if reference is not None and reference < since else []
    clinic = _clinics(among)
    last = (
        select(Respaldo.fecha_respaldo)
        .where(Respaldo.clinica_id == clinic.c.id, Respaldo.good)
        .order_by(Respaldo.fecha_respaldo.desc())
        .limit(1)
        .lateral("ultimo")
    )
    first = (
        select(Programacion.previsto)
        .where(Programacion.clinica_id == clinic.c.id)
        .order_by(Programacion.dia)
        .limit(1)
        .scalar_subquery()
    )
    found = await session.execute(
        select(clinic.c.id, last.c.fecha_respaldo)
        .outerjoin(last, onclause=true())
        .where(or_(last.c.fecha_respaldo < since, and_(last.c.fecha_respaldo.is_(None), first < since)))
        .order_by(clinic.c.id)
    )
    return [Overdue(*row) for row in found]


async def warn_overdue(session: AsyncSession, dia: date, overdue: Sequence[Overdue]) -> int:
    """Put an aviso down for each of them that has none of that day yet; return for how many."""
    warned = await session.scalars(
        insert(Aviso)
        .values(
            [
                {
                    "clinica_id": clinic.clinica_id,
                    "tipo": TipoAviso.ATRASADO,
                    "clave": f"atrasado:{named(clinic.clinica_id)}:{dia.isoformat()}",
                    "datos": {"ultimo": clinic.last.isoformat() if clinic.last is not None else None},
                }
                for clinic in overdue
            ]
        )
        .on_conflict_do_nothing(index_elements=[Aviso.clave])
        .returning(Aviso.id)
    )
    return len(warned.all())


def _of_day(dia: date, among: Among) -> tuple[ColumnElement[bool], ...]:
    if among is None:
        return Programacion.dia == dia, Programacion.clinica_id.is_(None)
    # A join with the clinics as rows went through all of them for each row of a day that PostgreSQL's statistics
    # do not have yet: ten seconds for ten thousand clinics, where this takes a tenth of one.
    return Programacion.dia == dia, Programacion.clinica_id == any_(_array(among))


def _idle(among: Among) -> ColumnElement[bool]:
    """A point that waits is nothing under way: it makes way."""
    busy = _busy(Trabajo.prioridad != POINT_PRIORITY)
    if among is None:
        return ~busy.where(Trabajo.clinica_id.is_(None)).exists()
    # A NULL among them, and nobody would be said not to be among them.
    return Programacion.clinica_id.not_in(busy.where(Trabajo.clinica_id.is_not(None)))


def _busy(*pending: ColumnElement[bool]) -> Select[int | None]:
    """Whose clinic has an exclusive job running, or such a backup pending."""
    waits = and_(Trabajo.estado == Estado.PENDIENTE, Trabajo.clase == Clase.RESPALDO, *pending)
    return select(Trabajo.clinica_id).where(Trabajo.exclusiva, or_(Trabajo.estado == Estado.PROCESANDO, waits))


async def own_nights(session: AsyncSession) -> list[tuple[int, time | None, list[int] | None]]:
    """Of each clinic that has nights of its own, when they are: `hora` and `dias`."""
    found = await session.execute(
        select(Politica.clinica_id, Politica.hora, Politica.dias).where(
            or_(Politica.hora.is_not(None), Politica.dias.is_not(None))
        )
    )
    return [(clinica_id, hora, dias) for clinica_id, hora, dias in found]


async def own_points(session: AsyncSession) -> list[tuple[int, int | None, str | None]]:
    """Of each clinic that has points of its own, how often it has them: `minutos` and `horario`."""
    found = await session.execute(
        select(Politica.clinica_id, Politica.minutos, Politica.horario).where(
            or_(Politica.minutos.is_not(None), Politica.horario.is_not(None))
        )
    )
    return [(clinica_id, minutos, horario) for clinica_id, minutos, horario in found]


async def start_points(
    session: AsyncSession, turns: Mapping[int, datetime], *, now: datetime, limit: int
) -> list[Respaldo]:
    """Make a pending point for those of the clinics that have had none since their turn began, at most `limit`.

    Not for one with something under way, or whose night is due and has not been begun: later, while it is its turn.
    """
    clinic = (
        func.unnest(_array(list(turns)), bindparam(None, list(turns.values()), type_=ARRAY(DateTime(timezone=True))))
        .table_valued(column("id", BigInteger), column("turno", DateTime(timezone=True)), name="clinica")
        .render_derived()
    )
    night = exists().where(
        Programacion.clinica_id == clinic.c.id,
        # Its index has the day, which may be one off from that of UTC.
        Programacion.dia >= (now - timedelta(days=2)).date(),
        Programacion.intentos == 0,
        Programacion.previsto.between(now - timedelta(days=1), now),
    )
    due = (
        select(clinic.c.id, clinic.c.turno)
        .outerjoin(Punto, Punto.clinica_id == clinic.c.id)
        .where(
            or_(Punto.ultimo.is_(None), Punto.ultimo < clinic.c.turno),
            clinic.c.id.not_in(_busy().where(Trabajo.clinica_id.is_not(None))),
            ~night,
        )
        .order_by(clinic.c.turno, clinic.c.id)
        .limit(limit)
    )
    begun = insert(Punto).from_select(["clinica_id", "ultimo"], due)
    taken = await session.scalars(
        begun.on_conflict_do_update(
            index_elements=["clinica_id"],
            set_={"ultimo": begun.excluded.ultimo},
            # Another worker has just done so.
            where=or_(Punto.ultimo.is_(None), Punto.ultimo < begun.excluded.ultimo),
        ).returning(Punto.clinica_id)
    )
    clinics = taken.all()
    if not clinics:
        return []
    return await backup_fleet.add_pending(session, clinics, tipo=TipoRespaldo.PUNTO, descripcion="", actor=SERVICE)


def _clinics(ids: Sequence[int]) -> TableValuedAlias:
    """The clinics as rows."""
    return func.unnest(_array(ids)).table_valued(column("id", BigInteger), name="clinica").render_derived()


def _array(ids: Sequence[int]) -> BindParameter[Sequence[int]]:
    # One parameter, however many they are.
    return bindparam(None, list(ids), type_=ARRAY(BigInteger))


@dataclass(frozen=True, slots=True)
class Trial:
    """A clinic's newest good backup, or the platform's, and when a trial of any of its was last asked for (UTC)."""

    clinica_id: int | None
    respaldo_id: int
    last_trial: datetime | None


async def newest_good_and_trial(session: AsyncSession, *, among: Sequence[int]) -> list[Trial]:
    """Of each of these clinics and of the platform, the newest good backup, and when a trial was last asked for.

    Whoever has no good backup is not among them.
    """
    clinic = _clinics(among)
    clinics = _trial(Respaldo.clinica_id == clinic.c.id, Restauracion.clinica_id == clinic.c.id).lateral()
    platform = _trial(Respaldo.clinica_id.is_(None), Restauracion.clinica_id.is_(None))
    found = await session.execute(select(clinics).select_from(clinic.join(clinics, true())).union_all(platform))
    return [Trial(*row) for row in found]


def _trial(backups: ColumnElement[bool], trials: ColumnElement[bool]) -> Select[int | None, int, datetime]:
    """One clinic's row of `newest_good_and_trial`."""
    last = (
        select(Trabajo.fecha_creacion)
        .join(Restauracion, Restauracion.id == Trabajo.restauracion_id)
        .where(trials, Restauracion.profundidad == Profundidad.ENSAYO)
        .order_by(Restauracion.id.desc())
        .limit(1)
        # The clinic comes from further out than the backup.
        .correlate_except(Trabajo, Restauracion)
        .scalar_subquery()
    )
    return (
        select(Respaldo.clinica_id, Respaldo.id, last.label("ultimo"))
        .where(backups, Respaldo.good)
        .order_by(Respaldo.fecha_respaldo.desc(), Respaldo.id.desc())
        .limit(1)
    )
