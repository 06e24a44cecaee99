"""Whatever tables are called, their files and tables have names that can be, and that differ."""

import sqlite3
import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.export.names import UniqueNames, file_stem, sqlite_name

ODD = [
    *("con/barra", "..", ".", "../../etc/passwd", "CON", "con", "Con.x", "nul", "COM1", "lpt¹", "a\\b", "C:", "-rf"),
    *(
        "",
        " ",
        "a ",
        ".oculto",
        "a\nb",
        "a\0b",
        'a*?<>|"b',
        "Ñandú",
        "ñandú",
        "nandú",
        "ſ",
        "s",
        "🦷",
        "LEEME",
        "otro.t",
    ),
    *("x" * 300, "ñ" * 300, "x" * 299 + "y", "\udcff", "~", "$HOME", "%PATH%", "é", "e\u0301", "\u202etxt"),
]


@pytest.mark.parametrize("name", ODD)
def test_a_files_name_stays_in_its_folder_on_any_system(name: str, tmp_path: Path) -> None:
    stem = UniqueNames(file_stem).take(name)
    path = tmp_path / f"{stem}.parquet"
    path.touch()
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    assert not set(stem) & set('/\\:*?"<>|\0\n\r')
    assert stem[0] not in ". -"
    assert stem.split(".")[0].lower() not in {"con", "nul", "com1", "lpt¹"}
    assert len(path.name.encode()) < 200


def test_ordinary_names_stay_as_they_are() -> None:
    names = UniqueNames(file_stem)
    for name in ("pacientes", "otro_esquema.tabla", "Con espacio", "año-2026", "consola", "com10", "null"):
        assert names.take(name) == name


def _as_a_careless_file_system(name: str) -> str:
    """The name as one that ignores case and how accents are written knows it."""
    return unicodedata.normalize("NFKC", name).casefold()


def test_names_that_look_the_same_get_a_number() -> None:
    names = UniqueNames(file_stem)
    assert [names.take(name) for name in ("Pago", "pago", "pago_2", "PAGO", "a/b", "a:b")] == [
        *("Pago", "pago_2", "pago_2_2", "PAGO_3", "a_b", "a_b_2")
    ]


@settings(derandomize=True, deadline=None, database=None)
@given(st.lists(st.text(max_size=5) | st.sampled_from(ODD), unique=True))
def test_any_names_give_as_many_files(given_names: list[str]) -> None:
    names = UniqueNames(file_stem)
    taken = [names.take(name) for name in given_names]
    assert len({_as_a_careless_file_system(name) for name in taken}) == len(given_names)
    with TemporaryDirectory() as folder:
        for name in taken:
            Path(folder, f"{name}.csv").touch(exist_ok=False)
        assert len(list(Path(folder).iterdir())) == len(given_names)


@settings(derandomize=True, deadline=None, database=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), unique=True))
def test_any_names_give_as_many_tables(given_names: list[str]) -> None:
    names = UniqueNames(sqlite_name)
    connection = sqlite3.connect(":memory:")
    for name in [*given_names, "sqlite_master", "SQLite_x", "tabla", "TABLA"]:
        quoted = names.take(name).replace('"', '""')
        connection.execute(f'CREATE TABLE "{quoted}" (a)')
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (len(given_names) + 4,)
    connection.close()
