"""What happens to the database between a backup and its restore, or while that runs."""

from collections.abc import Sequence
from random import Random

import asyncpg

from tests.random_restores.fingerprint import Ambiguous, Fingerprint, Row, take
from tests.random_restores.schemas import NOBODY, VALUES, Table, insert, literal, value_of

MINE, OTHER = 1, 2


class Damage:
    """Does acts, each in a transaction of its own; one that the database refuses has not happened.

    `statements` are those that were done, for whoever wants to do it again. `drifted`: tables were changed.
    """

    def __init__(self, sql: asyncpg.Connection, tables: Sequence[Table], statements: list[str]) -> None:
        self._sql = sql
        self._tables = tables
        self._statements = statements
        self.drifted = False

    async def do(self, kind: str, place: int, number: int) -> bool:
        """Whether it happened."""
        now = await take(self._sql, self._tables)
        chance = Random(number)
        # Of that table, or else of the next in which there is something to be done.
        turned = [self._tables[(place + step) % len(self._tables)] for step in range(len(self._tables))]
        statements = next((acts for table in turned if (acts := self._acts(kind, table, now, chance))), None)
        if statements is None:
            return False
        transaction = self._sql.transaction()
        await transaction.start()
        try:
            for statement in statements:
                await self._sql.execute(statement)
            await self._sql.execute("SET CONSTRAINTS ALL IMMEDIATE")
            await take(self._sql, self._tables)
        except (
            asyncpg.IntegrityConstraintViolationError,
            asyncpg.LockNotAvailableError,
            asyncpg.RaiseError,
            asyncpg.DataError,
            asyncpg.GeneratedAlwaysError,
            asyncpg.WrongObjectTypeError,
            asyncpg.DependentObjectsStillExistError,
            asyncpg.UndefinedObjectError,
            Ambiguous,
        ):
            await transaction.rollback()
            return False
        except BaseException:
            await transaction.rollback()
            raise
        await transaction.commit()
        self._statements += [f"-- {kind}", *statements]
        self.drifted = self.drifted or kind in {"add column", "add table", "drop constraint"}
        return True

    def _acts(self, kind: str, table: Table, now: Fingerprint, chance: Random) -> list[str]:
        act, _, whose = kind.partition(" ")
        owner = {"shared": NOBODY, "other": OTHER}.get(whose, MINE)
        rows = [row for row in now.of(owner) if row.table is table]
        row = chance.choice(rows) if rows else None
        name = table.quoted
        match act:
            case "insert":
                made = self._new(table, now, owner, chance)
                return [insert(table, made)] if made else []
            case "take":
                # Somebody else takes a key, or a unique value, that a row of the clinic's had.
                made = self._new(table, now, OTHER, chance, number=chance.randint(1, 8))
                return [insert(table, made)] if made else []
            case "add":
                if whose == "column":
                    more = chance.choice(("", " DEFAULT 'x'", " NOT NULL DEFAULT 'y'"))
                    return [f"ALTER TABLE {name} ADD IF NOT EXISTS nueva{chance.randint(0, 9)} text{more}"]
                new, key = f"nueva{chance.randint(0, 99)}", ", ".join(table.key)
                if not table.referable or not rows:
                    return []
                chosen = chance.choice(rows)
                return [
                    f"CREATE TABLE IF NOT EXISTS {new} AS SELECT {key} FROM {name} AS t WHERE {chosen.where}",
                    f"ALTER TABLE {new} ADD FOREIGN KEY ({key}) REFERENCES {name} ({key})",
                ]
            case "drop":
                keys = [fk.name for fk in table.foreign_keys if not fk.valid]
                return [f"ALTER TABLE {name} DROP CONSTRAINT {chance.choice(keys)}"] if keys else []
        if row is None:
            return []
        match act:
            case "delete":
                return [f"DELETE FROM {name} WHERE {row.where}"]
            case "empty":
                return [f"DELETE FROM {name} WHERE {each.where}" for each in rows]
            case "change":
                plain = [
                    column for column in table.columns if column.name not in table.numbered and column.type in VALUES
                ]
                plain = [column for column in plain if column.name[0] == "c" or column.name == "monto"]
                if not plain:
                    return []
                column = chance.choice(plain)
                texts = [*VALUES[column.type], *([None] if column.nullable else [])]
                return [f"UPDATE {name} SET {column.name} = {literal(chance.choice(texts))} WHERE {row.where}"]
            case "rekey" if table.numbered:
                column_name = chance.choice(sorted(table.numbered))
                value = value_of(column_name, table, 40 + chance.randint(0, 30))
                return [f"UPDATE {name} SET {column_name} = {literal(value)} WHERE {row.where}"]
            case "repoint" if table.foreign_keys:
                fk = chance.choice(table.foreign_keys)
                parents = [p for p in now.rows if p.table.place == fk.target and p.owner in {owner, NOBODY}]
                if not parents:
                    return []
                parent = chance.choice(parents)
                values = [parent.values[column] for column in fk.target_columns]
                if fk.nullable and chance.random() < 0.3:
                    values = [None] * len(values)
                sets = ", ".join(
                    f"{column} = {literal(value)}"
                    for column, value in zip(fk.columns, values, strict=True)
                    if column != "clinica_id"
                )
                return [f"UPDATE {name} SET {sets} WHERE {row.where}"] if sets else []
            case "stray" if table.foreign_keys and table.tenant and row.values["clinica_id"] is not None:
                # Somebody else's row, which says itself whose it is, points to a new row of the clinic.
                fk = chance.choice(table.foreign_keys)
                made = self._new(self._tables[fk.target], now, MINE, chance)
                if not made or not all(made.get(column) for column in fk.target_columns):
                    return []
                sets = ", ".join(
                    f"{column} = {literal(made[target])}"
                    for column, target in zip(fk.columns, fk.target_columns, strict=True)
                    if column != "clinica_id"
                )
                return [insert(self._tables[fk.target], made), f"UPDATE {name} SET {sets} WHERE {row.where}"]
            case "swap":
                return self._swap(table, rows, chance)
            case "orphan" if table.tenant:
                return [f"UPDATE {name} SET clinica_id = NULL WHERE {row.where}"]
            case "move" if table.tenant:
                return [f"UPDATE {name} SET clinica_id = {OTHER} WHERE {row.where}"]
        return []

    def _swap(self, table: Table, rows: list[Row], chance: Random) -> list[str]:
        """Two rows exchange what no two rows may have."""
        names = [name for name in table.numbered if name not in table.key] or list(table.numbered)
        if len(rows) < 2 or not names or not table.key:
            return []
        one, other = chance.sample(rows, 2)
        column = chance.choice(names)
        free = literal(value_of(column, table, 99))

        def key(row: Row) -> str:
            return " AND ".join(f"{name} = {literal(row.values[name])}" for name in table.key if name != column)

        if column in table.key:
            return []
        update = f"UPDATE {table.quoted} SET {column} = {{}} WHERE {{}}"
        return [
            update.format(free, key(one)),
            update.format(literal(one.values[column]), key(other)),
            update.format(literal(other.values[column]), key(one)),
        ]

    def _new(
        self, table: Table, now: Fingerprint, owner: int, chance: Random, number: int | None = None
    ) -> dict[str, str | None] | None:
        """A row like the others, of this clinic; None where it would be of none."""
        number = number if number is not None else 80 + chance.randint(0, 15)
        made: dict[str, str | None] = {name: value_of(name, table, number) for name in table.numbered}
        if table.tenant:
            made["clinica_id"] = str(owner)
        linked = {name for fk in table.foreign_keys for name in fk.columns}
        for column in table.columns:
            if column.name not in linked and column.name not in table.numbered and not column.nullable:
                made[column.name] = chance.choice(VALUES[column.type])
        reached = bool(table.tenant)
        for fk in table.foreign_keys:
            parents = [p for p in now.rows if p.table.place == fk.target and p.owner == owner] or [
                p for p in now.rows if p.table.place == fk.target and p.owner == NOBODY
            ]
            if not parents:
                if not fk.nullable:
                    return None
                continue
            parent = chance.choice(parents)
            reached = reached or parent.owner == owner
            made.update(
                (name, parent.values[target])
                for name, target in zip(fk.columns, fk.target_columns, strict=True)
                if name != "clinica_id"
            )
        return made if reached else None
