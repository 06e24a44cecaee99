"""How it was done before: every row as a dict, one JSON text, one gzip, all in memory. `python -m … CLINIC`."""

import asyncio
import gzip
import json
import sys

import asyncpg

from app.clinic.catalogue import TableClass
from app.connections import clinic_database, embedded_servers
from app.settings import load_settings
from tests.bench.ground import database_url


async def old_way(clinica_id: int) -> int:
    """Compressed size of the clinic's rows (bytes)."""
    with embedded_servers(load_settings()) as settings:
        connection = await asyncpg.connect(database_url(settings))
        data = {}
        async with clinic_database(settings).snapshot(clinica_id) as snapshot:
            for entry in snapshot.catalogue.of_class(TableClass.OWNED):
                names = tuple(column.name for column in entry.table.columns)
                rows = await connection.fetch(snapshot.statements._owned(entry, names))
                data[entry.model] = [dict(row) for row in rows]
        await connection.close()
    return len(gzip.compress(json.dumps(data, indent=2, default=str).encode()))


if __name__ == "__main__":
    sys.stdout.write(str(asyncio.run(old_way(int(sys.argv[1])))))
