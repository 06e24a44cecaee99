"""The table of clinics, and the clinics in it."""

from dataclasses import dataclass
from typing import Self

import asyncpg

from app.clinic.catalogue.classification import find_tenant_table
from app.clinic.catalogue.introspection import Introspection, Table
from app.clinic.catalogue.sql import from_table, literal, quote
from app.clinic.clinic import Clinic, Tenancy
from app.errors import CatalogError, ClinicNotFound


@dataclass(frozen=True, slots=True)
class TenantTable:
    """The table of clinics, and the column with their ids."""

    table: Table
    key: str
    tenancy: Tenancy

    @classmethod
    def of(cls, found: Introspection, tenancy: Tenancy) -> Self:
        """The one that these tables have. Raises CatalogError."""
        if tenancy.kind == "schema":
            # A clinic's schema may have one like it.
            shared = {name: table for name, table in found.tables.items() if name.schema == "public"}
            found = Introspection(found.postgresql, shared, ())
        name, key = find_tenant_table(found, tenancy)
        table = found.tables[name]
        if tenancy.kind == "schema" and table.column(tenancy.schema_column) is None:
            raise CatalogError(f"la tabla de clínicas «{name}» no tiene la columna «{tenancy.schema_column}»")
        return cls(table, key, tenancy)

    async def read(self, connection: asyncpg.Connection, only: int | None = None) -> "Tenants":
        """The clinics in it; with `only`, that one and those of the same schema."""
        tenancy = self.tenancy

        def column_or(column: str, otherwise: str) -> str:
            return quote(column) if self.table.column(column) is not None else otherwise

        schema = column_or(tenancy.schema_column, "NULL")
        table, key = from_table(self.table), quote(self.key)
        which = ""
        if only is not None:
            which = f" WHERE {key} = {only:d}"
            if tenancy.kind == "schema":
                which += f" OR {schema} IN (SELECT {schema} FROM {table} WHERE {key} = {only:d})"
        rows = await connection.fetch(
            f"SELECT {key}::bigint, {column_or(tenancy.name_column, 'NULL')}::text,"
            f" {column_or(tenancy.active_column, 'true')}::boolean IS TRUE,"
            f" {schema}::text FROM {table}{which} ORDER BY 1"
        )
        if tenancy.kind == "column":
            return Tenants(self, [Clinic(id_, title, active, None) for id_, title, active, _ in rows], None)
        entries = [Clinic(*row) for row in rows]
        platform = next((entry for entry in entries if entry.schema == self.table.name.schema), None)
        return Tenants(self, [entry for entry in entries if entry.schema != self.table.name.schema], platform)

    def schemas(self, clinic: Clinic | None) -> str:
        """As a condition on `n`, that the schema is no other clinic's."""
        if self.tenancy.kind == "column":
            return "true"
        schema = f"{quote(self.tenancy.schema_column)}::text"
        shared = [self.table.name.schema, *([clinic.schema] if clinic is not None and clinic.schema else [])]
        others = f"{schema} NOT IN ({', '.join(map(literal, shared))})"
        return f"n.nspname::text NOT IN (SELECT {schema} FROM {from_table(self.table)} WHERE {others})"


@dataclass(frozen=True, slots=True)
class Tenants:
    """Clinics of the table, by id, and, in tenancy `schema`, the platform's own entry, which is none."""

    table: TenantTable
    clinics: list[Clinic]
    platform: Clinic | None

    def pick(self, named: int | str | None) -> Clinic:
        """The clinic of that id or, for a text, of that number or else that schema; for None the first one.

        Raises ClinicNotFound, which says so where it is the platform's own entry.
        """
        if named is None:
            if not self.clinics:
                raise ClinicNotFound("la tabla de clínicas está vacía")
            return self.clinics[0]
        number = int(named) if isinstance(named, str) and named.isdecimal() else named
        entries = self.clinics if self.platform is None else [self.platform, *self.clinics]
        found = next((entry for entry in entries if entry.id == number), None)
        found = found or next((entry for entry in entries if entry.schema == named), None)
        if found is None:
            shown = number if isinstance(number, int) else f"«{number}»; las que hay las muestra: respaldos clinicas"
            raise ClinicNotFound(f"no existe la clínica {shown}")
        if found is self.platform:
            raise ClinicNotFound(
                f"«{named}» es la plataforma, no una clínica: su esquema, «{found.schema}», es el que comparten todas"
            )
        return found
