"""One SQLite file, with each value as the type in which SQLite keeps it whole."""

import math
from pathlib import Path

import pytest

from app.errors import ExportError
from app.export.format import Formato
from tests.support.exporting import backup_of, export, model, sqlite_rows

TYPES = model(
    ("entero", "bigint"),
    ("verdad", "boolean"),
    ("monto", "numeric(12,2)"),
    ("medida", "double precision"),
    ("foto", "bytea"),
    ("fecha", "date"),
    ("hora", "timestamp with time zone"),
    ("datos", "jsonb"),
    key=("entero",),
    jsonb=("datos",),
)


def test_values_are_of_sqlites_types_and_none_is_rounded(tmp_path: Path) -> None:
    lines = [
        '{"entero":9223372036854775807,"verdad":true,"monto":1.10,"medida":0.1,"foto":"\\\\x00ff","fecha":"2026-11-23",'
        '"hora":"2026-11-23T06:00:00+00:00","datos":{"b": 1.0, "a": null}}',
        '{"entero":-1,"verdad":false,"monto":"NaN","medida":"NaN","foto":"\\\\x","fecha":"0044-03-15 BC",'
        '"hora":"infinity","datos":null,"$jsonnull":["datos"]}',
        '{"entero":0,"verdad":null,"monto":12345678901234567890.10,"medida":"-Infinity","foto":null,"fecha":null,'
        '"hora":null,"datos":null}',
        '{"entero":5,"verdad":null,"monto":null,"medida":-0,"foto":null,"fecha":"","hora":null,"datos":"null"}',
    ]
    export(backup_of({"t": TYPES}, {"t": lines}), tmp_path / "x", Formato.SQLITE)
    rows = sqlite_rows(tmp_path / "x", "SELECT * FROM t ORDER BY rowid")
    assert rows == [
        (-1, 0, "NaN", "NaN", b"", "0044-03-15 BC", "infinity", "null"),
        (0, None, "12345678901234567890.10", -math.inf, None, None, None, None),
        (5, None, None, 0.0, None, "", None, '"null"'),
        (2**63 - 1, 1, "1.10", 0.1, b"\0\xff", "2026-11-23", "2026-11-23T06:00:00+00:00", '{"b": 1.0, "a": null}'),
    ]
    assert math.copysign(1, rows[2][3]) == -1
    assert sqlite_rows(tmp_path / "x", "SELECT strftime('%Y', hora), datos->>'b' FROM t WHERE verdad") == [
        ("2026", 1.0)
    ]


def test_the_key_is_the_tables_own(tmp_path: Path) -> None:
    models = {"uno": model(("b", "text"), ("a", "integer"), key=("a", "b")), "dos": model(("a", "integer"))}
    data = {"uno": ['{"b":"x","a":1}', '{"b":"y","a":1}'], "dos": ['{"a":1}', '{"a":1}']}
    export(backup_of(models, data), tmp_path / "x", Formato.SQLITE)
    keys = "SELECT name, type, pk FROM pragma_table_info('{}') ORDER BY cid"
    assert sqlite_rows(tmp_path / "x", keys.format("uno")) == [("b", "TEXT", 2), ("a", "INTEGER", 1)]
    assert sqlite_rows(tmp_path / "x", keys.format("dos")) == [("a", "INTEGER", 0)]
    assert sqlite_rows(tmp_path / "x", "SELECT count(*) FROM dos") == [(2,)]


def test_names_that_differ_by_case_only_and_names_that_sqlite_keeps(tmp_path: Path) -> None:
    columns = model(("id", "integer"), ("ID", "integer"), ('a"b', "text"), ("sqlite_x", "text"), key=("ID",))
    models = {"Pago": columns, "pago": columns, "sqlite_master": columns, "_respaldo": columns, 'x";--': columns}
    line = '{"id":1,"ID":2,"a\\"b":"á","sqlite_x":"s"}'
    done = export(backup_of(models, {name: [line] for name in models}), tmp_path / "x", Formato.SQLITE)
    assert [found.place for found in done.models] == ["Pago", "pago_2", "_sqlite_master", "_respaldo", 'x";--']
    for found in done.models:
        table = found.place.replace('"', '""')
        assert sqlite_rows(tmp_path / "x", f'SELECT id, "ID_2", "a""b", _sqlite_x FROM "{table}"') == [
            (1, 2, "á", "s")
        ]
    said = sqlite_rows(
        tmp_path / "x", "SELECT columna_original, columna, es_clave FROM _columnas WHERE tabla = 'pago_2'"
    )
    assert said == [("id", "id", 0), ("ID", "ID_2", 1), ('a"b', 'a"b', 0), ("sqlite_x", "_sqlite_x", 0)]
    assert sqlite_rows(tmp_path / "x", "SELECT valor FROM _respaldo_2 WHERE dato = 'clinica_id'") == [(1,)]


def test_foreign_keys_can_be_followed_into_shared_records(tmp_path: Path) -> None:
    models = {
        "usuarios": model(("id", "integer"), ("tipo", "integer")),
        "tipo": model(("id", "integer"), ("rol", "text")),
    }
    data, shared = {"usuarios": ['{"id":1,"tipo":7}']}, {"tipo": ['{"id":7,"rol":"admin"}'], "usuarios": []}
    export(backup_of(models, data, shared), tmp_path / "x", Formato.SQLITE)
    joined = "SELECT u.id, rol FROM usuarios u JOIN tipo t ON t.id = u.tipo"
    assert sqlite_rows(tmp_path / "x", joined) == [(1, "admin")]
    places = sqlite_rows(tmp_path / "x", "SELECT DISTINCT seccion, modelo, tabla FROM _columnas")
    assert ("referencias", "usuarios", "usuarios_2") in places


def test_rows_without_columns_are_still_rows(tmp_path: Path) -> None:
    export(backup_of({"t": model()}, {"t": ["{}", "{}"]}), tmp_path / "x", Formato.SQLITE)
    assert sqlite_rows(tmp_path / "x", "SELECT * FROM t") == [(None,), (None,)]


def test_as_many_columns_as_postgresql_has(tmp_path: Path) -> None:
    wide = model(*((f"c{number}", "integer") for number in range(1600)))
    line = "{" + ",".join(f'"c{number}":{number}' for number in range(1600)) + "}"
    export(backup_of({"t": wide}, {"t": [line]}), tmp_path / "x", Formato.SQLITE)
    assert sqlite_rows(tmp_path / "x", "SELECT * FROM t") == [tuple(range(1600))]


@pytest.mark.parametrize(
    ("columns", "lines", "message"),
    [
        ([(f"c{number}", "text") for number in range(2500)], [], "«t»: tiene 2,500 columnas y SQLite admite 2,000"),
        ([("a", "integer")], ['{"a":"uno"}'], "la columna «a» tiene un valor que no es de su tipo"),
        ([("a", "bigint")], ['{"a":9223372036854775808}'], "«t»: tiene un número entero de más de 64 bits"),
        ([("a", "boolean")], ['{"a":"x"}'], "la columna «a»"),
        ([("a", "bytea")], ['{"a":"\\\\xzz"}'], "la columna «a»"),
        ([("a", "integer"), ("b", "text")], ['{"a":1,"b":""}'] * 2, "«t»: tiene dos registros con la misma clave"),
    ],
)
def test_what_sqlite_cannot_hold_is_an_error_that_names_it(
    tmp_path: Path, columns: list[tuple[str, str]], lines: list[str], message: str
) -> None:
    file = backup_of({"t": model(*columns, key=("a", "b") if len(columns) == 2 else ())}, {"t": lines})
    with pytest.raises(ExportError, match=message):
        export(file, tmp_path / "x", Formato.SQLITE)
    assert list(tmp_path.iterdir()) == []
