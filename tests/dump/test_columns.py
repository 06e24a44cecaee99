"""Records come apart into columns without a digit, a blank or a null changing."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.dump.columns import ColumnReader
from app.dump.document import ColumnHeader, Form, compact_json
from app.errors import FormatError

PLAIN = (
    ColumnHeader("id", "bigint", False, Form.SCALAR),
    ColumnHeader('con "comillas" ñ', "text", True, Form.SCALAR),
    ColumnHeader("activo", "boolean", True, Form.SCALAR),
)
WITH_JSONB = (*PLAIN, ColumnHeader("datos", "jsonb", True, Form.JSONB))


def read(columns: tuple[ColumnHeader, ...], *records: str) -> list[list[str | None]]:
    """The records' values, record by record."""
    count, found = ColumnReader("m", columns).read("".join(record + "\n" for record in records).encode())
    assert count == len(records)
    assert len(found) == len(columns)
    return [list(row) for row in zip(*found, strict=True)]


@pytest.mark.parametrize("more", ["", ',"datos":null'])
def test_scalars_are_what_postgresql_printed(more: str) -> None:
    records = [
        f'{{"id":1,"con \\"comillas\\" ñ":"a\\n\\"b\\" \\\\ñ🦷\\u0001","activo":true{more}}}',
        f'{{"id":-0.10,"con \\"comillas\\" ñ":"","activo":false{more}}}',
        f'{{"id":{"7" * 5000}.{"3" * 5000}e+400,"con \\"comillas\\" ñ":null,"activo":null{more}}}',
    ]
    found = read(WITH_JSONB if more else PLAIN, *records)
    assert [row[:3] for row in found] == [
        ["1", 'a\n"b" \\ñ🦷\x01', "true"],
        ["-0.10", "", "false"],
        [f"{'7' * 5000}.{'3' * 5000}e+400", None, None],
    ]


def test_a_document_is_its_own_text() -> None:
    documents = ['{"b": 1.00, "a": [1, null, "]}\\"\\\\"]}', "[]", '"null"', "1.10", "true", "null", '"]"', "[[{}]]"]
    records = [f'{{"id":1,"con \\"comillas\\" ñ":null,"activo":true,"datos":{one}}}' for one in documents]
    assert [row[3] for row in read(WITH_JSONB, *records)] == [*documents[:5], None, *documents[6:]]


def test_json_null_is_not_sql_null() -> None:
    columns = tuple(ColumnHeader(name, "jsonb", True, Form.JSONB) for name in ("a", "b", "$jsonnull"))
    assert read(
        columns,
        '{"a":null,"b":null,"$jsonnull":null,"$jsonnull":["a","$jsonnull"]}',
        '{"a":null,"b":{"$jsonnull": ["b"]},"$jsonnull":null}',
    ) == [["null", None, "null"], [None, '{"$jsonnull": ["b"]}', None]]


def test_a_document_deeper_than_python_reads() -> None:
    deep = "[" * 6000 + '{"a": "]"}' + "]" * 6000
    assert read(WITH_JSONB, f'{{"id":1,"con \\"comillas\\" ñ":null,"activo":true,"datos":{deep}}}')[0][3] == deep


def test_records_without_columns_are_counted() -> None:
    assert ColumnReader("m", ()).read(b"{}\n{}\n{}\n") == (3, [])


@pytest.mark.parametrize(
    ("columns", "record", "message"),
    [
        (PLAIN, '{"id":[1],"con \\"comillas\\" ñ":null,"activo":true}', "«id» de «m» tiene un valor que no es de su"),
        (PLAIN, '{"id":1,"con \\"comillas\\" ñ":{},"activo":true}', '«con "comillas" ñ» de «m»'),
        (PLAIN, f'{{"id":{"[" * 6000 + "]" * 6000},"con \\"comillas\\" ñ":null,"activo":true}}', "«id» de «m»"),
        (WITH_JSONB, '{"id":{"a": 1},"con \\"comillas\\" ñ":null,"activo":true,"datos":1}', "«id» de «m»"),
        (WITH_JSONB, '{"id":1,"otra":null,"activo":true,"datos":1}', "no está escrito como debe"),
        (WITH_JSONB, '{"id":1,"con \\"comillas\\" ñ":null,"activo":true,"datos":[1', "no está escrito como debe"),
        (WITH_JSONB, '{"id":,"con \\"comillas\\" ñ":null,"activo":true,"datos":1}', "no está escrito como debe"),
        (
            WITH_JSONB,
            '{"id":1,"con \\"comillas\\" ñ":null,"activo":true,"datos":1,"x":1}',
            "no está escrito como debe",
        ),
    ],
)
def test_what_is_no_record_of_the_model_is_refused(
    columns: tuple[ColumnHeader, ...], record: str, message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        read(columns, record)


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)


@settings(derandomize=True, deadline=None, database=None)
@given(
    names=st.lists(_text, min_size=1, max_size=4, unique=True),
    data=st.data(),
    loose=st.booleans(),
)
def test_any_record_is_read_as_a_json_parser_reads_it(names: list[str], data: st.DataObject, loose: bool) -> None:
    forms = [data.draw(st.sampled_from([Form.SCALAR, Form.JSONB])) for _ in names]
    record: dict[str, Any] = {
        name: data.draw(_json if form is Form.JSONB else st.none() | st.integers() | _text)
        for name, form in zip(names, forms, strict=True)
    }
    columns = tuple(ColumnHeader(name, "x", True, form) for name, form in zip(names, forms, strict=True))
    line = json.dumps(record, ensure_ascii=loose) if loose else compact_json(record)
    for name, form, value in zip(names, forms, read(columns, line)[0], strict=True):
        if form is Form.JSONB:
            assert (None if value is None else json.loads(value)) == record[name]
        else:
            assert value == (None if record[name] is None else str(record[name]))
