"""CSV that Excel opens by a double click, and that no reader reads otherwise than it was."""

import csv
import json
from pathlib import Path

from app.dump.document import ModelHeader
from app.export.format import Formato
from tests.support.exporting import backup_of, csv_rows, export, left_in, model

T = model(("id", "integer"), ("texto", "text"))


def exported(tmp_path: Path, header: ModelHeader, *lines: str) -> Path:
    """The file of one model with these records."""
    export(backup_of({"t": header}, {"t": lines}), tmp_path / "x", Formato.CSV)
    return tmp_path / "x" / "t.csv"


def test_the_bytes_of_a_file(tmp_path: Path) -> None:
    lines = ['{"id":1,"texto":"a;\\"b\\"\\nñ"}', '{"id":2,"texto":""}', '{"id":3,"texto":null}']
    assert exported(tmp_path, T, *lines).read_bytes() == (
        '\ufeff"id";"texto"\r\n"1";"a;""b""\nñ"\r\n"2";""\r\n"3";\r\n'.encode()
    )


def test_null_is_told_from_an_empty_text(tmp_path: Path) -> None:
    path = exported(tmp_path, T, '{"id":1,"texto":""}', '{"id":2,"texto":null}', '{"id":null,"texto":"NULL"}')
    assert csv_rows(path)[1] == [["1", ""], ["2", None], [None, "NULL"]]


def test_null_is_told_from_an_empty_text_in_a_single_column(tmp_path: Path) -> None:
    path = exported(tmp_path, model(("c", "text")), '{"c":""}', '{"c":null}', '{"c":"x"}')
    assert csv_rows(path) == (["c"], [[""], [None], ["x"]])


def test_rows_without_columns_are_still_rows(tmp_path: Path) -> None:
    assert csv_rows(exported(tmp_path, model(), "{}", "{}")) == (["sin_columnas"], [[None], [None]])


def test_a_model_without_records_has_its_columns(tmp_path: Path) -> None:
    assert exported(tmp_path, T).read_bytes() == '\ufeff"id";"texto"\r\n'.encode()


def test_what_a_spreadsheet_would_run_is_left_as_it_was(tmp_path: Path) -> None:
    """A mark before it would be one more lie in the data; the folder's LEEME.txt warns."""
    path = exported(tmp_path, T, '{"id":-1,"texto":"=1+1"}', '{"id":2,"texto":"+591 70000000"}')
    assert csv_rows(path)[1] == [["-1", "=1+1"], ["2", "+591 70000000"]]
    assert "fórmula" in (path.parent / "LEEME.txt").read_text(encoding="utf-8-sig")


def test_for_excel_nothing_is_run_and_decimals_have_a_comma(tmp_path: Path) -> None:
    header = model(("id", "integer"), ("texto", "text"), ("monto", "numeric(10,2)"), ("peso", "double precision"))
    lines = [
        '{"id":-1,"texto":"=1+1","monto":-1.50,"peso":1.5e-07}',
        '{"id":2,"texto":"+591 70000000","monto":1500,"peso":null}',
        '{"id":3,"texto":"\\t=x","monto":null,"peso":"NaN"}',
        '{"id":4,"texto":"a=1.5","monto":0.10,"peso":2}',
        '{"id":5,"texto":null,"monto":0.10,"peso":2}',
    ]
    export(backup_of({"t": header}, {"t": lines}), tmp_path / "x", Formato.EXCEL)
    assert csv_rows(tmp_path / "x" / "t.csv")[1] == [
        ["-1", "'=1+1", "-1,50", "1,5e-07"],
        ["2", "'+591 70000000", "1500", None],
        ["3", "'\t=x", None, "NaN"],
        ["4", "a=1.5", "0,10", "2"],
        ["5", None, "0,10", "2"],
    ]
    assert "apóstrofo" in (tmp_path / "x" / "LEEME.txt").read_text(encoding="utf-8-sig")


def test_every_reader_splits_it_the_same(tmp_path: Path) -> None:
    texts = ['"', '""', ";", "\r\n", "\r", "a\rb", " x ", "\\", "'", "\ufeff", "\u2028", "\t", '";"', "\x01"]
    lines = [f'{{"id":{number},"texto":{json.dumps(text)}}}' for number, text in enumerate(texts)]
    path = exported(tmp_path, T, *lines)
    expected = [[str(number), text] for number, text in enumerate(texts)]
    assert csv_rows(path)[1] == expected
    with path.open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file, delimiter=";")) == [["id", "texto"], *expected]


def test_shared_records_stand_apart(tmp_path: Path) -> None:
    """A table may have records of the clinic and records that nobody owns."""
    file = backup_of({"t": T}, {"t": ['{"id":1,"texto":"mía"}']}, {"t": ['{"id":2,"texto":"de nadie"}']})
    export(file, tmp_path / "x", Formato.CSV)
    assert left_in(tmp_path / "x") == ["LEEME.txt", "esquema.json", "referencias", "t.csv"]
    assert csv_rows(tmp_path / "x" / "t.csv")[1] == [["1", "mía"]]
    assert csv_rows(tmp_path / "x" / "referencias" / "t.csv")[1] == [["2", "de nadie"]]
