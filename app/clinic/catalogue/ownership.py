"""SQL for whose a row is, whichever clinic that may be."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg

from app.clinic.catalogue.entries import (
    ByColumn,
    ByForeignKey,
    ByLink,
    ByRule,
    Candidate,
    Catalogue,
    Entry,
    TableClass,
    WholeTable,
)
from app.clinic.catalogue.introspection import ForeignKey, TableName
from app.clinic.catalogue.sql import from_table, joined, quote, same_value
from app.errors import CatalogError

# OWNERSHIP_RULES are written over this alias.
RULE_ALIAS = "t"


# A listing follows rows from step to step. A merge join would sort everything again at each, and a hash that is
# expected to be larger than memory be made again: a tree of 3,000 rows, each below the last, took 12 s, now 1 s.
# PostgreSQL expects a hundred times the rows there are, so what is allowed here is not what is used.
BY_HASH = "SET LOCAL enable_mergejoin = off; SET LOCAL hash_mem_multiplier = 64"
ANY_WAY = "SET LOCAL enable_mergejoin TO DEFAULT; SET LOCAL hash_mem_multiplier TO DEFAULT"


@dataclass(frozen=True, slots=True)
class Listing:
    """A SELECT that keeps a list of rows under `name`; `rule` is the table whose rule it follows, if it does."""

    name: str
    statement: str
    rule: TableName | None = None


class RuleFailed(CatalogError):
    """A rule of OWNERSHIP_RULES that PostgreSQL accepted, and that then failed on a row of `table`."""

    def __init__(self, table: TableName, exc: asyncpg.PostgresError) -> None:
        super().__init__(f"OWNERSHIP_RULES: la regla de «{table}» falla con un registro: {exc}")
        self.table = table


@contextmanager
def rule_errors(listing: Listing) -> Iterator[None]:
    """Raise RuleFailed for what an expression may raise: not for a lock, a limit of time, or a connection."""
    try:
        yield
    except (
        asyncpg.DataError,
        asyncpg.SyntaxOrAccessError,
        asyncpg.CardinalityViolationError,
        asyncpg.PLPGSQLError,
    ) as exc:
        if listing.rule is None:
            raise
        raise RuleFailed(listing.rule, exc) from exc


def rule_of(entries: Iterable[Entry]) -> TableName | None:
    """The table whose rows are found by a rule."""
    return next((e.name for e in entries if any(isinstance(way, ByRule) for way in e.candidates)), None)


def rule_value(rule: ByRule) -> str:
    """The clinic that a rule gives for the row RULE_ALIAS, or NULL; NULL, too, where a sub-SELECT finds several."""
    if not rule.several:
        return f"({rule.expression})::bigint"
    return f"(SELECT min(r.c)::bigint FROM unnest(ARRAY{rule.expression}) AS r(c) HAVING count(DISTINCT r.c) = 1)"


def link_value(catalogue: Catalogue, link: ByLink, alias: str) -> str:
    """The one clinic that is named by all rows to which a link leads from the row `alias`; else NULL."""
    target = catalogue.entries[link.target]
    column = f"l.{quote(direct_column(target))}"
    return (
        f"(SELECT min({column})::bigint FROM {from_table(target.table)} AS l"
        f" WHERE {same_value(link.folded, f'l.{quote(link.target_column)}', f'{alias}.{quote(link.column)}')}"
        f" HAVING count(DISTINCT {column}) = 1 AND count({column}) = count(*))"
    )


def linked_owner(catalogue: Catalogue, link: ByLink, alias: str, target_alias: str) -> tuple[str, str]:
    """The same for every row `alias` of a query: what has to be joined to it, and the value.

    Without an index that serves the link, asking row by row would read the target table for each of them.
    """
    target = catalogue.entries[link.target]
    clinic, key = f"l.{quote(direct_column(target))}", f"l.{quote(link.target_column)}"
    owner = f"CASE WHEN count(DISTINCT {clinic}) = 1 AND count({clinic}) = count(*) THEN min({clinic})::bigint END"
    linked = f"lower({key}::text)" if link.folded else key
    found = f"SELECT {linked} AS value, {owner} AS owner FROM {from_table(target.table)} AS l GROUP BY 1"
    own = f"{alias}.{quote(link.column)}"
    same = f"lower({own}::text) AND {own} <> ''" if link.folded else own
    return f" LEFT JOIN ({found}) AS {target_alias} ON {target_alias}.value = {same}", f"{target_alias}.owner"


def direct_column(entry: Entry) -> str:
    """The column that says the clinic of a row. Raises TypeError where the table has none."""
    first = entry.candidates[0]
    if not isinstance(first, ByColumn):
        raise TypeError(f"{entry.name} does not say its clinic itself")
    return first.column


def owners_of(catalogue: Catalogue, numbers: Mapping[TableName, int], starts: str) -> str:
    """Whose the rows are that a query gives: (node, rel, tid, owner), where the owner is NULL if nobody's.

    `starts` gives node (the table's number), rel (tableoid) and tid (ctid as text). It follows the ways to an owner
    from row to row, so it costs as much as there are rows to start from, however large the tables. `numbers` has
    every table that can be met.
    """
    # Each row above the starts is met once, and so is each way between two. A row's best way is the first that leads
    # to an owner, however far; along best ways alone, which cost what there are rows, the owners come down to whoever
    # is not in a circle of them. Only from the rows of such circles the paths are told apart: depth first, best way
    # first, no row twice on one path.
    step = (
        f"CROSS JOIN LATERAL ({' UNION ALL '.join(_steps(catalogue, numbers))}) AS step(rank, node, rel, tid, owner)"
    )
    return (
        f"WITH RECURSIVE begun AS MATERIALIZED (SELECT DISTINCT s.node, s.rel, s.tid FROM ({starts}) AS s),"
        " above(node, rel, tid) AS (SELECT b.node, b.rel, b.tid FROM begun AS b"
        f" UNION SELECT step.node, step.rel, step.tid FROM above AS at {step} WHERE step.tid IS NOT NULL),"
        " way AS MATERIALIZED (SELECT at.node, at.rel, at.tid, step.rank, step.node AS to_node, step.rel AS to_rel,"
        f" step.tid AS to_tid, step.owner FROM above AS at {step}"
        " WHERE step.owner IS NOT NULL OR step.tid IS NOT NULL),"
        " owned(node, rel, tid) AS (SELECT w.node, w.rel, w.tid FROM way AS w WHERE w.owner IS NOT NULL"
        " UNION SELECT w.node, w.rel, w.tid FROM owned AS k"
        " JOIN way AS w ON w.to_tid = k.tid AND w.to_rel = k.rel AND w.to_node = k.node),"
        " best AS MATERIALIZED (SELECT DISTINCT ON (w.node, w.rel, w.tid) w.* FROM way AS w LEFT JOIN owned AS k"
        " ON k.tid = w.to_tid AND k.rel = w.to_rel AND k.node = w.to_node"
        " WHERE w.owner IS NOT NULL OR k.tid IS NOT NULL ORDER BY w.node, w.rel, w.tid, w.rank),"
        " settled(node, rel, tid, owner) AS (SELECT b.node, b.rel, b.tid, b.owner FROM best AS b"
        " WHERE b.owner IS NOT NULL UNION ALL SELECT b.node, b.rel, b.tid, s.owner FROM settled AS s"
        " JOIN best AS b ON b.to_tid = s.tid AND b.to_rel = s.rel AND b.to_node = s.node),"
        " ending AS MATERIALIZED (SELECT w.node, w.rel, w.tid, w.rank, w.to_node, w.to_rel, w.to_tid,"
        " coalesce(w.owner, s.owner) AS owner FROM way AS w LEFT JOIN settled AS s"
        " ON s.tid = w.to_tid AND s.rel = w.to_rel AND s.node = w.to_node),"
        " walk(node, rel, tid, path, at_node, at_rel, at_tid, owner, visited) AS ("
        "SELECT b.node, b.rel, b.tid, ARRAY[]::int[], b.node, b.rel, b.tid, NULL::bigint, ARRAY[(b.rel, b.tid)::text]"
        " FROM begun AS b JOIN best AS w ON w.node = b.node AND w.rel = b.rel AND w.tid = b.tid"
        " LEFT JOIN settled AS s ON s.node = b.node AND s.rel = b.rel AND s.tid = b.tid WHERE s.tid IS NULL"
        " UNION ALL SELECT at.node, at.rel, at.tid, at.path || w.rank, w.to_node, w.to_rel, w.to_tid, w.owner,"
        " at.visited || (w.to_rel, w.to_tid)::text FROM walk AS at"
        " JOIN ending AS w ON w.tid = at.at_tid AND w.rel = at.at_rel AND w.node = at.at_node"
        " WHERE at.owner IS NULL AND (w.owner IS NOT NULL OR (w.to_rel, w.to_tid)::text <> ALL (at.visited))),"
        " answer AS (SELECT s.node, s.rel, s.tid, s.owner FROM settled AS s UNION ALL"
        " (SELECT DISTINCT ON (w.node, w.rel, w.tid) w.node, w.rel, w.tid, w.owner FROM walk AS w"
        " WHERE w.owner IS NOT NULL ORDER BY w.node, w.rel, w.tid, w.path))"
        " SELECT b.node, b.rel, b.tid, a.owner FROM begun AS b"
        " LEFT JOIN answer AS a ON a.node = b.node AND a.rel = b.rel AND a.tid = b.tid"
    )


def _steps(catalogue: Catalogue, numbers: Mapping[TableName, int]) -> Iterator[str]:
    """From the row `at`, one step along each way to an owner: (rank, node, rel, tid, owner)."""
    for name, number in numbers.items():
        entry = catalogue.entries[name]
        undecided = ""
        for rank, way in enumerate(entry.candidates):
            here = f"FROM {from_table(entry.table)} AS {RULE_ALIAS}"
            at = (
                f"WHERE at.node = {number} AND {RULE_ALIAS}.tableoid = at.rel AND {RULE_ALIAS}.ctid = at.tid::tid"
                f"{undecided}"
            )
            if isinstance(way, ByForeignKey):
                target = catalogue.entries[way.foreign_key.target]
                yield (
                    f"SELECT {rank}, {numbers[target.name]}, p.tableoid, p.ctid::text, NULL::bigint {here}"
                    f" JOIN {from_table(target.table)} AS p ON {joined(way.foreign_key, RULE_ALIAS, 'p')} {at}"
                )
            else:
                yield f"SELECT {rank}, NULL::int, NULL::oid, NULL::text, {_value(catalogue, way)} {here} {at}"
            if isinstance(way, ByColumn):
                undecided = f" AND {RULE_ALIAS}.{quote(way.column)} IS NULL"


def _value(catalogue: Catalogue, way: Candidate) -> str:
    match way:
        case ByColumn(column):
            return f"{RULE_ALIAS}.{quote(column)}::bigint"
        case ByRule():
            return rule_value(way)
        case ByLink():
            return link_value(catalogue, way, RULE_ALIAS)
        case WholeTable() | ByForeignKey():
            raise TypeError(f"{way} gives no number")


def ways_up(catalogue: Catalogue, names: set[TableName]) -> list[TableName]:
    """These tables and all that their rows' owners are looked for in, in the catalogue's order."""
    found: set[TableName] = set()
    pending = set(names)
    while pending:
        name = pending.pop()
        found.add(name)
        pending |= catalogue.entries[name].owner_tables - found
    return [name for name in catalogue.entries if name in found]


def leads_nowhere(catalogue: Catalogue, entry: Entry, alias: str) -> str | None:
    """The condition that no way of the table leads from the row to one that is there; None where a way says a number.

    A foreign key that has been validated promises that there is no such row, and the table counts as one of which
    every row has an owner. But whoever switches triggers off (a subscription, a load) may break the promise.
    """
    if entry.kind is not TableClass.OWNED or not entry.definite or not isinstance(entry.candidates[-1], ByForeignKey):
        return None
    conditions = []
    for way in entry.candidates:
        if isinstance(way, ByForeignKey):
            parent = from_table(catalogue.entries[way.foreign_key.target].table)
            conditions.append(f"NOT EXISTS (SELECT FROM {parent} AS p WHERE {joined(way.foreign_key, alias, 'p')})")
        elif isinstance(way, ByColumn):
            conditions.append(f"{alias}.{quote(way.column)} IS NULL")
    return " AND ".join(conditions)


def stray_keys(catalogue: Catalogue, entry: Entry) -> Iterator[ForeignKey]:
    """The foreign keys by which rows of an owned table may point to another clinic's rows.

    The key that decides the owner cannot, nor can the tenant column's own.
    """
    if entry.kind is not TableClass.OWNED:
        return
    best = entry.candidates[0]
    for fk in entry.table.foreign_keys:
        parent = catalogue.entries.get(fk.target)
        if parent is None or parent.kind is not TableClass.OWNED or isinstance(parent.candidates[0], WholeTable):
            continue
        is_tenant_column = fk.target == catalogue.tenant_table and best == ByColumn(fk.columns[0])
        if best != ByForeignKey(fk) and not is_tenant_column:
            yield fk
