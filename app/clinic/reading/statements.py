"""The SQL that picks one clinic's rows."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from app.clinic.catalogue.classification import grouped, without_sources
from app.clinic.catalogue.entries import (
    ByColumn,
    ByForeignKey,
    ByLink,
    ByRule,
    Candidate,
    Catalogue,
    Entry,
    Source,
    TableClass,
    WholeTable,
)
from app.clinic.catalogue.introspection import ForeignKey, Table, TableName
from app.clinic.catalogue.ownership import (
    RULE_ALIAS,
    Listing,
    direct_column,
    leads_nowhere,
    owners_of,
    rule_of,
    rule_value,
    stray_keys,
    ways_up,
)
from app.clinic.catalogue.sql import columns, from_table, joined, pointed_to_from, points_into, quote, same_value
from app.clinic.owners.row_list import RowList
from app.clinic.reading.records import record_lines

Group = frozenset[TableName]

Keys = dict[TableName, list[ForeignKey]]

# By table and key of it, how many of a clinic's rows point to a row that is not the clinic's own.
Foreign = Mapping[tuple[TableName, ForeignKey], int]


class ClinicStatements:
    """The statements for one clinic, known by its id in the tenant table.

    Rows whose owner takes more than a condition to find are in lists, which `find_owners` fills: the statements are
    of use in its transaction. `longest` is how many rows the longest of them has, `foreign` what has been
    counted of the clinic's rows that point to rows which are not its own.
    """

    def __init__(self, catalogue: Catalogue, clinica_id: int) -> None:
        self.catalogue = catalogue
        self._clinica_id = int(clinica_id)
        self._numbers = catalogue.numbers(catalogue.entries)
        # Tables whose list was found empty: the statements that follow need not name it.
        self._without_list: set[TableName] = set()
        self.longest = 0
        self.foreign: Foreign = {}

    @property
    def own_entries(self) -> list[Entry]:
        """The tables whose rows, or some of them, are the clinic's."""
        return self.catalogue.of_class(TableClass.OWNED)

    def described(self, entry: Entry) -> Table:
        """The table as the clinic's file has it."""
        return entry.described

    def owned_records(self, entry: Entry) -> str:
        """The clinic's own rows of the table, one record a line, in the file's order."""
        return record_lines(entry.table, self.owned(entry, _names(entry.table)))

    def referenced_records(self, entry: Entry) -> str | None:
        """The table's rows that belong into `referencias`; None where nothing can point to them."""
        now = self._entry(entry)
        if not now.referable:
            return None
        ways = [self._references(entry).read("x")] if now.sources else []
        if now.kind is TableClass.ACCESS and now.candidates:
            ways += self._conditions(now)
        return record_lines(
            now.described,
            f"SELECT {columns('x', _names(now.described))} FROM {from_table(entry.table)} AS x"
            f" WHERE {' OR '.join(ways)}",
        )

    def owned(self, entry: Entry, names: tuple[str, ...]) -> str:
        """These columns of the clinic's own rows; system columns, too."""
        return " UNION ALL ".join(self._picked(entry, names))

    def is_owned(self, entry: Entry, alias: str) -> str:
        """Whether the row `alias`, which something else has found, is the clinic's."""
        entry = self._entry(entry)
        tests = [self._direct(way, alias) or "true" for way in (entry.direct,) if way is not None]
        if self._listed(entry):
            tests.append(self._owned(entry).holds(alias))
        return f"({' OR '.join(tests)}) IS TRUE"

    def nobodys(self, entry: Entry, rows: str) -> str:
        """Of rows that are not this clinic's, given by a query over rel and tid (text): those that are nobody's."""
        entry = self._entry(entry)
        place = f"{RULE_ALIAS}.tableoid = r.rel AND {RULE_ALIAS}.ctid = r.tid::tid"
        if entry.kind is not TableClass.OWNED:
            return rows
        if entry.definite:
            return f"SELECT r.rel, r.tid FROM ({rows}) AS r WHERE false"
        if len(entry.candidates) == 1 and isinstance(way := entry.candidates[0], ByColumn):
            return (
                f"SELECT r.rel, r.tid FROM ({rows}) AS r JOIN {from_table(entry.table)} AS {RULE_ALIAS} ON {place}"
                f" WHERE {RULE_ALIAS}.{quote(way.column)} IS NULL"
            )
        starts = f"SELECT {self._numbers[entry.name]} AS node, r.rel, r.tid FROM ({rows}) AS r"
        return f"SELECT o.rel, o.tid FROM ({self._owners_of({entry.name}, starts)}) AS o WHERE o.owner IS NULL"

    def others(self, entry: Entry, rows: str) -> str:
        """Of rows given by a query over rel and tid (text): those that are another clinic's."""
        starts = f"SELECT {self._numbers[entry.name]} AS node, r.rel, r.tid FROM ({rows}) AS r"
        return (
            f"SELECT o.rel, o.tid FROM ({self._owners_of({entry.name}, starts)}) AS o"
            f" WHERE o.owner <> {self._clinica_id}"
        )

    def lead_elsewhere(self) -> list[str]:
        """By table of `deciding_keys`: whether a row in its list points by one of them to another's row, or nobody's.

        Each row pointed to is looked up by its key: of a list PostgreSQL expects ten rows, so it takes the index.
        """
        return [
            self._leads_elsewhere(self.catalogue.entries[name], keys) for name, keys in self.deciding_keys().items()
        ]

    def _leads_elsewhere(self, entry: Entry, keys: Sequence[ForeignKey]) -> str:
        joins, tests = [], []
        for number, fk in enumerate(keys):
            parent, alias = self.catalogue.entries[fk.target], f"p{number}"
            joins.append(f" LEFT JOIN {from_table(parent.table)} AS {alias} ON {joined(fk, 'x', alias)}")
            points = " AND ".join(f"x.{quote(column)} IS NOT NULL" for column in fk.columns)
            tests.append(f"{points} AND NOT {self.is_owned(parent, alias)}")
        return (
            f"EXISTS (SELECT FROM {from_table(entry.table)} AS x{''.join(joins)}"
            f" WHERE {self._owned(entry).read('x')} AND ({' OR '.join(tests)}))"
        )

    def count_foreign(self, entry: Entry, keys: Sequence[ForeignKey]) -> str:
        """How many of the clinic's rows point, by each of these keys, to a row that is not the clinic's own.

        One scan answers for all keys, with a column for each.
        """
        needed = tuple(dict.fromkeys(column for fk in keys for column in fk.columns))
        counts, joins = [], []
        for number, fk in enumerate(keys):
            own = f"p{number}"
            rows = self.owned(self.catalogue.entries[fk.target], fk.target_columns)
            joins.append(f" LEFT JOIN ({rows}) AS {own} ON {joined(fk, 'c', own)}")
            points = " AND ".join(f"c.{quote(column)} IS NOT NULL" for column in fk.columns)
            counts.append(f"count(*) FILTER (WHERE {points} AND {own}.{quote(fk.target_columns[0])} IS NULL)")
        return f"SELECT {', '.join(counts)} FROM ({self.owned(entry, needed)}) AS c{''.join(joins)}"

    def count_cross_tenant(self, entry: Entry, foreign_key: ForeignKey) -> str:
        """How many of the clinic's rows point, by this key, to a row that another clinic owns."""
        parent = self.catalogue.entries[foreign_key.target]
        pointing = (
            f"SELECT p.tableoid AS rel, p.ctid::text AS tid FROM ({self.owned(entry, foreign_key.columns)}) AS c"
            f" JOIN {from_table(parent.table)} AS p ON {joined(foreign_key, 'c', 'p')}"
            f" WHERE NOT {self.is_owned(parent, 'p')}"
        )
        free = self.nobodys(parent, "SELECT DISTINCT s.rel, s.tid FROM strays AS s")
        return (
            f"WITH strays AS MATERIALIZED ({pointing}) SELECT count(*) FROM strays AS s"
            f" WHERE (s.rel, s.tid) NOT IN ({free})"
        )

    def count_lost(self, entry: Entry) -> str | None:
        """How many rows that should be the clinic's the statements do not give; None where there can be none.

        What the tenant column decides is read by the very condition that a count would have. What is left are rows
        that point to nothing by the keys that promise them an owner, and to the clinic's rows by another one; and
        rows whose tenant column says the clinic, where a rule says something else.
        """
        entry = self._entry(entry)
        table = from_table(entry.table)
        if entry.overruled is not None:
            said = f"x.{quote(entry.overruled)} = {self._clinica_id}"
            return f"SELECT count(*) FROM {table} AS x WHERE {said} AND NOT {self.is_owned(entry, 'x')}"
        lost = leads_nowhere(self.catalogue, entry, "x")
        others = [
            f"SELECT x.tableoid, x.ctid FROM {table} AS x WHERE {points_into(fk, 'x', self._parents(fk))} AND {lost}"
            for fk in entry.table.foreign_keys
            if ByForeignKey(fk) not in entry.candidates
            and fk.target in self.catalogue.entries
            and self.catalogue.entries[fk.target].kind is TableClass.OWNED
        ]
        if lost is None or not others:
            return None
        return f"SELECT count(*) FROM ({' UNION '.join(others)}) AS l"

    def own_lists(self, careful: Collection[str], *, doubting: bool) -> Iterator[Listing]:
        """What fills the lists of the clinic's own rows, in this order.

        What is found is right where none of the rows found leads, by any of `deciding_keys`, to another clinic's row,
        or to nobody's, too. With `doubting` each SELECT tells whether one does (`is_doubtful`). Then it is to be
        asked for again with that name in `careful`: who comes first decides, and to find that takes a statement that
        is slow to plan.
        """
        for group in grouped({e.name: e.owner_tables for e in self.catalogue.with_owners()}):
            if any(self.catalogue.entries[name].listed for name in group):
                name = self._name("propias", min(group))
                rule = rule_of(self.catalogue.entries[table] for table in group)
                yield Listing(name, self._find_owned(group, doubting=doubting, careful=name in careful), rule)

    def reference_lists(self, careful: Collection[str]) -> Iterator[Listing]:
        """What fills the lists of rows that belong into `referencias`, in this order; see `find_references`."""
        referenced = [entry for entry in self.catalogue.entries.values() if entry.sources]
        for group in grouped({e.name: {s.table for s in e.sources if not s.owned} for e in referenced}):
            name = self._name("referidas", min(group))
            yield Listing(name, self._find_references(group, careful=name in careful))

    def sizes(self) -> dict[TableName, str]:
        """For each table with a list of the clinic's own rows, once filled: how many there are."""
        return {e.name: self._owned(e).size() for e in self.catalogue.with_owners() if e.listed}

    def keep_sizes(self, sizes: Mapping[TableName, int]) -> None:
        """Go by what `sizes` asks for: a list without rows is named no more."""
        self._without_list = {name for name, rows in sizes.items() if not rows}
        self.longest = max(sizes.values(), default=0)

    def deciding_keys(self) -> Keys:
        """By table, the keys that say whose a row in a list is, where something else may say so as well."""
        entries = [entry for entry in self.catalogue.with_owners() if _doubted(entry) and self._listed(entry)]
        return {entry.name: [way.foreign_key for way in _doubted(entry)] for entry in entries}

    def nobodys_keys(self) -> Keys:
        """By table, the keys by which a clinic's row may point to nobody's row of a table with owners.

        Those of `foreign` are not among them.
        """
        deciding = self.deciding_keys()
        keys = {
            e.name: [
                fk
                for fk in dict.fromkeys((*stray_keys(self.catalogue, e), *deciding.get(e.name, ())))
                if not self.catalogue.entries[fk.target].definite and (e.name, fk) not in self.foreign
            ]
            for e in self.catalogue.of_class(TableClass.OWNED)
        }
        return {name: some for name, some in keys.items() if some}

    def keep_foreign(self, foreign: Foreign) -> None:
        """Go by what was counted for `nobodys_keys`: where no row points, no row belongs into `referencias`."""
        self.foreign = {**self.foreign, **foreign}
        self.catalogue = without_sources(self.catalogue, {key for key, rows in self.foreign.items() if rows})

    def is_doubtful(self, name: str) -> str:
        """After the listing of that name: whether it has to be asked for again."""
        return f"current_setting('respaldos.{name}_dudosas') <> ''"

    def _picked(self, entry: Entry, names: tuple[str, ...]) -> Iterator[str]:
        """Queries that have the clinic's own rows together."""
        picked = f"SELECT {columns('x', names)} FROM {from_table(entry.table)} AS x"
        for condition in self._conditions(entry):
            yield f"{picked} WHERE {condition}" if condition else picked

    def _conditions(self, entry: Entry) -> Iterator[str]:
        """Conditions over the alias x of which just one holds for each row of the clinic, and none for another's."""
        entry = self._entry(entry)
        if entry.direct is not None:
            yield self._direct(entry.direct, "x")
        if self._listed(entry):
            yield self._owned(entry).read("x")

    def _listed(self, entry: Entry) -> bool:
        return entry.listed and (entry.direct is None or entry.name not in self._without_list)

    def _direct(self, way: Candidate, alias: str) -> str:
        """The condition of a direct way; empty where every row is the clinic's."""
        match way:
            case WholeTable():
                return ""
            case ByColumn(column):
                return f"{alias}.{quote(column)} = {self._clinica_id}"
            case ByForeignKey(fk):
                return points_into(fk, alias, self._parents(fk))
            case ByRule() | ByLink():
                raise TypeError(f"{way} is no condition that an index knows")

    def _parents(self, fk: ForeignKey) -> str:
        return self.owned(self.catalogue.entries[fk.target], fk.target_columns)

    def _find_owned(self, group: Group, *, doubting: bool, careful: bool) -> str:
        """Fill the lists of the clinic's rows in these tables, which are one, or point to each other in a circle."""
        entries = [self.catalogue.entries[name] for name in sorted(group)]
        starts = " UNION ".join(part for entry in entries for part in self._starts(entry))
        doubts = " UNION ALL ".join(part for entry in entries for part in self._doubts(entry)) if doubting else ""
        steps = " UNION ALL ".join(part for entry in entries for part in self._steps(entry))
        found = starts or "SELECT NULL::int AS node, NULL::oid AS rel, NULL::text AS tid WHERE false"
        if steps:
            found = (
                f"SELECT s.node, s.rel, s.tid FROM ({found}) AS s UNION SELECT step.node, step.rel, step.tid"
                f" FROM found AS f CROSS JOIN LATERAL ({steps}) AS step(node, rel, tid)"
            )
        parts = [f"found(node, rel, tid) AS ({found})"]
        doubted = "false"
        rows = "SELECT f.node, f.rel, f.tid FROM found AS f"
        if doubts and not careful:
            doubted = f"EXISTS ({doubts})"
        elif doubts:
            # In a circle, what was found by way of a doubtful row is doubtful, too.
            parts.append(f"doubt AS MATERIALIZED ({rows if steps else f'SELECT DISTINCT d.* FROM ({doubts}) AS d'})")
            owners = self._owners_of(group, "SELECT d.node, d.rel, d.tid FROM doubt AS d")
            rows += (
                " EXCEPT SELECT d.node, d.rel, d.tid FROM doubt AS d UNION ALL"
                f" SELECT o.node, o.rel, o.tid FROM ({owners}) AS o WHERE o.owner = {self._clinica_id}"
            )
        lists = {entry.name: self._owned(entry) for entry in entries if entry.listed}
        return self._fill("propias", group, parts, lists, rows, doubted)

    def _fill(
        self,
        kind: str,
        group: Group,
        parts: Iterable[str],
        lists: dict[TableName, RowList],
        rows: str,
        doubted: str,
    ) -> str:
        fills = [
            kept.fill(f"SELECT k.rel, k.tid FROM kept AS k WHERE k.node = {self._numbers[name]}")
            for name, kept in lists.items()
        ]
        doubt = f"'respaldos.{self._name(kind, min(group))}_dudosas'"
        fills.append(f"set_config({doubt}, CASE WHEN {doubted} THEN 'x' ELSE '' END, true)")
        everything = ", ".join([*parts, f"kept AS MATERIALIZED ({rows})"])
        return f"WITH RECURSIVE {everything} SELECT {', '.join(fills)}"

    def _starts(self, entry: Entry) -> Iterator[str]:
        """Rows that an indirect way gives from outside their circle: (node, rel, tid)."""
        for way in entry.candidates:
            if way == entry.direct:
                continue
            alias = RULE_ALIAS if isinstance(way, ByRule) else "x"
            for given in self._given(entry, way, alias):
                yield (
                    f"SELECT {self._numbers[entry.name]} AS node, {alias}.tableoid AS rel, {alias}.ctid::text AS tid"
                    f" FROM {from_table(entry.table)} AS {alias} WHERE {given}{self._undecided(entry, alias)}"
                )

    def _given(self, entry: Entry, way: Candidate, alias: str) -> Iterator[str]:
        """Conditions of which one holds for each row that the way gives from outside its circle."""
        match way:
            case ByLink():
                yield self._linked(way, alias)
            case ByRule():
                yield f"{rule_value(way)} = {self._clinica_id}"
            case ByForeignKey(fk):
                parent = self.catalogue.entries[fk.target]
                if parent.name not in entry.cycle:
                    parents = list(self._picked(parent, fk.target_columns))
                elif parent.direct is not None:
                    parents = [self._direct_rows(parent, fk.target_columns)]
                else:
                    parents = []
                # Each by itself: of a UNION ALL PostgreSQL does not know how many values it has, and takes it for few
                # even where the clinic's rows are many and those without clinic few.
                for rows in parents:
                    yield points_into(fk, alias, rows)
            case _:
                raise TypeError(f"{way} of {entry.name} is direct")

    def _direct_rows(self, entry: Entry, names: tuple[str, ...]) -> str:
        picked = f"SELECT {columns('x', names)} FROM {from_table(entry.table)} AS x"
        condition = self._direct(entry.direct, "x") if entry.direct is not None else "false"
        return f"{picked} WHERE {condition}" if condition else picked

    def _undecided(self, entry: Entry, alias: str) -> str:
        """That the direct way does not make the row the clinic's, and no column says whose it is."""
        match entry.direct:
            case None:
                return ""
            case ByColumn(column):
                return f" AND {alias}.{quote(column)} IS NULL"
            case way:
                return f" AND ({self._direct(way, alias) or 'true'}) IS NOT TRUE"

    def _linked(self, link: ByLink, alias: str) -> str:
        target = self.catalogue.entries[link.target]
        clinic = f"l.{quote(direct_column(target))}"
        table = from_table(target.table)
        key, value = f"l.{quote(link.target_column)}", f"{alias}.{quote(link.column)}"
        folded = f"lower({value}::text)" if link.folded else value
        of_target = f"lower({key}::text)" if link.folded else key
        filled = f" AND {key} <> ''" if link.folded else ""
        return (
            f"{folded} IN (SELECT {of_target} FROM {table} AS l WHERE {clinic} = {self._clinica_id}{filled})"
            f" AND NOT EXISTS (SELECT FROM {table} AS l WHERE {same_value(link.folded, key, value)}"
            f" AND {clinic} IS DISTINCT FROM {self._clinica_id})"
        )

    def _steps(self, entry: Entry) -> Iterator[str]:
        """From a row `f` found in a circle, the rows that point to it from within."""
        for way in entry.candidates:
            if not isinstance(way, ByForeignKey) or way.foreign_key.target not in entry.cycle:
                continue
            parent = self.catalogue.entries[way.foreign_key.target]
            yield (
                f"SELECT {self._numbers[entry.name]}, x.tableoid, x.ctid::text FROM {from_table(parent.table)} AS p"
                f" JOIN {from_table(entry.table)} AS x ON {joined(way.foreign_key, 'x', 'p')}"
                f" WHERE f.node = {self._numbers[parent.name]} AND p.tableoid = f.rel AND p.ctid = f.tid::tid"
                f"{self._undecided(entry, 'x')}"
            )

    def _doubts(self, entry: Entry) -> Iterator[str]:
        """Rows found that lead, by some way, to a row that has not been found to be the clinic's."""
        here = (
            f"SELECT f.node, f.rel, f.tid FROM found AS f"
            f" JOIN {from_table(entry.table)} AS x ON x.tableoid = f.rel AND x.ctid = f.tid::tid"
        )
        node = f"f.node = {self._numbers[entry.name]}"
        for way in _doubted(entry):
            parent = self.catalogue.entries[way.foreign_key.target]
            mine = self.is_owned(parent, "p")
            if parent.name in entry.cycle:
                direct = self._direct(parent.direct, "p") or "true" if parent.direct is not None else "false"
                mine = (
                    f"(({direct}) IS TRUE OR EXISTS (SELECT FROM found AS g WHERE"
                    f" g.node = {self._numbers[parent.name]} AND g.rel = p.tableoid AND g.tid = p.ctid::text))"
                )
            yield (
                f"{here} JOIN {from_table(parent.table)} AS p ON {joined(way.foreign_key, 'x', 'p')}"
                f" WHERE {node} AND NOT {mine}"
            )

    def _find_references(self, group: Group, *, careful: bool) -> str:
        """Fill the lists of the rows of these tables that belong into `referencias`.

        They are pointed to by the clinic's own rows, or by rows in `referencias`, and no clinic owns them.
        """
        entries = [self.catalogue.entries[name] for name in sorted(group)]
        # Of rows that nobody owns it takes a search to know that nobody does, where there is more than one way.
        searched = {e.name for e in entries if e.kind is TableClass.OWNED and not _decided_by_column(e)}
        over = self._reach(entries, group, "")
        parts, name = [f"over(node, rel, tid) AS ({over})"], "over"
        doubted = "false"
        if searched and not careful:
            numbers = ", ".join(str(self._numbers[name]) for name in sorted(searched))
            doubted = f"EXISTS (SELECT FROM over AS o WHERE o.node IN ({numbers}))"
        elif searched:
            owners = self._owners_of(searched, self._of_nodes("over", searched))
            parts.append(f"free AS MATERIALIZED (SELECT o.* FROM ({owners}) AS o WHERE o.owner IS NULL)")
            numbers = ", ".join(str(self._numbers[name]) for name in sorted(searched))
            free = (
                f" AND (step.node NOT IN ({numbers}) OR EXISTS (SELECT FROM free AS g WHERE g.node = step.node"
                " AND g.rel = step.rel AND g.tid = step.tid))"
            )
            parts.append(f"reach(node, rel, tid) AS ({self._reach(entries, group, free, 'reach')})")
            name = "reach"
        lists = {entry.name: self._references(entry) for entry in entries}
        rows = f"SELECT r.node, r.rel, r.tid FROM {name} AS r"
        return self._fill("referidas", group, parts, lists, rows, doubted)

    def _of_nodes(self, name: str, tables: Collection[TableName]) -> str:
        numbers = ", ".join(str(self._numbers[table]) for table in sorted(tables))
        return f"SELECT o.node, o.rel, o.tid FROM {name} AS o WHERE o.node IN ({numbers})"

    def _reach(self, entries: Iterable[Entry], group: Group, only: str, name: str = "over") -> str:
        """(node, rel, tid) of what is pointed to, and so on upward; `only` is a condition on `step`."""
        starts, steps = [], []
        for entry in entries:
            number, unowned = self._numbers[entry.name], self._may_be_reference(entry)
            for source in entry.sources:
                fk = source.foreign_key
                child = self.catalogue.entries[source.table]
                if source.owned or source.table not in group:
                    starts += [
                        f"SELECT {number} AS node, x.tableoid AS rel, x.ctid::text AS tid"
                        f" FROM {from_table(entry.table)} AS x"
                        f" WHERE {pointed_to_from(fk, 'x', rows)}{unowned}"
                        for rows in self._source_rows(source)
                    ]
                else:
                    steps.append(
                        f"SELECT {number}, x.tableoid, x.ctid::text FROM {from_table(child.table)} AS c"
                        f" JOIN {from_table(entry.table)} AS x ON {joined(fk, 'c', 'x')}"
                        f" WHERE r.node = {self._numbers[child.name]} AND c.tableoid = r.rel"
                        f" AND c.ctid = r.tid::tid{unowned}"
                    )
        start = " UNION ".join(starts) or "SELECT NULL::int AS node, NULL::oid AS rel, NULL::text AS tid WHERE false"
        found = f"SELECT step.node, step.rel, step.tid FROM ({start}) AS step(node, rel, tid) WHERE true{only}"
        if not steps:
            return found
        return (
            f"{found} UNION SELECT step.node, step.rel, step.tid FROM {name} AS r"
            f" CROSS JOIN LATERAL ({' UNION ALL '.join(steps)}) AS step(node, rel, tid) WHERE true{only}"
        )

    def _source_rows(self, source: Source) -> Iterator[str]:
        entry = self.catalogue.entries[source.table]
        names = source.foreign_key.columns
        if source.owned:
            yield from self._picked(entry, names)
        else:
            table = from_table(entry.table)
            yield f"SELECT {columns('x', names)} FROM {table} AS x WHERE {self._references(entry).read('x')}"

    def _may_be_reference(self, entry: Entry) -> str:
        """That the row `x` is not known to be a clinic's."""
        if entry.kind is not TableClass.OWNED:
            return ""
        first = entry.candidates[0]
        column = f" AND x.{quote(first.column)} IS NULL" if isinstance(first, ByColumn) else ""
        return column if _decided_by_column(entry) else f"{column} AND NOT {self.is_owned(entry, 'x')}"

    def _owners_of(self, names: Collection[TableName], starts: str) -> str:
        return owners_of(self.catalogue, self.catalogue.numbers(ways_up(self.catalogue, set(names))), starts)

    def _entry(self, entry: Entry) -> Entry:
        """As this transaction's rows have it: a restore knows the table as any row might."""
        return self.catalogue.entries[entry.name]

    def _owned(self, entry: Entry) -> RowList:
        return RowList(self._name("propias", entry.name), entry.table)

    def _references(self, entry: Entry) -> RowList:
        return RowList(self._name("referidas", entry.name), entry.table)

    def _name(self, kind: str, table: TableName) -> str:
        return f"{kind}_{self._numbers[table]}"


def _doubted(entry: Entry) -> list[ByForeignKey]:
    """The ways by which a row in the list may lead elsewhere than the one by which it was found."""
    # The tenant column of those is empty: where one way is left, they were found by it.
    others = [way for way in entry.candidates if not isinstance(way, ByColumn)]
    return [way for way in others if isinstance(way, ByForeignKey)] if entry.listed and len(others) > 1 else []


def _decided_by_column(entry: Entry) -> bool:
    """Whether the tenant column alone says whose a row is: where it is empty, nobody's."""
    return len(entry.candidates) == 1 and isinstance(entry.candidates[0], ByColumn)


def _names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)
