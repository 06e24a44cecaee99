"""What one record was like in each backup, and is today."""

import asyncio
from collections.abc import Awaitable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final, TypeVar

from app.clinic.catalogue.entries import Catalogue, Entry, TableClass
from app.clinic.catalogue.secret_columns import HIDDEN
from app.clinic.labels import Labels
from app.clinic.reading.look_up import Lookup, Values
from app.clinic.reading.platform_statements import Statements
from app.clinic.restore.changed_rows import Value, cut_both, shown_value
from app.dump.document import ColumnHeader
from app.errors import RecordNotFound
from app.respaldos.resources import Resources
from app.respaldos.search.contract import (
    CambioDeColumna,
    Dependiente,
    Dependientes,
    HistoriaDeRegistro,
    VersionDeRegistro,
    model_name,
)
from app.respaldos.search.found import TODAY
from app.respaldos.search.records import Relations, Row, forget_patterns, version
from app.respaldos.search.search import CUT, LONGEST_SECONDS, backup_files, labels_of
from app.respaldos.search.sources import UNREADABLE, Source, Today, unreadable, values_of
from app.respaldos.search.turns import in_turns

# Of the records that depend on one, by model.
EXAMPLES: Final = 5

Said = TypeVar("Said")

_NUMBERS: Final = ("smallint", "integer", "bigint", "numeric", "real", "double precision")


@dataclass(frozen=True, slots=True)
class _Version:
    """What the record and those that it is one with are like in these sources, oldest first; no rows: not there."""

    numbers: tuple[int, ...]
    rows: Mapping[Lookup, Row]


async def historia_de_registro(
    resources: Resources, modelo: str, clave: str, *, dias: int, clinica_id: int | None
) -> HistoriaDeRegistro:
    """The record's versions in the backups of the last days and today, and what depends on it.

    Raises RecordNotFound, ClinicNotFound, SettingsError, DatabaseError; of a backup that cannot be read it tells.
    """
    try:
        return await _told(resources, modelo, clave, dias=dias, clinica_id=clinica_id)
    finally:
        forget_patterns()


async def _told(
    resources: Resources, modelo: str, clave: str, *, dias: int, clinica_id: int | None
) -> HistoriaDeRegistro:
    async with resources.clinic.snapshot(clinica_id, own=True) as snapshot:
        catalogue = snapshot.catalogue
        relations = Relations(catalogue)
        entry = _entry(snapshot.statements, modelo, clave)
        today = Today(snapshot, resources.secrets)
        lookups = _lookups(relations, entry, clave)
        # Files are searched for a key as it is written; PostgreSQL knows that 015 is 15.
        for row in (await today.look_up({lookups[0]})).values():
            clave = row.clave or clave
            lookups = _lookups(relations, entry, clave)
        files, avisos = await backup_files(resources, catalogue, relations, dias, clinica_id=clinica_id)
        history = _History([today, *files], labels_of(resources, catalogue), lookups, avisos)
        await in_turns(history.read, range(len(files) + 1))
        newest = history.newest()
        if newest is None:
            raise _not_read(modelo, clave) if CUT in avisos else _unknown(modelo, clave)
        return HistoriaDeRegistro(
            modelo=entry.model,
            modelo_nombre=model_name(entry.model),
            clave=clave,
            etiqueta=await history.label(newest),
            versiones=await history.versions(),
            dependientes=await history.dependents(newest, _dependents(catalogue, entry, newest.rows[lookups[0]])),
            avisos=history.avisos,
        )


class _History:
    """What the sources say of the records that are looked up, the first of which has the history."""

    def __init__(
        self, sources: Sequence[Source], labels: Labels, lookups: Sequence[Lookup], avisos: list[str]
    ) -> None:
        self.avisos = avisos
        self._deadline = asyncio.get_running_loop().time() + LONGEST_SECONDS
        self._sources = sources
        self._labels = labels
        self._lookups = lookups
        self._seen: dict[int, Mapping[Lookup, Row]] = {}
        self._called: dict[int, Mapping[Lookup, str]] = {}

    async def read(self, number: int) -> None:
        """Look them up in one source."""
        source = self._sources[number]
        try:
            asked = source.look_up(set(self._lookups))
            found = await (asked if number == TODAY else self._in_time(asked))
        except UNREADABLE as exc:
            self.avisos.append(unreadable(source, exc))
            return
        if found is None:
            return
        self._seen[number] = found if self._lookups[0] in found else {}

    def newest(self) -> _Version | None:
        """The newest version that there is of it."""
        return next((each for each in reversed(self._distinct()) if each.rows), None)

    async def label(self, of: _Version) -> str:
        """What the record is called in that version."""
        source = self._sources[of.numbers[-1]]
        row = of.rows[self._lookups[0]]
        (label,) = await self._labelled(source, [row])
        return label

    async def versions(self) -> list[VersionDeRegistro]:
        """All of them, newest first, from the oldest in which the record is there."""
        shown = []
        distinct = self._distinct()
        there = [each for each in distinct if each.rows]
        await self._call(list(pairwise(there)))
        before: _Version | None = None
        for each in distinct:
            backups = [number for number in each.numbers if number != TODAY]
            shown.append(
                VersionDeRegistro(
                    desde=self._sources[each.numbers[0]].taken_at,
                    hasta=self._sources[each.numbers[-1]].taken_at,
                    existe=bool(each.rows),
                    en_respaldo=self._sources[backups[-1]].respaldo_id if each.rows and backups else None,
                    hoy=TODAY in each.numbers,
                    cambios=self._changes(before, each) if before is not None and each.rows else [],
                )
            )
            before = each if each.rows else before
        return shown[::-1]

    async def dependents(self, of: _Version, lookups: Sequence[Lookup]) -> list[Dependientes]:
        """How many records point to it in the newest source of that version, by model."""
        source = self._sources[of.numbers[-1]]
        found: list[Dependientes] = []
        try:
            pointing = await self._in_time(source.pointing(lookups, limit=EXAMPLES)) or {}
        except UNREADABLE as exc:
            self.avisos.append(unreadable(source, exc))
            return found
        for count, rows in pointing.values():
            if not rows:
                continue
            labels = await self._labelled(source, rows)
            found.append(
                Dependientes(
                    modelo=rows[0].model.name,
                    cantidad=count,
                    ejemplos=[
                        Dependiente(clave=row.clave, etiqueta=label) for row, label in zip(rows, labels, strict=True)
                    ],
                )
            )
        return found

    async def _labelled(self, source: Source, rows: Sequence[Row]) -> list[str]:
        """What they are called, by model and key where the source cannot be read any further."""
        try:
            labels = await self._labels.of(
                [(row.model.table, row.values) for row in rows], partial(self._values, source)
            )
        except UNREADABLE as exc:
            self.avisos.append(unreadable(source, exc))
            labels = [""] * len(rows)
        return [label or row.name for row, label in zip(rows, labels, strict=True)]

    async def _values(self, source: Source, lookups: Collection[Lookup]) -> Mapping[Lookup, Values]:
        return await self._in_time(values_of(source, lookups)) or {}

    async def _in_time(self, asked: Awaitable[Said]) -> Said | None:
        """What a source answers; None where the time for all of them is up, which is said."""
        try:
            async with asyncio.timeout_at(self._deadline) as deadline:
                return await asked
        except TimeoutError:
            if not deadline.expired():
                raise
            if CUT not in self.avisos:
                self.avisos.insert(0, CUT)
            return None

    def _distinct(self) -> list[_Version]:
        found: list[_Version] = []
        last: int | None = None
        for number in sorted(self._seen, reverse=True):
            rows = self._seen[number]
            state = version([rows.get(lookup) for lookup in self._lookups]) if rows else None
            if found and state == last:
                found[-1] = _Version((*found[-1].numbers, number), rows)
            elif found or rows:
                found.append(_Version((number,), rows))
            last = state
        return found

    def _changes(self, before: _Version, after: _Version) -> list[CambioDeColumna]:
        """What is different, column by column; a record that it is one with may have come or gone."""
        found = []
        for row, column, old, new in self._changed(before, after):
            was, now = (each.values.get(column.name) if each is not None else None for each in (old, new))
            antes, despues = self._shown(row, column, was, now)
            found.append(
                CambioDeColumna(
                    columna=column.name,
                    modelo=row.model.name,
                    antes=antes,
                    despues=despues,
                    etiqueta_antes=self._pointed_to(before, old, column),
                    etiqueta_despues=self._pointed_to(after, new, column),
                )
            )
        return found

    def _changed(
        self, before: _Version, after: _Version
    ) -> Iterator[tuple[Row, ColumnHeader, Row | None, Row | None]]:
        """Each column that is different, with a row that has it and with both rows."""
        for lookup in self._lookups:
            old, new = before.rows.get(lookup), after.rows.get(lookup)
            row = new or old
            if row is None:
                continue
            for column in row.model.columns:
                was, now = (each.values.get(column.name) if each is not None else None for each in (old, new))
                if was != now:
                    yield row, column, old, new

    def _shown(self, row: Row, column: ColumnHeader, was: str | None, now: str | None) -> tuple[Value, Value]:
        if column.name in row.model.secret:
            return HIDDEN, HIDDEN
        was, now = (row.model.secrets.shown(value) if value is not None else None for value in (was, now))
        if was == now:
            return HIDDEN, HIDDEN
        number = column.type.startswith(_NUMBERS)
        first, second = cut_both(was, now)
        return shown_value(column.type, number, first), shown_value(column.type, number, second)

    async def _call(self, pairs: Sequence[tuple[_Version, _Version]]) -> None:
        """Find out what the records are called that the changed columns point to: today, or else then.

        A file is read for all of them at once.
        """
        asked: dict[int, set[Lookup]] = {}
        for before, after in pairs:
            for _, column, old, new in self._changed(before, after):
                for of, row in ((before, old), (after, new)):
                    if (lookup := self._target(row, column)) is not None:
                        asked.setdefault(of.numbers[-1], set()).add(lookup)
        today = await self._labels.at(set().union(*asked.values()), partial(self._values, self._sources[TODAY]))
        for number, lookups in asked.items():
            self._called[number] = today
            with suppress(*UNREADABLE):
                then = await self._labels.at(lookups - today.keys(), partial(self._values, self._sources[number]))
                self._called[number] = today | then

    def _pointed_to(self, of: _Version, row: Row | None, column: ColumnHeader) -> str | None:
        lookup = self._target(row, column)
        return self._called[of.numbers[-1]].get(lookup) if lookup is not None else None

    def _target(self, row: Row | None, column: ColumnHeader) -> Lookup | None:
        value = row.values.get(column.name) if row is not None else None
        if row is None or value is None:
            return None
        return self._labels.target(row.model.table, column.name, value)


def _entry(statements: Statements, modelo: str, clave: str) -> Entry:
    own = statements.own_entries
    for entry in statements.catalogue.entries.values():
        if modelo in {entry.model, str(entry.name)} and entry.table.key:
            if entry in own:
                return entry
            raise RecordNotFound(
                f"no hay historia de «{modelo}:{clave}»: «{modelo}» es de todas las clínicas o del acceso al sistema,"
                " y la historia es de los registros propios de una clínica"
            )
    raise _unknown(modelo, clave)


def _lookups(relations: Relations, entry: Entry, clave: str) -> list[Lookup]:
    """The record itself, and those that it is one with, which have its key."""
    key = entry.table.key
    # A comma may be part of a value where there is but one.
    values = clave.split(",") if len(key) > 1 else [clave]
    if len(values) != len(key):
        raise _unknown(entry.model, clave)
    found = [Lookup(entry.name, key, tuple(values))]
    seen = {entry.name}
    for lookup in found:
        by_name = dict(zip(lookup.columns, lookup.values, strict=True))
        for fk in relations.parents(lookup.table):
            if fk.target not in seen and by_name.keys() >= set(fk.columns):
                seen.add(fk.target)
                found.append(Lookup(fk.target, fk.target_columns, tuple(by_name[name] for name in fk.columns)))
    return found


def _dependents(catalogue: Catalogue, entry: Entry, row: Row) -> list[Lookup]:
    """By which values the clinic's tables point to the record: a table may by several keys."""
    return [
        lookup
        for child in catalogue.of_class(TableClass.OWNED)
        for fk in child.table.foreign_keys
        if fk.target == entry.name and (lookup := row.pointed_to(fk, child.name)) is not None
    ]


def _unknown(modelo: str, clave: str) -> RecordNotFound:
    return RecordNotFound(f"no existe el registro «{modelo}:{clave}», ni hoy ni en los respaldos de esos días")


def _not_read(modelo: str, clave: str) -> RecordNotFound:
    return RecordNotFound(f"el registro «{modelo}:{clave}» no está hoy ni en los respaldos que se leyeron: {CUT}")
