"""Whose row is it: every table's class, and how the clinic of each of its rows is found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from app.clinic.catalogue.introspection import ForeignKey, Table, TableName
from app.clinic.people.access import identity


class TableClass(StrEnum):
    """What becomes of a table's rows in a backup."""

    OWNED = "propia"
    REFERENCED = "compartida"
    ACCESS = "acceso"
    EXCLUDED = "excluida"
    MIGRATIONS = "migraciones"
    UNCLASSIFIED = "sin clasificar"


@dataclass(frozen=True, slots=True)
class WholeTable:
    """Every row is the clinic's: a table of the clinic's own schema."""


@dataclass(frozen=True, slots=True)
class ByColumn:
    """The column holds the clinic's id."""

    column: str


@dataclass(frozen=True, slots=True)
class ByRule:
    """An SQL expression over alias `t` gives the clinic's id (OWNERSHIP_RULES).

    `several`: it is a sub-SELECT, which may find more than one; then the row is nobody's.
    """

    expression: str
    several: bool = False


@dataclass(frozen=True, slots=True)
class ByLink:
    """The clinic of the rows with the same value: a key that nobody declared (OWNERSHIP_RULES).

    `folded`: the values are text, and compared without regard to case, as the login compares e-mails. Where the rows
    are of more than one clinic, or one is of none, the row is nobody's.
    """

    column: str
    target: TableName
    target_column: str
    folded: bool


@dataclass(frozen=True, slots=True)
class ByForeignKey:
    """The owner of the row that the foreign key points to."""

    foreign_key: ForeignKey


Candidate = WholeTable | ByColumn | ByRule | ByLink | ByForeignKey


@dataclass(frozen=True, slots=True)
class Source:
    """Rows whose foreign key brings the rows it points to into `referencias`.

    They are the clinic's own rows of that table (`owned`), or the table's rows that are in `referencias`.
    """

    table: TableName
    foreign_key: ForeignKey
    owned: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A table in the catalogue.

    `candidates` are the ways to a row's owner, best first: the first that gives one wins. `definite` says
    that one always does, so that no row can be without owner. `cycle` names the tables (this one included)
    whose owners depend on each other; it is empty for most. `sources` say which of its rows that no clinic
    owns go into `referencias`. `overruled` is its tenant column, where a rule says whose its rows are.

    `access`: it lets people in. One that clinics share is of class ACCESS, whatever its candidates: they only say
    which of its rows are logins of the clinic's people.
    """

    table: Table
    model: str
    kind: TableClass
    candidates: tuple[Candidate, ...] = ()
    definite: bool = False
    cycle: frozenset[TableName] = frozenset()
    sources: tuple[Source, ...] = ()
    access: bool = False
    overruled: str | None = None

    @property
    def name(self) -> TableName:
        """The table's name."""
        return self.table.name

    @property
    def direct(self) -> Candidate | None:
        """The best way, where it is a condition that says at once which rows are a clinic's; None where it is not."""
        first = self.candidates[0]
        if isinstance(first, ByRule | ByLink):
            return None
        if isinstance(first, ByForeignKey) and first.foreign_key.target in self.cycle:
            return None
        return first

    @property
    def listed(self) -> bool:
        """Whether a clinic has rows that the direct way does not give: they are found once, and kept in a list."""
        return self.direct is None or len(self.candidates) > 1

    @property
    def owner_tables(self) -> set[TableName]:
        """The tables whose rows may say whose a row of this one is."""
        return {way.foreign_key.target for way in self.candidates if isinstance(way, ByForeignKey)}

    @property
    def recorded(self) -> bool:
        """Whether rows of the table may be in a backup file."""
        return self.kind is TableClass.OWNED or self.referable

    @property
    def referable(self) -> bool:
        """Whether rows of the table may be in `referencias`."""
        return bool(self.sources) or (self.kind is TableClass.ACCESS and bool(self.candidates))

    @property
    def described(self) -> Table:
        """The table as a file has it: of logins that clinics share, who they are and nothing else."""
        if self.kind is not TableClass.ACCESS:
            return self.table
        names = {*identity(self.table), *(way.column for way in self.candidates if isinstance(way, ByColumn))}
        return replace(self.table, columns=tuple(column for column in self.table.columns if column.name in names))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every table of the clinic database, parents before children where that is possible.

    `schema` is the clinic's own in tenancy `schema`, else None; `schema_column` is the column of the table of clinics
    that names it, None in tenancy `column`. `text` is what PostgreSQL answered: two
    catalogues with the same text and settings are the same. `foreign_tables` are those that nobody has excluded,
    `guessed` those taken for access tables just because of their name. `problems` say, of each table whose rule
    cannot be followed, what is wrong with it.
    """

    entries: dict[TableName, Entry]
    tenant_table: TableName
    tenant_key: str
    schema: str | None
    schema_column: str | None
    postgresql: str
    foreign_tables: tuple[TableName, ...]
    guessed: tuple[TableName, ...]
    problems: Mapping[TableName, str]
    text: str = field(repr=False)

    def with_owners(self) -> list[Entry]:
        """The entries whose rows may be tied to a clinic, shared logins included, in the catalogue's order."""
        return [entry for entry in self.entries.values() if entry.candidates]

    def of_class(self, kind: TableClass) -> list[Entry]:
        """The entries of one class, in the catalogue's order."""
        return [entry for entry in self.entries.values() if entry.kind is kind]

    def numbers(self, names: Iterable[TableName]) -> dict[TableName, int]:
        """A number for each of these tables, the same in every statement over this catalogue."""
        wanted = set(names)
        return {name: number for number, name in enumerate(self.entries) if name in wanted}

    def one_with(self, entry: Entry) -> list[ForeignKey]:
        """The keys that make a row of the table one with another, as a patient's that is their user's."""
        return [
            fk
            for fk in entry.table.foreign_keys
            if set(fk.columns) == set(entry.table.key)
            and fk.target in self.entries
            and fk.target not in (entry.name, self.tenant_table)
        ]

    def owner_path(self, entry: Entry) -> str | None:
        """How the owner of a row is found, in words: `pago → factura.clinica_id`. None where there is none."""
        paths = [self._path(entry, candidate, {entry.name}) for candidate in entry.candidates]
        return " | ".join(path for path in paths if path) or None

    def _path(self, entry: Entry, candidate: Candidate, seen: set[TableName]) -> str:
        match candidate:
            case WholeTable():
                return f"{entry.table.name.schema}.*"
            case ByColumn(column):
                return f"{entry.name}.{column}"
            case ByRule(expression):
                return f"{entry.name}: {expression}"
            case ByLink(column, target, target_column):
                return f"{entry.name}.{column} = {target}.{target_column} → {self.owner_path(self.entries[target])}"
            case ByForeignKey(foreign_key):
                parent = self.entries[foreign_key.target]
                # Through a cycle there are more paths than anybody reads; the parent's own header goes on.
                if parent.name in seen or parent.name in entry.cycle:
                    return f"{entry.name} → {parent.name} …"
                ways = [self._path(parent, way, seen | {parent.name}) for way in parent.candidates]
                rest = ways[0] if len(ways) == 1 else f"({' | '.join(ways)})"
                return f"{entry.name} → {rest}"
