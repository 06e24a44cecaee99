"""What the role that restores has to be allowed."""

from collections.abc import Collection

from app.clinic.catalogue.introspection import TableName
from app.clinic.restore.constraints import Constraints
from app.clinic.rights import Needed, needed_on

# On a table whose rows are the clinic's, and on one that it shares.
WRITTEN = ("SELECT", "INSERT", "UPDATE", "DELETE")
ADDED = ("SELECT", "INSERT")


def also_needed(constraints: Constraints, written: Collection[TableName], *, replica: bool) -> list[Needed]:
    """What writing these tables takes besides: their sequences; with triggers switched off, what they point to."""
    needed = [
        each
        for table in written
        for sequence in constraints.of(table).sequences
        for each in needed_on(TableName(sequence.schema, sequence.name), "SELECT", "UPDATE")
    ]
    if replica:
        # What rows point to is locked by the restore itself then, and not by the key.
        needed += [
            each
            for reference in constraints.references
            if reference.child_root in written and reference.validated
            for each in needed_on(reference.parent, "UPDATE")
        ]
    return needed
