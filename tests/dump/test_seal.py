"""A sealed file passes where its key is known; every forgery is refused, and it is said what is wrong with it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
from cryptography.exceptions import InvalidSignature

from app.dump.document import PLAIN, SEALED
from app.dump.seal import NO_SEALS, SealKeys, public_setting, seal_keys
from app.errors import FormatError
from tests.support.backup_file import HEAD, RECORDS, compress, document, keys_of, verify

KEYS = keys_of("2026", "2025")
# As those who only check them have it.
PUBLIC = seal_keys("", public_setting(KEYS))
# Of whoever knows what the key is called, and not the key.
THIEF = keys_of("2026", drawn=1)

SEALED_HEAD = replace(HEAD, sealed=True)
TEXT = document(SEALED_HEAD, seals=KEYS)
SEAL = TEXT[TEXT.rindex(b'"sello":') :]

FORGED = "el sello del archivo no es de la clave «2026»"
MISSING = "no está sellado, y debería estarlo"


@pytest.mark.parametrize("seals", [KEYS, PUBLIC], ids=["private", "public"])
def test_a_sealed_file_is_known_by_its_key(seals: SealKeys) -> None:
    verified = verify(compress(TEXT), seals=seals, chunk=7)
    assert (verified.seal, verified.seal_checked) == ("2026", True)
    assert verified.header == SEALED_HEAD


def test_without_keys_nobody_says_that_the_seal_is_good() -> None:
    for text in (TEXT, TEXT.replace(SEAL[-40:], b"A" * 36 + SEAL[-4:])):
        verified = verify(compress(text))
        assert (verified.seal, verified.seal_checked) == ("2026", False)


def test_a_key_that_no_longer_signs_is_known_for_as_long_as_it_is_kept() -> None:
    old = compress(document(SEALED_HEAD, seals=keys_of("2025")))
    assert verify(old, seals=KEYS).seal == "2025"
    with pytest.raises(FormatError, match=r"sellado con la clave «2025», que no está en SEAL_KEYS ni"):
        verify(old, seals=keys_of("2026"))


def test_older_files_pass_only_where_somebody_says_so() -> None:
    plain = compress(document())
    assert verify(plain, seals=KEYS, sealed=False).seal is None
    with pytest.raises(FormatError, match=MISSING):
        verify(plain, seals=KEYS)


def with_seal(text: bytes) -> bytes:
    """A document that somebody else has sealed, under the true file's seal."""
    return text[: text.rindex(b'"sello":')] + SEAL


HEADERS = {
    "clinic": replace(SEALED_HEAD, clinica_id=2),
    "platform": replace(SEALED_HEAD, clinica_id=None),
    "backup": replace(SEALED_HEAD, origin=replace(HEAD.origin, id=8)),
    "attempt": replace(SEALED_HEAD, origin=replace(HEAD.origin, attempt=3)),
    "description": replace(SEALED_HEAD, origin=replace(HEAD.origin, description="otra")),
    "date": replace(SEALED_HEAD, taken_at=HEAD.taken_at + timedelta(days=1)),
    "migrations": replace(SEALED_HEAD, migrations={}),
    "owner": replace(SEALED_HEAD, models={**HEAD.models, "tipo": replace(HEAD.models["tipo"], owner="x")}),
}
CONTENTS = {
    "value": [RECORDS[0].replace(b"1.0", b"1.1"), *RECORDS[1:]],
    "order": [RECORDS[1], RECORDS[0], RECORDS[2]],
    "fewer": RECORDS[:2],
    "more": [*RECORDS, b'{"codigo":4,"datos":null}\n'],
    "none": [],
}
# All totals and digests of these are right.
REWRITTEN = {
    **{name: document(header, seals=THIEF) for name, header in HEADERS.items()},
    **{name: document(SEALED_HEAD, records, seals=THIEF) for name, records in CONTENTS.items()},
    "reference": document(SEALED_HEAD, seals=THIEF).replace(b'{"codigo":1,"datos":{}}', b'{"codigo":9,"datos":{}}'),
}


@pytest.mark.parametrize("forged", list(REWRITTEN))
@pytest.mark.parametrize("sealed", [with_seal, bytes], ids=["true-seal", "own-seal"])
def test_what_somebody_else_wrote_is_refused(forged: str, sealed: Callable[[bytes], bytes]) -> None:
    text = _with_its_totals(sealed(REWRITTEN[forged]))
    # But for the seal, nothing is wrong with it.
    assert verify(compress(text)).seal == "2026"
    with pytest.raises(FormatError, match=FORGED):
        verify(compress(text), seals=PUBLIC)


def _with_its_totals(text: bytes) -> bytes:
    try:
        verify(compress(text))
    except FormatError as exc:
        said = str(exc)
    else:
        return text
    read, stated = re.findall(r"[0-9a-f]{64}", said)
    return text.replace(stated.encode(), read.encode())


def test_a_seal_that_was_taken_off_is_missed() -> None:
    text = TEXT.replace(b",\n" + SEAL, b"}\n").replace(b'"version":2', b'"version":1')
    assert verify(compress(text)).seal is None
    with pytest.raises(FormatError, match=MISSING):
        verify(compress(text), seals=KEYS)


@pytest.mark.parametrize(
    ("found", "put", "said"),
    [
        (b'"version":2', b'"version":1', "no tiene «totales» donde debe"),
        (b",\n" + SEAL, b"}\n", "no tiene «totales» donde debe"),
        (SEAL, b"", "está cortado: termina antes de completar su sello"),
        (SEAL, SEAL + SEAL, "texto de más después de sus totales"),
        (b'"sello"', b'"firma"', "no tiene «sello» donde debe"),
        (b'"clave":"2026"', b'"clave":2026', "el sello del archivo no tiene la forma debida"),
        (b'"firma":"', b'"firma":"*', "el sello del archivo no tiene la forma debida"),
        (SEAL, b'"sello":{"clave":"2026"}}\n', "el sello del archivo no tiene la forma debida"),
        (SEAL, b'"sello":[]}\n', "no tiene «sello» donde debe"),
        (SEAL, b'"sello":{"clave":"2026","firma":""}}\n', FORGED),
    ],
)
def test_a_seal_of_another_shape(found: bytes, put: bytes, said: str) -> None:
    assert found in TEXT
    with pytest.raises(FormatError, match=re.escape(said)):
        verify(compress(TEXT.replace(found, put)), seals=KEYS)


def test_a_file_says_by_its_version_whether_it_has_one() -> None:
    assert f'"version":{PLAIN},'.encode() in document()
    assert f'"version":{SEALED},'.encode() in TEXT


@pytest.mark.parametrize(
    ("private", "public", "said"),
    [
        ("2026", "", "debe ser id:clave"),
        ("a b:AAAA", "", "debe ser id:clave"),
        ("2026:AAAA", "", "la clave «2026» no es base64 de 32 bytes"),
        ("2026:ñ", "", "la clave «2026» no es base64 de 32 bytes"),
        (f"x:{'A' * 43}=, x:{'B' * 42}A=", "", "«x» está dos veces"),
        (f"x:{'A' * 43}=", f"x:{'A' * 43}=", "«x» es otra clave en SEAL_KEYS que en SEAL_PUBLIC_KEYS"),
    ],
)
def test_keys_that_are_none(private: str, public: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        seal_keys(private, public)
    assert "AAAA" not in str(raised.value)


def test_no_keys_and_no_secret_in_what_is_printed() -> None:
    assert seal_keys("", " , ").public == NO_SEALS.public == {}
    assert "PrivateKey" not in repr(KEYS)


def test_the_documented_check_needs_nothing_of_ours(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "format.md").read_text()
    code = next(code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "PUBLIC_KEY" in code)
    path = tmp_path / "copia.json.gz"
    path.write_bytes(compress(TEXT))
    public = dict(item.split(":") for item in public_setting(KEYS).split(","))
    exec(code, {"FILE": path, "PUBLIC_KEY": public["2026"]})  # noqa: S102 (our own page)
    with pytest.raises(InvalidSignature):
        exec(code, {"FILE": path, "PUBLIC_KEY": public["2025"]})  # noqa: S102


def test_the_schema_knows_sealed_files() -> None:
    schema = json.loads((Path(__file__).parents[2] / "docs" / "format.schema.json").read_text())
    jsonschema.validate(json.loads(TEXT), schema)
    for wrong in (TEXT.replace(b'"version":2', b'"version":1'), document().replace(b'"version":1', b'"version":2')):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(wrong), schema)
