"""What a column's values are, from the type that PostgreSQL calls it by."""

import re
from dataclasses import dataclass
from enum import Enum, auto

from app.dump.document import ColumnHeader, Form

_TYPE = re.compile(r"([a-z ]+?)(?:\((\d+)(?:,(-?\d+))?\))?( with(?:out)? time zone)?")


class Kind(Enum):
    """Kinds of values for which other formats have a type; everything else is its text."""

    BOOLEAN = auto()
    INT16 = auto()
    INT32 = auto()
    INT64 = auto()
    FLOAT32 = auto()
    FLOAT64 = auto()
    NUMERIC = auto()
    DATE = auto()
    TIME = auto()
    TIMESTAMP = auto()
    TIMESTAMP_UTC = auto()
    UUID = auto()
    BINARY = auto()
    TEXT = auto()


_KINDS = {
    "boolean": Kind.BOOLEAN,
    "smallint": Kind.INT16,
    "integer": Kind.INT32,
    "bigint": Kind.INT64,
    "oid": Kind.INT64,
    "real": Kind.FLOAT32,
    "double precision": Kind.FLOAT64,
    "numeric": Kind.NUMERIC,
    "date": Kind.DATE,
    "time without time zone": Kind.TIME,
    "timestamp without time zone": Kind.TIMESTAMP,
    "timestamp with time zone": Kind.TIMESTAMP_UTC,
    "uuid": Kind.UUID,
    "bytea": Kind.BINARY,
}


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """A kind; of a NUMERIC that has them, also the digits in all and those after the point."""

    kind: Kind
    precision: int | None = None
    scale: int | None = None


def kind_of(column: ColumnHeader) -> ColumnKind:
    """The kind of a column. A domain is TEXT: the file does not say what it is over."""
    found = _TYPE.fullmatch(column.type)
    if column.form is not Form.SCALAR or found is None:
        return ColumnKind(Kind.TEXT)
    name, precision, scale, zone = found.groups()
    kind = _KINDS.get(name + (zone or ""), Kind.TEXT)
    if kind is Kind.NUMERIC and precision is not None:
        return ColumnKind(kind, int(precision), int(scale or 0))
    return ColumnKind(kind)
