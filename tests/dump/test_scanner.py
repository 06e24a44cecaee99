"""Reading a file for a few records: every line comes as it stands, and what is wrong with the file is said."""

import pytest

from app.dump.document import Section
from app.dump.gzip_member import HEADER
from app.dump.reader import ModelBegun, RecordsRead
from app.dump.scanner import FileScanner
from app.errors import FormatError
from tests.support.backup_file import RECORDS, compress, compress_elsewhere, document


def scan(file: bytes, chunk: int = 1 << 20, max_size: int | None = None) -> dict[tuple[Section, str], bytes]:
    """The lines of each model."""
    scanner = FileScanner(max_size)
    found: dict[tuple[Section, str], bytes] = {}
    model = (Section.DATA, "")
    for start in range(0, len(file), chunk):
        for event in scanner.feed(file[start : start + chunk]):
            if isinstance(event, ModelBegun):
                model = (event.section, event.name)
                found[model] = b""
            elif isinstance(event, RecordsRead):
                assert event.lines.endswith(b"\n")
                found[model] += event.lines
    scanner.finish()
    return found


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
def test_every_line_comes_whole(chunk: int) -> None:
    assert scan(compress(document()), chunk) == {
        (Section.DATA, "usuarios"): b",\n".join(line[:-1] for line in RECORDS) + b"\n",
        (Section.DATA, "vacía"): b"",
        (Section.REFERENCES, "tipo"): b'{"codigo":1,"datos":{}}\n',
    }


def test_many_records_are_all_there() -> None:
    records = [f'{{"codigo":{number},"datos":"{"ñ" * 900}"}}\n'.encode() for number in range(5_000)]
    for file in (compress(document(records=records)), compress_elsewhere(document(records=records))):
        assert scan(file)[Section.DATA, "usuarios"].count(b"\n") == 5_000


def test_what_is_wrong_is_said() -> None:
    file = compress(document())
    for wrong in (
        file[:-1],
        file[: len(file) // 2],
        file + b"x",
        b"",
        b"no es gzip",
        file[:-6] + b"\0\0" + file[-4:],
    ):
        with pytest.raises(FormatError):
            scan(wrong)
    for text in (b'{"formato":"otro"},\n', document()[:-20]):
        with pytest.raises(FormatError):
            scan(compress(text))
    with pytest.raises(FormatError, match="esperados"):
        scan(file, max_size=100)
    with pytest.raises(FormatError):
        scan(HEADER + b"\xff" * 100)
