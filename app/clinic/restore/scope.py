"""What of a clinic is restored: all of it, some models, or some records with what hangs from them."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self, TypeAlias

import asyncpg

from app.clinic.catalogue.base_types import base_types
from app.clinic.catalogue.entries import Catalogue, Entry, TableClass
from app.clinic.catalogue.introspection import ForeignKey
from app.clinic.catalogue.ownership import ANY_WAY, BY_HASH
from app.clinic.catalogue.sql import columns, joined, pointed_to_from, points_into, quote
from app.clinic.reading.platform_statements import Statements
from app.clinic.reading.records import LINE
from app.clinic.restore.errors import value_errors
from app.clinic.restore.mode import Modo
from app.clinic.restore.naming import NAMED
from app.clinic.restore.staged_tables import AT, OWN, PLACE, REL, TID, StagedTable, create_typed, typed_rows
from app.dump.document import Section
from app.errors import InvalidRequest, RestoreRefused
from app.record_names import named

# What the rows of a model with these keys are called, empty where nothing says.
LabelsOf: TypeAlias = Callable[[StagedTable, Sequence[tuple[str, ...]]], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its model, or the model's table, and the values of its key in the key's order, as text."""

    model: str
    key: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.model}:{','.join(self.key)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `modelo:clave`, or `modelo:clave,clave`. Raises InvalidRequest."""
        model, colon, key = text.partition(":")
        if not (model and colon and key) or "\0" in text:
            raise InvalidRequest(f"«{text}» no es un registro; se escribe modelo:clave, por ejemplo pacientes:15")
        return cls(model, tuple(key.split(",")))


@dataclass(frozen=True, slots=True)
class Scope:
    """With neither `models` nor `records`, the whole clinic.

    `access`: logins and privileges, too, exactly, where they are the clinic's own. `clinic`: its own row in the table
    of clinics, too.
    """

    models: tuple[str, ...] | None = None
    records: tuple[Record, ...] | None = None
    mode: Modo = Modo.TODO
    access: bool = False
    clinic: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is the whole clinic."""
        return self.models is None and self.records is None

    @property
    def exact(self) -> bool:
        """Whether the clinic will be what the file says and nothing else, so that the file's digests prove it."""
        return self.whole and self.mode is Modo.TODO


def chosen(scope: Scope, staged_tables: Sequence[StagedTable]) -> list[StagedTable]:
    """The models that are compared as wholes; those of records are not. Raises RestoreRefused for one unknown."""
    data = [staged for staged in staged_tables if staged.section is Section.DATA]
    if scope.records is not None:
        return []
    if scope.models is None:
        return data
    found = {name: find_shape(name, data) for name in scope.models}
    return [staged for staged in data if staged in found.values()]


def refuse_access(scope: Scope, catalogue: Catalogue) -> None:
    """Raise RestoreRefused where the scope names an access table that this restore does not restore."""
    named = {*(scope.models or ()), *(record.model for record in scope.records or ())}
    for entry in catalogue.entries.values():
        if entry.access and {entry.model, str(entry.name)} & named:
            if entry.kind is TableClass.ACCESS:
                raise RestoreRefused(
                    f"«{entry.model}» es una tabla con que se ingresa, y es de la plataforma: sus registros no están"
                    " en los datos de ninguna clínica, y solo se restauran desde un respaldo de la plataforma"
                )
            if not scope.access:
                raise RestoreRefused(
                    f"«{entry.model}» es una tabla con que se ingresa: solo se restaura con los accesos"
                    " (--con-accesos), y solo por quien administra la plataforma"
                )


def find_shape(name: str, staged_tables: Sequence[StagedTable]) -> StagedTable:
    """The model of that name, or of that table. Raises RestoreRefused."""
    for staged in staged_tables:
        if name in {staged.model, str(staged.entry.name)}:
            return staged
    known = ", ".join(staged.model for staged in staged_tables)
    raise RestoreRefused(f"el respaldo no tiene el modelo «{name}»; tiene: {known}")


class RecordSearch:
    """Finds what hangs from records, in the file (`wanted`) and today (`present`), and the rows they are one with.

    What hangs from one is what points to it by any key, and so on downward. Of the rows of today, `others` are those
    that are somebody else's as well: an appointment hangs from the doctor, and is the patient's, too.

    A patient's key is that of their user: both rows are the same person, so both are restored. What else hangs from
    the user is not. The records and the rows that they are one with are their OWN among the `wanted`.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        catalogue: Catalogue,
        statements: Statements,
        staged_tables: list[StagedTable],
    ) -> None:
        self._connection = connection
        self._statements = statements
        self._shapes = staged_tables
        by_table = {staged.entry.name: staged for staged in staged_tables}
        self._steps = [
            (staged, fk, by_table[fk.target])
            for staged in staged_tables
            for fk in _hangs_by(catalogue, staged.entry)
            if fk.target in by_table and staged.has(fk.columns) and by_table[fk.target].has(fk.target_columns)
        ]
        self._belongings = list(belongings(catalogue, staged_tables))
        self._same = [
            (staged, fk, by_table[fk.target])
            for staged in staged_tables
            for fk in catalogue.one_with(staged.entry)
            if set(fk.columns) == set(staged.key)
            and fk.target in by_table
            and by_table[fk.target].has(fk.target_columns)
        ]

    async def find(self, records: Sequence[Record], labels: LabelsOf) -> None:
        """Fill `wanted` and `present` of every model. Raises RestoreRefused where the file lacks a record.

        `labels` say what it is called.
        """
        for staged in self._shapes:
            await self._connection.execute(
                f"CREATE TEMP TABLE {staged.wanted.removeprefix('pg_temp.')}"
                f" ({quote(AT)} tid, {quote(OWN)} boolean DEFAULT false);"
                f" CREATE TEMP TABLE {staged.present.removeprefix('pg_temp.')} ({quote(REL)} oid, {quote(TID)} tid);"
                f" CREATE TEMP TABLE {staged.others.removeprefix('pg_temp.')} ({quote(REL)} oid, {quote(TID)} tid)"
            )
        asked = [(find_shape(record.model, self._shapes), record) for record in records]
        for _, group in groupby(sorted(asked, key=lambda each: each[0].number), key=lambda each: each[0].number):
            of_model = list(group)
            await self._begin(of_model[0][0], [record for _, record in of_model], labels)
        # Down and across, as long as anything is found: a row that hangs from another record today is restored to
        # where it was, and one that hung from another record goes back there.
        while await self._down() + await self._across():
            pass
        while any([await self._up(*step) for step in self._same]):
            await self._across()
        # Of a new table PostgreSQL expects two thousand rows, and reads whole tables of all clinics for them.
        await self._connection.execute("; ".join(f"ANALYZE {staged.present}" for staged in self._shapes))
        while await self._find_others():
            pass

    async def hanging(self) -> dict[str, int]:
        """After `find`: how many rows of each model of the file hang from the records, themselves left out."""
        found = {
            staged.model: int(
                await self._connection.fetchval(f"SELECT count(*) FROM {staged.wanted} WHERE NOT {quote(OWN)}")
            )
            for staged in self._shapes
        }
        return {model: rows for model, rows in found.items() if rows}

    async def _begin(self, staged: StagedTable, records: Sequence[Record], labels: LabelsOf) -> None:
        """Take the lines of these records, all of one model, for their OWN."""
        if not staged.key:
            raise RestoreRefused(f"los registros de «{staged.model}» no tienen clave: ninguno se puede nombrar")
        keys = [key_of(staged, record) for record in records]
        types = {column.name: column.type for column in staged.table.columns}
        bases = await base_types(self._connection, staged.table, staged.key)
        given = ", ".join(f"(u.k{number})::{bases[name]} AS {quote(name)}" for number, name in enumerate(staged.key))
        parts = ", ".join(f"${number}::text[]" for number in range(1, len(staged.key) + 1))
        names = ", ".join(f"k{number}" for number in range(len(staged.key)))
        # Materialized: what is no key is an error of its own, and no row's that happens to be compared with it.
        asked = f"SELECT u.n, {given} FROM unnest({parts}) WITH ORDINALITY AS u({names}, n)"
        await self._connection.execute("SAVEPOINT claves")
        try:
            lacking = await self._connection.fetch(
                f"WITH asked AS MATERIALIZED ({asked}), found AS (SELECT a.n, t.{quote(AT)} FROM asked AS a"
                f" JOIN {staged.typed} AS t ON {joined(staged.unique_key, 't', 'a')}),"
                f" taken AS (INSERT INTO {staged.wanted} SELECT DISTINCT {quote(AT)}, true FROM found)"
                " SELECT n FROM asked WHERE n NOT IN (SELECT n FROM found) ORDER BY n",
                *map(list, zip(*keys, strict=True)),
            )
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as exc:
            await self._connection.execute("ROLLBACK TO claves")
            wrong = await self._no_key(staged, records, keys, asked)
            expected = ", ".join(f"{name} ({types[name]})" for name in staged.key)
            raise InvalidRequest(f"«{wrong}» no es una clave de «{staged.model}», que es {expected}") from exc
        if lacking:
            first = [number - 1 for (number,) in lacking[:NAMED]]
            # It may be there today.
            called = await labels(staged, [keys[place] for place in first])
            missing = [named(label, f"«{records[place]}»") for label, place in zip(called, first, strict=True)]
            what = "el registro" if len(lacking) == 1 else f"estos {len(lacking):,} registros:"
            more = ", …" if len(lacking) > NAMED else ""
            raise RestoreRefused(f"el respaldo no tiene {what} {', '.join(missing)}{more}")

    async def _no_key(
        self, staged: StagedTable, records: Sequence[Record], keys: Sequence[tuple[str, ...]], asked: str
    ) -> Record:
        """The first of the records whose key is none, when one is; each is asked for itself."""
        for record, key in zip(records, keys, strict=True):
            try:
                await self._connection.fetchval(
                    f"SELECT num_nulls({columns('a', staged.key)}) FROM ({asked}) AS a", *[[value] for value in key]
                )
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
                return record
        return records[0]

    async def _up(self, child: StagedTable, fk: ForeignKey, parent: StagedTable) -> bool:
        """Have the rows that OWN ones are one with be OWN, too; whether there was one more."""
        own = (
            f"SELECT {columns('t', fk.columns)} FROM {child.typed} AS t JOIN {child.wanted} AS w"
            f" ON w.{quote(AT)} = t.{quote(AT)} WHERE w.{quote(OWN)}"
        )
        parents = f"SELECT p.{quote(AT)} FROM {parent.typed} AS p WHERE {pointed_to_from(fk, 'p', own)}"
        known = await self._write(
            f"UPDATE {parent.wanted} SET {quote(OWN)} = true WHERE NOT {quote(OWN)} AND {quote(AT)} IN ({parents})"
        )
        new = await self._write(
            f"INSERT INTO {parent.wanted} SELECT x.{quote(AT)}, true FROM ({parents}) AS x"
            f" WHERE {_not_wanted(parent, 'x')}"
        )
        return bool(known + new)

    async def _down(self) -> int:
        found = 0
        for child, fk, parent in self._steps:
            if child is parent:
                found += await self._down_itself(child, fk)
                continue
            wanted = (
                f"SELECT {columns('p', fk.target_columns)} FROM {parent.typed} AS p"
                f" JOIN {parent.wanted} AS w ON w.{quote(AT)} = p.{quote(AT)}"
            )
            found += await self._write(
                f"INSERT INTO {child.wanted} SELECT t.{quote(AT)} FROM {child.typed} AS t"
                f" WHERE {points_into(fk, 't', wanted)} AND {_not_wanted(child, 't')}"
            )
            present = (
                f"SELECT {columns('p', fk.target_columns)} FROM {parent.real} AS p"
                f" JOIN {parent.present} AS v ON {_at('v', 'p')}"
            )
            found += await self._write(
                f"INSERT INTO {child.present} SELECT q.tableoid, q.ctid"
                f" FROM ({self._statements.owned(child.entry, (*fk.columns, *PLACE))}) AS q"
                f" WHERE {points_into(fk, 'q', present)} AND {_not_present(child)}"
            )
        return found

    async def _down_itself(self, staged: StagedTable, fk: ForeignKey) -> int:
        """As far as it goes: a tree of records is as deep as somebody has made it, and each round reads the table."""
        at, place = quote(AT), f"{quote(REL)}, {quote(TID)}"
        await self._connection.execute(BY_HASH)
        found = await self._write(
            f"INSERT INTO {staged.wanted} WITH RECURSIVE below({at}) AS (SELECT w.{at} FROM {staged.wanted} AS w"
            f" UNION SELECT t.{at} FROM below AS b JOIN {staged.typed} AS p ON p.{at} = b.{at}"
            f" JOIN {staged.typed} AS t ON {joined(fk, 't', 'p')})"
            f" SELECT t.{at} FROM below AS t WHERE {_not_wanted(staged, 't')}"
        )
        owned = self._statements.owned(staged.entry, (*fk.columns, *PLACE))
        found += await self._write(
            f"INSERT INTO {staged.present} WITH RECURSIVE mine AS MATERIALIZED ({owned}),"
            f" below({place}) AS (SELECT v.{quote(REL)}, v.{quote(TID)} FROM {staged.present} AS v"
            f" UNION SELECT q.tableoid, q.ctid FROM below AS b JOIN {staged.real} AS p ON {_at('b', 'p')}"
            f" JOIN mine AS q ON {joined(fk, 'q', 'p')})"
            f" SELECT b.* FROM below AS b WHERE (b.{quote(REL)}, b.{quote(TID)}) NOT IN"
            f" (SELECT v.{quote(REL)}, v.{quote(TID)} FROM {staged.present} AS v)"
        )
        await self._connection.execute(ANY_WAY)
        return found

    async def _across(self) -> int:
        found = 0
        for staged in self._shapes:
            if not staged.key:
                continue
            owned = self._statements.owned(staged.entry, (*staged.key, *PLACE))
            wanted = (
                f"SELECT {columns('t', staged.key)} FROM {staged.typed} AS t"
                f" JOIN {staged.wanted} AS w ON w.{quote(AT)} = t.{quote(AT)}"
            )
            present = (
                f"SELECT {columns('q', staged.key)} FROM ({owned}) AS q"
                f" JOIN {staged.present} AS v ON q.tableoid = v.{quote(REL)} AND q.ctid = v.{quote(TID)}"
            )
            found += await self._write(
                f"INSERT INTO {staged.present} SELECT q.tableoid, q.ctid FROM ({owned}) AS q"
                f" WHERE {points_into(staged.unique_key, 'q', wanted)} AND {_not_present(staged)}"
            )
            found += await self._write(
                f"INSERT INTO {staged.wanted} SELECT t.{quote(AT)} FROM {staged.typed} AS t"
                f" WHERE {points_into(staged.unique_key, 't', present)} AND {_not_wanted(staged, 't')}"
            )
        return found

    async def _find_others(self) -> int:
        found = 0
        for child, fk, parent in self._belongings:
            own = ""
            if child.key:
                own = (
                    f" AND NOT EXISTS (SELECT FROM {child.typed} AS t JOIN {child.wanted} AS w"
                    f" ON w.{quote(AT)} = t.{quote(AT)} WHERE w.{quote(OWN)} AND {child.same_key('t', 'q')})"
                )
            found += await self._write(
                f"INSERT INTO {child.others} SELECT q.tableoid, q.ctid FROM {child.present} AS v"
                f" JOIN {child.real} AS q ON {_at('v', 'q')}"
                f" JOIN {parent.real} AS p ON {joined(fk, 'q', 'p')}"
                f" WHERE NOT EXISTS (SELECT FROM {child.others} AS o WHERE {_at('o', 'q')}){own}"
                f" AND (NOT EXISTS (SELECT FROM {parent.present} AS w WHERE {_at('w', 'p')})"
                f" OR EXISTS (SELECT FROM {parent.others} AS o WHERE {_at('o', 'p')}))"
            )
        return found

    async def _write(self, statement: str) -> int:
        """How many rows the statement wrote."""
        return int((await self._connection.execute(statement)).rpartition(" ")[2])


def key_of(staged: StagedTable, record: Record) -> tuple[str, ...]:
    """The record's key, of as many parts as the model's. Raises InvalidRequest."""
    # A comma may be part of a value where there is but one.
    key = record.key if len(staged.key) > 1 else (",".join(record.key),)
    if len(key) != len(staged.key):
        raise InvalidRequest(f"la clave de «{staged.model}» es {', '.join(staged.key)}; se dio «{record}»")
    return key


async def create_all_typed(connection: asyncpg.Connection, staged_tables: Sequence[StagedTable]) -> None:
    """Fill `typed` with every row of these models, where it is not filled yet."""
    for staged in staged_tables:
        if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", staged.typed):
            continue
        await connection.execute(create_typed(staged, staged.typed))
        lines = f"SELECT ctid AS {quote(AT)}, {quote(LINE)} FROM {staged.stage}"
        with value_errors(staged.model):
            await connection.execute(
                f"INSERT INTO {staged.typed} {typed_rows(staged, lines)}; ANALYZE {staged.typed}"
            )


def belongings(
    catalogue: Catalogue, staged_tables: Iterable[StagedTable]
) -> Iterator[tuple[StagedTable, ForeignKey, StagedTable]]:
    """A model, a key by which its rows are somebody's, and the model whose rows they are.

    Where a row cannot be without what it points to, these keys only; else all of them.
    """
    by_table = {staged.entry.name: staged for staged in staged_tables}
    for staged in by_table.values():
        keys = [fk for fk in _hangs_by(catalogue, staged.entry) if fk.target in by_table]
        for fk in [fk for fk in keys if not fk.optional] or keys:
            yield staged, fk, by_table[fk.target]


def _not_wanted(staged: StagedTable, row: str) -> str:
    return f"NOT EXISTS (SELECT FROM {staged.wanted} AS w WHERE w.{quote(AT)} = {row}.{quote(AT)})"


def _not_present(staged: StagedTable) -> str:
    return f"NOT EXISTS (SELECT FROM {staged.present} AS v WHERE {_at('v', 'q')})"


def _at(place: str, row: str) -> str:
    """That the row is at that place."""
    return f"{place}.{quote(REL)} = {row}.tableoid AND {place}.{quote(TID)} = {row}.ctid"


def _hangs_by(catalogue: Catalogue, entry: Entry) -> Iterator[ForeignKey]:
    """The foreign keys by which the table's rows hang from other rows of the clinic."""
    for fk in entry.table.foreign_keys:
        parent = catalogue.entries.get(fk.target)
        if parent is not None and parent.kind is TableClass.OWNED and fk.target != catalogue.tenant_table:
            yield fk
