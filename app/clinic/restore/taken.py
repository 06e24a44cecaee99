"""What rows of today have that rows of the file would have to have: why these cannot come back, each by name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from app.clinic.catalogue.entries import TableClass
from app.clinic.catalogue.secret_columns import HIDDEN, SecretColumns
from app.clinic.catalogue.sql import quote
from app.clinic.restore.changed_rows import SHOWN_CHARACTERS
from app.clinic.restore.constraints import Constraints, UniqueIndex
from app.clinic.restore.difference import Difference
from app.clinic.restore.naming import NAMED
from app.clinic.restore.staged_tables import REL, TID, StagedTable
from app.errors import RestoreRefused

# How many conflicts of one constraint are named: enough to see what they have in common.
MOST_CONFLICTS = 20

# How each index of a table compares rows: what of them, by which operator, and of which rows. Only a B-tree's third
# operator is equality; an exclusion constraint has operators of its own. What begins later than PostgreSQL 13 is
# read by its name.
INDEXES_SQL = """
SELECT x.relname::text AS name,
       (SELECT array_agg(pg_get_indexdef(i.indexrelid, k.n, false) ORDER BY k.n)
        FROM generate_series(1, i.indnkeyatts::int) AS k(n)) AS said,
       (SELECT array_agg(format('(%s)%s', pg_get_indexdef(i.indexrelid, k.n::int, false),
                                CASE WHEN c.oid IS NOT NULL THEN format(' COLLATE %I.%I', cs.nspname, c.collname)
                                     ELSE '' END) ORDER BY k.n)
        FROM unnest(i.indcollation::oid[]) WITH ORDINALITY AS k(coll, n)
        LEFT JOIN pg_collation c ON c.oid = k.coll LEFT JOIN pg_namespace cs ON cs.oid = c.collnamespace
        WHERE k.n <= i.indnkeyatts) AS compared,
       (SELECT array_agg(format('OPERATOR(%I.%s)', os.nspname, o.oprname) ORDER BY k.n)
        FROM unnest(i.indclass::oid[], u.conexclop) WITH ORDINALITY AS k(opclass, own, n)
        JOIN pg_opclass oc ON oc.oid = k.opclass
        LEFT JOIN pg_amop m ON m.amopfamily = oc.opcfamily AND m.amopstrategy = 3 AND k.own IS NULL
             AND m.amoplefttype = oc.opcintype AND m.amoprighttype = oc.opcintype
        JOIN pg_operator o ON o.oid = coalesce(k.own, m.amopopr) JOIN pg_namespace os ON os.oid = o.oprnamespace
       ) AS operators,
       coalesce(pg_get_expr(i.indpred, i.indrelid), 'true') AS predicate,
       coalesce(to_jsonb(i) -> 'indnullsnotdistinct' = 'true'::jsonb, false) AS nulls_collide
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
LEFT JOIN pg_constraint u ON u.conindid = x.oid AND u.conexclop IS NOT NULL
WHERE i.indrelid = $1::text::regclass AND (i.indisunique OR i.indisexclusion)
"""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A row of the file, by its key, and the row of today with which it cannot be there because of `constraint`.

    `values` are what today's row has, by column or expression. `taken_by` is its key; None where it is not the
    clinic's to see, or has none.
    """

    model: str
    key: Mapping[str, str | None]
    constraint: str
    values: Mapping[str, str | None]
    taken_by: Mapping[str, str | None] | None

    def __str__(self) -> str:
        mine = f"«{self.model}» {_words(self.key)}"
        other, way_out = "otro registro, que no es de la clínica,", "Puede liberarlo quien administra la plataforma"
        if self.taken_by is not None:
            other = f"«{self.model}» {_words(self.taken_by)}"
            way_out = f"Cambie eso en {other}, o quítelo"
        has = ", ".join(f"{name} = {value if value is not None else '—'}" for name, value in self.values.items())
        return (
            f"{mine} no puede volver: {other} tiene hoy {has}, y no pueden estar los dos ({self.constraint})."
            f" {way_out}; o restaure sin {mine}"
        )

    def shown(self) -> dict[str, Any]:
        """As a document for people."""
        return {
            "modelo": self.model,
            "clave": dict(self.key),
            "restriccion": self.constraint,
            "valor": dict(self.values),
            "ocupado_por": dict(self.taken_by) if self.taken_by is not None else None,
            "explicacion": str(self),
        }


class ConflictsFound(RestoreRefused):
    """Rows of today have what rows of the file would have to have. `conflicts` are the first of each constraint."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        more = f"; y {len(conflicts) - NAMED:,} más" if len(conflicts) > NAMED else ""
        super().__init__("; ".join(map(str, conflicts[:NAMED])) + more)
        self.conflicts = tuple(conflicts)


async def find_conflicts(
    connection: asyncpg.Connection, difference: Difference, constraints: Constraints, secrets: SecretColumns
) -> list[Conflict]:
    """What stands in the way of applying the difference, while nothing of it has been: once it failed, why.

    Not by what the file does not know of a row, and not within a single partition: of these, PostgreSQL's own words
    say the value.
    """
    found: list[Conflict] = []
    for staged in difference.staged_tables:
        if not any(await difference.count(staged)):
            continue
        known = await connection.fetch(INDEXES_SQL, staged.real.removeprefix("ONLY "))
        definitions = {definition["name"]: definition for definition in known}
        for index in constraints.of(staged.entry.name).unique:
            definition = definitions.get(index.name)
            if definition is not None and staged.has(index.involved):
                found += await _of_index(connection, difference, staged, index, definition, secrets)
    return found


async def _of_index(
    connection: asyncpg.Connection,
    difference: Difference,
    staged: StagedTable,
    index: UniqueIndex,
    definition: asyncpg.Record,
    secrets: SecretColumns,
) -> list[Conflict]:
    key = staged.key or staged.names
    numbered = [f"v{number}" for number in range(len(definition["compared"]))]
    parts = ", ".join(
        (
            *(f"left({quote(name)}::text, {SHOWN_CHARACTERS}) AS k{number}" for number, name in enumerate(key)),
            *(f"{what} AS {name}" for what, name in zip(definition["compared"], numbered, strict=True)),
        )
    )
    collide = " AND ".join(
        f"(f.{name} {operator} r.{name}"
        f"{f' OR f.{name} IS NULL AND r.{name} IS NULL' if definition['nulls_collide'] else ''})"
        for name, operator in zip(numbered, definition["operators"], strict=True)
    )
    keys = [", ".join(f"{row}.k{number}" for number in range(len(key))) for row in ("f", "r")]
    values = ", ".join(f"left(r.{name}::text, {SHOWN_CHARACTERS})" for name in numbered)
    rows = await connection.fetch(
        f"SELECT ARRAY[{keys[0]}], ARRAY[{values}], ARRAY[{keys[1]}], {_may_be_seen(difference, staged)}"
        f" FROM (SELECT {parts} FROM {staged.file} WHERE {definition['predicate']}) AS f"
        f" JOIN (SELECT tableoid AS rel, ctid AS tid, {parts} FROM {staged.real}"
        f" WHERE {definition['predicate']}) AS r ON {collide}"
        f" JOIN {staged.real} AS x ON x.tableoid = r.rel AND x.ctid = r.tid"
        # What goes or is written anew is in nobody's way.
        f" WHERE NOT EXISTS (SELECT FROM {staged.today} AS c WHERE c.{quote(REL)} = r.rel AND c.{quote(TID)} = r.tid)"
        f" ORDER BY 1, 3 LIMIT {MOST_CONFLICTS}"
    )
    # Without the quotes of SQL, where there are but columns.
    names = index.columns if len(index.columns) == len(numbered) else definition["said"]
    secret = any(secrets.has(staged.entry.name, staged.model, name) for name in index.involved)
    return [
        Conflict(
            staged.model,
            dict(_shown(staged, secrets, key, mine)),
            index.name,
            {name: HIDDEN if secret else value for name, value in zip(names, has, strict=True)},
            dict(_shown(staged, secrets, key, other)) if seen and staged.key else None,
        )
        for mine, has, other, seen in rows
    ]


def _may_be_seen(difference: Difference, staged: StagedTable) -> str:
    """Whether the row `x` of today is the clinic's, or everybody's."""
    if staged.entry.kind is TableClass.OWNED:
        return difference.statements.is_owned(staged.entry, "x")
    return "true" if staged.entry.kind is TableClass.REFERENCED else "false"


def _shown(
    staged: StagedTable, secrets: SecretColumns, names: Sequence[str], values: Sequence[str | None]
) -> Iterator[tuple[str, str | None]]:
    for name, value in zip(names, values, strict=True):
        yield name, HIDDEN if secrets.has(staged.entry.name, staged.model, name) else value


def _words(key: Mapping[str, str | None]) -> str:
    return ", ".join(value if value is not None else "—" for value in key.values())
