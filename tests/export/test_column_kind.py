"""Of PostgreSQL's names for types, those are known that other formats have a type for."""

import pytest

from app.dump.document import ColumnHeader, Form
from app.export.column_kind import ColumnKind, Kind, kind_of


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("boolean", ColumnKind(Kind.BOOLEAN)),
        ("smallint", ColumnKind(Kind.INT16)),
        ("integer", ColumnKind(Kind.INT32)),
        ("bigint", ColumnKind(Kind.INT64)),
        ("oid", ColumnKind(Kind.INT64)),
        ("real", ColumnKind(Kind.FLOAT32)),
        ("double precision", ColumnKind(Kind.FLOAT64)),
        ("numeric", ColumnKind(Kind.NUMERIC)),
        ("numeric(12,4)", ColumnKind(Kind.NUMERIC, 12, 4)),
        ("numeric(5,0)", ColumnKind(Kind.NUMERIC, 5, 0)),
        ("numeric(3,-2)", ColumnKind(Kind.NUMERIC, 3, -2)),
        ("date", ColumnKind(Kind.DATE)),
        ("time(3) without time zone", ColumnKind(Kind.TIME)),
        ("timestamp without time zone", ColumnKind(Kind.TIMESTAMP)),
        ("timestamp(0) with time zone", ColumnKind(Kind.TIMESTAMP_UTC)),
        ("uuid", ColumnKind(Kind.UUID)),
        ("bytea", ColumnKind(Kind.BINARY)),
        *(
            (text, ColumnKind(Kind.TEXT))
            for text in (
                *(
                    "time with time zone",
                    "interval",
                    "interval year to month",
                    "character varying(50)",
                    "text",
                    "money",
                ),
                *(
                    "integer[]",
                    'public."integer"',
                    "citado.uuid",
                    '"char"',
                    "bit(5)",
                    "xid8",
                    "x",
                    "",
                    "numeric(1,2,3)",
                ),
            )
        ),
    ],
)
def test_kinds(type_: str, kind: ColumnKind) -> None:
    assert kind_of(ColumnHeader("c", type_, True, Form.SCALAR)) == kind


@pytest.mark.parametrize("form", [Form.TEXT, Form.JSONB])
def test_what_is_no_scalar_is_text_whatever_it_is_called(form: Form) -> None:
    assert kind_of(ColumnHeader("c", "integer", True, form)) == ColumnKind(Kind.TEXT)
