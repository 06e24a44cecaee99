"""What a clinic's rows are, by SQL that asks nothing of the code that is tried."""

import asyncpg

from tests.support.sample_ownership import OWNER, mark_owners


async def fingerprint(connection: asyncpg.Connection, clinica_id: int) -> dict[str, str]:
    """How many rows of each table are the clinic's, and a hash of all of them, in whatever order."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await mark_owners(connection)
        hashed = " UNION ALL ".join(
            f"SELECT '{table}', concat_ws(' ', count(*), sum(hashtextextended(t::text, 0)::numeric))"
            f" FROM {table} AS t WHERE {owner} = {clinica_id}"
            for table, owner in OWNER.items()
        )
        return dict(map(tuple, await connection.fetch(hashed)))
    finally:
        await transaction.rollback()


def differing(one: dict[str, str], other: dict[str, str]) -> str:
    """The tables in which they differ, with what each has."""
    return "; ".join(f"{name}: {one[name]} and {other[name]}" for name in one if one[name] != other[name])
