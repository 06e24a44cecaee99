"""What is sent of an export is what is in its folder."""

import io
from pathlib import Path
from zipfile import ZipFile

from app.export.pieces import pieces


def test_a_folder_is_one_zip_that_is_never_there_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "backup_csv"
    (folder / "referencias").mkdir(parents=True)
    contents = {
        "pacientes.csv": "Muñoz\n".encode() * 700_000,
        "leeme «ñ».txt": b"",
        "referencias/rol.csv": b"x",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    found = list(pieces(folder))
    assert len(found) > 4
    with ZipFile(io.BytesIO(b"".join(found))) as archive:
        assert archive.testzip() is None
        read = {name: archive.read(name) for name in archive.namelist()}
    assert read == {f"backup_csv/{name}": content for name, content in contents.items()}


def test_a_file_is_itself(tmp_path: Path) -> None:
    file = tmp_path / "x.sqlite"
    file.write_bytes(bytes(range(256)) * 9_000)
    found = list(pieces(file))
    assert len(found) == 3
    assert b"".join(found) == file.read_bytes()
