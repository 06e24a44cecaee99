"""A clinic that is gone from the clinics' database, with all that was its."""

import asyncpg

from app.clinic.catalogue.entries import TableClass
from app.clinic.catalogue.sql import qualified
from app.clinic.owners.find import find_owners
from app.respaldos.resources import Resources


async def take_away(resources: Resources, conn: asyncpg.Connection, clinica_id: int) -> None:
    """Delete every row that is the clinic's, its own in the table of clinics too; logins stay."""
    async with resources.clinic.snapshot(clinica_id) as snapshot:
        catalogue = snapshot.catalogue
    async with conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        statements = await find_owners(conn, catalogue, clinica_id)
        for entry in reversed(catalogue.of_class(TableClass.OWNED)):
            places = statements.owned(entry, ("ctid",))
            await conn.execute(f"DELETE FROM {qualified(entry.table)} WHERE ctid IN ({places})")
    assert await conn.fetchval("SELECT count(*) FROM clinica WHERE id = $1", clinica_id) == 0
