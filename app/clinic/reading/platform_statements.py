"""The SQL that picks what no clinic owns: the platform's rows."""

from typing import TypeAlias

from app.clinic.catalogue.entries import Catalogue, Entry, TableClass
from app.clinic.catalogue.introspection import Table
from app.clinic.catalogue.sql import columns, from_table
from app.clinic.owners.all_clinics import AllOwners
from app.clinic.people.access import is_secret
from app.clinic.reading.records import record_lines
from app.clinic.reading.statements import ClinicStatements


class PlatformStatements:
    """As ClinicStatements, for the rows that are in no clinic's file.

    These are all rows of a table that is not the clinics', whether anybody has classified it or not; of a table of
    the clinics, those that nobody owns, or a clinic that the tenant table lacks (`missing` says that there may be
    such); and the table of clinics, which says what clinics there are: without it none could be restored.
    """

    def __init__(self, catalogue: Catalogue, owners: AllOwners, *, missing: bool) -> None:
        self.catalogue = catalogue
        self._owners = owners
        self._missing = missing

    @property
    def own_entries(self) -> list[Entry]:
        """The tables whose rows, or some of them, may be the platform's."""
        return platform_entries(self.catalogue)

    def described(self, entry: Entry) -> Table:
        """The table as the platform's file has it: whole, since logins are the platform's."""
        return entry.table

    def owned_records(self, entry: Entry) -> str:
        """The platform's rows of the table, one record a line, in the file's order."""
        return record_lines(entry.table, self.owned(entry, tuple(column.name for column in entry.table.columns)))

    def referenced_records(self, entry: Entry) -> None:
        """None: what the platform's rows point to is the platform's, or in a clinic's file."""

    def owned(self, entry: Entry, names: tuple[str, ...]) -> str:
        """These columns of the platform's rows; system columns, too."""
        entry = self._entry(entry)
        everything = f"SELECT {columns('x', names)} FROM {from_table(entry.table)} AS x"
        if self._whole(entry):
            return everything
        if entry.definite and not self._missing:
            return f"{everything} WHERE false"
        return self._owners.without_clinic(entry, names, missing=self._missing)

    def is_owned(self, entry: Entry, alias: str) -> str:
        """Whether the row `alias`, which something else has found, is the platform's."""
        if self._whole(self._entry(entry)):
            return "true"
        own = self.owned(entry, ("tableoid", "ctid"))
        place = f"o.tableoid = {alias}.tableoid AND o.ctid = {alias}.ctid"
        return f"EXISTS (SELECT FROM ({own}) AS o WHERE {place})"

    def nobodys(self, entry: Entry, rows: str) -> str:  # noqa: ARG002 (as a clinic's)
        """Of rows that are not the platform's, given by a query over rel and tid: none, what is nobody's is its."""
        return f"SELECT r.rel, r.tid FROM ({rows}) AS r WHERE false"

    def of_clinic_there(self, entry: Entry, alias: str) -> str | None:
        """Whether the row `alias`, of the database or not, names a clinic that there is; None where none can."""
        return None if self._whole(self._entry(entry)) else self._owners.names_clinic(self._entry(entry), alias)

    def _whole(self, entry: Entry) -> bool:
        return entry.kind is not TableClass.OWNED or entry.name == self.catalogue.tenant_table

    def _entry(self, entry: Entry) -> Entry:
        return self.catalogue.entries[entry.name]


Statements: TypeAlias = ClinicStatements | PlatformStatements


def platform_entries(catalogue: Catalogue) -> list[Entry]:
    """The tables that the platform's file has, in the catalogue's order."""
    # Who is logged in right now is worth nothing after a restore, and a file that holds it opens every account.
    return [
        entry
        for entry in catalogue.entries.values()
        if entry.kind not in {TableClass.EXCLUDED, TableClass.MIGRATIONS}
        and not (entry.access and is_secret(entry.name))
    ]
