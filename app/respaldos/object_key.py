"""Where in the bucket a backup is."""

from datetime import datetime
from zoneinfo import ZoneInfo


def generar_ruta_s3(clinica_id: int, moment: datetime, time_zone: ZoneInfo) -> str:
    """The key for an attempt that starts at `moment` (aware), dated in the clinic's time zone."""
    local = moment.astimezone(time_zone)
    return f"backups/{clinica_id}/{local:%Y}/{local:%m}/backup_{local:%Y%m%d}_{local:%H%M%S}.json.gz"
