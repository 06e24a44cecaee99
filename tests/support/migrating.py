"""Alembic's commands over a connection of the test's own."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from app.database import service_engine

T = TypeVar("T")


async def with_connection(url: str, work: Callable[[Connection], T]) -> T:
    """What `work` answers, in one transaction."""
    engine = service_engine(url)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()
