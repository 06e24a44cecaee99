"""One set of promises for every format: an export is whole, or it is not there."""

import gzip
import json
import os
import stat
import threading
import tracemalloc
from pathlib import Path

import pytest

from app.dump.document import Section
from app.dump.reader import Event, RecordsRead
from app.dump.seal import NO_SEALS
from app.dump.verifier import FileVerifier
from app.errors import ExportError, FormatError, Interrupted, LocalFileError
from app.export.export import Export, existing_export
from app.export.format import Formato
from tests.clinic.conftest import Database
from tests.support.backup_file import compress, compress_elsewhere, document
from tests.support.clinic_backup import back_up
from tests.support.exporting import (
    FORMATOS,
    backup_of,
    csv_rows,
    export,
    json_records,
    left_in,
    model,
    parquet_columns,
    sqlite_rows,
)

T = model(("id", "integer"), ("t", "text"), key=("id",))
LINES = [f'{{"id":{number},"t":"{number:>64}"}}' for number in range(1000)]
FILE = backup_of({"t": T}, {"t": LINES}, {})

every_format = pytest.mark.parametrize("formato", FORMATOS)

# But for the one that is the backup itself, as it stands.
every_other = pytest.mark.parametrize("formato", [formato for formato in FORMATOS if formato is not Formato.JSON])


def rows_of(target: Path, formato: Formato, name: str = "t") -> int:
    """How many records an independent reader finds of a model."""
    if formato is Formato.SQLITE:
        return int(sqlite_rows(target, f'SELECT count(*) FROM "{name}"')[0][0])
    if formato is Formato.CSV:
        return len(csv_rows(target / f"{name}.csv")[1])
    if formato is Formato.JSON:
        return json_records(target, name)
    return len(next(iter(parquet_columns(target / f"{name}.parquet").values())))


@every_format
async def test_a_clinics_records_are_all_there(sample: Database, tmp_path: Path, formato: Formato) -> None:
    backup = await back_up(sample.clinics(), 1)
    done = export(backup.file, tmp_path / "x", formato)
    assert done.header == backup.verified.header
    assert done.records(Section.DATA) == backup.verified.records
    for section in Section:
        expected = {name: len(records) for name, records in backup.document[section].items()}
        found = {model.name: model.records for model in done.models if model.section is section}
        assert found == expected
        for exported in done.models:
            if exported.section is section:
                name = exported.place.rpartition(".")[0] if formato.is_folder else exported.place
                assert rows_of(tmp_path / "x", formato, name) == exported.records


@every_format
def test_only_this_user_may_read_it(tmp_path: Path, formato: Formato) -> None:
    export(FILE, tmp_path / "x", formato)
    for path in [tmp_path / "x", *(tmp_path / "x").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@every_format
@pytest.mark.parametrize(
    "file",
    [
        FILE[:-1],
        FILE[: len(FILE) // 2],
        FILE + b"\0",
        FILE[:5000] + bytes([FILE[5000] ^ 1]) + FILE[5001:],
        b"",
        b"hola",
        compress(b"{}"),
        compress_elsewhere(gzip.decompress(FILE).replace(b'"id":999,', b'"id":998,')),
        compress(document(records=[b'{"codigo":1}\n'])),
    ],
    ids=["last byte", "half", "more", "bit", "empty", "other", "json", "digest", "columns"],
)
def test_a_file_that_is_not_whole_leaves_nothing(tmp_path: Path, formato: Formato, file: bytes) -> None:
    with pytest.raises(FormatError):
        export(file, tmp_path / "x", formato)
    assert left_in(tmp_path) == []
    export(FILE, tmp_path / "x", formato)
    with pytest.raises(FormatError):
        export(file, tmp_path / "x", formato, replace=True)
    assert left_in(tmp_path) == ["x"]
    assert rows_of(tmp_path / "x", formato) == 1000


@every_format
def test_an_export_replaces_another_only_where_it_may(tmp_path: Path, formato: Formato) -> None:
    smaller = backup_of({"otra": T}, {"otra": LINES[:3]}, {})
    export(FILE, tmp_path / "x", formato)
    assert existing_export(tmp_path / "x", formato)
    with pytest.raises(LocalFileError, match="x» ya existe"):
        export(smaller, tmp_path / "x", formato)
    assert rows_of(tmp_path / "x", formato) == 1000
    export(smaller, tmp_path / "x", formato, replace=True)
    assert rows_of(tmp_path / "x", formato, "otra") == 3
    assert left_in(tmp_path) == ["x"]
    if formato.is_folder:
        assert f"t.{formato}" not in left_in(tmp_path / "x")


@every_format
def test_what_comes_there_meanwhile_is_not_replaced(tmp_path: Path, formato: Formato) -> None:
    with Export(tmp_path / "x", formato, replace=False) as under_way:
        verifier = FileVerifier(NO_SEALS, sealed=False, on_event=under_way.take)
        verifier.feed(FILE)
        verifier.finish()
        export(FILE, tmp_path / "x", formato)
        before = (tmp_path / "x").stat().st_ino
        with pytest.raises(LocalFileError, match="ya existe"):
            under_way.commit()
    assert (tmp_path / "x").stat().st_ino == before
    assert left_in(tmp_path) == ["x"]


@pytest.mark.parametrize("formato", [Formato.CSV, Formato.PARQUET])
def test_a_folder_with_anything_else_in_it_is_never_replaced(tmp_path: Path, formato: Formato) -> None:
    target = tmp_path / "Documentos"
    export(FILE, target, formato)
    (target / "tesis.docx").write_text("años de trabajo")
    with pytest.raises(LocalFileError, match=r"está «tesis\.docx», que no es de una exportación"):
        export(FILE, target, formato, replace=True)
    (target / "esquema.json").write_text('{"hecho_por":"otro","modelos":[{"lugar":"tesis.docx"}]}')
    with pytest.raises(LocalFileError, match="no es de una exportación"):
        export(FILE, target, formato, replace=True)
    assert (target / "tesis.docx").read_text() == "años de trabajo"


@pytest.mark.parametrize("formato", [Formato.CSV, Formato.PARQUET])
def test_an_empty_folder_is_as_good_as_none(tmp_path: Path, formato: Formato) -> None:
    (tmp_path / "x").mkdir()
    assert not existing_export(tmp_path / "x", formato)
    export(FILE, tmp_path / "x", formato)
    assert rows_of(tmp_path / "x", formato) == 1000


@every_format
def test_where_it_cannot_be_is_told_before_anything_is_read(tmp_path: Path, formato: Formato) -> None:
    (tmp_path / "carpeta").mkdir()
    (tmp_path / "archivo").write_text("x")
    wrong = tmp_path / ("archivo" if formato.is_folder else "carpeta")
    for target in (
        tmp_path / "no-hay" / "x",
        wrong,
        Path("/proc/x"),
        *([] if formato.is_folder else [Path(os.devnull)]),
    ):
        with pytest.raises(LocalFileError, match=target.name), Export(target, formato, replace=True):
            pass
    assert left_in(tmp_path) == ["archivo", "carpeta"]


def test_a_database_that_is_open_elsewhere_is_not_replaced(tmp_path: Path) -> None:
    """SQLite would play the journal of the old one into the new one."""
    export(FILE, tmp_path / "x", Formato.SQLITE)
    (tmp_path / "x-wal").write_bytes(b"")
    with pytest.raises(LocalFileError, match="está abierto en otro programa"):
        export(FILE, tmp_path / "x", Formato.SQLITE, replace=True)


@every_format
def test_what_a_link_leads_to_is_replaced(tmp_path: Path, formato: Formato) -> None:
    (tmp_path / "otra").mkdir()
    export(FILE, tmp_path / "otra" / "x", formato)
    (tmp_path / "x").symlink_to(tmp_path / "otra" / "x")
    export(backup_of({"t": T}, {"t": LINES[:3]}, {}), tmp_path / "x", formato, replace=True)
    assert (tmp_path / "x").is_symlink()
    assert rows_of(tmp_path / "otra" / "x", formato) == 3
    assert left_in(tmp_path / "otra") == ["x"]


@every_format
def test_leaving_waits_for_the_thread_that_writes_and_ends_it(tmp_path: Path, formato: Formato) -> None:
    writing, ended = threading.Event(), threading.Event()
    raised: list[BaseException] = []
    file = backup_of({"t": model(("id", "integer"), ("t", "text"))}, {"t": LINES}, {})

    def write(under_way: Export) -> None:
        def take(event: Event) -> None:
            under_way.take(event)
            # It is never at the end by itself.
            while isinstance(event, RecordsRead):
                under_way.take(event)
                writing.set()

        try:
            FileVerifier(NO_SEALS, sealed=False, on_event=take).feed(file)
        except Interrupted as exc:
            raised.append(exc)
        ended.set()

    with Export(tmp_path / "x", formato, replace=False) as under_way:
        thread = threading.Thread(target=write, args=(under_way,))
        thread.start()
        assert writing.wait(30)
    assert left_in(tmp_path) == []
    assert ended.wait(30)
    thread.join()
    assert len(raised) == 1
    assert left_in(tmp_path) == []


@every_other
@pytest.mark.parametrize(
    ("header", "line", "error"),
    [
        (model(("id", "integer")), '{"id":[1]}', FormatError),
        (model(("id", "text")), '{"id":"\ud800"}', FormatError),
        (model(("id", "text")), '{"id":"\\ud800"}', ExportError),
        (model(("id", "integer"), key=("no",)), '{"id":1}', FormatError),
        (model(("", "integer")), '{"":1}', FormatError),
        (model(("a\0", "integer")), '{"a\\u0000":1}', FormatError),
    ],
)
def test_a_file_that_was_made_by_hand_breaks_nothing(
    tmp_path: Path, formato: Formato, header: object, line: str, error: type[Exception]
) -> None:
    file = backup_of({"t": header}, {"t": [line]}, {})  # type: ignore[dict-item]
    with pytest.raises(error):
        export(file, tmp_path / "x", formato)
    assert left_in(tmp_path) == []


@every_other
def test_odd_names_of_tables_stay_in_the_folder(tmp_path: Path, formato: Formato) -> None:
    names = ["con/barra", "..", "../../fuera", "CON", "con", "a\\b", "Pago", "pago", "co\"mi'llas", "x" * 127, "🦷"]
    file = backup_of(dict.fromkeys(names, T), {name: LINES[: 1 + index] for index, name in enumerate(names)}, {})
    done = export(file, tmp_path / "x", formato)
    assert left_in(tmp_path) == ["x"]
    assert [found.name for found in done.models] == names
    assert len({found.place.casefold() for found in done.models}) == len(names)
    for index, found in enumerate(done.models):
        place = found.place.removesuffix(f".{formato}").replace('"', '""')
        assert rows_of(tmp_path / "x", formato, place) == 1 + index


@pytest.mark.parametrize("formato", [Formato.CSV, Formato.PARQUET])
def test_the_folder_says_what_is_in_it(tmp_path: Path, formato: Formato) -> None:
    done = export(FILE, tmp_path / "x", formato)
    said = json.loads((tmp_path / "x" / "esquema.json").read_bytes())
    assert (said["formato"], said["clinica_id"], said["respaldo"]) == (formato, 1, 7)
    assert said["modelos"][0]["lugar"] == f"t.{formato}"
    assert said["modelos"][0]["registros"] == 1000
    assert said["modelos"][0]["columnas"][1]["tipo_postgresql"] == "text"
    text = (tmp_path / "x" / "LEEME.txt").read_text(encoding="utf-8-sig")
    assert "Datos de la clínica 1" in text
    assert f"t.{formato}: 1,000 registros" in text
    assert done.size == sum(path.stat().st_size for path in (tmp_path / "x").rglob("*") if path.is_file())


def test_the_backup_itself_is_copied_byte_for_byte(tmp_path: Path) -> None:
    export(FILE, tmp_path / "x", Formato.JSON, chunk=1000)
    assert (tmp_path / "x").read_bytes() == FILE


@every_format
def test_memory_does_not_grow_with_the_records(tmp_path: Path, formato: Formato) -> None:
    line = '{{"id":{},"t":"' + "x" * 600 + '"}}'
    peaks = []
    for number, records in enumerate((5_000, 20_000)):
        file = backup_of({"t": T}, {"t": [line.format(one) for one in range(records)]}, {})
        tracemalloc.start()
        try:
            export(file, tmp_path / str(number), formato)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + (4 << 20), peaks
