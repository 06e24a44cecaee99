"""The file is what docs/format.md and its JSON Schema say."""

import gzip
import hashlib
import json
import subprocess
from pathlib import Path

import jsonschema
import pytest

from app.dump.gzip_member import HEADER, Compression, GzipWriter
from tests.support.backup_file import RECORDS, compress, document

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "format.schema.json").read_text())


def test_any_json_parser_reads_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "respaldo.json.gz"
    path.write_bytes(compress(document()))
    with gzip.open(path) as file:
        read = json.load(file)
    jsonschema.validate(read, SCHEMA)
    assert list(read) == [
        *("formato", "version", "clinica_id", "fecha", "servicio", "respaldo", "esquema"),
        *("datos", "referencias", "totales_referencias", "totales"),
    ]
    assert read["fecha"] == "2026-11-23T06:00:00.000123Z"
    assert read["respaldo"] == {"id": 7, "attempt": 2, "tipo": "manual", "usuario": None, "descripcion": "«prueba»"}
    assert read["datos"] == {"usuarios": [json.loads(line) for line in RECORDS], "vacía": []}
    assert read["totales"]["usuarios"] == {
        "registros": 3,
        "bytes": len(b"".join(RECORDS)),
        "sha256": hashlib.sha256(b"".join(RECORDS)).hexdigest(),
    }
    subprocess.run(["gzip", "-t", path], check=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"version":1', '"version":2'), ('"registros":3', '"registros":-1'), ('"tipo":"manual"', '"tipo":"x"')],
)
def test_the_schema_refuses_what_the_format_does(old: str, new: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(document().replace(old.encode(), new.encode(), 1)), SCHEMA)


def test_each_record_stands_alone_on_its_line() -> None:
    lines = document().split(b"\n")
    for record in RECORDS[:-1]:
        assert record[:-1] + b"," in lines
    assert RECORDS[-1][:-1] in lines
    assert document().endswith(b"}}\n")


def test_records_in_one_block_or_in_many_give_the_same_document() -> None:
    assert document(records=[b"".join(RECORDS)]) == document(records=RECORDS)


def test_a_document_without_records_is_json() -> None:
    read = json.loads(document(records=[]))
    jsonschema.validate(read, SCHEMA)
    assert read["datos"]["usuarios"] == []


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("parts", [[], [b""], [b"a"], [b"a" * (3 << 20), b"", b"b"]])
def test_the_member_is_one_that_any_gzip_reads(compression: Compression, parts: list[bytes]) -> None:
    writer = GzipWriter(compression)
    file = b"".join([*(writer.feed(part) for part in parts), writer.finish()])
    assert file.startswith(HEADER)
    assert gzip.decompress(file) == b"".join(parts)
    assert writer.md5 == hashlib.md5(file, usedforsecurity=False).hexdigest()
    assert (writer.original_size, writer.compressed_size) == (len(b"".join(parts)), len(file))
    subprocess.run(["gzip", "-t"], input=file, check=True)
