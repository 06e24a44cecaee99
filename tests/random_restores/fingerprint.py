"""What every table holds and whose each row is: plain SQL, and the rule of docs/ownership.md over a few rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from tests.random_restores.schemas import NOBODY, ForeignKey, Table

Key = tuple[str | None, ...]


class Ambiguous(Exception):
    """A row leads to two clinics, and none of them is said by itself."""


@dataclass(slots=True)
class Row:
    """A row of today. `values` are those of its own columns, `text` all of it with what was added since."""

    table: Table
    place: str
    values: dict[str, str | None]
    own: str
    text: str
    owner: int = NOBODY

    @property
    def key(self) -> Key:
        """Of a table without key, all of it."""
        return tuple(self.values[name] for name in self.table.key) or (self.own,)

    @property
    def where(self) -> str:
        """A condition that finds it until it changes."""
        return f"(tableoid, ctid) = {self.place}"

    def points(self, fk: ForeignKey) -> Key | None:
        """What it points to."""
        found = tuple(self.values[name] for name in fk.columns)
        return None if None in found else found


@dataclass(slots=True)
class Fingerprint:
    """The rows of the case's tables, and of everything else in the schema its text."""

    rows: list[Row]
    rest: Counter[str]

    def of(self, clinic: int) -> list[Row]:
        """The rows of this clinic, or nobody's."""
        return [row for row in self.rows if row.owner == clinic]

    def mine(self, clinic: int) -> Counter[tuple[int, str]]:
        """The clinic's rows, by the columns that they were made with."""
        return Counter((row.table.place, row.own) for row in self.of(clinic))

    def others(self, clinic: int) -> Counter[tuple[int, str]]:
        """All rows but the clinic's, whole."""
        whole = Counter((row.table.place, row.text) for row in self.rows if row.owner != clinic)
        whole.update({(-1, text): count for text, count in self.rest.items()})
        return whole

    def everything(self) -> Counter[tuple[int, str]]:
        """All rows, whole."""
        return self.others(-1)


async def take(sql: asyncpg.Connection, tables: Sequence[Table]) -> Fingerprint:
    """Read all there is. Raises Ambiguous."""
    parts = []
    for table in tables:
        texts = ", ".join(f"t.{name}::text" for name in table.reads)
        own = ", ".join(f"t.{name}" for name in table.reads)
        parts.append(
            f"SELECT {table.place}, format('(%s, ''%s'')', t.tableoid, t.ctid), ARRAY[{texts}]::text[],"
            f" ROW({own})::text, t::text FROM {table.quoted} AS t"
        )
    for name in ("clinica", "auditoria"):
        parts.append(f"SELECT -1, '', NULL, '{name}', t::text FROM {name} AS t")
    found = Fingerprint([], Counter())
    for place, where, values, own, text in await sql.fetch(" UNION ALL ".join(parts)):
        if place < 0:
            found.rest[f"{own} {text}"] += 1
        else:
            table = tables[place]
            found.rows.append(Row(table, where, dict(zip(table.reads, values, strict=True)), own, text))
    _find_owners(found.rows, tables)
    return found


def _find_owners(rows: list[Row], tables: Sequence[Table]) -> None:
    """By the tenant column, else by the foreign keys that lead to one."""
    targets: dict[tuple[int, tuple[str, ...], Key], Row] = {}
    wanted = {(fk.target, fk.target_columns) for table in tables for fk in table.foreign_keys}
    for row in rows:
        for place, columns in wanted:
            if row.table.place == place:
                targets[place, columns, tuple(row.values[name] for name in columns)] = row
        if row.table.tenant and (clinic := row.values["clinica_id"]) is not None:
            row.owner = int(clinic)
    stated = {id(row) for row in rows if row.owner != NOBODY}
    changed = True
    while changed:
        changed = False
        for row in rows:
            if id(row) in stated:
                continue
            reached = {
                parent.owner
                for fk in row.table.foreign_keys
                if (key := row.points(fk)) is not None
                and (parent := targets.get((fk.target, fk.target_columns, key))) is not None
            } - {NOBODY}
            if len(reached) > 1:
                raise Ambiguous
            if reached and row.owner not in reached:
                row.owner = reached.pop()
                changed = True


async def broken_keys(sql: asyncpg.Connection, tables: Sequence[Table]) -> list[str]:
    """The foreign keys that promise to hold, and do not."""
    parts = [
        f"SELECT '{table.place} {fk.name}' FROM {table.quoted} AS c WHERE"
        f" {' AND '.join(f'c.{name} IS NOT NULL' for name in fk.columns)} AND NOT EXISTS (SELECT FROM"
        f" {tables[fk.target].quoted} AS p WHERE"
        f" {' AND '.join(f'p.{t} = c.{n}' for n, t in zip(fk.columns, fk.target_columns, strict=True))})"
        for table in tables
        for fk in table.foreign_keys
        if fk.valid
    ]
    return [row[0] for row in await sql.fetch(" UNION ".join(parts))] if parts else []
