"""One transaction in the service's own database."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from app.database import database_errors
from app.errors import DatabaseNotMigrated, SchemaChanged
from app.respaldos.resources import Databases


@asynccontextmanager
async def transaction(databases: Databases) -> AsyncIterator[AsyncSession]:
    """Committed at the end of the block, rolled back where it raises.

    Raises DatabaseError or one of its kinds; nothing else than queries belongs in the block.
    """
    with _service_errors():
        async with databases.sessions.begin() as session:
            yield session


@contextmanager
def _service_errors() -> Iterator[None]:
    try:
        with database_errors("DATABASE_URL"):
            yield
    except SchemaChanged as exc:
        raise DatabaseNotMigrated(
            f"falta el esquema del servicio o es antiguo; use «respaldos migrar» ({exc})"
        ) from exc
