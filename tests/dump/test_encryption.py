"""An encrypted file is read with its clinic's key alone; any other file, and any other key, is refused by name."""

import base64
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from app.dump.encryption import (
    SEGMENT_BYTES,
    ClinicKey,
    Decryptor,
    Encryptor,
    FileEnvelope,
    KeyEnvelope,
    envelope_of,
)
from app.dump.gzip_member import Compression, GzipWriter
from app.dump.scanner import FileScanner
from app.dump.seal import NO_SEALS
from app.dump.verifier import FileVerifier, VerifiedFile
from app.errors import FormatError, KeyRefused, MasterKeyMissing
from app.masters.keys import MasterKeys, master_keys
from app.masters.kms import KmsOptions
from tests.support.backup_file import HEAD, document

KEY, OTHER = ClinicKey.of(bytes(32)), ClinicKey.of(bytes(31) + b"\1")
SEALED = SEGMENT_BYTES + 16

# What does not compress, so that the file has five segments, the last one short.
RECORDS = [f'{{"codigo":{n},"datos":"{os.urandom(512).hex()}"}}\n'.encode() for n in range(500)]
TEXT = document(records=RECORDS)


def encrypted(
    text: bytes = TEXT, *, key: ClinicKey = KEY, clinica_id: int | None = 1, respaldo_id: int = HEAD.origin.id
) -> bytes:
    """The file that the service writes."""
    encryption = Encryptor(key, clinica_id=clinica_id, respaldo_id=respaldo_id, attempt=2)
    writer = GzipWriter(Compression.FAST, encryption)
    file = b"".join([writer.feed(text[at : at + 7000]) for at in range(0, len(text), 7000)]) + writer.finish()
    assert len(file) == writer.compressed_size
    return file


def read(
    file: bytes,
    *,
    key: ClinicKey = KEY,
    expected: tuple[int | None, int] | None = (1, HEAD.origin.id),
    chunk: int = 1 << 18,
) -> VerifiedFile:
    """What the verifier says of it."""
    verifier = FileVerifier(NO_SEALS, sealed=False, decryption=Decryptor(key, expected=expected))
    for start in range(0, len(file), chunk):
        verifier.feed(file[start : start + chunk])
    return verifier.finish()


FILE = encrypted()
HEADER = b"\n".join(FILE.split(b"\n", 2)[:2]) + b"\n"
SEGMENTS = [FILE[at : at + SEALED] for at in range(len(HEADER), len(FILE), SEALED)]
AGAIN = encrypted()


def test_what_was_written_is_read() -> None:
    assert len(SEGMENTS) == 5
    for chunk in (1 << 18, 4099):
        verified = read(FILE, chunk=chunk)
        assert verified.records == len(RECORDS)
        assert verified.compressed_size == len(FILE)
    assert b"codigo" not in FILE
    # Nothing of one file's key is another's.
    assert not set(SEGMENTS) & {AGAIN[at : at + SEALED] for at in range(len(HEADER), len(AGAIN), SEALED)}


@pytest.mark.parametrize("size", [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES])
def test_every_length_ends_with_its_last_segment(size: int) -> None:
    content = os.urandom(size)
    encryption = Encryptor(KEY, clinica_id=None, respaldo_id=1, attempt=1)
    file = encryption.feed(content) + encryption.finish()
    decryption = Decryptor(KEY, expected=(None, 1))
    assert b"".join(decryption.feed(file)) + decryption.finish() == content
    cut = Decryptor(KEY)
    with pytest.raises(FormatError, match=r"cortado|dañado"):
        b"".join(cut.feed(file[:-1])) + cut.finish()


def test_the_scanner_reads_it_too() -> None:
    scanner = FileScanner(decryption=Decryptor(KEY))
    assert [*scanner.feed(FILE), *scanner.finish()]
    scanner = FileScanner(decryption=Decryptor(KEY))
    with pytest.raises(FormatError, match="cortado"):
        [*scanner.feed(FILE[: len(HEADER) + SEALED]), *scanner.finish()]


def joined(*segments: bytes) -> bytes:
    return HEADER + b"".join(segments)


A, B, C, D, E = SEGMENTS
ATTACKS = {
    "truncated": (joined(A, B, C, D, E[:-1]), "segmento 5 del archivo está dañado"),
    "truncated within": (joined(A, B, C[:1000]), "segmento 3 del archivo está dañado"),
    "last dropped": (joined(A, B, C, D), "está cortado: después del segmento 4 falta el resto"),
    "only one left": (joined(A), "está cortado: después del segmento 1 falta el resto"),
    "none left": (joined(), "está cortado: le falta su último segmento"),
    "header cut": (FILE[:100], "está cortado: su encabezado no llega a su final"),
    "one dropped": (joined(A, C, D, E), "segmento 2 del archivo está dañado, o no es el que estaba ahí"),
    "reordered": (joined(A, C, B, D, E), "segmento 2 del archivo está dañado, o no es el que estaba ahí"),
    "repeated": (joined(A, A, B, C, D, E), "segmento 2 del archivo está dañado, o no es el que estaba ahí"),
    "last repeated": (joined(A, B, C, D, E, E), "segmento 5 del archivo está dañado, o no es el que estaba ahí"),
    "last first": (joined(E, A, B, C, D), "segmento 1 del archivo está dañado, o no es el que estaba ahí"),
    "appended": (FILE + b"\0", "segmento 5 del archivo está dañado"),
    "another file's": (joined(A, AGAIN[len(HEADER) + SEALED :][:SEALED], C, D, E), "segmento 2 del archivo está"),
    "another's header": (AGAIN[: len(HEADER)] + FILE[len(HEADER) :], "segmento 1 del archivo está dañado"),
    "attempt": (FILE.replace(b'"attempt":2', b'"attempt":3', 1), "el encabezado del archivo no es el que se cifró"),
    "wrapped key": (
        HEADER.replace(HEADER.split(b"\n")[1], base64.b64encode(bytes(60))) + FILE[len(HEADER) :],
        "el encabezado del archivo no es el que se cifró",
    ),
    "backup": (
        encrypted(respaldo_id=8),
        "dice ser el respaldo 8 de la clínica 1, y debería ser el 7 de la clínica 1",
    ),
    "clinic": (
        encrypted(key=OTHER, clinica_id=2),
        "dice ser el respaldo 7 de la clínica 2, y debería ser el 7 de la clínica 1",
    ),
    "platform": (encrypted(clinica_id=None), "dice ser el respaldo 7 de la plataforma"),
    "its clinic claimed": (
        encrypted(key=OTHER, clinica_id=2).replace(b'"clinica_id":2', b'"clinica_id":1', 1),
        f"está cifrado con la clave «{OTHER.id}», y debería estarlo con «{KEY.id}»",
    ),
    "its key claimed": (
        encrypted(key=OTHER).replace(OTHER.id.encode(), KEY.id.encode(), 1),
        "el encabezado del archivo no es el que se cifró",
    ),
    "version": (FILE.replace(b'"version":1', b'"version":2', 1), "un cifrado que este programa no conoce"),
    "no key": (FILE.replace(KEY.id.encode(), b"x", 1), "no dice bien de quién es, o con qué clave"),
    "no backup": (FILE.replace(b'"respaldo":7', b'"respaldo":"7"', 1), "no dice de qué respaldo es"),
    "base64": (FILE.replace(b"\n", b"\n!", 1), "no tiene el encabezado de un cifrado"),
    "endless header": (FILE[:60] + b"x" * 10_000, "no está cifrado, y debería estarlo"),
    "plain": (TEXT, "no está cifrado, y debería estarlo"),
    "nothing": (b"", "no está cifrado, y debería estarlo"),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("chunk", [1 << 20, 50_000])
def test_every_attack_is_refused_by_name(attack: str, chunk: int) -> None:
    file, said = ATTACKS[attack]
    with pytest.raises(FormatError, match=re.escape(said)):
        read(file, chunk=chunk)


def test_a_last_segment_that_was_a_whole_one_ends_the_file() -> None:
    encryption = Encryptor(KEY, clinica_id=1, respaldo_id=7, attempt=1)
    whole = encryption.feed(bytes(2 * SEGMENT_BYTES)) + encryption.finish()
    decryption = Decryptor(KEY)
    with pytest.raises(FormatError, match="bytes de más después del segmento 2, que es el último"):
        b"".join(decryption.feed(whole + b"more"))


def test_no_flipped_bit_passes_and_nothing_of_its_segment_is_given() -> None:
    content = GzipWriter(Compression.FAST)
    plain = content.feed(TEXT) + content.finish()
    encryption = Encryptor(KEY, clinica_id=1, respaldo_id=7, attempt=2)
    file = encryption.feed(plain) + encryption.finish()
    head = len(file.split(b"\n", 2)[0]) + len(file.split(b"\n", 2)[1]) + 2
    step = 2 * SEALED // 7
    for at in {*range(0, head, 5), *range(head, len(file), step), *range(len(file) - 16, len(file))}:
        bad = bytearray(file)
        bad[at] ^= 1 << at % 8
        decryption = Decryptor(KEY, expected=(1, 7))
        given = b""
        with pytest.raises(FormatError):  # noqa: PT012 (each piece counts that comes before)
            for piece in decryption.feed(bytes(bad)):
                given += piece
            given += decryption.finish()
        assert len(given) == max(0, (at - head) // SEALED) * SEGMENT_BYTES, at
        assert plain.startswith(given)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(FormatError, match=f"está cifrado con la clave «{KEY.id}»"):
        read(FILE, key=OTHER)
    # Whoever gives another secret the key's name.
    with pytest.raises(FormatError, match="el encabezado del archivo no es el que se cifró"):
        read(FILE, key=replace(OTHER, id=KEY.id))


def test_a_file_says_whether_it_is_encrypted() -> None:
    assert envelope_of(b"\x1f\x8b") is None
    found = envelope_of(FILE[:4096])
    assert isinstance(found, FileEnvelope)
    assert (found.clinica_id, found.respaldo_id, found.key_id) == (1, 7, KEY.id)
    with pytest.raises(FormatError, match="su encabezado no termina donde debe"):
        envelope_of(FILE[:80])


# Master keys


def masters(*ids: str, drawn: int = 0) -> MasterKeys:
    """Keys of these ids, the same ones each time."""
    keys = [f"{id_}:{base64.b64encode(id_.encode().rjust(31) + bytes([drawn])).decode()}" for id_ in ids]
    return master_keys(",".join(keys), kms=KmsOptions())


async def test_a_clinics_key_comes_out_by_its_own_master_alone() -> None:
    envelope = await masters("2026", "2025").wrap(KEY, clinica_id=3)
    assert KeyEnvelope.parse(envelope.text()) == envelope
    assert await masters("2027", "2026").unwrap(envelope) == KEY
    with pytest.raises(
        MasterKeyMissing, match=f"«{KEY.id}» de la clínica 3 está envuelta con la clave maestra «2026»"
    ):
        await masters("2025").unwrap(envelope)
    with pytest.raises(KeyRefused, match="no se puede abrir con la clave maestra «2026»: no es la que la envolvió"):
        await masters("2026", drawn=1).unwrap(envelope)
    for wrong, put in ((b'"clinica_id":3', b'"clinica_id":4'), (KEY.id.encode(), OTHER.id.encode())):
        moved = KeyEnvelope.parse(envelope.text().replace(wrong.decode(), put.decode()))
        with pytest.raises(KeyRefused, match="alguien cambió lo guardado"):
            await masters("2026").unwrap(moved)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[:0], "no tiene el encabezado"),
        (lambda text: text + "x", "no tiene el encabezado"),
        (lambda text: text.replace("respaldo-clave", "respaldo-cifrado"), "que este programa no conoce"),
        (lambda text: text.replace('"maestra":"2026"', '"maestra":1'), "no dice con qué clave maestra"),
        (lambda text: text.replace('"clinica_id":3', '"clinica_id":true'), "no dice bien de quién es"),
    ],
)
async def test_envelopes_that_are_none(change: Callable[[str], str], said: str) -> None:
    envelope = await masters("2026").wrap(KEY, clinica_id=3)
    with pytest.raises(FormatError, match=said):
        KeyEnvelope.parse(change(envelope.text()))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("2026", "debe ser id:clave"),
        ("a b:AAAA", "debe ser id:clave"),
        ("2026:AAAA", "la clave «2026» no es base64 de 32 bytes"),
        (f"x:{'A' * 43}=\nx:{'B' * 42}A=", "«x» está dos veces"),
    ],
)
def test_master_keys_that_are_none(given: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        master_keys(given, kms=KmsOptions())
    assert "AAAA" not in str(raised.value)


async def test_no_master_key_and_no_secret_in_what_is_printed() -> None:
    with pytest.raises(MasterKeyMissing, match="MASTER_KEYS: falta"):
        await master_keys("", " ,\n", kms=KmsOptions()).wrap(KEY, clinica_id=1)
    envelope = await masters("2026").wrap(KEY, clinica_id=3)
    shown = repr((KEY, envelope, masters("2026"), envelope_of(FILE[:4096])))
    assert "secret" not in shown
    assert "wrapped" not in shown


async def test_the_documented_decryption_needs_nothing_of_ours(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "format.md").read_text()
    code = next(code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "MASTER_KEY" in code)
    envelope = await masters("2026").wrap(KEY, clinica_id=1)
    (tmp_path / "clave").write_text(envelope.text())
    (tmp_path / "copia.cifrado").write_bytes(FILE)
    names = {"FILE": tmp_path / "copia.cifrado", "KEY": tmp_path / "clave", "OUT": tmp_path / "copia.json.gz"}
    master = base64.b64encode(b"2026".rjust(31) + bytes(1)).decode()
    exec(code, names | {"MASTER_KEY": master})  # noqa: S102 (our own page)
    verifier = FileVerifier(NO_SEALS, sealed=False)
    verifier.feed((tmp_path / "copia.json.gz").read_bytes())
    assert verifier.finish().records == len(RECORDS)
    with pytest.raises(InvalidTag):
        exec(code, names | {"MASTER_KEY": base64.b64encode(bytes(32)).decode()})  # noqa: S102
