"""Where in the bucket a backup is."""

from datetime import datetime
from zoneinfo import ZoneInfo

from app.dump.whose import named

# Every backup's key begins with it.
PREFIX = "backups/"


def key_prefix(clinica_id: int | None) -> str:
    """How the keys of one clinic's backups begin, or the platform's."""
    return f"{PREFIX}{named(clinica_id)}/"


def generar_ruta_s3(clinica_id: int | None, moment: datetime, time_zone: ZoneInfo) -> str:
    """The key for an attempt that starts at `moment` (aware), dated in the clinic's time zone."""
    local = moment.astimezone(time_zone)
    return f"{key_prefix(clinica_id)}{local:%Y}/{local:%m}/backup_{local:%Y%m%d}_{local:%H%M%S}.json.gz"
