"""Applies a difference: deletes, inserts, updates, in an order that no constraint minds, and checks what was off."""

from collections.abc import Awaitable, Callable, Iterator
from collections.abc import Sequence as Several
from contextlib import contextmanager

import asyncpg

from app.clinic.catalogue.classification import grouped
from app.clinic.catalogue.introspection import TableName
from app.clinic.catalogue.sql import columns, joined, literal, pointed_to_from, points_into, quote
from app.clinic.reading.platform_statements import Statements
from app.clinic.restore.conflicts import child_of, gone_values, parent_of, partitions
from app.clinic.restore.constraints import Constraints, Reference, Sequence, UniqueIndex
from app.clinic.restore.difference import Difference, OnStep, one_row
from app.clinic.restore.logins import login_values
from app.clinic.restore.naming import named_keys
from app.clinic.restore.staged_tables import (
    AT,
    COPY,
    FILE,
    HASH,
    KIND,
    PLACE,
    REL,
    TID,
    TODAY,
    Kind,
    StagedTable,
    and_columns,
)
from app.clinic.restore.triggers import way_out
from app.errors import RestoreRefused

# So many numbers of a sequence are drawn one by one, in some milliseconds; across a wider gap nobody catches up.
DRAWN = 10_000

# What PostgreSQL says itself, and tells where: a constraint, a lock that does not come, a deadlock, an end.
NO_TRIGGERS = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.OperatorInterventionError,
)


class ValueTaken(RestoreRefused):
    """A row would get a value that no two may have, and another row has it."""


class ChangeApplier:
    """Applies in one transaction; `replica` as in `Refusals`. Every method may raise RestoreRefused.

    Of `constraints`, the triggers are those that act meanwhile.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        difference: Difference,
        constraints: Constraints,
        *,
        replica: bool,
    ) -> None:
        self._connection = connection
        self._difference = difference
        self.constraints = constraints
        self.replica = replica
        self._by_table: dict[TableName, list[StagedTable]] = {}
        for staged in difference.staged_tables:
            self._by_table.setdefault(staged.entry.name, []).append(staged)

    async def include_dependents(self) -> None:
        """Where foreign keys act at once, have the rows that point to a replaced one replaced with it.

        To be done before it is asked what speaks against applying.
        """
        if self.replica:
            return
        found = True
        while found:
            found = False
            for parent in self._difference.data:
                if parent is self._difference.held:
                    continue
                for reference in self.constraints.to(parent.entry.name):
                    for child in self._by_table.get(reference.child_root, ()):
                        if reference.at_once and child in self._difference.data:
                            found = await self._replace_pointing(parent, reference, child) or found

    async def _replace_pointing(self, parent: StagedTable, reference: Reference, child: StagedTable) -> bool:
        gone = gone_values(parent, reference, replaced=True)
        changed = await self._connection.execute(
            f"UPDATE {child.pairs} AS p SET {quote(KIND)} = '{Kind.REPLACE}' FROM {child.today} AS c"
            f" WHERE p.{quote(TODAY)} = c.ctid AND p.{quote(KIND)} = '{Kind.UPDATE}'"
            f" AND {points_into(reference, 'c', gone)}"
        )
        added = await self._connection.execute(
            child.rows_of_today(
                f"JOIN {child.current} AS k ON k.{quote(REL)} = t.tableoid AND k.{quote(TID)} = t.ctid"
                f" WHERE {points_into(reference, 't', gone)} AND NOT EXISTS"
                f" (SELECT FROM {child.today} AS d WHERE d.{quote(REL)} = t.tableoid AND d.{quote(TID)} = t.ctid)"
            )
        )
        if added != "INSERT 0 0":
            # What was just added has no pair yet, and is not to go: the file has it as it is.
            await self._connection.execute(
                f"WITH alike AS (SELECT c.ctid AS {quote(TODAY)}, s.{quote(AT)}{and_columns('c', child.names)}"
                f" FROM {child.today} AS c JOIN {child.current} AS k"
                f" ON k.{quote(REL)} = c.{quote(REL)} AND k.{quote(TID)} = c.{quote(TID)}"
                f" JOIN ({self._difference.stage_rows(child)}) AS s"
                f" ON s.{quote(HASH)} = k.{quote(HASH)} AND s.{quote(COPY)} = k.{quote(COPY)}"
                f" WHERE NOT EXISTS (SELECT FROM {child.pairs} AS p WHERE p.{quote(TODAY)} = c.ctid)),"
                f" written AS (INSERT INTO {child.file} SELECT a.{quote(AT)}{and_columns('a', child.names)}"
                f" FROM alike AS a RETURNING ctid, {quote(AT)})"
                f" INSERT INTO {child.pairs} SELECT w.ctid, a.{quote(TODAY)}, '{Kind.REINSERT}'"
                f" FROM written AS w JOIN alike AS a ON a.{quote(AT)} = w.{quote(AT)}"
            )
        return changed != "UPDATE 0" or added != "INSERT 0 0"

    async def apply(self, on_step: OnStep) -> None:
        """Delete what the file lacks, children first; insert what is missing, parents first; then update.

        In this order a unique value is free before it is taken, and what an updated row points to is there.
        """
        await self._connection.execute("SET CONSTRAINTS ALL DEFERRED")
        groups = list(self._groups())
        for group in reversed(groups):
            await self._write(group, "eliminar", self._deletes, 0, on_step)
        for group in groups:
            await self._write(group, "insertar", self._inserts, 1, on_step)
        for group in groups:
            await self._write(group, "actualizar", self._updates, 2, on_step)
        # What was deferred may act now, too; from here on nothing writes.
        written = [staged for staged in self._difference.staged_tables if any(await self._difference.count(staged))]
        with self._trigger_errors("terminar de escribir", written):
            await self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")

    async def _write(
        self,
        group: Several[StagedTable],
        act: str,
        statements: Callable[[StagedTable], Awaitable[list[str]]],
        which: int,
        on_step: OnStep,
    ) -> None:
        """One statement for the group, since foreign keys are looked at when it has ended; its rows are counted."""
        parts, expected = [], {}
        for staged in group:
            if count := (await self._difference.count(staged))[which]:
                expected[staged.number] = (staged, count)
                parts += [(staged.number, part) for part in await statements(staged)]
        if not parts:
            return
        written = ", ".join(f"w{place} AS ({part} RETURNING 1)" for place, (_, part) in enumerate(parts))
        counts = ", ".join(f"(SELECT count(*) FROM w{place})" for place in range(len(parts)))
        with self._trigger_errors(act, [staged for staged, _ in expected.values()]):
            found = await one_row(self._connection, f"WITH {written} SELECT {counts}")
        for number, (staged, count) in expected.items():
            on_step(staged.model)
            done = sum(rows for rows, (of, _) in zip(found, parts, strict=True) if of == number)
            if done != count:
                triggers = ", ".join(self._triggers(staged))
                raise RestoreRefused(
                    f"al {act} en «{staged.model}» se esperaban {count:,} registros y fueron {done:,}"
                    f" ({await self._not_written(staged, act)}): alguien los cambió mientras tanto"
                    f"{f', o un disparador ({triggers})' if triggers else ''}; vuelva a intentarlo"
                    f"{f'. {way_out(replica=self.replica)}' if triggers else ''}"
                )

    @contextmanager
    def _trigger_errors(self, act: str, written: Several[StagedTable]) -> Iterator[None]:
        """Turn what a trigger of these models raises into RestoreRefused, which names them."""
        try:
            yield
        except asyncpg.PostgresError as exc:
            acting = {staged.model: names for staged in written if (names := self._triggers(staged))}
            # A trigger may raise any error; it says in which function.
            if not (acting and exc.context) or isinstance(exc, NO_TRIGGERS):
                raise
            triggers = ", ".join(name for names in acting.values() for name in names)
            among = ", ".join(f"«{model}»" for model in acting)
            raise RestoreRefused(
                f"al {act} en {among} se opuso un disparador ({triggers}): {exc}. {way_out(replica=self.replica)}"
            ) from exc

    def _triggers(self, staged: StagedTable) -> tuple[str, ...]:
        return self.constraints.of(staged.entry.name).acting(replica=self.replica)

    async def _not_written(self, staged: StagedTable, act: str) -> str:
        """The keys of rows that should have been written and were not."""
        if not staged.key:
            return "no tienen clave"
        there = f"SELECT FROM {staged.real} AS r WHERE {{}}"
        untouched = f"r.tableoid = c.{quote(REL)} AND r.ctid = c.{quote(TID)}"
        left = {
            "eliminar": f"{_going(staged)} AND EXISTS ({there.format(staged.same_key('r', 'c'))})",
            "insertar": f"SELECT c.* FROM {staged.file} AS c WHERE NOT EXISTS"
            f" ({there.format(staged.same_key('r', 'c'))})",
            "actualizar": f"SELECT c.* FROM {staged.today} AS c JOIN {staged.pairs} AS p ON p.{quote(TODAY)} = c.ctid"
            f" WHERE p.{quote(KIND)} = '{Kind.UPDATE}' AND EXISTS ({there.format(untouched)})",
        }
        found = await self._difference.named_keys(staged, left[act])
        return f"{', '.join(staged.key)}: {found}" if found else "sus claves ya no están"

    async def _deletes(self, staged: StagedTable) -> list[str]:
        return [f"DELETE FROM {staged.real} AS t USING ({_going(staged)}) AS c WHERE {staged.same_version('t', 'c')}"]

    async def _inserts(self, staged: StagedTable) -> list[str]:
        names = staged.names
        if staged in self._difference.logins:
            chosen = login_values(staged, self.constraints.of(staged.entry.name).defaults)
            given = ", ".join((columns("f", staged.identity), *chosen.values()))
            return [_insert(staged, (*staged.identity, *chosen), f"SELECT {given} FROM {staged.file} AS f")]
        new = f"SELECT FROM {staged.pairs} AS p WHERE p.{quote(FILE)} = f.ctid"
        plain = _insert(
            staged, names, f"SELECT {columns('f', names)} FROM {staged.file} AS f WHERE NOT EXISTS ({new})"
        )
        # A replaced row keeps what it has today in columns that the file does not know.
        extra = tuple(column.name for column in staged.extra)
        values = ", ".join(part for part in (columns("f", names), columns("c", extra)) if part)
        again = _insert(
            staged,
            (*names, *extra),
            f"SELECT {values} FROM {staged.file} AS f JOIN {staged.pairs} AS p ON p.{quote(FILE)} = f.ctid"
            f" JOIN {staged.today} AS c ON c.ctid = p.{quote(TODAY)} WHERE p.{quote(KIND)} <> '{Kind.UPDATE}'",
        )
        return [plain, again]

    async def _updates(self, staged: StagedTable) -> list[str]:
        always = self.constraints.of(staged.entry.name).always
        names = [name for name in staged.names if name not in always]
        values = ", ".join(f"{quote(name)} = f.{quote(name)}" for name in names)
        return [
            f"UPDATE {staged.real} AS t SET {values} FROM {staged.pairs} AS p"
            f" JOIN {staged.today} AS c ON c.ctid = p.{quote(TODAY)}"
            f" JOIN {staged.file} AS f ON f.ctid = p.{quote(FILE)}"
            f" WHERE p.{quote(KIND)} = '{Kind.UPDATE}' AND {staged.same_version('t', 'c')}"
        ]

    def _groups(self) -> Iterator[list[StagedTable]]:
        """The models, parents first; those that point to each other by keys that act at once, together."""
        if self.replica:
            yield from ([staged] for staged in self._difference.staged_tables)
            return
        parents: dict[TableName, set[TableName]] = {name: set() for name in self._by_table}
        for reference in self.constraints.references:
            if reference.at_once and reference.child_root in parents and reference.parent_root in parents:
                parents[reference.child_root].add(reference.parent_root)
        for group in grouped(parents):
            yield [staged for name in sorted(group) for staged in self._by_table[name]]

    async def check_constraints(self, statements: Statements) -> None:
        """Whatever was switched off, over the rows as they are now. Raises RestoreRefused."""
        if not self.replica:
            return
        for staged in self._difference.staged_tables:
            if not any(await self._difference.count(staged)):
                continue
            for reference in self.constraints.of_child(staged.entry.name):
                await self._check_pointing(staged, reference, statements)
            for reference in self.constraints.to(staged.entry.name):
                await self._check_pointed_to(staged, reference)
            for index in self.constraints.of(staged.entry.name).unique:
                if index.deferrable:
                    await self._check_unique(staged, index)

    async def _check_pointing(self, staged: StagedTable, reference: Reference, statements: Statements) -> None:
        if not reference.validated:
            # The clinic's rows need not fulfil it, so the backup's may not.
            return
        if staged.has(reference.columns) and reference.child == reference.child_root:
            rows = f"SELECT * FROM {staged.file}"
        else:
            rows = statements.owned(staged.entry, tuple(dict.fromkeys((*PLACE, *reference.columns, *staged.key))))
            if reference.child != reference.child_root:
                rows = f"SELECT q.* FROM ({rows}) AS q WHERE q.tableoid IN ({partitions(reference.child)})"
        filled = [f"f.{quote(name)} IS NOT NULL" for name in reference.columns]
        pointing = f"SELECT f.* FROM ({rows}) AS f WHERE {' AND '.join(filled)}"
        if reference.parent == reference.parent_root:
            for other in self._by_table.get(reference.parent_root, ()):
                if other.has(reference.target_columns):
                    # They have just been written.
                    pointing += f" AND NOT EXISTS (SELECT FROM {other.file} AS o WHERE {joined(reference, 'f', 'o')})"
        # By itself and first, of temporary tables whose size is known: no statistics know of the rows just written,
        # and a plan made for a table without them compares every row with every other.
        pointing = f"WITH pointing AS MATERIALIZED ({pointing})"
        # As PostgreSQL's own triggers do: nobody may delete them before this is committed.
        values = f"SELECT {columns('f', reference.columns)} FROM pointing AS f"
        rows_pointing, _ = await one_row(
            self._connection,
            f"{pointing} SELECT (SELECT count(*) FROM pointing), (SELECT count(*) FROM (SELECT"
            f" FROM {parent_of(reference)} AS p WHERE {pointed_to_from(reference, 'p', values)} FOR KEY SHARE)"
            " AS locked)",
        )
        partly_filled = reference.match_full and len(filled) > 1
        if not rows_pointing and not partly_filled:
            return
        dangling = (
            f"{pointing} SELECT f.* FROM pointing AS f WHERE NOT EXISTS (SELECT FROM {parent_of(reference)} AS p"
            f" WHERE {joined(reference, 'f', 'p')})"
        )
        if partly_filled:
            dangling += (
                f" UNION ALL SELECT f.* FROM ({rows}) AS f"
                f" WHERE ({' OR '.join(filled)}) AND NOT ({' AND '.join(filled)})"
            )
        if found := await self._difference.named_keys(staged, dangling, staged.key or reference.columns):
            raise RestoreRefused(
                f"registros de «{staged.model}» apuntan, por {', '.join(reference.columns)}, a registros de"
                f" «{reference.parent}» que no existen: {found}. Vuelva a poner esos, o restaure sin los que apuntan"
                " a ellos (--modelos, --registro)"
            )

    async def _check_pointed_to(self, staged: StagedTable, reference: Reference) -> None:
        dangling = (
            f"SELECT * FROM {child_of(reference)} AS r"
            f" WHERE {points_into(reference, 'r', gone_values(staged, reference, replaced=False))}"
            f" AND NOT EXISTS (SELECT FROM {parent_of(reference)} AS p"
            f" WHERE {joined(reference, 'r', 'p')})"
        )
        if found := await named_keys(self._connection, reference.columns, dangling):
            raise RestoreRefused(
                f"registros de «{reference.child}» apuntan, por {', '.join(reference.columns)}, a registros de"
                f" «{staged.model}» que se eliminaron: {found}; vuelva a intentarlo"
            )

    async def _check_unique(self, staged: StagedTable, index: UniqueIndex) -> None:
        unique = index.columns
        # A generated value is not in the file.
        files = f"SELECT {columns('f', unique)} FROM {staged.file} AS f"
        ours = f" WHERE {points_into(index, 't', files)}"
        filled = " AND ".join(f"t.{quote(name)} IS NOT NULL" for name in unique)
        twice = (
            f"SELECT {columns('t', unique)} FROM {staged.real} AS t"
            f"{ours if staged.has(unique) else f' WHERE {filled}'}"
            f" GROUP BY {columns('t', unique)} HAVING count(*) > 1"
        )
        if found := await named_keys(self._connection, unique, twice):
            raise ValueTaken(f"en «{staged.model}» ya hay registros con ese valor único ({index.name}): {found}")

    async def raise_sequences(self) -> None:
        """Have the next new rows come after the restored ones. No rollback takes this back, so it comes last."""
        for staged in self._difference.staged_tables:
            if staged is self._difference.held:
                continue
            for sequence in self.constraints.of(staged.entry.name).sequences:
                if staged.has((sequence.column,)):
                    await self._raise(sequence, staged)

    async def _raise(self, sequence: Sequence, staged: StagedTable) -> None:
        name = f"{quote(sequence.schema)}.{quote(sequence.name)}"
        last, column = "max" if sequence.step > 0 else "min", f"f.{quote(sequence.column)}"
        given = (
            f"SELECT trunc({last}({column}))::bigint AS last FROM {staged.file} AS f, pg_sequence AS q"
            f" WHERE q.seqrelid = {literal(name)}::regclass AND {column} BETWEEN q.seqmin AND q.seqmax"
        )
        missing = await self._connection.fetchval(
            f"SELECT (g.last - s.last_value) / {sequence.step} + (NOT s.is_called)::int"
            f" FROM ({given}) AS g, {name} AS s"
        )
        # Never lowered: a number that has been given out may be in use where nobody sees it. Whoever draws numbers
        # leaves those that others draw meanwhile to them; setval would give them out again.
        if missing is not None and 0 < missing <= DRAWN:
            await self._connection.execute(
                f"SELECT count(nextval({literal(name)})) FROM generate_series(1, {missing})"
            )
        elif missing is not None and missing > 0:
            await self._connection.execute(f"SELECT setval({literal(name)}, g.last) FROM ({given}) AS g")


def _going(staged: StagedTable) -> str:
    return (
        f"SELECT c.* FROM {staged.today} AS c WHERE NOT EXISTS (SELECT FROM {staged.pairs} AS p"
        f" WHERE p.{quote(TODAY)} = c.ctid AND p.{quote(KIND)} = '{Kind.UPDATE}')"
    )


def _insert(staged: StagedTable, names: Several[str], rows: str) -> str:
    into = staged.real.removeprefix("ONLY ")
    if not names:
        return f"INSERT INTO {into} {rows}"
    return f"INSERT INTO {into} ({', '.join(map(quote, names))}) OVERRIDING SYSTEM VALUE {rows}"
