"""Where in the bucket a backup is: the key, built and read."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from app.dump.whose import PLATFORM, named

# Every backup's key begins with it.
PREFIX = "backups/"

_KEY = re.compile(rf"{PREFIX}(0|[1-9]\d{{0,18}}|{PLATFORM})/\d{{4}}/\d{{2}}/backup_\d{{8}}_\d{{6}}\.json\.gz")


def key_prefix(clinica_id: int | None) -> str:
    """How the keys of one clinic's backups begin, or the platform's."""
    return f"{PREFIX}{named(clinica_id)}/"


def generar_ruta_s3(clinica_id: int | None, moment: datetime, time_zone: ZoneInfo) -> str:
    """The key for an attempt that starts at `moment` (aware), dated in the clinic's time zone."""
    local = moment.astimezone(time_zone)
    return f"{key_prefix(clinica_id)}{local:%Y}/{local:%m}/backup_{local:%Y%m%d}_{local:%H%M%S}.json.gz"


def owner_in(key: str) -> int | None:
    """The clinic whose backup has the key, None for the platform. Raises ValueError for what is no backup's key."""
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError(key)
    return int(match[1]) if match[1] != PLATFORM else None
