"""What the operations work with. The app's lifespan, the worker's startup and the command line build it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.clinic.database import ClinicDatabase
from app.database import database_errors
from app.errors import DatabaseNotMigrated, SchemaChanged
from app.respaldos.jobs.lease import Lease
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

    `restore` is the clinics' database for a role that may write, used by restores only; `lease` is for the jobs that
    this process claims.
    """

    storage: S3Storage
    time_zone: ZoneInfo
    restore: "RestoreDatabase"
    lease: Lease


@asynccontextmanager
async def transaction(databases: Databases) -> AsyncIterator[AsyncSession]:
    """Committed at the end of the block, rolled back where it raises.

    Raises DatabaseError or one of its kinds; nothing else than queries belongs in the block.
    """
    with service_errors():
        async with databases.sessions.begin() as session:
            yield session


@contextmanager
def service_errors() -> Iterator[None]:
    """Errors of the service's own database, as DatabaseError or one of its kinds."""
    try:
        with database_errors("DATABASE_URL"):
            yield
    except SchemaChanged as exc:
        raise DatabaseNotMigrated(
            f"falta el esquema del servicio o es antiguo; use «respaldos migrar» ({exc})"
        ) from exc
