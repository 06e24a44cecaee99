"""Whose each row of the grown sample is: by the keys that each clinic was given, and by no code of the service."""

from app.demo.sample.generate import Connection, GrownSample
from app.demo.sample.grown_schema import GROWN_BY_NAME
from tests.support.sample_ownership import foreign_keys


def whose(sample: GrownSample, table: str) -> str:
    """SQL over alias `t` for the clinic of a row as it was made, or NULL."""
    if table == "clinica":
        return "t.id"
    key = f"t.{GROWN_BY_NAME[table].key}"
    cases = [
        f"WHEN {key} BETWEEN {keys[table].start} AND {keys[table].stop - 1} THEN {clinic}"
        for clinic, keys in sample.keys.items()
    ]
    return f"(CASE {' '.join(cases)} END)"


async def mark_grown_owners(conn: Connection, sample: GrownSample) -> list[str]:
    """A temporary table `owned_X` (place, owner) for each table X of a clinic; gives the names of the X."""
    rows = await conn.fetch(
        "SELECT attrelid::regclass::text FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE attname = 'clinica_id' AND relkind = 'r'"
    )
    names = ["clinica", *(name for (name,) in rows)]
    for name in names:
        owner = whose(sample, name)
        await conn.execute(
            f"CREATE TEMP TABLE owned_{name} AS SELECT t.ctid AS place, {owner} AS owner FROM {name} AS t"
        )
    return names


async def mark_owners_by_columns_and_keys(conn: Connection, tables: list[str]) -> None:
    """A temporary table `found_X` as `owned_X`: by the tenant column, or else by any foreign key that leads on."""
    for name in tables:
        column = "id" if name == "clinica" else "clinica_id"
        await conn.execute(f"CREATE TEMP TABLE found_{name} AS SELECT ctid AS place, {column} AS owner FROM {name}")
    steps = [
        f"UPDATE found_{child} AS mine SET owner = theirs.owner"
        f" FROM {child} AS c JOIN {parent} AS p ON p.{key} = c.{column} JOIN found_{parent} AS theirs"
        f" ON theirs.place = p.ctid WHERE mine.place = c.ctid AND mine.owner IS NULL AND theirs.owner IS NOT NULL"
        for child, column, parent, key in await foreign_keys(conn)
        if child in tables and parent in tables and column != "clinica_id"
    ]
    # The last round finds nothing.
    while [step for step in steps if await conn.execute(step) != "UPDATE 0"]:
        pass
