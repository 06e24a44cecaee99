"""What the operations work with. The app's lifespan, the worker's startup and the command line build it."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from app.clinic.restore.database import RestoreDatabase
from app.respaldos.databases import Databases, transaction
from app.storage.s3 import S3Storage

__all__ = ["Databases", "Resources", "transaction"]


@dataclass(frozen=True, slots=True)
class Resources(Databases):
    """The databases and the bucket; `time_zone` is the clinics'.

    `restore` is the clinics' database for a role that may write, used by restores only.
    """

    storage: S3Storage
    time_zone: ZoneInfo
    restore: RestoreDatabase
