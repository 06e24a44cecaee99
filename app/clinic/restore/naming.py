"""Rows as the sentence of a refusal names them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import asyncpg

from app.clinic.catalogue.sql import quote
from app.record_names import named

# What the rows with these keys are called, as far as anything says.
Call: TypeAlias = Callable[[Sequence[tuple[str, ...]]], Awaitable[Sequence[str]]]

# How many keys a refusal names.
NAMED = 3

# How many people a sentence names.
PEOPLE = 20


async def named_keys(connection: asyncpg.Connection, key: Sequence[str], rows: str, call: Call | None = None) -> str:
    """The keys of the first rows that the query gives, as people read them; empty where it gives none.

    Where `call` is given, with what the rows are called.
    """
    parts = ", ".join(f"coalesce(x.{quote(name)}::text, '—')" for name in key)
    # Materialized, because there should be none: a plan that hopes for the first few soon compares every row with
    # every other.
    found = await connection.fetch(
        f"WITH x AS MATERIALIZED ({rows}) SELECT ARRAY[{parts}]::text[] FROM x ORDER BY 1 LIMIT {NAMED + 1}"
    )
    keys = [tuple(values) for (values,) in found]
    shown = keys[:NAMED]
    labels = await call(shown) if call is not None and shown else [""] * len(shown)
    words = [f"({', '.join(values)})" if len(key) > 1 else "".join(values) for values in shown]
    names = [named(label, word) for label, word in zip(labels, words, strict=True)]
    return ", ".join(names) + (", …" if len(keys) > NAMED else "")


async def named_people(connection: asyncpg.Connection, query: str) -> str:
    """What a query over one text column gives, in a list; empty where it gives nothing."""
    found = await connection.fetch(f"SELECT x.* FROM ({query}) AS x ORDER BY 1 LIMIT {PEOPLE + 1}")
    names = [str(value) for (value,) in found]
    return ", ".join(names[:PEOPLE]) + (", …" if len(names) > PEOPLE else "")
