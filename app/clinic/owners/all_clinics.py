"""SQL for whose every row of the database is: what is nobody's, and what points into another clinic."""

from collections.abc import Iterator

from app.clinic.catalogue.classification import grouped
from app.clinic.catalogue.entries import ByColumn, ByForeignKey, ByLink, ByRule, Candidate, Catalogue, Entry
from app.clinic.catalogue.introspection import ForeignKey, TableName
from app.clinic.catalogue.ownership import (
    RULE_ALIAS,
    Listing,
    leads_nowhere,
    linked_owner,
    owners_of,
    rule_of,
    rule_value,
    ways_up,
)
from app.clinic.catalogue.sql import columns, from_table, joined, literal, quote


class AllOwners:
    """Statements over the narrowed catalogue of one transaction.

    The owners of rows that no direct way gives are found once, by `lists`, in its order, and are kept by PostgreSQL
    in settings that end with the transaction (see `RowList`).
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._numbers = catalogue.numbers(catalogue.entries)

    def lists(self) -> Iterator[tuple[frozenset[TableName], Listing]]:
        """The SELECT that lists a table, or those that are in a circle, after those that they depend on."""
        for group in grouped({e.name: e.owner_tables for e in self._catalogue.with_owners()}):
            entries = [self._catalogue.entries[name] for name in sorted(group)]
            if any(entry.listed for entry in entries):
                statement = self._circle(entries) if entries[0].cycle else self._list(entries[0])
                yield group, Listing(str(entries[0].name), statement, rule_of(entries))

    def depends_on(self, entry: Entry) -> set[TableName]:
        """The tables, this one included, without whose lists nothing can be said of the owners of its rows."""
        return set(ways_up(self._catalogue, {entry.name}))

    def without_clinic(self, entry: Entry, names: tuple[str, ...], *, missing: bool) -> str:
        """These columns of the table's rows that no clinic owns; `missing`: or one that the tenant table lacks."""
        joins, owner = self._owner(entry, "x")
        nobodys = f"{owner} IS NULL"
        if missing:
            nobodys += f" OR {owner} NOT IN ({self._clinics(shared=False)})"
        return f"SELECT {columns('x', names)} FROM {from_table(entry.table)} AS x{joins} WHERE {nobodys}"

    def names_clinic(self, entry: Entry, alias: str) -> str | None:
        """Whether the row `alias`, of this table or not, has a clinic of the tenant table in the column for it."""
        stated = entry.candidates[0]
        if not isinstance(stated, ByColumn):
            return None
        return f"{alias}.{quote(stated.column)} IN ({self._clinics(shared=False)})"

    def count_unowned(self, entry: Entry) -> str:
        """How many rows of the table no clinic owns."""
        joins, owner = self._owner(entry, "x")
        return f"SELECT count(*) FROM {from_table(entry.table)} AS x{joins} WHERE {owner} IS NULL"

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
        joins, owner = self._owner(entry, "x")
        return (
            f"SELECT EXISTS (SELECT FROM {from_table(entry.table)} AS x{joins}"
            f" WHERE {owner} NOT IN ({self._clinics()}))"
        )

    def count_without_clinic(self, entry: Entry) -> str:
        """As `count_unowned`, with the rows whose owner the tenant table lacks."""
        return f"{self.count_unowned(entry)} OR {self._owner(entry, 'x')[1]} NOT IN ({self._clinics()})"

    def count_lost(self, entry: Entry) -> str | None:
        """How many rows of the table point to nothing by the keys that promise them an owner; None where none can."""
        lost = leads_nowhere(self._catalogue, entry, "x")
        return f"SELECT count(*) FROM {from_table(entry.table)} AS x WHERE {lost}" if lost is not None else None

    def count_cross_tenant(self, entry: Entry, foreign_key: ForeignKey) -> str:
        """How many rows of the table point, by this key, to a row that another clinic owns."""
        parent = self._catalogue.entries[foreign_key.target]
        joins, owner = self._owner(entry, "x")
        of_parent, parents_owner = self._owner(parent, "y")
        return (
            f"SELECT count(*) FROM {from_table(entry.table)} AS x{joins}"
            f" JOIN {from_table(parent.table)} AS y ON {joined(foreign_key, 'x', 'y')}{of_parent}"
            f" WHERE {owner} <> {parents_owner}"
        )

    def _owner(self, entry: Entry, alias: str) -> tuple[str, str]:
        """What has to be joined to the row `alias`, and the value that is its owner or NULL."""
        joins, values = "", []
        match entry.direct:
            case ByColumn(column):
                values.append(f"{alias}.{quote(column)}::bigint")
            case ByForeignKey() as way:
                joins, value = self._owner_by(way, alias, f"{alias}_")
                values.append(value)
        if entry.listed:
            kept = f"{alias}l"
            joins += (
                f" LEFT JOIN {self._read(entry)} AS {kept}(rel, tid, owner)"
                f" ON {kept}.rel = {alias}.tableoid AND {kept}.tid = {alias}.ctid::text"
            )
            values.append(f"{kept}.owner")
        return joins, values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"

    def _owner_by(self, way: ByForeignKey, alias: str, parent_alias: str) -> tuple[str, str]:
        parent = self._catalogue.entries[way.foreign_key.target]
        joins, value = self._owner(parent, parent_alias)
        on = joined(way.foreign_key, alias, parent_alias)
        return f" LEFT JOIN {from_table(parent.table)} AS {parent_alias} ON {on}{joins}", value

    def _list(self, entry: Entry) -> str:
        alias = RULE_ALIAS
        joins, undecided, values = "", "true", []
        for number, way in enumerate(entry.candidates):
            join, value = self._way(way, alias, f"p{number}")
            joins += join
            if way == entry.direct:
                undecided = f"{value} IS NULL"
            else:
                values.append(value)
        found = (
            f"SELECT {alias}.tableoid AS rel, {alias}.ctid::text AS tid, coalesce({', '.join(values)}) AS owner"
            f" FROM {from_table(entry.table)} AS {alias}{joins} WHERE {undecided}"
        )
        return f"WITH found AS MATERIALIZED ({found}) SELECT {self._fill(entry, 'SELECT f.* FROM found AS f')}"

    def _way(self, way: Candidate, alias: str, parent_alias: str) -> tuple[str, str]:
        match way:
            case ByColumn(column):
                return "", f"{alias}.{quote(column)}::bigint"
            case ByRule():
                return "", rule_value(way)
            case ByLink():
                return linked_owner(self._catalogue, way, alias, parent_alias)
            case ByForeignKey():
                return self._owner_by(way, alias, parent_alias)
        raise TypeError(f"{way} gives no number")

    def _circle(self, entries: list[Entry]) -> str:
        starts = []
        for entry in entries:
            joins, where = "", ""
            match entry.direct:
                case ByColumn(column):
                    where = f" WHERE x.{quote(column)} IS NULL"
                case ByForeignKey() as way:
                    joins, value = self._owner_by(way, "x", "x_")
                    where = f" WHERE {value} IS NULL"
            starts.append(
                f"SELECT {self._numbers[entry.name]} AS node, x.tableoid AS rel, x.ctid::text AS tid"
                f" FROM {from_table(entry.table)} AS x{joins}{where}"
            )
        names = {entry.name for entry in entries}
        numbers = self._catalogue.numbers(ways_up(self._catalogue, names))
        found = owners_of(self._catalogue, numbers, " UNION ALL ".join(starts))
        fills = ", ".join(
            self._fill(
                entry,
                f"SELECT f.rel, f.tid, f.owner FROM found AS f WHERE f.node = {self._numbers[entry.name]}",
            )
            for entry in entries
            if entry.listed
        )
        return f"WITH found AS MATERIALIZED ({found}) SELECT {fills}"

    def _fill(self, entry: Entry, rows: str) -> str:
        """`rows` gives the same order whenever it is asked."""
        return ", ".join(
            f"length(set_config({self._setting(entry, column)},"
            f" (SELECT coalesce(array_agg(l.{column})::text, '{{}}') FROM ({rows}) AS l), true))"
            for column in ("rel", "tid", "owner")
        )

    def _read(self, entry: Entry) -> str:
        rel, tid, owner = (f"current_setting({self._setting(entry, name)})" for name in ("rel", "tid", "owner"))
        return f"unnest({rel}::oid[], {tid}::text[], {owner}::bigint[])"

    def _setting(self, entry: Entry, column: str) -> str:
        return literal(f"respaldos.todas_{self._numbers[entry.name]}_{column}")

    def _clinics(self, *, shared: bool = True) -> str:
        """The ids in the table of clinics; without `shared`, not that of the entry of the shared schema."""
        tenants = self._catalogue.entries[self._catalogue.tenant_table].table
        key = f"c.{quote(self._catalogue.tenant_key)}"
        ids = f"SELECT {key} FROM {from_table(tenants)} AS c WHERE {key} IS NOT NULL"
        if shared or self._catalogue.schema_column is None:
            return ids
        own = literal(self._catalogue.tenant_table.schema)
        return f"{ids} AND c.{quote(self._catalogue.schema_column)}::text IS DISTINCT FROM {own}"
