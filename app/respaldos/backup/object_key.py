"""Where in the bucket a backup is: the key, built and read."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from app.dump.whose import PLATFORM, named

# Every backup's key begins with it.
PREFIX = "backups/"

# How they end where the file is encrypted.
ENCRYPTED = ".cifrado"

_KEY = re.compile(
    rf"{PREFIX}(0|[1-9]\d{{0,18}}|{PLATFORM})/\d{{4}}/\d{{2}}/backup_\d{{8}}_\d{{6}}\.json\.gz(\{ENCRYPTED})?"
)


def key_prefix(clinica_id: int | None) -> str:
    """How the keys of one clinic's backups begin, or the platform's."""
    return f"{PREFIX}{named(clinica_id)}/"


def generar_ruta_s3(clinica_id: int | None, moment: datetime, time_zone: ZoneInfo, *, encrypted: bool = False) -> str:
    """The key for an attempt that starts at `moment` (aware), dated in the clinic's time zone.

    What is `encrypted` is no gzip before it is decrypted, and its name says so.
    """
    local = moment.astimezone(time_zone)
    name = f"backup_{local:%Y%m%d}_{local:%H%M%S}.json.gz"
    return f"{key_prefix(clinica_id)}{local:%Y}/{local:%m}/{name}{ENCRYPTED if encrypted else ''}"


def content_type_of(key: str) -> str:
    """What a browser is told of the object."""
    return "application/octet-stream" if key.endswith(ENCRYPTED) else "application/gzip"


def plain_name(key: str) -> str:
    """What the file of that key is called once it is decrypted."""
    return key.rpartition("/")[2].removesuffix(ENCRYPTED)


def owner_in(key: str) -> int | None:
    """The clinic whose backup has the key, None for the platform. Raises ValueError for what is no backup's key."""
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError(key)
    return int(match[1]) if match[1] != PLATFORM else None
