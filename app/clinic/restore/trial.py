"""A restore into tables of its own, made from the clinic's and dropped afterwards: what proves a backup best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from app.clinic.catalogue import Catalogue
from app.clinic.introspection import TableName
from app.clinic.records import LINE
from app.clinic.restore.constraints import Constraints, Reference
from app.clinic.restore.difference import OnStep
from app.clinic.restore.errors import restore_errors
from app.clinic.restore.naming import named_keys
from app.clinic.restore.proof import OnRead, digest_of
from app.clinic.restore.refusals import parent_of
from app.clinic.restore.shapes import AT, Shape, refuse_required_columns, typed_rows
from app.clinic.restore.staging import Staging
from app.clinic.sql import columns, joined, quote
from app.dump.document import ModelTotal, Section
from app.errors import RestoreDiffers

# Never the clinics': the catalogue leaves out every schema that begins with `respaldos`.
PREFIX = "respaldos_ensayo_"


@dataclass(slots=True)
class Trial:
    """Made by `RestoreDatabase.trying`, which also drops its tables. `number` is its schema's.

    `staging` takes the file while it is verified; then `load`, once. Raises RestoreRefused or RestoreDiffers, which
    name what, or DatabaseError.
    """

    connection: asyncpg.Connection
    constraints: Constraints
    staging: Staging
    setting: str
    number: int
    _tables: dict[TableName, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, connection: asyncpg.Connection, catalogue: Catalogue, constraints: Constraints, setting: str, number: int
    ) -> "Trial":
        """A trial in the schema of that number, which is made here."""
        return cls(connection, constraints, Staging(connection, catalogue, setting), setting, number)

    @property
    def schema(self) -> str:
        """Where its tables are."""
        return f"{PREFIX}{self.number}"

    async def load(self, totals: Mapping[str, ModelTotal], on_step: OnStep, on_read: OnRead) -> list[str]:
        """Load every model, hold its digest against the file's `totals`, add the foreign keys.

        Returns what a person should know: rows that point to another clinic's, which no file of this one has.
        """
        with restore_errors(self.setting):
            shapes = self.staging.shapes(None)
            await self.connection.execute(f"CREATE SCHEMA {quote(self.schema)}")
            data = [shape for shape in shapes if shape.section is Section.DATA]
            for shape in data:
                await self._fill(shape)
                on_step(shape.model)
                await self._hold(shape, totals[shape.model], on_read)
            for shape in shapes:
                # Of logins that clinics share the file has too little for a row.
                if shape.section is Section.REFERENCES and not shape.entry.access:
                    await self._fill(shape)
                    on_step(shape.model)
            return await self._add_foreign_keys(shapes)

    async def _fill(self, shape: Shape) -> None:
        name = shape.entry.name
        if name not in self._tables:
            self._tables[name] = f"{quote(self.schema)}.{quote(f'tabla_{len(self._tables)}')}"
            await self._create(shape, self._tables[name])
        lines = f"SELECT ctid AS {quote(AT)}, {quote(LINE)} FROM {shape.stage}"
        into = f"INSERT INTO {self._tables[name]}"
        if shape.names:
            into += f" ({', '.join(map(quote, shape.names))}) OVERRIDING SYSTEM VALUE"
        picked = columns("x", shape.names)
        await self.connection.execute(f"{into} SELECT {picked} FROM ({typed_rows(shape, lines)}) AS x")

    async def _create(self, shape: Shape, table: str) -> None:
        refuse_required_columns(shape, self.constraints.of(shape.entry.name).defaults)
        like = shape.real.removeprefix("ONLY ")
        await self.connection.execute(f"CREATE UNLOGGED TABLE {table} (LIKE {like} INCLUDING ALL)")
        for sequence in self.constraints.of(shape.entry.name).sequences:
            # A default that names the clinic's own sequence would count there.
            identity = await self.connection.fetchval(
                "SELECT attidentity <> '' FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = $2",
                table,
                sequence.column,
            )
            if not identity:
                await self.connection.execute(f"ALTER TABLE {table} ALTER {quote(sequence.column)} DROP DEFAULT")

    async def _hold(self, shape: Shape, total: ModelTotal, on_read: OnRead) -> None:
        rows = f"SELECT {columns('t', shape.names)} FROM {self._tables[shape.entry.name]} AS t"
        read = await digest_of(self.connection, shape, rows, self.setting, on_read)
        if read != total:
            raise RestoreDiffers(
                f"restaurado en tablas aparte, «{shape.model}» no vuelve a leerse como está en el respaldo:"
                f" {read.records:,} registros, SHA-256 {read.sha256}, y debería ser {total.sha256}"
            )

    async def _add_foreign_keys(self, shapes: Sequence[Shape]) -> list[str]:
        said = []
        by_table = {shape.entry.name: shape for shape in shapes}
        for reference in self.constraints.references:
            child, parent = self._tables.get(reference.child), self._tables.get(reference.parent)
            if child is None or parent is None or reference.temporal:
                continue
            own, target = (", ".join(map(quote, names)) for names in (reference.columns, reference.target_columns))
            try:
                await self.connection.execute(
                    f"ALTER TABLE {child} ADD FOREIGN KEY ({own}) REFERENCES {parent} ({target})"
                )
            except asyncpg.ForeignKeyViolationError:
                said.append(await self._stray(by_table[reference.child], reference, child, parent))
        return said

    async def _stray(self, shape: Shape, reference: Reference, child: str, parent: str) -> str:
        """A sentence where the missing rows are another clinic's. Raises RestoreDiffers where they are nowhere."""
        target = reference.target_columns
        missing = (
            f"({columns('c', reference.columns)}) IS NOT NULL"
            if len(target) > 1
            else (f"c.{quote(reference.columns[0])} IS NOT NULL")
        )
        for there in (parent, parent_of(reference)):
            missing += f" AND NOT EXISTS (SELECT FROM {there} AS p WHERE {joined(reference, 'c', 'p')})"
        rows = f"SELECT c.* FROM {child} AS c WHERE {missing}"
        by = ", ".join(reference.columns)
        if found := await named_keys(self.connection, shape.key or reference.columns, rows):
            raise RestoreDiffers(
                f"registros de «{shape.model}» apuntan, por {by}, a registros que no están en el respaldo"
                f" ni en la base de datos: {found}"
            )
        return f"«{shape.model}»: hay registros que apuntan, por {by}, a registros de otra clínica"
