"""What the operations work with. The app's lifespan, the worker's startup and the command line build it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.clinic.database import ClinicDatabase
from app.storage.s3 import S3Storage

# Only those who restore wait for its import.
if TYPE_CHECKING:
    from app.clinic.restore.database import RestoreDatabase


@dataclass(frozen=True, slots=True)
class Databases:
    """The service's own database and the clinics': enough to look, and half a second sooner there than S3."""

    sessions: async_sessionmaker[AsyncSession]
    clinic: ClinicDatabase


@dataclass(frozen=True, slots=True)
class Resources(Databases):
    """The databases and the bucket; `time_zone` is the clinics'.

    `restore` is the clinics' database for a role that may write, used by restores only.
    """

    storage: S3Storage
    time_zone: ZoneInfo
    restore: "RestoreDatabase"
