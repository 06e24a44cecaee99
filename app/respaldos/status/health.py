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
class BackupHealth:
    """What is known of a clinic's backups. `failures` have followed each other since the last completed one."""

    clinica_id: int | None
    newest_good: GoodBackup | None
    last_proof: LastProof | None
    running: TipoOperacion | None
    failures: int


def situacion(health: BackupHealth, *, active: bool, now: datetime) -> Situacion:
    """`now` is aware."""
    good, proof = health.newest_good, health.last_proof
    if not active:
        return Situacion.INACTIVA
    if good is None:
        return Situacion.SIN_RESPALDO
    if now - good.taken_at > OVERDUE:
        return Situacion.ATRASADA
    if health.failures:
        return Situacion.FALLANDO
    if proof is None or proof.error is not None or now - proof.verified_at > UNVERIFIED:
        return Situacion.SIN_VERIFICAR
    return Situacion.AL_DIA
