"""Which backups of a clinic are kept, and why. Pure: no database, no clock."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel.dates import format_date

from app.respaldos.models import Estado, Respaldo, TipoRespaldo
from app.respaldos.retention.expiry import FOR_EVER_DAYS

# No backup is older.
EARLIEST_YEAR = 1970

# A pattern of CLDR.
MONTH = "MMMM 'de' y"


@dataclass(frozen=True, slots=True)
class Policy:
    """How long backups are kept: RETENTION_DAYS and its sisters.

    Every backup for `days`, but of the good points of a day those that are `point_days` old and have a newer good
    backup of that day; the newest `minimum` good ones however old; and the newest good one of each of the last
    `daily` days, `weekly` weeks, `monthly` months and `yearly` years that have one.
    """

    days: int
    point_days: int = 2
    minimum: int = 1
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0

    def shorter_than(self, other: "Policy") -> bool:
        """Whether any of its rules keeps less than the other's."""
        return any(getattr(self, field.name) < getattr(other, field.name) for field in fields(self))


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one backup; `reason` is a Spanish sentence without its subject and its full stop."""

    respaldo_id: int
    keep: bool
    reason: str


def decide(
    backups: Iterable[Respaldo],
    now: datetime,
    policy: Policy,
    time_zone: ZoneInfo,
    *,
    recovered: Mapping[int, datetime] | None = None,
) -> list[Decision]:
    """A decision for each of one clinic's backups, newest first. None of them is deleted yet.

    One that is held is kept, and takes nobody's place in the rules.

    `recovered` says when a person took a deletion back: that backup is kept for `days` from then, or the next
    night would undo it. Where no backup is good, the newest completed one that can be read is kept: it may be
    damaged, and it is all that there is.
    """
    ordered = sorted(backups, key=lambda backup: (backup.fecha_respaldo, backup.id), reverse=True)
    limit = age_limit(policy, now)
    good = [backup for backup in ordered if backup.good]
    held = _held(good, policy, time_zone)
    thinned = _thinned(good, policy, now, time_zone)
    if not held:
        completed = next((backup for backup in ordered if backup.restorable), None)
        if completed is not None:
            held[completed.id] = "no hay ninguno bueno, y es el último completado"
    recovered = recovered or {}
    decisions = []
    for backup in ordered:
        reason = held.get(backup.id)
        if backup.estado in (Estado.PENDIENTE, Estado.PROCESANDO):
            reason = "está en curso"
        elif backup.held(now):
            reason = f"está retenido: {backup.retenido_motivo}"
        elif reason is None and backup.fecha_respaldo > limit and backup.id not in thinned:
            reason = f"tiene menos de {_days(policy.days)}"
        elif reason is None and (taken_back := recovered.get(backup.id)) is not None and taken_back > limit:
            reason = f"se recuperó hace menos de {_days(policy.days)}"
        keep = reason is not None
        if reason is None and backup.id in thinned:
            reason = f"es un punto de hace {_days(policy.point_days)} o más, y hay otro más nuevo de ese día"
        decisions.append(Decision(backup.id, keep, reason or f"{_flaw(backup)} y tiene {_days(policy.days)} o más"))
    return decisions


def age_limit(policy: Policy, now: datetime) -> datetime:
    """What was made after then is kept for its age alone."""
    return now - timedelta(days=min(policy.days, FOR_EVER_DAYS))


def point_limit(policy: Policy, now: datetime) -> datetime:
    """Points that were made after then are all kept."""
    return now - timedelta(days=min(policy.point_days, FOR_EVER_DAYS))


def last_periods(policy: Policy, now: datetime, time_zone: ZoneInfo) -> list[list[datetime]]:
    """For each rule that keeps one a period: when its last periods began, as many as it keeps, and when they end.

    Oldest first, in UTC. A period without a backup is not counted, so that the rule may reach further back, but it
    never reaches less far: the newest good backup of one of these periods is held, whatever else there is, unless
    some are from the future.
    """
    today = now.astimezone(time_zone).date()
    return [_periods(rule.period_of, today, time_zone)[-rule.count - 1 :] for rule in _rules(policy) if rule.count]


# Of each rule all of them, since clinics have rules of many lengths; of one day in a few time zones.
@lru_cache(maxsize=16)
def _periods(period_of: Callable[[date], date], today: date, time_zone: ZoneInfo) -> list[datetime]:
    first = period_of(today)
    following = (first + timedelta(days=n) for n in range(1, 367))
    bounds = [next(day for day in following if period_of(day) != first), first]
    while bounds[-1].year > EARLIEST_YEAR:
        bounds.append(period_of(bounds[-1] - timedelta(days=1)))
    return [datetime.combine(day, time(), time_zone).astimezone(UTC) for day in reversed(bounds)]


@dataclass(frozen=True, slots=True)
class _Rule:
    """Keeps the newest good backup of each of so many periods, told by their first days."""

    count: int
    period_of: Callable[[date], date]
    said: Callable[[date], str]


def _day(day: date) -> date:
    return day


def _week(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _month(day: date) -> date:
    return day.replace(day=1)


def _year(day: date) -> date:
    return day.replace(month=1, day=1)


def _rules(policy: Policy) -> tuple[_Rule, ...]:
    return (
        _Rule(policy.daily, _day, lambda day: f"se conserva uno por día (el {_date(day)})"),
        _Rule(
            policy.weekly,
            _week,
            lambda monday: f"se conserva uno por semana (semana del {_date(monday)})",
        ),
        _Rule(
            policy.monthly,
            _month,
            lambda first: f"se conserva uno por mes ({_written(first, MONTH)})",
        ),
        _Rule(
            policy.yearly,
            _year,
            lambda first: f"se conserva uno por año ({first.year})",
        ),
    )


def _held(good: Sequence[Respaldo], policy: Policy, time_zone: ZoneInfo) -> dict[int, str]:
    """The good backups (newest first) that are kept whatever their age, with the first reason that holds each."""
    held: dict[int, str] = {}
    for place, backup in enumerate(good[: max(policy.minimum, 1)]):
        held[backup.id] = (
            "es el último respaldo bueno"
            if place == 0
            else f"es uno de los {policy.minimum} últimos respaldos buenos"
        )
    for rule in _rules(policy):
        seen: set[date] = set()
        for backup in good:
            period = rule.period_of(backup.fecha_respaldo.astimezone(time_zone).date())
            if period not in seen and len(seen) < rule.count:
                seen.add(period)
                held.setdefault(backup.id, rule.said(period))
    return held


def _thinned(good: Sequence[Respaldo], policy: Policy, now: datetime, time_zone: ZoneInfo) -> set[int]:
    """The points among the good backups (newest first) that are not kept for their age."""
    limit, seen, thinned = point_limit(policy, now), set[date](), set[int]()
    for backup in good:
        day = backup.fecha_respaldo.astimezone(time_zone).date()
        if day in seen and backup.tipo_respaldo == TipoRespaldo.PUNTO and backup.fecha_respaldo <= limit:
            thinned.add(backup.id)
        seen.add(day)
    return thinned


def _flaw(backup: Respaldo) -> str:
    """Why an old backup is held by no rule."""
    if backup.estado == Estado.FALLIDO:
        return "falló"
    if backup.estado == Estado.CANCELADO:
        return "se canceló"
    if backup.verificado_error is not None:
        return "no cuenta como bueno (su última verificación falló)"
    if backup.clave_destruida is not None:
        return "no cuenta como bueno (se destruyó la clave con que se cifró)"
    if not backup.good:
        return "no cuenta como bueno (es sospechoso y nadie lo aceptó)"
    return "hay otros más nuevos"


def _days(days: int) -> str:
    return "1 día" if days == 1 else f"{days} días"


def _date(day: date) -> str:
    return _written(day, f"d 'de' {MONTH}")


def _written(day: date, pattern: str) -> str:
    return format_date(day, pattern, locale="es")
