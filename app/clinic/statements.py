"""The SQL that picks one clinic's rows. Every statement can be pasted into psql as it stands."""

from collections.abc import Iterator

from app.clinic.catalogue import (
    ByColumn,
    ByForeignKey,
    ByRule,
    Catalogue,
    Entry,
    Source,
    TableClass,
    WholeTable,
)
from app.clinic.introspection import ForeignKey, Table
from app.clinic.ownership import Ownership, stray_keys
from app.clinic.records import record_lines
from app.clinic.sql import columns, from_table, joined, quote


class ClinicStatements:
    """The statements for one clinic, known by its id in the tenant table."""

    def __init__(self, catalogue: Catalogue, clinica_id: int) -> None:
        self._catalogue = catalogue
        self._clinica_id = int(clinica_id)
        self._ownership = Ownership(catalogue)

    def lock(self) -> str:
        """Keep every table that will be read from being dropped, rewritten or truncated meanwhile.

        It comes before the snapshot: a table truncated or rewritten between the two would read as empty
        (https://www.postgresql.org/docs/current/mvcc-caveats.html).
        """
        names = ", ".join(from_table(entry.table) for entry in self._catalogue.entries.values() if entry.recorded)
        return f"LOCK TABLE {names} IN ACCESS SHARE MODE"

    def owned_records(self, entry: Entry) -> str:
        """The clinic's own rows of the table, one record a line, in the file's order."""
        return record_lines(entry.table, self.owned(entry, _names(entry.table)))

    def referenced_records(self, entry: Entry) -> str | None:
        """The table's rows that belong into `referencias`; None where nothing can point to them."""
        if not entry.sources:
            return None
        alias = self._ownership.alias(entry)
        return record_lines(
            entry.table,
            f"SELECT {columns(alias, _names(entry.table))} FROM {from_table(entry.table)} AS {alias}"
            f" WHERE {self._is_reference(entry, alias)}",
        )

    def count_foreign(self, entry: Entry) -> tuple[list[ForeignKey], str] | None:
        """How many of the clinic's rows point, by each of these keys, to a row that is not the clinic's own.

        One scan answers for all keys, as an array of counts. None where no key of the table can.
        """
        keys = list(stray_keys(self._catalogue, entry))
        if not keys:
            return None
        row = self._ownership.name()
        needed = tuple(dict.fromkeys(column for fk in keys for column in fk.columns))
        counts, joins = [], []
        for fk in keys:
            parent = self._catalogue.entries[fk.target]
            own = self._ownership.name()
            rows = self.owned(parent, fk.target_columns)
            joins.append(f" LEFT JOIN ({rows}) AS {own} ON {joined(fk, row, own)}")
            points = " AND ".join(f"{row}.{quote(column)} IS NOT NULL" for column in fk.columns)
            counts.append(f"count(*) FILTER (WHERE {points} AND {own}.{quote(fk.target_columns[0])} IS NULL)")
        return (
            keys,
            f"SELECT ARRAY[{', '.join(counts)}] FROM ({self.owned(entry, needed)}) AS {row}{''.join(joins)}",
        )

    def count_strays(self, entry: Entry, foreign_key: ForeignKey) -> str:
        """How many of the clinic's rows point, by this key, to a row that another clinic owns."""
        row = self._ownership.name()
        return (
            f"SELECT count(*) FROM ({self.owned(entry, foreign_key.columns)}) AS {row}"
            f" WHERE {self._ownership.owner_through(foreign_key, row)} <> {self._clinica_id}"
        )

    def owned(self, entry: Entry, names: tuple[str, ...]) -> str:
        """These columns of the clinic's own rows; system columns, too.

        There is one branch for each way to the owner, so that each can use its own index.
        """
        alias = self._ownership.alias(entry)
        picked = f"SELECT {columns(alias, names)} FROM {from_table(entry.table)} AS {alias}"
        return " UNION ALL ".join(
            f"{picked} WHERE {condition}" if condition else picked for condition in self._conditions(entry, alias)
        )

    def _conditions(self, entry: Entry, alias: str) -> Iterator[str]:
        """Conditions of which just one holds for each row of the clinic, and none for another's."""
        earlier = ""
        for candidate in entry.candidates:
            if entry.cycle and not isinstance(candidate, ByColumn):
                yield f"{earlier}{self._ownership.owner(entry, alias)} = {self._clinica_id}"
                return
            match candidate:
                case WholeTable():
                    yield ""
                case ByColumn(column):
                    yield f"{earlier}{alias}.{quote(column)} = {self._clinica_id}"
                    earlier += f"{alias}.{quote(column)} IS NULL AND "
                case ByRule(expression):
                    yield f"{earlier}({expression}) = {self._clinica_id}"
                case ByForeignKey(fk):
                    parents = self.owned(self._catalogue.entries[fk.target], fk.target_columns)
                    yield f"{earlier}({columns(alias, fk.columns)}) IN ({parents})"
                    earlier += f"{self._ownership.owner_through(fk, alias)} IS NULL AND "

    def _is_reference(self, entry: Entry, alias: str) -> str:
        """Whether the row `alias` belongs into `referencias`."""
        if entry.reference_cycle:
            return f"({alias}.tableoid, {alias}.ctid::text) IN ({self._reach(entry)})"
        return self._pointed_to(entry, alias, entry.sources)

    def _pointed_to(self, entry: Entry, alias: str, sources: tuple[Source, ...]) -> str:
        """Whether any of the sources points to the row, and no clinic owns it."""
        by_target: dict[tuple[str, ...], list[str]] = {}
        for source in sources:
            fk = source.foreign_key
            by_target.setdefault(fk.target_columns, []).append(self._source_rows(source))
        pointed = " OR ".join(
            f"({columns(alias, target)}) IN ({' UNION ALL '.join(rows)})" for target, rows in by_target.items()
        )
        return f"({pointed}){self._and_unowned(entry, alias)}"

    def _source_rows(self, source: Source) -> str:
        entry = self._catalogue.entries[source.table]
        if source.owned:
            return self.owned(entry, source.foreign_key.columns)
        alias = self._ownership.alias(entry)
        return (
            f"SELECT {columns(alias, source.foreign_key.columns)} FROM {from_table(entry.table)} AS {alias}"
            f" WHERE {self._is_reference(entry, alias)}"
        )

    def _and_unowned(self, entry: Entry, alias: str) -> str:
        if entry.kind is TableClass.REFERENCED:
            return ""
        return f" AND {self._ownership.owner(entry, alias)} IS NULL"

    def _reach(self, entry: Entry) -> str:
        """(tableoid, ctid as text) of the table's rows in `referencias`, where tables point to each other."""
        numbers = {name: number for number, name in enumerate(sorted(entry.reference_cycle))}
        starts, steps = [], []
        for name, number in numbers.items():
            here = self._catalogue.entries[name]
            inside = [s for s in here.sources if not s.owned and s.table in numbers]
            outside = tuple(s for s in here.sources if s not in inside)
            if outside:
                alias = self._ownership.alias(here)
                starts.append(
                    f"SELECT {number} AS node, {alias}.tableoid AS rel, {alias}.ctid::text AS tid"
                    f" FROM {from_table(here.table)} AS {alias} WHERE {self._pointed_to(here, alias, outside)}"
                )
            for source in inside:
                child = self._catalogue.entries[source.table]
                row, to = self._ownership.name(), self._ownership.alias(here)
                steps.append(
                    f"SELECT {number}, {to}.tableoid, {to}.ctid::text FROM {from_table(child.table)} AS {row}"
                    f" JOIN {from_table(here.table)} AS {to} ON {joined(source.foreign_key, row, to)}"
                    f" WHERE reach.node = {numbers[source.table]} AND {row}.tableoid = reach.rel"
                    f" AND {row}.ctid = reach.tid::tid{self._and_unowned(here, to)}"
                )
        start = " UNION ALL ".join(starts) or "SELECT 0 AS node, 0::oid AS rel, '' AS tid WHERE false"
        return (
            f"WITH RECURSIVE reach AS (({start}) UNION SELECT step.node, step.rel, step.tid"
            f" FROM reach CROSS JOIN LATERAL ({' UNION ALL '.join(steps)}) AS step(node, rel, tid))"
            f" SELECT reach.rel, reach.tid FROM reach WHERE reach.node = {numbers[entry.name]}"
        )


def _names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)
