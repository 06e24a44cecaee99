"""Until when a backup is kept at least, told from its own row."""

from datetime import datetime, timedelta

from app.respaldos.models import Respaldo, TipoRespaldo

# Further back than that there is no date to compare with.
FOR_EVER_DAYS = 365_000


def kept_until(backup: Respaldo, days: int) -> datetime | None:
    """From when on retention may give the backup up, where RETENTION_DAYS is `days`; rules may hold it for longer.

    None for what has no file to lose: it is not completed, or a person has deleted it; for a point of the day,
    which goes when a later one of that day is old enough; and for what is held without an end. Told from the backup
    alone: whether it is the last good one, or was taken back, is not looked at.
    """
    if not backup.restorable or backup.tipo_respaldo == TipoRespaldo.PUNTO:
        return None
    if backup.retenido is not None and backup.retenido_hasta is None:
        return None
    aged = backup.fecha_respaldo + timedelta(days=min(days, FOR_EVER_DAYS))
    return max(aged, backup.retenido_hasta) if backup.retenido_hasta is not None else aged
