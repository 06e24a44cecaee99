"""SQL for whose a row is, whichever clinic that may be."""

import itertools
from collections.abc import Iterator

from app.clinic.catalogue import (
    ByColumn,
    ByForeignKey,
    ByRule,
    Candidate,
    Catalogue,
    Entry,
    TableClass,
    WholeTable,
)
from app.clinic.introspection import ForeignKey
from app.clinic.sql import columns, from_table, joined, quote

# OWNERSHIP_RULES are written over this alias.
RULE_ALIAS = "t"


class Ownership:
    """Builds statements over one catalogue; an instance never gives two parts of one statement the same alias."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._serial = itertools.count(1)

    def alias(self, entry: Entry) -> str:
        """A name for the table that no other part of the statement has."""
        return RULE_ALIAS if _has_rule(entry) else self.name()

    def name(self) -> str:
        """A name that no other part of the statement has."""
        return f"x{next(self._serial)}"

    def count_unowned(self, entry: Entry) -> str:
        """How many rows of the table no clinic owns."""
        alias = self.alias(entry)
        first = entry.candidates[0]
        indexable = f"{alias}.{quote(first.column)} IS NULL AND " if isinstance(first, ByColumn) else ""
        owner = self.owner(entry, alias)
        return f"SELECT count(*) FROM {from_table(entry.table)} AS {alias} WHERE {indexable}{owner} IS NULL"

    def names_no_clinic(self, entry: Entry) -> str | None:
        """Whether a row states a clinic that the tenant table lacks; None where no row can."""
        stated = entry.candidates[0]
        if entry.name == self._catalogue.tenant_table or not isinstance(stated, ByColumn | ByRule):
            return None
        if isinstance(stated, ByColumn) and any(
            fk.columns == (stated.column,) and fk.target == self._catalogue.tenant_table and fk.validated
            for fk in entry.table.foreign_keys
        ):
            return None
        alias = self.alias(entry)
        return (
            f"SELECT EXISTS (SELECT FROM {from_table(entry.table)} AS {alias}"
            f" WHERE {self._owner_by(stated, alias)} NOT IN ({self._clinics()}))"
        )

    def count_without_clinic(self, entry: Entry) -> str:
        """As `count_unowned`, with the rows whose owner the tenant table lacks."""
        alias, row, owner = self.alias(entry), self.name(), self.name()
        return (
            f"SELECT count(*) FROM (SELECT {self.owner(entry, alias)} AS {owner}"
            f" FROM {from_table(entry.table)} AS {alias}) AS {row}"
            f" WHERE {row}.{owner} IS NULL OR {row}.{owner} NOT IN ({self._clinics()})"
        )

    def _clinics(self) -> str:
        tenants = self._catalogue.entries[self._catalogue.tenant_table].table
        alias = self.name()
        key = f"{alias}.{quote(self._catalogue.tenant_key)}"
        return f"SELECT {key} FROM {from_table(tenants)} AS {alias} WHERE {key} IS NOT NULL"

    def count_strays(self, entry: Entry, foreign_key: ForeignKey) -> str:
        """How many rows of the table point, by this key, to a row that another clinic owns."""
        alias, row, owner = self.alias(entry), self.name(), self.name()
        return (
            f"SELECT count(*) FROM"
            f" (SELECT {self.owner(entry, alias)} AS {owner}, {columns(alias, foreign_key.columns)}"
            f" FROM {from_table(entry.table)} AS {alias}) AS {row}"
            f" WHERE {row}.{owner} <> {self.owner_through(foreign_key, row)}"
        )

    def owner(self, entry: Entry, alias: str) -> str:
        """The id of the clinic that owns the row `alias`, or NULL."""
        if entry.cycle:
            return self._search(entry, alias)
        ways = [self._owner_by(candidate, alias) for candidate in entry.candidates]
        return ways[0] if len(ways) == 1 else f"coalesce({', '.join(ways)})"

    def owner_through(self, foreign_key: ForeignKey, alias: str) -> str:
        """The owner of the row that the row `alias` points to, or NULL."""
        parent = self._catalogue.entries[foreign_key.target]
        to = self.alias(parent)
        return (
            f"(SELECT {self.owner(parent, to)} FROM {from_table(parent.table)} AS {to}"
            f" WHERE {joined(foreign_key, alias, to)})"
        )

    def _owner_by(self, candidate: Candidate, alias: str) -> str:
        match candidate:
            case ByColumn(column):
                return f"{alias}.{quote(column)}"
            case ByRule(expression):
                return f"({expression})"
            case ByForeignKey(foreign_key):
                return self.owner_through(foreign_key, alias)
            case WholeTable():
                raise TypeError("every row of the table is the clinic's: there is nothing to look up")

    def _search(self, entry: Entry, alias: str) -> str:
        """The owner where tables depend on each other: depth first, best way first, no row twice on one path.

        A row is known by (tableoid, ctid), which is stable within the snapshot and needs no key.
        """
        numbers = {name: number for number, name in enumerate(sorted(entry.cycle))}
        steps = []
        for name, number in numbers.items():
            here = self._catalogue.entries[name]
            for rank, candidate in enumerate(here.candidates):
                row = self.name()
                at = f"walk.node = {number} AND {row}.tableoid = walk.rel AND {row}.ctid = walk.tid"
                if isinstance(candidate, ByForeignKey) and candidate.foreign_key.target in numbers:
                    fk = candidate.foreign_key
                    parent = self._catalogue.entries[fk.target]
                    to = self.name()
                    steps.append(
                        f"SELECT {rank}, {numbers[fk.target]}, {to}.tableoid, {to}.ctid, NULL::bigint"
                        f" FROM {from_table(here.table)} AS {row}"
                        f" JOIN {from_table(parent.table)} AS {to} ON {joined(fk, row, to)} WHERE {at}"
                    )
                else:
                    steps.append(
                        f"SELECT {rank}, NULL::int, NULL::oid, NULL::tid, {self._owner_by(candidate, row)}::bigint"
                        f" FROM {from_table(here.table)} AS {row} WHERE {at}"
                    )
        return (
            "(WITH RECURSIVE walk(path, node, rel, tid, owner, visited) AS ("
            f"SELECT ARRAY[]::int[], {numbers[entry.name]}, {alias}.tableoid, {alias}.ctid, NULL::bigint,"
            f" ARRAY[({alias}.tableoid, {alias}.ctid)::text]"
            " UNION ALL "
            "SELECT walk.path || step.rank, step.node, step.rel, step.tid, step.owner,"
            " walk.visited || (step.rel, step.tid)::text"
            f" FROM walk CROSS JOIN LATERAL ({' UNION ALL '.join(steps)})"
            " AS step(rank, node, rel, tid, owner)"
            " WHERE step.owner IS NOT NULL"
            " OR step.tid IS NOT NULL AND (step.rel, step.tid)::text <> ALL (walk.visited)"
            ") SELECT owner FROM walk WHERE owner IS NOT NULL ORDER BY path LIMIT 1)"
        )


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


def _has_rule(entry: Entry) -> bool:
    return any(isinstance(candidate, ByRule) for candidate in entry.candidates)
