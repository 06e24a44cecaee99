"""How it was done before: every row as a dict, one JSON text, one gzip, all in memory. `python -m … WAY CLINIC`.

WAY `orm` fetches through SQLAlchemy, `driver` with asyncpg alone. What was there before was Django's ORM: on the
same rows its `.values()` takes longer than SQLAlchemy's mappings, and a bare psycopg cursor less than asyncpg.
"""

import asyncio
import gzip
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
from sqlalchemy import text

from app.clinic.catalogue.entries import TableClass
from app.clinic.reading.statements import ClinicStatements
from app.connections.databases import clinic_database
from app.connections.embedded import embedded_servers
from app.database import service_engine
from app.settings import load_settings
from tests.bench.databases import database_url


async def old_way(way: str, clinica_id: int) -> int:
    """Compressed size of the clinic's rows (bytes)."""
    data: dict[str, list[dict[str, Any]]] = {}
    with embedded_servers(load_settings()) as settings:
        async with clinic_database(settings).snapshot(clinica_id) as snapshot:
            assert isinstance(snapshot.statements, ClinicStatements)
            lists = [listing.statement for listing in snapshot.statements.own_lists((), doubting=False)]
            selects = {
                entry.model: snapshot.statements.owned(entry, tuple(column.name for column in entry.table.columns))
                for entry in snapshot.catalogue.of_class(TableClass.OWNED)
            }
        fetch = _through_sqlalchemy if way == "orm" else _from_the_driver
        async for model, rows in fetch(database_url(settings), lists, selects):
            data[model] = rows
    return len(gzip.compress(json.dumps(data, indent=2, default=str).encode()))


async def _through_sqlalchemy(
    url: str, lists: list[str], selects: dict[str, str]
) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    engine = service_engine(url, query_seconds=None)
    async with engine.connect() as connection:
        for found in lists:
            await connection.execute(text(found))
        for model, select in selects.items():
            yield model, [dict(row) for row in (await connection.execute(text(select))).mappings().all()]
    await engine.dispose()


async def _from_the_driver(
    url: str, lists: list[str], selects: dict[str, str]
) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    connection = await asyncpg.connect(url)
    await connection.execute(f"BEGIN; {';'.join(lists)}")
    for model, select in selects.items():
        yield model, [dict(row) for row in await connection.fetch(select)]
    await connection.close()


if __name__ == "__main__":
    sys.stdout.write(str(asyncio.run(old_way(sys.argv[1], int(sys.argv[2])))))
