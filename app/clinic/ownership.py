"""SQL for whose a row is, whichever clinic that may be."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg

from app.clinic.catalogue import (
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
from app.clinic.introspection import ForeignKey, TableName
from app.clinic.sql import from_table, joined, quote, same_value
from app.errors import CatalogError

# OWNERSHIP_RULES are written over this alias.
RULE_ALIAS = "t"


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
    # Where all that a row reaches says the same clinic, no order matters, and each row is met once. Only where
    # several clinics are reached, the paths are told apart: depth first, best way first, no row twice on one path.
    steps = " UNION ALL ".join(_steps(catalogue, numbers))
    step = f"CROSS JOIN LATERAL ({steps}) AS step(rank, node, rel, tid, owner)"
    return (
        "WITH RECURSIVE begun AS MATERIALIZED"
        f" (SELECT row_number() OVER () AS n, s.node, s.rel, s.tid FROM ({starts}) AS s),"
        " seen(n, node, rel, tid, owner) AS ("
        "SELECT b.n, b.node, b.rel, b.tid, NULL::bigint FROM begun AS b"
        f" UNION SELECT at.n, step.node, step.rel, step.tid, step.owner FROM seen AS at {step}"
        " WHERE step.owner IS NOT NULL OR step.tid IS NOT NULL),"
        " reached AS (SELECT s.n, min(s.owner) AS owner, count(DISTINCT s.owner) AS owners"
        " FROM seen AS s GROUP BY s.n),"
        " walk(n, path, node, rel, tid, owner, visited) AS ("
        "SELECT b.n, ARRAY[]::int[], b.node, b.rel, b.tid, NULL::bigint, ARRAY[(b.rel, b.tid)::text]"
        " FROM begun AS b JOIN reached AS r ON r.n = b.n AND r.owners > 1"
        " UNION ALL SELECT at.n, at.path || step.rank, step.node, step.rel, step.tid, step.owner,"
        f" at.visited || (step.rel, step.tid)::text FROM walk AS at {step}"
        " WHERE step.owner IS NOT NULL"
        " OR step.tid IS NOT NULL AND (step.rel, step.tid)::text <> ALL (at.visited)),"
        " best AS (SELECT DISTINCT ON (w.n) w.n, w.owner FROM walk AS w WHERE w.owner IS NOT NULL"
        " ORDER BY w.n, w.path)"
        " SELECT b.node, b.rel, b.tid, CASE WHEN r.owners > 1 THEN best.owner ELSE r.owner END AS owner"
        " FROM begun AS b JOIN reached AS r ON r.n = b.n LEFT JOIN best ON best.n = b.n"
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
