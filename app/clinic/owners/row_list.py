"""Rows found once and named by every later statement of the transaction, without writing anything.

A list is kept by PostgreSQL itself, as the text of an array in a setting that ends with the transaction: that works
in a read-only transaction and on a hot standby, where no temporary table can be made, takes a dozen bytes a row, and
leaves the statements that use it as short as they are for no row at all. The rows are known by their place, which
no other row takes while a snapshot is held.
"""

from dataclasses import dataclass

from app.clinic.catalogue.introspection import Table
from app.clinic.catalogue.sql import literal


@dataclass(frozen=True, slots=True)
class RowList:
    """Rows of one table, under a name that no other list of the transaction has. It has to be filled before use."""

    name: str
    table: Table

    def fill(self, rows: str) -> str:
        """What a SELECT has to compute so as to keep these rows: a query over `rel` (tableoid) and `tid` (ctid)."""
        kept = [_set(self._places, rows, "tid")]
        if self.table.partitioned:
            kept.append(_set(self._partitions, rows, "rel"))
        return ", ".join(kept)

    def read(self, alias: str) -> str:
        """The condition by which the table under this alias is read straight at the places of the rows."""
        # As a sub-SELECT it is parsed once, not again for each row where PostgreSQL reads a small table whole.
        at_place = f"{alias}.ctid = ANY ((SELECT {_get(self._places)}::tid[])::tid[])"
        return f"{at_place} AND {self.holds(alias)}" if self.table.partitioned else at_place

    def size(self) -> str:
        """How many rows are in it."""
        return f"cardinality({_get(self._places)}::text[])"

    def holds(self, alias: str) -> str:
        """Whether the row is one of them, for rows that something else has found."""
        if not self.table.partitioned:
            return f"{alias}.ctid::text IN (SELECT unnest({_get(self._places)}::text[]))"
        return (
            f"({alias}.tableoid, {alias}.ctid::text) IN (SELECT l.rel, l.tid"
            f" FROM unnest({_get(self._partitions)}::oid[], {_get(self._places)}::text[]) AS l(rel, tid))"
        )

    @property
    def _places(self) -> str:
        return literal(f"respaldos.{self.name}")

    @property
    def _partitions(self) -> str:
        return literal(f"respaldos.{self.name}_partition")


def _set(setting: str, rows: str, column: str) -> str:
    # Its length, because a list may be long, and nobody here reads it.
    kept = f"(SELECT coalesce(array_agg(l.{column})::text, '{{}}') FROM ({rows}) AS l)"
    return f"length(set_config({setting}, {kept}, true))"


def _get(setting: str) -> str:
    return f"current_setting({setting})"
