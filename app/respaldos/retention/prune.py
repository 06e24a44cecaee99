"""Deletes what the service wrote down for its own use and nobody needs any more."""

from app.respaldos.databases import Databases, transaction
from app.respaldos.retention import fleet as retention_fleet

# For whoever looks into the tables to see what happened; nothing of the service looks back so far.
PRUNE_DAYS = 30

# Rows of one table that a transaction deletes.
BATCH = 10_000


async def podar(databases: Databases) -> int:
    """Delete nights, attempts, jobs of backups, exports, notices, requests' keys and tokens of PRUNE_DAYS ago.

    Returns how many rows that were. Backups, what was done with them, and the audit trail stay. Raises DatabaseError;
    the next call goes on.
    """
    pruned = 0
    while True:
        async with transaction(databases) as session:
            found = await retention_fleet.prune(session, days=PRUNE_DAYS, limit=BATCH)
        pruned += found
        if found < BATCH:
            return pruned
