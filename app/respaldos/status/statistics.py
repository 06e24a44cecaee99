"""How a clinic's backups have gone, or the platform's, and what they cost."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.clinic.clinic import Clinic
from app.respaldos.contract import Estadisticas, PuntoDeSerie, UltimaVerificacion, UltimoBueno, UltimoRespaldo, mib
from app.respaldos.databases import Databases, transaction
from app.respaldos.models import Estado
from app.respaldos.schedule import queries as schedule_queries
from app.respaldos.schedule.nights import Nightly, days_off, next_night
from app.respaldos.status import queries as status_queries
from app.respaldos.status.health import BackupHealth, situacion
from app.respaldos.status.queries import Ended
from app.storage.options import StoragePrice

# Days of `serie`, today included.
SERIES_DAYS = 90

# AWS bills what it calls GB by 2**30 bytes.
BILLED_GB = 1 << 30


async def obtener_estadisticas(
    databases: Databases,
    *,
    clinic: Clinic | None,
    now: datetime,
    time_zone: ZoneInfo,
    hour: int,
    minute: int,
    price: StoragePrice,
) -> Estadisticas:
    """Without a clinic, of the platform.

    Deleted backups are left out, but for the cost, which is that of all bytes that S3 charges for, and for `serie`,
    which has a point for each of the last SERIES_DAYS local days, oldest first. `proximo_respaldo` is when the next
    night begins; None where the clinic is inactive. `hour` and `minute` are the local time of the nightly backups of
    clinics of which nothing else has been said.
    """
    clinica_id, active = (clinic.id, clinic.active) if clinic is not None else (None, True)
    today = now.astimezone(time_zone).date()
    first = today - timedelta(days=SERIES_DAYS - 1)
    midnight = datetime(first.year, first.month, first.day, tzinfo=time_zone).astimezone(UTC)
    async with transaction(databases) as session:
        totals = await status_queries.totals(session, clinica_id=clinica_id, price=price, now=now)
        ended = await status_queries.ended_since(session, clinica_id=clinica_id, since=midnight)
        health = await status_queries.health_of(session, clinica_id=clinica_id)
        nightly = Nightly(hour, minute)
        if clinica_id is not None:
            nightly = nightly.over(*await schedule_queries.own_nights(session, clinica_id=clinica_id))
    tried = totals.completed + totals.failed
    upcoming = next_night(now, nightly, time_zone=time_zone) if active else None
    return Estadisticas(
        total_respaldos=totals.all,
        completados=totals.completed,
        fallidos=totals.failed,
        tamaño_total_mb=mib(totals.bytes),
        ultimo_respaldo=UltimoRespaldo(id=totals.last_id, fecha=totals.last_moment, tamaño_mb=mib(totals.last_bytes))
        if totals.last_id is not None and totals.last_moment is not None
        else None,
        tasa_exito=round(100 * totals.completed / tried, 1) if tried else 0.0,
        proximo_respaldo=upcoming.astimezone(UTC) if upcoming is not None else None,
        # Small clinics cost less than a cent.
        costo_mensual_estimado_usd=round(totals.billed_bytes / BILLED_GB * price.gb_month, 6),
        serie=_series(ended, first, time_zone),
        situacion=situacion(health.summary, active=active, now=now, off=days_off(today, nightly.days)),
        ultimo_bueno=ultimo_bueno(health),
        ultima_verificacion=ultima_verificacion(health),
        fallos_seguidos=health.failures,
        tamaño_almacenado_mb=mib(totals.stored_bytes),
        precio_gb_mes_usd=price.gb_month,
    )


def ultimo_bueno(health: BackupHealth) -> UltimoBueno | None:
    """The newest good backup, where there is one."""
    good = health.newest_good
    return UltimoBueno(id=good.id, fecha=good.taken_at, tamaño_mb=mib(good.bytes)) if good is not None else None


def ultima_verificacion(health: BackupHealth) -> UltimaVerificacion | None:
    """The last time that a backup's content was read and checked."""
    proof = health.last_proof
    return (
        UltimaVerificacion(
            respaldo_id=proof.respaldo_id, fecha=proof.verified_at, profundidad=proof.profundidad, error=proof.error
        )
        if proof is not None
        else None
    )


def _series(ended: list[Ended], first: date, time_zone: ZoneInfo) -> list[PuntoDeSerie]:
    shown: dict[date, Ended] = {}
    for backup in ended:
        day = backup.taken_at.astimezone(time_zone).date()
        before = shown.get(day)
        if before is None or before.estado != Estado.COMPLETADO or backup.estado == Estado.COMPLETADO:
            shown[day] = backup
    return [_point(day, shown.get(day)) for day in (first + timedelta(days=n) for n in range(SERIES_DAYS))]


def _point(day: date, backup: Ended | None) -> PuntoDeSerie:
    if backup is None:
        return PuntoDeSerie(dia=day, estado=None, tamaño_mb=0.0, segundos=0.0)
    return PuntoDeSerie(
        dia=day,
        estado="completado" if backup.estado == Estado.COMPLETADO else "fallido",
        tamaño_mb=mib(backup.bytes),
        segundos=backup.elapsed.total_seconds() if backup.elapsed is not None else 0.0,
    )
