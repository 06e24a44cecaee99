"""The databases that the operations work with, and a transaction of the service's own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.clinic.database import ClinicDatabase
from app.database import database_errors
from app.errors import DatabaseNotMigrated, SchemaChanged


@dataclass(frozen=True, slots=True)
class Databases:
    """The service's own database and the clinics': enough to look, and half a second sooner there than S3."""

    sessions: async_sessionmaker[AsyncSession]
    clinic: ClinicDatabase


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
