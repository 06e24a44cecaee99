"""A clinic, and how clinics share the database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# The setting that an error of this database names.
SETTING = "CLINIC_DATABASE_URL"


@dataclass(frozen=True, slots=True)
class Clinic:
    """A tenant. `schema` is its own, in tenancy `schema`; `name` and `active` where the table says them."""

    id: int
    name: str | None
    active: bool
    schema: str | None


@dataclass(frozen=True, slots=True)
class Tenancy:
    """How clinics share the database, as the settings of the same names say."""

    kind: Literal["column", "schema"] = "column"
    column: str = "clinica_id"
    table: str | None = None
    schema_column: str = "schema_name"
    active_column: str = "activa"
    name_column: str = "nombre"
    exclude: tuple[str, ...] = ()
    access: tuple[str, ...] = ()
    rules: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
