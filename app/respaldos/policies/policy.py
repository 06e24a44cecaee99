"""A clinic's policy: what holds for all clinics, but for what has been said of it. Pure."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import time
from typing import Any, Self

from app.errors import InvalidRequest
from app.opening_hours import LEAST_MINUTES, MOST_MINUTES, OpeningHours
from app.respaldos.models import Dia, Politica, Respaldo
from app.respaldos.retention.policy import Policy
from app.respaldos.schedule.nights import Nightly
from app.respaldos.schedule.points import Points

# For a clinic alone nothing is kept for less: a stolen account leaves the newest good backup of before the last week,
# and what a restore kept safe is there for as long (days).
LEAST_DAYS = 7

# A hundred years (days, and backups of a rule).
MOST = 36_500

MOST_ADDRESSES = 20
LONGEST_ADDRESS = 254

_ADDRESS = re.compile(r"[^@\s<>()\[\]\\,;:\"]+@[^@\s<>()\[\]\\,;:\"]+\.[^@\s<>()\[\]\\,;:\".]+")
_HOUR = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")

# What stands in the table of each rule of retention, and how many it keeps at least.
_RETENTION = {
    "retencion_dias": ("days", 1),
    "retencion_puntos_dias": ("point_days", 1),
    "retencion_minimo": ("minimum", 1),
    "retencion_diarios": ("daily", 0),
    "retencion_semanales": ("weekly", 0),
    "retencion_mensuales": ("monthly", 0),
    "retencion_anuales": ("yearly", 0),
}


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told by e-mail: the clinic's administrators, and these addresses."""

    administrators: bool = True
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClinicPolicy:
    """All that holds, for one clinic or for those of which nothing has been said."""

    nightly: Nightly
    points: Points
    retention: Policy
    told: Told = Told()


@dataclass(frozen=True, slots=True)
class OwnPolicy:
    """What has been said of one clinic, as the table `politica` has it; None is as for all."""

    hora: time | None = None
    dias: tuple[int, ...] | None = None
    minutos: int | None = None
    horario: str | None = None
    retencion_dias: int | None = None
    retencion_puntos_dias: int | None = None
    retencion_minimo: int | None = None
    retencion_diarios: int | None = None
    retencion_semanales: int | None = None
    retencion_mensuales: int | None = None
    retencion_anuales: int | None = None
    avisar: tuple[str, ...] | None = None
    avisar_administradores: bool | None = None

    @classmethod
    def of(cls, row: Politica | None) -> Self:
        """What the row says."""
        if row is None:
            return cls()
        said: dict[str, Any] = {field.name: getattr(row, field.name) for field in fields(cls)}
        said = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
        return cls(**said)

    @classmethod
    def parse(
        cls,
        *,
        hora: str | None = None,
        dias: Sequence[Dia] | None = None,
        avisar: Sequence[str] | None = None,
        **said: Any,
    ) -> Self:
        """What a person has said. Raises InvalidRequest where it cannot be."""
        own = cls(
            hora=_parse_hour(hora) if hora is not None else None,
            dias=tuple(sorted({each.number for each in dias})) if dias is not None else None,
            avisar=_parse_addresses(avisar) if avisar is not None else None,
            **said,
        )
        own.check()
        return own

    def check(self) -> None:
        """Raises InvalidRequest where this cannot hold."""
        if self.dias == ():
            raise InvalidRequest("dias: falta al menos un día de la semana")
        if self.minutos is not None and self.minutos != 0 and not LEAST_MINUTES <= self.minutos <= MOST_MINUTES:
            raise InvalidRequest(f"los minutos son 0 (nunca), o de {LEAST_MINUTES} a {MOST_MINUTES}")
        if self.horario is not None:
            try:
                OpeningHours.parse(self.horario)
            except ValueError as exc:
                raise InvalidRequest(f"«{self.horario}» no es un horario como 08:00-19:00") from exc
        for name, (_, least) in _RETENTION.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= MOST:
                raise InvalidRequest(f"{name}: es un número de {least} a {MOST}")
        if self.avisar_administradores is False and not self.avisar:
            raise InvalidRequest("avisar: sin los administradores, falta a quién avisar")

    def over(self, general: ClinicPolicy) -> ClinicPolicy:
        """What holds for the clinic, where `general` does for all."""
        rules = {rule: getattr(self, name) for name, (rule, _) in _RETENTION.items()}
        administrators = self.avisar_administradores
        return ClinicPolicy(
            general.nightly.over(self.hora, self.dias),
            general.points.over(self.minutos, self.horario),
            replace(general.retention, **{rule: value for rule, value in rules.items() if value is not None}),
            Told(
                general.told.administrators if administrators is None else administrators,
                general.told.addresses if self.avisar is None else self.avisar,
            ),
        )

    def values(self) -> dict[str, Any]:
        """The row's columns."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


AS_ALL = OwnPolicy()


@dataclass(frozen=True, slots=True)
class Doomed:
    """A backup that the next look of retention deletes, and why."""

    respaldo: Respaldo
    reason: str


@dataclass(frozen=True, slots=True)
class PolicyPreview:
    """What a policy would delete, newest first; `digest` tells it from every other such list."""

    own: OwnPolicy
    doomed: Sequence[Doomed]
    digest: str


def written_out(policy: ClinicPolicy) -> OwnPolicy:
    """The same with all of it said."""
    nightly, retention = policy.nightly, policy.retention
    return OwnPolicy(
        hora=time(nightly.hour, nightly.minute),
        dias=tuple(sorted(nightly.days)),
        minutos=policy.points.minutes,
        horario=str(policy.points.hours),
        avisar=policy.told.addresses,
        avisar_administradores=policy.told.administrators,
        **{name: getattr(retention, rule) for name, (rule, _) in _RETENTION.items()},
    )


def _parse_hour(written: str) -> time:
    match = _HOUR.fullmatch(written.strip())
    if match is None:
        raise InvalidRequest(f"«{written}» no es una hora como 22:30")
    return time(int(match[1]), int(match[2]))


def _parse_addresses(written: Sequence[str]) -> tuple[str, ...]:
    """Each once, whatever its case."""
    found: dict[str, str] = {}
    for each in written:
        address = each.strip()
        if len(address) > LONGEST_ADDRESS or not address.isprintable() or _ADDRESS.fullmatch(address) is None:
            raise InvalidRequest(f"«{address}» no es una dirección de correo")
        found.setdefault(address.casefold(), address)
    if len(found) > MOST_ADDRESSES:
        raise InvalidRequest(f"avisar: son {MOST_ADDRESSES} direcciones como mucho")
    return tuple(found.values())
