"""Connections to new databases."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.demo.sample.generate import Connection
from tests.conftest import plain_url


@pytest.fixture
async def conn(empty_database: str) -> AsyncIterator[Connection]:
    """A connection to a new, empty database."""
    connection = await asyncpg.connect(plain_url(empty_database))
    try:
        yield connection
    finally:
        await connection.close()
