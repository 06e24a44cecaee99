"""Rows as the sentence of a refusal names them."""

from collections.abc import Sequence

import asyncpg

from app.clinic.catalogue.sql import quote

# How many keys a refusal names.
NAMED = 3

# How many people a sentence names.
PEOPLE = 20


async def named_keys(connection: asyncpg.Connection, key: Sequence[str], rows: str) -> str:
    """The keys of the first rows that the query gives, as people read them; empty where it gives none."""
    shown = " || ', ' || ".join(f"coalesce(x.{quote(name)}::text, '—')" for name in key) or "''"
    # Materialized, because there should be none: a plan that hopes for the first few soon compares every row with
    # every other.
    found = await connection.fetch(
        f"WITH x AS MATERIALIZED ({rows}) SELECT {shown} FROM x ORDER BY 1 LIMIT {NAMED + 1}"
    )
    names = [f"({value})" if len(key) > 1 else str(value) for (value,) in found]
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")


async def named_people(connection: asyncpg.Connection, query: str) -> str:
    """What a query over one text column gives, in a list; empty where it gives nothing."""
    found = await connection.fetch(f"SELECT x.* FROM ({query}) AS x ORDER BY 1 LIMIT {PEOPLE + 1}")
    names = [str(value) for (value,) in found]
    return ", ".join(names[:PEOPLE]) + (", …" if len(names) > PEOPLE else "")
