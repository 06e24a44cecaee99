"""How a clinic's backups have gone, or the platform's, and what they cost."""

from datetime import UTC, date, datetime, timedelta
from typing import Literal, TypedDict
from zoneinfo import ZoneInfo

from app.clinic.clinic import Clinic
from app.respaldos.contract import MIB, UltimaVerificacion, UltimoBueno, ultima_verificacion, ultimo_bueno
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Estado
from app.respaldos.schedule.nights import proxima_hora
from app.respaldos.status import queries as status_queries
from app.respaldos.status.health import Situacion, situacion
from app.respaldos.status.queries import Ended

# Days of `serie`, today included.
SERIES_DAYS = 90

# AWS bills what it calls GB by 2**30 bytes.
BILLED_GB = 1 << 30


class UltimoRespaldo(TypedDict):
    """The newest completed backup. `fecha` is ISO 8601 in UTC."""

    id: int
    fecha: str
    tamaño_mb: float


class Dia(TypedDict):
    """One local day. `completado` if any backup was that day, else `fallido` if any failed, else null.

    Size (MiB) and seconds are those of the day's last one in that state, 0 where there is none or it is not known.
    Backups deleted since count: the series says what happened.
    """

    dia: str
    estado: Literal["completado", "fallido"] | None
    tamaño_mb: float
    segundos: float


class Estadisticas(TypedDict):
    """Counts, MiB, and the share of ended backups that were completed, in percent (0 where none has ended).

    Deleted backups are left out of these; the cost is that of all bytes in S3, deleted ones included until they
    are purged. `proximo_respaldo` (ISO 8601 in UTC) is when the next night begins; null where the clinic is
    inactive. `serie` has a point for each of the last SERIES_DAYS local days, oldest first. `situacion` says in a
    word how safe the clinic is, and `ultimo_bueno`, `ultima_verificacion` and `fallos_seguidos` why.
    """

    total_respaldos: int
    completados: int
    fallidos: int
    tamaño_total_mb: float
    ultimo_respaldo: UltimoRespaldo | None
    tasa_exito: float
    proximo_respaldo: str | None
    costo_mensual_estimado_usd: float
    serie: list[Dia]
    situacion: Situacion
    ultimo_bueno: UltimoBueno | None
    ultima_verificacion: UltimaVerificacion | None
    fallos_seguidos: int
    tamaño_almacenado_mb: float
    precio_gb_mes_usd: float


async def obtener_estadisticas(
    databases: Databases,
    *,
    clinic: Clinic | None,
    now: datetime,
    time_zone: ZoneInfo,
    hour: int,
    minute: int,
    price_gb_month: float,
) -> Estadisticas:
    """Without a clinic, of the platform.

    `hour` and `minute` are the local time of the nightly backups; the price is in USD for 2**30 bytes.
    """
    clinica_id, active = (clinic.id, clinic.active) if clinic is not None else (None, True)
    today = now.astimezone(time_zone).date()
    first = today - timedelta(days=SERIES_DAYS - 1)
    midnight = datetime(first.year, first.month, first.day, tzinfo=time_zone).astimezone(UTC)
    async with transaction(databases) as session:
        totals = await status_queries.totals(session, clinica_id=clinica_id)
        ended = await status_queries.ended_since(session, clinica_id=clinica_id, since=midnight)
        health = await status_queries.health_of(session, clinica_id=clinica_id)
    tried = totals.completed + totals.failed
    upcoming = proxima_hora(now, time_zone=time_zone, hour=hour, minute=minute) if active else None
    return {
        "total_respaldos": totals.all,
        "completados": totals.completed,
        "fallidos": totals.failed,
        "tamaño_total_mb": round(totals.bytes / MIB, 2),
        "ultimo_respaldo": {
            "id": totals.last_id,
            "fecha": totals.last_moment.isoformat(),
            "tamaño_mb": round((totals.last_bytes or 0) / MIB, 2),
        }
        if totals.last_id is not None and totals.last_moment is not None
        else None,
        "tasa_exito": round(100 * totals.completed / tried, 1) if tried else 0.0,
        "proximo_respaldo": upcoming.astimezone(UTC).isoformat() if upcoming is not None else None,
        # Small clinics cost less than a cent.
        "costo_mensual_estimado_usd": round(totals.stored_bytes / BILLED_GB * price_gb_month, 6),
        "serie": _series(ended, first, time_zone),
        "situacion": situacion(health, active=active, now=now),
        "ultimo_bueno": ultimo_bueno(health),
        "ultima_verificacion": ultima_verificacion(health),
        "fallos_seguidos": health.failures,
        "tamaño_almacenado_mb": round(totals.stored_bytes / MIB, 2),
        "precio_gb_mes_usd": price_gb_month,
    }


def _series(ended: list[Ended], first: date, time_zone: ZoneInfo) -> list[Dia]:
    shown: dict[date, Ended] = {}
    for backup in ended:
        day = backup.taken_at.astimezone(time_zone).date()
        before = shown.get(day)
        if before is None or before.estado != Estado.COMPLETADO or backup.estado == Estado.COMPLETADO:
            shown[day] = backup
    return [_point(day, shown.get(day)) for day in (first + timedelta(days=n) for n in range(SERIES_DAYS))]


def _point(day: date, backup: Ended | None) -> Dia:
    if backup is None:
        return {"dia": day.isoformat(), "estado": None, "tamaño_mb": 0.0, "segundos": 0.0}
    return {
        "dia": day.isoformat(),
        "estado": "completado" if backup.estado == Estado.COMPLETADO else "fallido",
        "tamaño_mb": round((backup.bytes or 0) / MIB, 2),
        "segundos": backup.elapsed.total_seconds() if backup.elapsed is not None else 0.0,
    }
