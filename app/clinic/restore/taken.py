"""What rows of today have that rows of the file would have to have: why these cannot come back, each by name."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from app.clinic.catalogue.entries import TableClass
from app.clinic.catalogue.introspection import Column
from app.clinic.catalogue.secret_columns import HIDDEN
from app.clinic.catalogue.sql import quote
from app.clinic.restore.changed_rows import SHOWN_CHARACTERS, Printed, Value, text_of
from app.clinic.restore.constraints import Constraints, UniqueIndex
from app.clinic.restore.difference import Difference
from app.clinic.restore.naming import NAMED
from app.clinic.restore.staged_tables import REL, TID, StagedTable
from app.errors import RestoreRefused
from app.record_names import named

# How many conflicts of one constraint are named: enough to see what they have in common.
MOST_CONFLICTS = 20

# While they are looked for, the restore keeps its locks: what takes longer is not explained (seconds).
MOST_SECONDS = 10

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

    `own` says that the row of today is the clinic's, or everybody's, so that it may be seen: then `values` are what
    it has, by column or expression, and `taken_by` is its key, None where it has none. Where it is somebody else's,
    `values` are those of the file's row, and with an `exclusion` not just the same. `label` and `taken_label` are
    what both rows are called, empty where nothing says.
    """

    model: str
    key: Mapping[str, str | None]
    constraint: str
    values: Mapping[str, str | None]
    exclusion: bool
    own: bool
    taken_by: Mapping[str, str | None] | None
    label: str = ""
    taken_label: str = ""

    def __str__(self) -> str:
        mine = named(self.label, f"«{self.model}» {_words(self.key)}")
        other, way_out = "otro registro, que no es de la clínica,", "Puede liberarlo quien administra la plataforma"
        if self.taken_by is not None:
            other = named(self.taken_label, f"«{self.model}» {_words(self.taken_by)}")
            way_out = f"Cambie eso en {other}, o quítelo"
        elif self.own:
            other, way_out = f"otro registro de «{self.model}»", "Cambie eso en el que está hoy, o quítelo"
        has = ", ".join(f"{name} = {value if value is not None else '—'}" for name, value in self.values.items())
        blocks = "ocupa hoy algo de" if self.exclusion and not self.own else "tiene hoy"
        return (
            f"{mine} no puede volver: {other} {blocks} {has}, y no pueden estar los dos ({self.constraint})."
            f" {way_out}; o restaure sin {mine}"
        )

    def shown(self) -> dict[str, Any]:
        """As a document for people."""
        return {
            "modelo": self.model,
            "clave": dict(self.key),
            "etiqueta": self.label or None,
            "restriccion": self.constraint,
            "valor": dict(self.values),
            "ocupado_por": dict(self.taken_by) if self.taken_by is not None else None,
            "etiqueta_ocupado_por": self.taken_label or None,
            "explicacion": str(self),
        }


class ConflictsFound(RestoreRefused):
    """Rows of today have what rows of the file would have to have.

    `conflicts` are the first of each constraint, of `total` in all.
    """

    def __init__(self, conflicts: Sequence[Conflict], total: int) -> None:
        more = f"; y {total - NAMED:,} más" if total > NAMED else ""
        super().__init__("; ".join(map(str, conflicts[:NAMED])) + more)
        self.conflicts = tuple(conflicts)
        self.total = total


async def find_conflicts(
    connection: asyncpg.Connection, difference: Difference, constraints: Constraints
) -> ConflictsFound | None:
    """What stands in the way of applying the difference, while nothing of it has been: once it failed, why.

    None where that is not found out: within a single partition, by what the file does not know of a row, or because
    it would take too long.
    """
    found: list[Conflict] = []
    total = 0
    until = asyncio.get_running_loop().time() + MOST_SECONDS
    await connection.execute("SAVEPOINT conflictos")
    try:
        for staged in difference.staged_tables:
            if not any(await difference.count(staged)):
                continue
            # Of a login nothing else is written as the file has it.
            written = staged.identity if staged in difference.logins else staged.names
            known = await connection.fetch(INDEXES_SQL, staged.real.removeprefix("ONLY "))
            definitions = {definition["name"]: definition for definition in known}
            for index in constraints.of(staged.entry.name).unique:
                definition = definitions.get(index.name)
                if definition is not None and set(index.involved) <= set(written):
                    left = max(1, round(1000 * (until - asyncio.get_running_loop().time())))
                    await connection.execute(f"SET LOCAL statement_timeout = {left}")
                    some, count = await _of_index(connection, difference, staged, index, definition)
                    found += some
                    total += count
    except asyncpg.QueryCanceledError:
        return None
    finally:
        await connection.execute("ROLLBACK TO conflictos")
    return ConflictsFound(found, total) if found else None


async def _of_index(
    connection: asyncpg.Connection,
    difference: Difference,
    staged: StagedTable,
    index: UniqueIndex,
    definition: asyncpg.Record,
) -> tuple[list[Conflict], int]:
    """The first of them, and how many there are."""
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
    values = [", ".join(f"left({row}.{name}::text, {SHOWN_CHARACTERS})" for name in numbered) for row in ("f", "r")]
    pairs = (
        f"SELECT f.at, r.rel, r.tid, ARRAY[{values[0]}] AS mine, ARRAY[{values[1]}] AS has,"
        " count(*) OVER () AS total,"
        f" row_number() OVER (ORDER BY ARRAY[{keys[0]}]::text[], ARRAY[{keys[1]}]::text[]) AS n"
        f" FROM (SELECT ctid AS at, {parts} FROM {staged.file} WHERE {definition['predicate']}) AS f"
        f" JOIN (SELECT tableoid AS rel, ctid AS tid, {parts} FROM {staged.real}"
        f" WHERE {definition['predicate']}) AS r ON {collide}"
        # What goes or is written anew is in nobody's way.
        f" WHERE NOT EXISTS (SELECT FROM {staged.today} AS c WHERE c.{quote(REL)} = r.rel AND c.{quote(TID)} = r.tid)"
        f" ORDER BY n LIMIT {MOST_CONFLICTS}"
    )
    printed = Printed(staged, difference.secrets, whole=False)
    by_name = {column.name: column for column in staged.table.columns}
    # Without the quotes of SQL, where there are but columns.
    plain = len(index.columns) == len(numbered)
    shown = [by_name[name] for name in dict.fromkeys((*key, *(index.columns if plain else ())))]
    rows = await connection.fetch(
        f"SELECT f.*, r.*, p.total, {_may_be_seen(difference, staged)} AS own, p.mine, p.has,"
        f" {_has_secret(printed, [by_name[name] for name in index.involved])} AS secret"
        f" FROM ({pairs}) AS p JOIN {staged.file} AS m ON m.ctid = p.at"
        f" JOIN {staged.real} AS x ON x.tableoid = p.rel AND x.ctid = p.tid"
        f" CROSS JOIN LATERAL ({printed.select(shown, 'm')}) AS f"
        f" CROSS JOIN LATERAL ({printed.select(shown, 'x')}) AS r ORDER BY p.n"
    )
    found = []
    for row in rows:
        mine, has = (_texts(printed.key(shown, tuple(row)[start : start + 5])) for start in (0, 5))
        own = row["own"]
        if plain:
            values_shown = {name: (has if own else mine)[name] for name in index.columns}
        else:
            given = row["has"] if own else row["mine"]
            values_shown = {
                name: HIDDEN if row["secret"] else value
                for name, value in zip(definition["said"], given, strict=True)
            }
        found.append(
            Conflict(
                staged.model,
                {name: mine[name] for name in key},
                index.name,
                values_shown,
                index.exclusion,
                own,
                {name: has[name] for name in key} if own and staged.key else None,
            )
        )
    if staged.key:
        labels = await difference.labels(staged, [each.key for each in found])
        taken = await difference.labels(staged, [each.taken_by or {} for each in found], today=True)
        found = [
            replace(each, label=label, taken_label=other)
            for each, label, other in zip(found, labels, taken, strict=True)
        ]
    return found, rows[0]["total"] if rows else 0


def _may_be_seen(difference: Difference, staged: StagedTable) -> str:
    """Whether the row `x` of today is the clinic's, or everybody's."""
    if staged.entry.kind is TableClass.OWNED:
        return difference.statements.is_owned(staged.entry, "x")
    return "true" if staged.entry.kind is TableClass.REFERENCED else "false"


def _has_secret(printed: Printed, involved: Sequence[Column]) -> str:
    """Whether an expression over these columns of the rows `m` and `x` may give what is not to be shown."""
    return " OR ".join(printed.may_hide(row, column) for column in involved for row in ("m", "x")) or "false"


def _texts(values: Mapping[str, Value]) -> dict[str, str | None]:
    return {name: text_of(value) if value is not None else None for name, value in values.items()}


def _words(key: Mapping[str, str | None]) -> str:
    return ", ".join(value if value is not None else "—" for value in key.values())
