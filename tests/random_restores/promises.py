"""Parts of a clinic, and modes: what a restore of them may change, by the rows before, of today, and afterwards.

By plain loops over the rows that a fingerprint has, and not by the queries of the restore.
"""

from collections import Counter
from collections.abc import Iterable
from random import Random

from app.clinic.restore.mode import Modo
from app.clinic.restore.scope import Record, Scope
from tests.random_restores.choices import Part
from tests.random_restores.fingerprint import Fingerprint, Key, Row
from tests.random_restores.schemas import NOBODY, ForeignKey, Table

Place = tuple[int, Key]


def scope_of(part: Part, before: Fingerprint, tables: tuple[Table, ...], mine: int) -> Scope:
    """What to ask the restore of the clinic `mine` for; the records are some of those that it had before."""
    # Shared ones are no models of a clinic.
    owned = [table for table in tables if not table.shared]
    if part.models and owned:
        names = (owned[place % len(owned)].name for place in part.models)
        return Scope(models=tuple(dict.fromkeys(names)), mode=part.modo)
    keyed = [row for row in before.of(mine) if row.table.key]
    if not (part.records and keyed):
        return Scope(mode=part.modo)
    chosen = Random(part.seed).sample(keyed, min(part.records, len(keyed)))
    records = (Record(row.table.name, tuple(str(row.values[name]) for name in row.table.key)) for row in chosen)
    return Scope(records=tuple(records), mode=part.modo)


class Promise:
    """What a restore in this scope has to make of the rows of `now`; `before` are those of the backup."""

    def __init__(self, scope: Scope, before: Fingerprint, now: Fingerprint, mine: int) -> None:
        self._modo = scope.mode
        self._clinic = mine
        # Models of which there is to be nothing else: of a record, what is somebody else's, too, stays.
        self._exact = scope.models or () if scope.mode is Modo.TODO else ()
        self._before, self._now = before, now
        self._mine = before.of(mine)
        if scope.records is not None:
            self.wanted, self._present = _closure(scope.records, self._mine, now.of(mine))
        else:
            names = scope.models
            self.wanted = [row for row in self._mine if names is None or row.table.name in names]
            self._present = [row for row in now.of(mine) if names is None or row.table.name in names]
        # Whoever has a row with the key: it is there.
        self._there = {_place(row) for row in now.rows if row.table.key}

    def broken(self, after: Fingerprint, *, moved: set[int]) -> str | None:
        """What of it is not so; rows of before, by their id, that have `moved` to another clinic stay there."""
        wanted = [row for row in self.wanted if id(row) not in moved]
        now, then = _counted(self._now.rows), _counted(after.rows)
        gone, come = now - then, then - now
        if self._modo is Modo.FALTANTES and gone:
            return f"se fue: {gone}"
        places = {_place(row) for row in wanted if row.table.key}
        goes = {id(row) for row in self._present} if self._modo is Modo.TODO else set()
        may_go = _counted(
            row for row in self._now.rows if id(row) in goes or (row.table.key and _place(row) in places)
        )
        if strange := gone - may_go:
            return f"se fue, o cambió, lo que no se eligió: {strange}"
        may_come = {(row.table.place, row.own) for row in (*wanted, *self._needed(wanted), *self._before.of(NOBODY))}
        own = {(row.table.place, row.text): (row.table.place, row.own) for row in after.rows}
        if strange_new := [each for each in come if own[each] not in may_come]:
            return f"vino lo que no se eligió ni hacía falta: {strange_new}"
        have_to = Counter(
            (row.table.place, row.own)
            for row in wanted
            if self._modo is not Modo.FALTANTES or not row.table.key or _place(row) not in self._there
        )
        if lacking := have_to - Counter((row.table.place, row.own) for row in after.rows):
            return f"no está como en el respaldo: {lacking}"
        if self._now.rest != after.rest:
            return f"cambió en otra parte: {after.rest - self._now.rest} {self._now.rest - after.rest}"
        # What would be another's by being as before stays as it is.
        stays = {_place(row) for row in self.wanted if id(row) in moved and row.table.key}
        found = Counter(
            (row.table.place, row.own)
            for row in after.of(self._clinic)
            if row.table.name in self._exact and _place(row) not in stays
        )
        if extra := found - have_to:
            return f"se quedó lo que el respaldo no tiene: {extra}"
        return None

    def _needed(self, wanted: Iterable[Row]) -> list[Row]:
        """Rows of the clinic's backup to which those lead, and so on upward."""
        found = {id(row): row for row in wanted}
        pending = list(found.values())
        while pending:
            row = pending.pop()
            for fk in row.table.foreign_keys:
                for parent in self._mine:
                    if id(parent) not in found and _leads(row, fk, parent):
                        found[id(parent)] = parent
                        pending.append(parent)
        return list(found.values())


def _closure(records: Iterable[Record], before: list[Row], now: list[Row]) -> tuple[list[Row], list[Row]]:
    """The rows of before and of now that are the records', or hang from them, then or now."""
    asked = {(record.model, record.key) for record in records}
    wanted = {id(row): row for row in before if row.table.key and (row.table.name, row.key) in asked}
    own = dict(wanted)
    present: dict[int, Row] = {}

    def spread() -> int:
        known = len(wanted) + len(present)
        for rows, found in ((before, wanted), (now, present)):
            for row in rows:
                if any(_leads(row, fk, parent) for fk in row.table.foreign_keys for parent in [*found.values()]):
                    found[id(row)] = row
        places = {_place(row) for row in (*wanted.values(), *present.values()) if row.table.key}
        for rows, found in ((before, wanted), (now, present)):
            found.update({id(row): row for row in rows if row.table.key and _place(row) in places})
        return len(wanted) + len(present) - known

    while spread():
        pass
    # The rows that a record is one with, and not what else hangs from them.
    pending = list(own.values())
    while pending:
        row = pending.pop()
        for fk in row.table.foreign_keys:
            for parent in before:
                if set(fk.columns) == set(row.table.key) and _leads(row, fk, parent) and id(parent) not in own:
                    own[id(parent)] = wanted[id(parent)] = parent
                    pending.append(parent)
    places = {_place(row) for row in wanted.values() if row.table.key}
    present.update({id(row): row for row in now if row.table.key and _place(row) in places})
    return list(wanted.values()), list(present.values())


def _leads(row: Row, fk: ForeignKey, parent: Row) -> bool:
    return (
        parent.table.place == fk.target
        and (key := row.points(fk)) is not None
        and key == tuple(parent.values[name] for name in fk.target_columns)
    )


def _place(row: Row) -> Place:
    return row.table.place, row.key


def _counted(rows: Iterable[Row]) -> Counter[tuple[int, str]]:
    return Counter((row.table.place, row.text) for row in rows)
