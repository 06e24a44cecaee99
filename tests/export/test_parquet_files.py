"""Parquet with the types that the columns had, and text where a value is of no type that Parquet has."""

import json
import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.export import parquet_files
from app.export.format import ExportedModel, Formato
from tests.support.exporting import backup_of, export, left_in, model, parquet_columns

ANY = UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")


def exported(
    tmp_path: Path, type_: str, *values: object, jsonb: bool = False
) -> tuple[pa.DataType, list[object], bool]:
    """Of one column with these values: its type in the file, its values, and whether it was made text."""
    lines = [
        json.dumps({"c": value}) if not isinstance(value, str) or jsonb else f'{{"c":{value}}}' for value in values
    ]
    header = model(("c", type_), jsonb=("c",) if jsonb else ())
    done = export(backup_of({"t": header}, {"t": lines}), tmp_path / "x", Formato.PARQUET)
    path = tmp_path / "x" / "t.parquet"
    field = pq.read_schema(path).field("c")
    assert field.metadata == {b"postgresql": type_.encode()}
    assert done.models[0].columns[0].type == str(field.type)
    return field.type, parquet_columns(path)["c"], done.models[0].as_text == ("c",)


@pytest.mark.parametrize(
    ("type_", "values", "arrow", "read"),
    [
        ("boolean", ["true", "false", None], pa.bool_(), [True, False, None]),
        ("smallint", ["-32768"], pa.int16(), [-32768]),
        ("integer", ["2147483647"], pa.int32(), [2**31 - 1]),
        ("bigint", ["-9223372036854775808"], pa.int64(), [-(2**63)]),
        ("oid", ["4294967295"], pa.int64(), [2**32 - 1]),
        ("real", ["0.5", '"Infinity"'], pa.float32(), [0.5, math.inf]),
        ("double precision", ["5e-324", '"-Infinity"', "0.1"], pa.float64(), [5e-324, -math.inf, 0.1]),
        ("numeric(12,2)", ["1.10", "-9.99", None], pa.decimal128(12, 2), [Decimal("1.10"), Decimal("-9.99"), None]),
        ("numeric(38,38)", [f"0.{'9' * 38}"], pa.decimal128(38, 38), [Decimal(f"0.{'9' * 38}")]),
        ("numeric(38,0)", ["9" * 38], pa.decimal128(38, 0), [Decimal("9" * 38)]),
        # More than every reader keeps, or not a number of digits at all.
        ("numeric(39,0)", ["9" * 39], pa.string(), ["9" * 39]),
        ("numeric(3,-2)", ["12300"], pa.string(), ["12300"]),
        ("numeric(2,4)", ["0.0012"], pa.string(), ["0.0012"]),
        ("numeric", ["1.10", "1.1000"], pa.string(), ["1.10", "1.1000"]),
        ("date", ['"0001-01-01"', '"9999-12-31"'], pa.date32(), [date.min, date.max]),
        ("time without time zone", ['"23:59:59.999999"', '"00:00:00"'], pa.time64("us"), [time.max, time.min]),
        (
            "timestamp(3) without time zone",
            ['"2026-02-03T04:05:06.7"'],
            pa.timestamp("us"),
            [datetime(2026, 2, 3, 4, 5, 6, 700000)],  # noqa: DTZ001
        ),
        (
            "timestamp with time zone",
            ['"2026-02-03T04:05:06.000001+00:00"', '"0001-01-01T00:00:00+00:00"'],
            pa.timestamp("us", tz="UTC"),
            [datetime(2026, 2, 3, 4, 5, 6, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)],
        ),
        ("uuid", [f'"{ANY}"', None], pa.uuid(), [ANY, None]),
        ("bytea", ['"\\\\x00ff"', '"\\\\x"', None], pa.binary(), [b"\0\xff", b"", None]),
        ("text", ['""', '"NULL"', None], pa.string(), ["", "NULL", None]),
        ("interval", ['"1 mon"'], pa.string(), ["1 mon"]),
    ],
)  # fmt: skip
def test_ordinary_values_have_their_type(
    tmp_path: Path, type_: str, values: Sequence[object], arrow: pa.DataType, read: list[object]
) -> None:
    assert exported(tmp_path, type_, *values) == (arrow, read, False)


def test_a_document_is_its_json_text(tmp_path: Path) -> None:
    found = exported(tmp_path, "jsonb", {"a": [1.0, None]}, "null", None, jsonb=True)
    assert found == (pa.string(), ['{"a": [1.0, null]}', '"null"', None], False)


@pytest.mark.parametrize(
    ("type_", "ordinary", "odd"),
    [
        ("date", "2026-02-03", ["infinity", "0044-03-15 BC", "10000-01-01", "5874897-12-31"]),
        ("time without time zone", "04:05:06.7", ["24:00:00"]),
        ("timestamp without time zone", "2026-02-03T04:05:06", ["-infinity", "0044-03-15T00:00:00 BC"]),
        (
            "timestamp with time zone",
            "2026-02-03T04:05:06.1+00:00",
            ["infinity", "294276-12-31T23:59:59.999999+00:00"],
        ),
        ("numeric(12,2)", "1.10", ["NaN"]),
        ("uuid", str(ANY), ["no"]),
        ("bytea", "\\x00ff", ["no"]),
        ("integer", "1", ["2147483648", "x"]),
    ],
)
def test_one_value_of_no_type_makes_its_column_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, type_: str, ordinary: str, odd: list[str]
) -> None:
    """Those that were written before it, too, as PostgreSQL printed them."""
    monkeypatch.setattr(parquet_files, "ROW_GROUP_BYTES", 1)
    for number, one in enumerate(odd):
        values = [ordinary, None, one, ordinary]
        folder = tmp_path / str(number)
        folder.mkdir()
        assert exported(folder, type_, *map(json.dumps, values)) == (pa.string(), values, True)
        assert left_in(folder / "x") == ["LEEME.txt", "esquema.json", "t.parquet"]
        assert json.loads((folder / "x" / "esquema.json").read_bytes())["modelos"][0]["como_texto"] == ["c"]


def test_several_columns_become_text_wherever_they_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_files, "ROW_GROUP_BYTES", 200)
    header = model(("id", "integer"), ("a", "date"), ("b", "date"), ("c", "date"))
    days = [date.fromordinal(730_000 + number).isoformat() for number in range(300)]
    lines = [
        f'{{"id":{number},"a":"{"infinity" if number == 100 else day}","b":"{day}",'
        f'"c":"{"infinity" if number == 299 else day}"}}'
        for number, day in enumerate(days)
    ]
    done = export(backup_of({"t": header}, {"t": lines}), tmp_path / "x", Formato.PARQUET, chunk=100)
    assert done.models[0].as_text == ("a", "c")
    found = parquet_columns(tmp_path / "x" / "t.parquet")
    assert found["id"] == list(range(300))
    assert found["a"] == [*days[:100], "infinity", *days[101:]]
    assert found["b"] == [date.fromisoformat(day) for day in days]
    assert found["c"] == [*days[:299], "infinity"]


def test_row_groups_are_of_bounded_size(tmp_path: Path) -> None:
    lines = [f'{{"id":{number},"t":"{"x" * 1000}"}}' for number in range(20_000)]
    header = model(("id", "integer"), ("t", "text"))
    export(backup_of({"t": header}, {"t": lines}), tmp_path / "x", Formato.PARQUET)
    metadata = pq.read_metadata(tmp_path / "x" / "t.parquet")
    assert metadata.num_rows == 20_000
    assert 3 < metadata.num_row_groups < 10
    assert parquet_columns(tmp_path / "x" / "t.parquet")["id"] == list(range(20_000))


def test_models_without_records_or_columns(tmp_path: Path) -> None:
    file = backup_of({"vacía": model(("a", "date")), "nada": model()}, {"vacía": [], "nada": ["{}", "{}"]})
    done = export(file, tmp_path / "x", Formato.PARQUET)
    assert pq.read_schema(tmp_path / "x" / "vacía.parquet").types == [pa.date32()]
    assert parquet_columns(tmp_path / "x" / "nada.parquet") == {"sin_columnas": [None, None]}
    assert [found.records for found in done.models] == [0, 2]


def test_columns_keep_their_names(tmp_path: Path) -> None:
    header = model(("id", "integer"), ("ID", "integer"), ("ñ.a", "text"))
    export(backup_of({"t": header}, {"t": ['{"id":1,"ID":2,"ñ.a":"x"}']}), tmp_path / "x", Formato.PARQUET)
    assert parquet_columns(tmp_path / "x" / "t.parquet") == {"id": [1], "ID": [2], "ñ.a": ["x"]}


def test_shared_records_stand_apart(tmp_path: Path) -> None:
    header = model(("id", "integer"))
    file = backup_of({"t": header}, {"t": ['{"id":1}']}, {"t": ['{"id":2}']})
    done = export(file, tmp_path / "x", Formato.PARQUET)
    places = [(found.section, found.place) for found in done.models if isinstance(found, ExportedModel)]
    assert places == [("datos", "t.parquet"), ("referencias", "referencias/t.parquet")]
    assert parquet_columns(tmp_path / "x" / "referencias" / "t.parquet") == {"id": [2]}
