"""How it was done before: every row as a dict, one JSON text, one gzip, all in memory. `python -m … CLINIC`.

Rows come through SQLAlchemy, as a service written over an object-relational mapper gets them.
"""

import asyncio
import gzip
import json
import sys
from typing import Any

from sqlalchemy import text

from app.clinic.catalogue import TableClass
from app.connections import clinic_database, embedded_servers
from app.database import service_engine
from app.settings import load_settings
from tests.bench.ground import database_url


async def old_way(clinica_id: int) -> int:
    """Compressed size of the clinic's rows (bytes)."""
    data: dict[str, list[dict[str, Any]]] = {}
    with embedded_servers(load_settings()) as settings:
        async with clinic_database(settings).snapshot(clinica_id) as snapshot:
            selects = {
                entry.model: snapshot.statements._owned(entry, tuple(column.name for column in entry.table.columns))
                for entry in snapshot.catalogue.of_class(TableClass.OWNED)
            }
        engine = service_engine(database_url(settings), query_seconds=None)
        async with engine.connect() as connection:
            for model, select in selects.items():
                rows = (await connection.execute(text(select))).mappings().all()
                data[model] = [dict(row) for row in rows]
        await engine.dispose()
    return len(gzip.compress(json.dumps(data, indent=2, default=str).encode()))


if __name__ == "__main__":
    sys.stdout.write(str(asyncio.run(old_way(int(sys.argv[1])))))
