"""What one record was like in each backup, and is today."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
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
from app.errors import NotCompleted, RecordNotFound, RespaldosError
from app.respaldos.backup import queries as backup_queries
from app.respaldos.databases import transaction
from app.respaldos.models import Estado
from app.respaldos.resources import Resources
from app.respaldos.search.contract import (
    CambioDeColumna,
    CampoDeRegistro,
    Dependiente,
    Dependientes,
    HistoriaDeRegistro,
    RegistroEntero,
    VersionDeRegistro,
    model_name,
)
from app.respaldos.search.found import TODAY
from app.respaldos.search.records import Relations, Row, forget_patterns, version
from app.respaldos.search.search import CUT, LONGEST_SECONDS, backup_files, labels_of
from app.respaldos.search.sources import (
    UNREADABLE,
    BackupFile,
    Source,
    Today,
    copies_read,
    repeated,
    unreadable,
    values_of,
)
from app.respaldos.search.turns import in_turns

# Of the records that depend on one, by model.
EXAMPLES: Final = 5

# The same where one version is shown by itself.
HANGING: Final = 20

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


async def registro_entero(
    resources: Resources, modelo: str, clave: str, *, respaldo_id: int | None, clinica_id: int | None
) -> RegistroEntero:
    """All that the record says in that backup, or today, and what depends on it there.

    Raises RecordNotFound, RespaldoNotFound, NotCompleted, ClinicNotFound, SettingsError, DatabaseError, and
    FormatError or StorageError where the backup cannot be read.
    """
    try:
        async with _record(resources, modelo, clave, clinica_id=clinica_id) as record:
            sources: list[Source] = [record.today]
            if respaldo_id is not None:
                sources.append(await _backup_file(resources, record, respaldo_id, clinica_id=clinica_id))
            history = _History(sources, record.labels, record.lookups, [])
            source = sources[-1]
            found = await history.in_time(source.look_up(set(record.lookups))) or {}
            if record.lookups[0] not in found:
                raise _not_read(modelo, record.clave) if CUT in history.avisos else _not_there(record, respaldo_id)
            version_ = _Version((len(sources) - 1,), found)
            return RegistroEntero(
                **record.named(await history.label(version_)),
                en_respaldo=respaldo_id,
                fecha=source.taken_at,
                campos=await history.fields(version_),
                dependientes=await history.dependents(version_, record.dependents(version_), limit=HANGING),
                avisos=[*history.avisos, *copies_read(sources)],
            )
    finally:
        forget_patterns()


async def _told(
    resources: Resources, modelo: str, clave: str, *, dias: int, clinica_id: int | None
) -> HistoriaDeRegistro:
    async with _record(resources, modelo, clave, clinica_id=clinica_id) as record:
        files, avisos = await backup_files(resources, record.catalogue, record.relations, dias, clinica_id=clinica_id)
        history = _History([record.today, *files], record.labels, record.lookups, avisos)
        await history.read_all()
        newest = history.newest()
        if newest is None:
            raise _not_read(modelo, record.clave) if CUT in avisos else _unknown(modelo, record.clave)
        return HistoriaDeRegistro(
            **record.named(await history.label(newest)),
            versiones=await history.versions(),
            dependientes=await history.dependents(newest, record.dependents(newest), limit=EXAMPLES),
            avisos=[*history.avisos, *copies_read(files)],
        )


@dataclass(frozen=True, slots=True)
class _Record:
    """A record that is asked for: `lookups` find it, the first, and those that it is one with."""

    catalogue: Catalogue
    relations: Relations
    labels: Labels
    today: Today
    entry: Entry
    clave: str
    lookups: Sequence[Lookup]

    def named(self, label: str) -> dict[str, str]:
        """The keys that say which it is."""
        model = self.entry.model
        return {"modelo": model, "modelo_nombre": model_name(model), "clave": self.clave, "etiqueta": label}

    def dependents(self, of: _Version) -> list[Lookup]:
        """By which values the clinic's tables point to it."""
        return _dependents(self.catalogue, self.entry, of.rows[self.lookups[0]])


@asynccontextmanager
async def _record(resources: Resources, modelo: str, clave: str, *, clinica_id: int | None) -> AsyncIterator[_Record]:
    async with resources.clinic.snapshot(clinica_id, own=True) as snapshot:
        relations = Relations(snapshot.catalogue)
        entry = _entry(snapshot.statements, modelo, clave)
        today = Today(snapshot, resources.secrets)
        lookups = _lookups(relations, entry, clave)
        # Files are searched for a key as it is written; PostgreSQL knows that 015 is 15.
        for row in (await today.look_up({lookups[0]})).values():
            clave = row.clave or clave
            lookups = _lookups(relations, entry, clave)
        labels = labels_of(resources, snapshot.catalogue)
        yield _Record(snapshot.catalogue, relations, labels, today, entry, clave, lookups)


async def _backup_file(
    resources: Resources, record: _Record, respaldo_id: int, *, clinica_id: int | None
) -> BackupFile:
    async with transaction(resources) as session:
        respaldo = await backup_queries.get(session, respaldo_id, clinica_id=clinica_id)
    if respaldo.estado != Estado.COMPLETADO:
        raise NotCompleted(f"el respaldo {respaldo_id} está {respaldo.estado}", respaldo.estado)
    return BackupFile(resources, respaldo, record.catalogue, record.relations)


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
        self._unreadable: dict[int, RespaldosError] = {}
        self._called: dict[int, Mapping[Lookup, str]] = {}

    async def read_all(self) -> None:
        """Look them up in all sources."""
        same = repeated(self._sources)
        await in_turns(self._read, [number for number in range(len(self._sources)) if number not in same])
        for number, first in same.items():
            if first in self._seen:
                self._seen[number] = self._seen[first]
            elif (why := self._unreadable.get(first)) is not None:
                self.avisos.append(unreadable(self._sources[number], why))

    async def _read(self, number: int) -> None:
        source = self._sources[number]
        try:
            asked = source.look_up(set(self._lookups))
            found = await (asked if number == TODAY else self.in_time(asked))
        except UNREADABLE as exc:
            self._unreadable[number] = exc
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
        await self._call(self._asked(list(pairwise(there))))
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

    async def fields(self, of: _Version) -> list[CampoDeRegistro]:
        """All that it says in that version, with those that it is one with; of a secret only that it is one."""
        present = [row for lookup in self._lookups if (row := of.rows.get(lookup)) is not None]
        columns = [(row, column) for row in present for column in row.model.columns]
        targets = {lookup for row, column in columns if (lookup := self._target(row, column)) is not None}
        await self._call({of.numbers[-1]: targets})
        return [
            CampoDeRegistro(
                columna=column.name,
                modelo=row.model.name,
                valor=_whole(row, column),
                etiqueta=self._pointed_to(of, row, column),
            )
            for row, column in columns
        ]

    async def dependents(self, of: _Version, lookups: Sequence[Lookup], *, limit: int) -> list[Dependientes]:
        """How many records point to it in the newest source of that version, by model; of each the first are told."""
        source = self._sources[of.numbers[-1]]
        found: list[Dependientes] = []
        try:
            pointing = await self.in_time(source.pointing(lookups, limit=limit)) or {}
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
        return await self.in_time(values_of(source, lookups)) or {}

    async def in_time(self, asked: Awaitable[Said]) -> Said | None:
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

    def _asked(self, pairs: Sequence[tuple[_Version, _Version]]) -> dict[int, set[Lookup]]:
        """By source, what the changed columns point to."""
        asked: dict[int, set[Lookup]] = {}
        for before, after in pairs:
            for _, column, old, new in self._changed(before, after):
                for of, row in ((before, old), (after, new)):
                    if (lookup := self._target(row, column)) is not None:
                        asked.setdefault(of.numbers[-1], set()).add(lookup)
        return asked

    async def _call(self, asked: Mapping[int, set[Lookup]]) -> None:
        """Find out what these records are called: today, or else in their source.

        A file is read for all of them at once.
        """
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


def _whole(row: Row, column: ColumnHeader) -> Value:
    value = row.values.get(column.name)
    if value is None:
        return None
    if column.name in row.model.secret:
        return HIDDEN
    if column.type == "bytea":
        # As `\\x` and two digits a byte, which say nothing to anybody.
        return f"{(len(value) - 2) // 2:,} bytes"
    return shown_value(column.type, column.type.startswith(_NUMBERS), row.model.secrets.shown(value))


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


def _not_there(record: _Record, respaldo_id: int | None) -> RecordNotFound:
    where = f"en el respaldo {respaldo_id}" if respaldo_id is not None else "hoy"
    return RecordNotFound(f"«{record.entry.model}:{record.clave}» no está {where}")


def _not_read(modelo: str, clave: str) -> RecordNotFound:
    return RecordNotFound(f"el registro «{modelo}:{clave}» no está hoy ni en los respaldos que se leyeron: {CUT}")
