"""A backup as the API answers with it: as the command line shows it, and until when it is kept at least."""

from app.respaldos.contract import RespaldoDetalle, RespaldoResumen, detalle, resumen
from app.respaldos.models import Respaldo
from app.respaldos.progress import Progreso
from app.respaldos.retention.policy import kept_until
from app.settings import Settings


class RespaldoListado(RespaldoResumen):
    """A backup in a list. `fecha_expiracion` is ISO 8601 in UTC; `retention.kept_until` says what it promises."""

    fecha_expiracion: str | None


class RespaldoMostrado(RespaldoDetalle):
    """A backup by itself, with the same date."""

    fecha_expiracion: str | None


def listado(respaldo: Respaldo, settings: Settings) -> RespaldoListado:
    """The backup as the API's lists have it."""
    return {**resumen(respaldo), "fecha_expiracion": _expiry(respaldo, settings)}


def mostrado(respaldo: Respaldo, settings: Settings, progreso: Progreso | None = None) -> RespaldoMostrado:
    """The backup with everything that is known of it; `progreso` is its job's while it runs."""
    return {**detalle(respaldo, progreso), "fecha_expiracion": _expiry(respaldo, settings)}


def _expiry(respaldo: Respaldo, settings: Settings) -> str | None:
    moment = kept_until(respaldo, settings.retention_days)
    return moment.isoformat() if moment is not None else None
