"""A whole file passes, however it comes; any other is refused with what is wrong."""

import gzip
import hashlib
import itertools
import re
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.dump.document import ModelTotal, Section
from app.dump.gzip_member import FREE_BYTES, RATIO, Compression, GzipReader, GzipWriter
from app.dump.reader import DocumentReader, Event, HeaderRead, ModelBegun, ModelEnded, RecordsRead
from app.dump.seal import NO_SEALS
from app.dump.verifier import FileVerifier, VerifiedFile
from app.errors import FormatError
from tests.support.backup_file import HEAD, RECORDS, compress, compress_elsewhere, document, verify

TEXT = document()
FILE = compress(TEXT)
MD5 = hashlib.md5(FILE, usedforsecurity=False).hexdigest()


def test_a_whole_file_says_what_is_in_it() -> None:
    verified = verify(FILE, MD5.upper())
    assert verified.header == HEAD
    assert verified.records == 3
    assert verified.totals == {
        "usuarios": ModelTotal(3, len(b"".join(RECORDS)), hashlib.sha256(b"".join(RECORDS)).hexdigest()),
        "vacía": ModelTotal(0, 0, hashlib.sha256().hexdigest()),
    }
    assert [total.records for total in verified.reference_totals.values()] == [1]
    assert (verified.md5, verified.compressed_size, verified.original_size) == (MD5, len(FILE), len(TEXT))


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_chunks_of_any_size_say_the_same(chunk: int) -> None:
    assert verify(FILE, MD5, chunk=chunk) == verify(FILE, MD5)


@settings(derandomize=True, deadline=None, database=None)
@given(
    cuts=st.lists(st.integers(0, len(FILE)), max_size=8),
    text_cuts=st.lists(st.integers(0, len(TEXT)), max_size=8),
)
def test_any_chunking_says_the_same(cuts: list[int], text_cuts: list[int]) -> None:
    """Chunks of the file, and stored blocks within it, which the decompressor gives one by one."""
    whole = verify(FILE, MD5)
    verifier = FileVerifier(NO_SEALS, sealed=False)
    for start, end in _pieces(cuts, len(FILE)):
        verifier.feed(FILE[start:end])
    assert verifier.finish(MD5) == whole
    writer = GzipWriter(Compression.SMALL)
    file = b"".join(
        [writer.feed(TEXT[start:end]) for start, end in _pieces(text_cuts, len(TEXT))] + [writer.finish()]
    )
    assert gzip.decompress(file) == TEXT
    assert verify(file, writer.md5).totals == whole.totals


@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_what_is_read_is_told_as_it_passes(chunk: int) -> None:
    told: list[Event] = []
    verifier = FileVerifier(NO_SEALS, sealed=False, on_event=told.append)
    for start in range(0, len(FILE), chunk):
        verifier.feed(FILE[start : start + chunk])
    verified = verifier.finish(MD5)
    assert told[0] == HeaderRead(HEAD)
    lines = b"".join(event.lines for event in told if isinstance(event, RecordsRead))
    assert lines == b"".join([*RECORDS, b'{"codigo":1,"datos":{}}\n'])
    data, references = verified.totals, verified.reference_totals
    assert [event for event in told if isinstance(event, ModelBegun | ModelEnded)] == [
        ModelBegun(Section.DATA, "usuarios"),
        ModelEnded(Section.DATA, "usuarios", data["usuarios"]),
        ModelBegun(Section.DATA, "vacía"),
        ModelEnded(Section.DATA, "vacía", data["vacía"]),
        ModelBegun(Section.REFERENCES, "tipo"),
        ModelEnded(Section.REFERENCES, "tipo", references["tipo"]),
    ]


def test_nothing_is_told_of_a_record_that_is_none() -> None:
    told: list[Event] = []
    verifier = FileVerifier(NO_SEALS, sealed=False, on_event=told.append)
    verifier.feed(compress(document(records=[b'{"otra":1}\n'])))
    with pytest.raises(FormatError, match="no tiene las columnas"):
        verifier.finish()
    assert told == [HeaderRead(HEAD), ModelBegun(Section.DATA, "usuarios")]


def test_an_error_of_whoever_is_told_is_its_own() -> None:
    def refuse(_: Event) -> None:
        raise OSError("lleno")

    with pytest.raises(OSError, match="lleno"):
        FileVerifier(NO_SEALS, sealed=False, on_event=refuse).feed(FILE)


def _pieces(cuts: list[int], size: int) -> list[tuple[int, int]]:
    edges = [0, *sorted(cuts), size]
    return list(itertools.pairwise(edges))


def test_every_flipped_bit_is_noticed_by_the_hash_and_any_that_matters_without_it() -> None:
    neutral = 0
    for bit in range(len(FILE) * 8):
        flipped = bytearray(FILE)
        flipped[bit // 8] ^= 1 << bit % 8
        # To a hash, the bits of a byte are alike: one of each will do.
        if bit % 8 == bit // 8 % 8:
            with pytest.raises(FormatError, match="el archivo cambió: su hash MD5 es"):
                verify(bytes(flipped), MD5)
        try:
            read = verify(bytes(flipped))
        except FormatError:
            continue
        # The padding, or another spelling of the same: what is read is the same to the byte.
        neutral += 1
        assert gzip.decompress(bytes(flipped)) == TEXT
        assert read.totals == verify(FILE).totals
    assert neutral < 16


def test_a_file_cut_anywhere_is_refused() -> None:
    for size in range(len(FILE)):
        with pytest.raises(FormatError, match="cortado"):
            verify(FILE[:size])


def test_a_document_cut_anywhere_is_refused_in_a_whole_member() -> None:
    for size in range(len(TEXT)):
        with pytest.raises(FormatError):
            verify(compress_elsewhere(TEXT[:size]))


@pytest.mark.parametrize("more", [b"\0", b"\0" * 512, b"x", FILE, gzip.compress(b"", mtime=1), FILE[:10]])
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_anything_after_the_member_is_refused(more: bytes, chunk: int) -> None:
    with pytest.raises(FormatError, match="bytes de más después de su final gzip"):
        verify(FILE + more, chunk=chunk)


@pytest.mark.parametrize("more", [b"\n", b" ", b"{}", TEXT])
def test_anything_after_the_document_is_refused(more: bytes) -> None:
    with pytest.raises(FormatError, match="texto de más después de sus totales"):
        verify(compress(TEXT + more))


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\n",
        b"%PDF-1.7",
        b'{"a":1}',
        gzip.compress(TEXT, mtime=1),
        gzip.compress(TEXT, mtime=0),
        TEXT,
    ],
)
def test_another_file_is_told_from_a_backup(file: bytes) -> None:
    with pytest.raises(FormatError, match=r"no es un archivo de respaldo|está cortado"):
        verify(file)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]\n", b"null\n", b'{"formato":"otro"}\n', b'{"formato":"otro",\n"datos":{\n', b'"x",\n}']
)
def test_other_json_is_told_from_a_backup(text: bytes) -> None:
    with pytest.raises(FormatError, match=r"no es un archivo de respaldo|está cortado"):
        verify(compress(text))


def test_what_grows_as_no_backup_does_is_refused_though_nobody_knows_its_size() -> None:
    file = compress_elsewhere(b'{"codigo":1,"datos":null},\n' * (4 << 20))
    pieces = map(len, GzipReader().feed(file))
    sizes = itertools.takewhile(lambda size: size <= max(FREE_BYTES, RATIO * len(file)), itertools.accumulate(pieces))
    with pytest.raises(FormatError, match="250 veces"):
        list(sizes)
    # One of rows of two hundred empty columns does not, by far.
    columns = ",".join(f'"columna_de_nombre_largo_{number}":null' for number in range(200))
    writer, reader = GzipWriter(Compression.SMALL), GzipReader()
    for number in range(12_000):
        for _ in reader.feed(writer.feed(f'{{"id":{number},{columns}}},\n'.encode())):
            pass
    for _ in reader.feed(writer.finish()):
        pass
    reader.finish()
    assert writer.original_size > FREE_BYTES
    assert writer.original_size < writer.compressed_size * RATIO / 4


def test_a_bomb_is_refused_in_little_memory() -> None:
    bomb = compress(b'{"formato":"' + b" " * (200 << 20))
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="crece a más de los 5,000,000 bytes esperados"):
            verify(bomb, max_size=5_000_000)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
    assert verify(FILE, max_size=len(TEXT)).records == 3
    with pytest.raises(FormatError, match="crece a más"):
        verify(FILE, max_size=len(TEXT) - 1)


def test_a_reader_that_met_an_error_never_says_that_the_file_is_whole() -> None:
    reader = DocumentReader()
    with pytest.raises(FormatError):
        list(reader.feed(TEXT.replace(b'"referencias"', b'"otra cosa"')))
    with pytest.raises(FormatError):
        reader.finish()


Change = Callable[[bytes], bytes]


def _replace(old: str, new: str) -> Change:
    def change(text: bytes) -> bytes:
        assert text.count(old.encode()) >= 1, old
        return text.replace(old.encode(), new.encode(), 1)

    return change


def _total(field: str, value: str) -> Change:
    def change(text: bytes) -> bytes:
        body, totals = text.rsplit(b"\n", 2)[0], text.rsplit(b"\n", 2)[1]
        changed = re.sub(rf'"{field}":("[^"]*"|\d+)'.encode(), f'"{field}":{value}'.encode(), totals, count=1)
        assert changed != totals
        return body + b"\n" + changed + b"\n"

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_replace('"version":1', '"version":3'), "la versión 3 del formato no se conoce; se leen la 1 y la 2"),
        (_replace('"version":1,', ""), "la versión None"),
        (_replace("respaldo-clinica", "respaldo"), "no es un archivo de respaldo"),
        (_replace('"clinica_id":1', '"clinica_id":"1"'), "no tiene la forma debida"),
        (_replace('"fecha":"2026', '"fecha":"x'), "no tiene la forma debida"),
        (_replace('"respaldo":{', '"respaldo_":{'), "no tiene la forma debida"),
        (_replace('"alembic_version":["abc"]', '"alembic_version":7'), "no tiene la forma debida"),
        (_replace('"migraciones":{"alembic_version":["abc"]}', '"migraciones":["abc"]'), "no tiene la forma debida"),
        (_replace('"forma":"jsonb"', '"forma":"otra"'), "no tiene la forma debida"),
        (_replace('"modelos":{', '"modelos":[{'), "no es JSON"),
        (_replace('"usuarios":[', '"otros":['), "el modelo «otros» de «datos» sobra"),
        (_replace('"vacía":[', '"usuarios":['), "el modelo «usuarios» de «datos» sobra"),
        (_replace('\n"referencias":{', '\n"otras":{'), "se esperaba el comienzo de «referencias»"),
        (_replace('{"codigo":2,', '{"codigo":9,'), "«usuarios» de «datos» no coincide con su total"),
        (_replace('{"codigo":1,"datos":{}}', '{"codigo":2,"datos":{}}'), "«tipo» de «referencias» no coincide"),
        (_replace(RECORDS[0].decode()[:-1] + ",\n", ""), "no coincide con su total"),
        (_replace("},\n{", "}\n{"), "falta una coma"),
        (_replace("}\n],", "},\n],"), "sobra una coma|falta una coma"),
        (_total("registros", "4"), "no coincide con su total"),
        (_total("bytes", "1"), "no coincide con su total"),
        (_total("sha256", f'"{"0" * 64}"'), "no coincide con su total"),
        (_replace('"totales":{"usuarios"', '"totales":{"usuario"'), "los modelos de «totales» no son los de «datos»"),
        (_replace('"totales":{', '"totales_":{'), "el archivo no tiene «totales» donde debe"),
        (_replace('"totales_referencias":{"tipo":', '"totales_referencias":{"otro":'), "los modelos de «totales_ref"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_what_is_wrong_is_said(change: Change, message: str, chunk: int) -> None:
    with pytest.raises(FormatError, match=message):
        verify(compress(change(TEXT)), chunk=chunk)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('[1,{"a":2}]', "el registro 2 de «usuarios» no es un objeto"),
        ("null", "el registro 2 de «usuarios» no es un objeto"),
        ('{"codigo":1}', "el registro 2 de «usuarios» no tiene las columnas del esquema"),
        ('{"datos":1,"codigo":1}', "el registro 2 de «usuarios» no tiene las columnas"),
        ('{"codigo":1,"datos":1,"otra":1}', "el registro 2 de «usuarios» no tiene las columnas"),
        ('{"$jsonnull":[],"codigo":1,"datos":1}', "el registro 2 de «usuarios» no tiene las columnas"),
        ('{"codigo":1,"datos":NaN}', "un registro que no es JSON después del registro"),
        ('{"codigo":1,"datos":{', "un registro que no es JSON"),
        ("", "un registro que no es JSON|no tiene un registro por línea"),
        ('{"codigo":1,"datos":"\x01"}', "un registro que no es JSON"),
        ('{"codigo":1,"datos":"\udcff"}', "un registro que no es JSON"),
        ('{"codigo":1,"datos":1},{"codigo":9,"datos":1}', "no tiene un registro por línea"),
        ('{"codigo":1\n"datos":1}', "un registro que no es JSON|no tiene un registro por línea"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_a_record_that_is_none_is_refused_though_its_digest_is_right(line: str, message: str, chunk: int) -> None:
    records = [RECORDS[0], line.encode(errors="surrogateescape") + b"\n", RECORDS[2]]
    with pytest.raises(FormatError, match=message):
        verify(compress(document(records=[b"".join(records)])), chunk=chunk)


def _with(records: list[bytes]) -> VerifiedFile:
    return verify(compress(document(records=records)))


def test_numbers_of_any_length_and_documents_of_any_depth_are_read() -> None:
    number = b'{"codigo":' + b"7" * 100_000 + b',"datos":' + b"1" * 5000 + b"." + b"3" * 5000 + b"}\n"
    deep = b'{"codigo":1,"datos":' + b"[" * 6000 + b"]" * 6000 + b"}\n"
    verified = _with([number, deep, *RECORDS])
    assert verified.totals["usuarios"].records == 5
    assert verified.totals["usuarios"].bytes == len(number) + len(deep) + len(b"".join(RECORDS))
    with pytest.raises(FormatError, match="no coincide con su total"):
        verify(compress(document(records=[deep]).replace(b"[" * 6000, b"[" * 5999 + b" ")))


def test_a_record_of_some_megabytes_is_read() -> None:
    large = b'{"codigo":1,"datos":"' + b"a\\n]" * (1 << 20) + b'"}\n'
    assert _with([large, *RECORDS]).totals["usuarios"].records == 4


def test_the_hash_is_named_together_with_what_it_broke() -> None:
    with pytest.raises(FormatError, match=r"el archivo cambió: su hash MD5 es .*; además, el archivo está cortado"):
        verify(FILE[:-1], MD5)
    with pytest.raises(FormatError, match=f"debería ser {'0' * 32}$"):
        verify(FILE, "0" * 32)


def test_a_header_of_many_models_survives_the_way_through_the_file() -> None:
    model = HEAD.models["usuarios"]
    models = {**HEAD.models, **{f"m{number}": replace(model, table=f'"{number}\n"') for number in range(500)}}
    header = replace(
        HEAD, models=models, migrations={}, origin=replace(HEAD.origin, user="a\nb", description="\u2028")
    )
    assert verify(compress(document(header))).header == header
