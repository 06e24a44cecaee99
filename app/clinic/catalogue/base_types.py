"""What a text is cast to that is to be compared with a column's values."""

from collections.abc import Sequence

import asyncpg

from app.clinic.catalogue.introspection import Table

# Types as they are declared, without their lengths and scales; of a domain, what it is made of.
_TYPES = """
    WITH RECURSIVE below(n, type, base) AS (
        SELECT g.n, t.oid, t.typbasetype
        FROM unnest($1::text[]) WITH ORDINALITY AS g(name, n) JOIN pg_type t ON t.oid = g.name::regtype
        UNION ALL
        SELECT b.n, t.oid, t.typbasetype FROM below b JOIN pg_type t ON t.oid = b.base
    ) SELECT format_type(type, -1) FROM below WHERE base = 0 ORDER BY n"""


async def base_types(connection: asyncpg.Connection, table: Table, names: Sequence[str]) -> dict[str, str]:
    """By column the type, without length or scale: a cast to these cuts or rounds, and gives another value."""
    types = {column.name: column.type for column in table.columns}
    found = await connection.fetch(_TYPES, [types[name] for name in names])
    return {name: type_ for name, (type_,) in zip(names, found, strict=True)}
