"""What would make backups faster: indexes that are missing, columns to be declared NOT NULL, rules that are slow."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import asyncpg

from app.clinic.catalogue.entries import ByColumn, ByForeignKey, ByLink, ByRule, Catalogue, Entry, TableClass
from app.clinic.catalogue.introspection import TableName
from app.clinic.catalogue.ownership import RULE_ALIAS, rule_value
from app.clinic.catalogue.sql import from_table, qualified, quote

# What is smaller is read whole in a few milliseconds, which an index does not make shorter.
MANY_ROWS = 10_000
MANY_BYTES = 8 << 20

# A rule is asked for every row of its table in the backup of every clinic: a hundred clinics make of this a minute
# and a half each night (seconds).
SLOW_RULE_SECONDS = 1.0

# How long a rule is watched before it is called slow without knowing how slow (seconds).
RULE_SECONDS = 10.0

# For each of the columns that rows are searched by, the parts that hold the table's rows (itself, or its partitions),
# with their bytes, whether an index serves the search there, and whether one is just the index that would be made. An
# index on a generated column that is not stored cannot be.
_INDEX_SQL = """
SELECT wanted.number, n.nspname::text AS schema, c.relname::text AS name, pg_relation_size(c.oid) AS bytes,
    coalesce(bool_or(found.serves), false) AS served, coalesce(bool_or(found.same), false) AS same
FROM json_to_recordset($1::json) AS wanted(number int, "table" text, columns text[])
CROSS JOIN LATERAL (
    SELECT wanted."table"::regclass AS oid
    UNION SELECT relid FROM pg_partition_tree(wanted."table"::regclass)
) AS part
JOIN pg_class c ON c.oid = part.oid AND c.relkind = 'r' JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT
        key.names[1:cardinality(wanted.columns)] @> wanted.columns
        AND key.names[1:cardinality(wanted.columns)] <@ wanted.columns
        AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid)
             = ANY (SELECT format('(%I IS NOT NULL)', name) FROM unnest(wanted.columns) AS name)) AS serves,
        key.names = wanted.columns AND i.indpred IS NULL AS same
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    CROSS JOIN LATERAL (
        SELECT array_agg(a.attname::text ORDER BY k.n) AS names
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
        WHERE k.n <= i.indnkeyatts
    ) AS key
    WHERE i.indrelid = c.oid AND i.indisvalid AND m.amname IN ('btree', 'hash')
) AS found ON true
WHERE NOT EXISTS (SELECT FROM pg_attribute v WHERE v.attrelid = wanted."table"::regclass
                  AND v.attname = ANY (wanted.columns) AND v.attgenerated NOT IN ('', 's'))
GROUP BY wanted.number, n.nspname, c.relname, c.oid ORDER BY wanted.number, n.nspname, c.relname
"""


class AdviceKind(StrEnum):
    """What is advised."""

    INDEX = "falta_indice"
    NOT_NULL = "columna_sin_nulos"
    RULE = "regla_lenta"


@dataclass(frozen=True, slots=True)
class Advice:
    """One change to the clinic database or to the settings; `statements` make it, in this order, as they stand."""

    kind: AdviceKind
    table: TableName
    reason: str
    statements: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.table}: {self.reason}"


async def advise(
    connection: asyncpg.Connection, catalogue: Catalogue, narrow: Catalogue, rows: Mapping[TableName, int | None]
) -> list[Advice]:
    """What would make this database's backups faster. `rows` are all clinics', by table.

    `narrow` is the same catalogue as backups go by it, narrowed to the rows of today. The connection must be in no
    transaction. No rule is watched longer than RULE_SECONDS.
    """
    owned = [(entry, rows[entry.name] or 0) for entry in catalogue.of_class(TableClass.OWNED)]
    searched = [(entry, rows[entry.name] or 0) for entry in narrow.of_class(TableClass.OWNED)]
    indexes = await _missing_indexes(connection, searched)
    links = [
        advice
        for entry in catalogue.with_owners()
        for link in entry.candidates
        if isinstance(link, ByLink)
        for end, column in ((entry, link.column), (catalogue.entries[link.target], link.target_column))
        if (advice := await _unindexed_end(connection, end, column, rows[end.name] or 0, folded=link.folded))
    ]
    columns = await _columns_without_null(connection, catalogue, owned)
    rules = [
        advice
        for entry, _ in owned
        for candidate in entry.candidates
        if isinstance(candidate, ByRule)
        and (advice := await _slow_rule(connection, catalogue, entry, candidate)) is not None
    ]
    return [*indexes, *links, *columns, *rules]


async def _missing_indexes(connection: asyncpg.Connection, owned: list[tuple[Entry, int]]) -> list[Advice]:
    wanted = [(entry, rows, columns) for entry, rows in owned for columns in dict.fromkeys(_searched_by(entry))]
    asked = json.dumps(
        [
            {"number": number, "table": qualified(entry.table), "columns": columns}
            for number, (entry, _, columns) in enumerate(wanted)
        ]
    )
    parts: dict[int, list[asyncpg.Record]] = {}
    for part in await connection.fetch(_INDEX_SQL, asked):
        parts.setdefault(part["number"], []).append(part)
    advice = []
    for number, found in parts.items():
        entry, rows, columns = wanted[number]
        large = rows >= MANY_ROWS or sum(part["bytes"] for part in found) >= MANY_BYTES
        if large and not all(part["served"] for part in found):
            reason = (
                f"falta un índice en {', '.join(columns)}; sin él, el respaldo de cada clínica lee la tabla entera"
                f" ({rows:,} registros)"
            )
            bare = [TableName(part["schema"], part["name"]) for part in found if not part["same"]]
            statements = tuple(_index_statements(entry, ", ".join(map(quote, columns)), bare))
            advice.append(Advice(AdviceKind.INDEX, entry.name, reason, statements))
    return advice


def _searched_by(entry: Entry) -> Iterator[tuple[str, ...]]:
    """The columns by which a clinic's rows of the table are found."""
    for candidate in entry.candidates:
        match candidate:
            case ByColumn(column):
                # Its index also finds the rows that have none there; from those one goes up, by the keys of others.
                yield (column,)
                return
            case ByForeignKey(foreign_key):
                yield foreign_key.columns


def _index_statements(entry: Entry, columns: str, parts: Iterable[TableName]) -> Iterator[str]:
    """`parts` are the partitions, if there are any, that have not just that index."""
    on = f"({columns});"
    if not entry.table.partitioned:
        yield f"CREATE INDEX CONCURRENTLY ON {qualified(entry.table)} {on}"
        return
    # There is no CONCURRENTLY for a partitioned table; but where every partition has its index, that of the whole
    # takes them over, and locks nothing for long.
    for part in parts:
        yield f"CREATE INDEX CONCURRENTLY ON {quote(part.schema)}.{quote(part.name)} {on}"
    yield f"CREATE INDEX ON {qualified(entry.table)} {on}"


async def _unindexed_end(
    connection: asyncpg.Connection, entry: Entry, name: str, rows: int, *, folded: bool
) -> Advice | None:
    """The index by which a link finds rows of a table at one of its ends: on the text without its case."""
    if rows < MANY_ROWS:
        return None
    column = quote(name)
    value = f"lower(({column})::text)" if folded else column
    serving = [f"lower({column})", f"lower({column}::text)"] if folded else [column]
    # PostgreSQL quotes a name only where it has to.
    served = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = $1::text::regclass AND i.indisvalid"
        " AND i.indpred IS NULL AND replace(pg_get_indexdef(i.indexrelid, 1, true), '\"', '') = ANY ($2::text[]))",
        qualified(entry.table),
        [text.replace('"', "") for text in serving],
    )
    if served:
        return None
    return Advice(
        AdviceKind.INDEX,
        entry.name,
        f"falta un índice en {name}, por donde OWNERSHIP_RULES enlaza dos tablas; sin él, el respaldo de cada clínica"
        f" lee la tabla entera ({rows:,} registros)",
        (
            *_index_statements(entry, value, await _partitions(connection, entry)),
            # Of an expression PostgreSQL expects anything until it has been analyzed, and reads both tables whole.
            *((f"ANALYZE {qualified(entry.table)};",) if folded else ()),
        ),
    )


async def _partitions(connection: asyncpg.Connection, entry: Entry) -> list[TableName]:
    """The tables that hold a partitioned table's rows."""
    found = await connection.fetch(
        "SELECT n.nspname::text, c.relname::text FROM pg_partition_tree($1::text::regclass) AS p"
        " JOIN pg_class AS c ON c.oid = p.relid JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE p.isleaf AND c.relkind = 'r'",
        qualified(entry.table),
    )
    return [TableName(*row) for row in found]


async def _columns_without_null(
    connection: asyncpg.Connection, catalogue: Catalogue, owned: list[tuple[Entry, int]]
) -> list[Advice]:
    nullable = [
        (entry, rows, candidate.column)
        for entry, rows in owned
        for candidate in entry.candidates[:1]
        if rows
        and isinstance(candidate, ByColumn)
        and entry.name != catalogue.tenant_table
        and (column := entry.table.column(candidate.column)) is not None
        and column.nullable
    ]
    # Rows of tables that inherit from it, too: what is declared of the table holds for them.
    asked = ", ".join(
        f"EXISTS (SELECT FROM {qualified(entry.table)} WHERE {quote(column)} IS NULL)"
        for entry, _, column in nullable
    )
    has_null = await connection.fetchval(f"SELECT ARRAY[{asked}]::boolean[]")
    return [
        Advice(
            AdviceKind.NOT_NULL,
            entry.name,
            f"{column} admite NULL y no tiene ninguno; declárela NOT NULL, y ningún registro quedará sin clínica",
            tuple(_not_null_statements(entry, column, rows)),
        )
        for (entry, rows, column), null in zip(nullable, has_null, strict=True)
        if not null
    ]


def _not_null_statements(entry: Entry, column: str, rows: int) -> Iterator[str]:
    alter, name = f"ALTER TABLE {qualified(entry.table)}", quote("respaldos_no_nulo")
    set_not_null = f"{alter} ALTER COLUMN {quote(column)} SET NOT NULL;"
    if rows < MANY_ROWS:
        yield set_not_null
        return
    # Otherwise nobody could use the table while it is read; with a constraint that says so, it is not read again.
    yield f"{alter} ADD CONSTRAINT {name} CHECK ({quote(column)} IS NOT NULL) NOT VALID;"
    yield f"{alter} VALIDATE CONSTRAINT {name};"
    yield set_not_null
    yield f"{alter} DROP CONSTRAINT {name};"


async def _slow_rule(
    connection: asyncpg.Connection, catalogue: Catalogue, entry: Entry, rule: ByRule
) -> Advice | None:
    statement = f"SELECT FROM {from_table(entry.table)} AS {RULE_ALIAS} WHERE {rule_value(rule)} = 0"
    try:
        async with connection.transaction(readonly=True):
            await connection.execute(f"SET LOCAL statement_timeout = {max(1, round(RULE_SECONDS * 1000))}")
            ran = await _explained(connection, f"EXPLAIN (ANALYZE, TIMING OFF, VERBOSE, FORMAT JSON) {statement}")
    except asyncpg.QueryCanceledError:
        ran = await _explained(connection, f"EXPLAIN (VERBOSE, FORMAT JSON) {statement}")
        took = f"más de {RULE_SECONDS:g}"
    else:
        seconds = ran["Execution Time"] / 1000
        if seconds < SLOW_RULE_SECONDS:
            return None
        took = f"{seconds:.1f}"
    searches = [_Search.of(scan) for scan in _scans_for_each_row(ran["Plan"])]
    reason = f"su regla de OWNERSHIP_RULES tarda {took} segundos en el respaldo de cada clínica"
    if searches:
        reason += f", porque por cada registro lee una tabla entera ({'; '.join(dict.fromkeys(map(str, searches)))})"
    reason += '; si solo busca una columna en otra tabla, dígala como enlace, {"columna": "tabla.columna"}'
    indexes = dict.fromkeys(index for search in searches for index in search.indexes(catalogue))
    return Advice(AdviceKind.RULE, entry.name, reason, tuple(indexes))


async def _explained(connection: asyncpg.Connection, statement: str) -> dict[str, Any]:
    explained: dict[str, Any] = json.loads(await connection.fetchval(statement))[0]
    return explained


def _scans_for_each_row(plan: Mapping[str, Any], *, inside: bool = False) -> Iterator[Mapping[str, Any]]:
    """The parts of a plan that read a whole table for each row, to find some there."""
    inside = inside or plan.get("Parent Relationship") == "SubPlan"
    if inside and plan["Node Type"] == "Seq Scan" and "Filter" in plan:
        yield plan
    for child in plan.get("Plans", ()):
        yield from _scans_for_each_row(child, inside=inside)


# A column in a condition as PostgreSQL writes it, compared as it is: `(u.correo = …`, `((u."Código")::text = …`, or
# on the other side. What is asked of a function of it needs another index.
_IDENTIFIER = r'(?:"(?:[^"]|"")+"|\w+)'
_COLUMN = rf"(?P<alias>{_IDENTIFIER})\.(?P<column>{_IDENTIFIER})"
_COMPARED = [
    re.compile(pattern)
    for column in (_COLUMN, rf"\({_COLUMN}\)::text")
    for pattern in (rf"(?<!\w)\({column} = ", rf" = {column}\)")
]


@dataclass(frozen=True, slots=True)
class _Search:
    """A table that is read whole, under an alias, to find the rows that fulfil a condition."""

    table: TableName
    alias: str
    condition: str

    @classmethod
    def of(cls, scan: Mapping[str, Any]) -> Self:
        return cls(TableName(scan["Schema"], scan["Relation Name"]), scan["Alias"], scan["Filter"])

    def __str__(self) -> str:
        return f"{self.table}, donde {self.condition}"

    def indexes(self, catalogue: Catalogue) -> Iterator[str]:
        """Statements for the indexes by which the rows would be found."""
        entry = catalogue.entries.get(self.table)
        for pattern in _COMPARED:
            for found in pattern.finditer(self.condition):
                alias, name = (_unquoted(found[part]) for part in ("alias", "column"))
                column = entry.table.column(name) if entry is not None and alias == self.alias else None
                # A number as text is not what an index on the number has.
                if entry is not None and column is not None and (column.collated or "::" not in found[0]):
                    yield f"CREATE INDEX CONCURRENTLY ON {qualified(entry.table)} ({quote(name)});"


def _unquoted(identifier: str) -> str:
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier
