"""How safe a clinic's data are, in one word. Pure: no database, no clock."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.respaldos.models import Profundidad, TipoOperacion
from app.respaldos.schedule.overdue import OVERDUE

# A trial of every clinic is made each week: this long without one that went well is two weeks missed, and a day.
UNVERIFIED = timedelta(days=15)


class Situacion(StrEnum):
    """Worst first: no good backup at all; none for OVERDUE; the last one failed; none proven for UNVERIFIED; well.

    Of an inactive clinic nothing is expected.
    """

    SIN_RESPALDO = "sin_respaldo"
    ATRASADA = "atrasada"
    FALLANDO = "fallando"
    SIN_VERIFICAR = "sin_verificar"
    AL_DIA = "al_dia"
    INACTIVA = "inactiva"


WORST_FIRST = {each: place for place, each in enumerate(Situacion)}


@dataclass(frozen=True, slots=True)
class GoodBackup:
    """The clinic's newest good backup."""

    id: int
    taken_at: datetime
    bytes: int


@dataclass(frozen=True, slots=True)
class LastProof:
    """The last verification that read what is in a backup (`completa` or `ensayo`); `error` is why it failed."""

    respaldo_id: int
    verified_at: datetime
    profundidad: Profundidad
    error: str | None


@dataclass(frozen=True, slots=True)
class HealthSummary:
    """What `situacion` goes by.

    `taken_at` is when the newest good backup was taken, `proven_at` when one was last proven, unless that failed;
    `failing`: no completed one has followed the last failed one.
    """

    clinica_id: int | None
    taken_at: datetime | None
    proven_at: datetime | None
    failing: bool


@dataclass(frozen=True, slots=True)
class BackupHealth:
    """What is known of a clinic's backups. `failures` have followed each other since the last completed one.

    `last_error` is why the last of them failed.
    """

    clinica_id: int | None
    newest_good: GoodBackup | None
    last_proof: LastProof | None
    running: TipoOperacion | None
    failures: int
    last_error: str | None = None

    @property
    def summary(self) -> HealthSummary:
        """The part of it that its word depends on."""
        good, proof = self.newest_good, self.last_proof
        return HealthSummary(
            self.clinica_id,
            good.taken_at if good is not None else None,
            proof.verified_at if proof is not None and proof.error is None else None,
            self.failures > 0,
        )


def situacion(health: HealthSummary, *, active: bool, now: datetime, off: timedelta = timedelta(0)) -> Situacion:
    """`now` is aware; `off` is how much longer the clinic goes without a backup, as it has none on some days."""
    if not active:
        return Situacion.INACTIVA
    if health.taken_at is None:
        return Situacion.SIN_RESPALDO
    if now - health.taken_at > OVERDUE + off:
        return Situacion.ATRASADA
    if health.failing:
        return Situacion.FALLANDO
    if health.proven_at is None or now - health.proven_at > UNVERIFIED:
        return Situacion.SIN_VERIFICAR
    return Situacion.AL_DIA
