"""The encryption of a backup file (docs/format.md): one envelope in another, and segments that are read in one order.

An envelope is two lines: what it says in JSON, and in base64 a secret that was encrypted with that line bound to it.
A clinic's key lies in one of a master key, a file's own key in one of the clinic's. The file's content follows as
segments by the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizár, 2015), as age has it: the nonce is the
segment's number and whether it is the last, so that none can be moved, repeated, left out or cut off.
"""

import hashlib
import json
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.dump.document import compact_json
from app.dump.whose import whose
from app.errors import FormatError

FILE = "respaldo-cifrado"
KEY = "respaldo-clave"
_VERSION = 1

# What is not one of ours says so with its first byte, as gzip's does.
MARK = f'{{"formato":"{FILE}",'.encode()

# Of content: what age has. Larger ones are no quicker (measured up to 1 MiB), and what is read is held until its tag
# has come (bytes).
SEGMENT_BYTES = 1 << 16
_TAG_BYTES = 16
_SEALED_BYTES = SEGMENT_BYTES + _TAG_BYTES

_SECRET_BYTES = 32
_NONCE_BYTES = 12

# No envelope of ours comes near it (bytes).
MAX_ENVELOPE_BYTES = 4096

_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class ClinicKey:
    """What wraps the keys of a clinic's files: `id` is computed from the `secret`, and gives nothing of it away."""

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: bytes) -> "ClinicKey":
        """The key of 32 bytes."""
        return cls(hashlib.sha256(b"respaldo-clave 1\n" + secret).hexdigest()[:16], secret)

    @classmethod
    def draw(cls) -> "ClinicKey":
        """A new one."""
        return cls.of(os.urandom(_SECRET_BYTES))


@dataclass(frozen=True, slots=True)
class KeyEnvelope:
    """A clinic's key as a master key has wrapped it. `line` is bound to `wrapped`, and says all the rest."""

    clinica_id: int | None
    key_id: str
    master_id: str
    line: bytes
    wrapped: bytes = field(repr=False)

    def text(self) -> str:
        """As it is kept, in a row and in an object."""
        return (self.line + b64encode(self.wrapped)).decode() + "\n"

    @classmethod
    def parse(cls, text: str) -> "KeyEnvelope":
        """Raises FormatError."""
        said, line, wrapped = _parse(text.encode(), KEY, "la clave guardada")
        master_id = said.get("maestra")
        if not isinstance(master_id, str):
            raise FormatError("la clave guardada no dice con qué clave maestra se envolvió")
        return cls(*_identity(said, "la clave guardada"), master_id, line, wrapped)


def key_line(clinica_id: int | None, key_id: str, master_id: str) -> bytes:
    """What the envelope of a clinic's key says."""
    return _line(
        {"formato": KEY, "version": _VERSION, "clinica_id": clinica_id, "clave": key_id, "maestra": master_id}
    )


@dataclass(frozen=True, slots=True)
class FileEnvelope:
    """How an encrypted file begins: whose it is, and its own key, wrapped by the clinic's."""

    clinica_id: int | None
    key_id: str
    respaldo_id: int
    line: bytes
    wrapped: bytes = field(repr=False)

    @classmethod
    def parse(cls, head: bytes) -> "FileEnvelope":
        """Of the file's first two lines. Raises FormatError."""
        said, line, wrapped = _parse(head, FILE, "el archivo")
        respaldo_id = said.get("respaldo")
        if type(respaldo_id) is not int:
            raise FormatError("el archivo no dice de qué respaldo es")
        return cls(*_identity(said, "el archivo"), respaldo_id, line, wrapped)


def envelope_of(head: bytes) -> FileEnvelope | None:
    """How the file begins of which these are the first MAX_ENVELOPE_BYTES; None where it is not encrypted.

    Raises FormatError where it is, and does not say by which key.
    """
    if not head.startswith(MARK):
        return None
    lines = head.split(b"\n", 2)
    if len(lines) < 3:
        raise FormatError("el archivo está cifrado, y su encabezado no termina donde debe")
    return FileEnvelope.parse(lines[0] + b"\n" + lines[1] + b"\n")


def wrap(secret: bytes, by: bytes, line: bytes) -> bytes:
    """The secret encrypted by that key of 32 bytes (AES-256-GCM), bound to the line: nonce, ciphertext and tag."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(by).encrypt(nonce, secret, line)


def unwrap(wrapped: bytes, by: bytes, line: bytes) -> bytes:
    """The secret again. Raises ValueError where the key or the line is another one, or a bit of it has changed."""
    try:
        return AESGCM(by).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], line)
    except InvalidTag:
        raise ValueError("another key, or another line") from None


class Encryptor:
    """Encrypts one file; its own key is drawn here, and is nowhere but in the file's head."""

    def __init__(self, key: ClinicKey, *, clinica_id: int | None, respaldo_id: int, attempt: int) -> None:
        said = {"formato": FILE, "version": _VERSION, "clinica_id": clinica_id, "clave": key.id}
        line = _line({**said, "respaldo": respaldo_id, "attempt": attempt})
        secret = os.urandom(_SECRET_BYTES)
        self._head = line + b64encode(wrap(secret, key.secret, line)) + b"\n"
        self._cipher = AESGCM(secret)
        self._waiting = bytearray()
        self._number = 0

    def feed(self, data: bytes) -> bytes:
        """Return what can be sent by now, possibly nothing."""
        self._waiting += data
        sealed = [] if self._number else [self._head]
        begun = 0
        # The last one is known to be it only at the end.
        with memoryview(self._waiting) as waiting:
            while len(waiting) - begun > SEGMENT_BYTES:
                sealed.append(self._seal(waiting[begun : begun + SEGMENT_BYTES], last=False))
                begun += SEGMENT_BYTES
        if not begun:
            return b""
        del self._waiting[:begun]
        return b"".join(sealed)

    def finish(self) -> bytes:
        """Return the rest. Call it once, last."""
        head = b"" if self._number else self._head
        return head + self._seal(memoryview(bytes(self._waiting)), last=True)

    def _seal(self, content: memoryview, *, last: bool) -> bytes:
        sealed = self._cipher.encrypt(_nonce(self._number, last=last), content, self._head)
        self._number += 1
        return sealed


class Decryptor:
    """Decrypts one file with its clinic's key; gives nothing of a segment that has not been proven.

    Where they are given, `clinica_id` and `respaldo_id` are what the file has to be; all it raises is FormatError.
    """

    def __init__(self, key: ClinicKey, *, expected: tuple[int | None, int] | None = None) -> None:
        self._key = key
        self._expected = expected
        self._envelope: FileEnvelope | None = None
        self._head = b""
        self._cipher: AESGCM | None = None
        self._waiting = bytearray()
        self._number = 0

    @property
    def key_id(self) -> str:
        """Whose file it has to be."""
        return self._key.id

    def check_content(self, clinica_id: int | None, respaldo_id: int) -> None:
        """See that what was in the file is what its head says. Raises FormatError."""
        assert self._envelope is not None  # noqa: S101 (it has been read)
        said = (self._envelope.clinica_id, self._envelope.respaldo_id)
        if said != (clinica_id, respaldo_id):
            raise FormatError(
                f"el archivo dice ser el respaldo {said[1]} de {whose(said[0])},"
                f" y en él está el {respaldo_id} de {whose(clinica_id)}"
            )

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the content of all segments after which there is another one."""
        self._waiting += data
        if self._cipher is None and not self._begin():
            return
        while len(self._waiting) > _SEALED_BYTES:
            segment = bytes(memoryview(self._waiting)[:_SEALED_BYTES])
            del self._waiting[:_SEALED_BYTES]
            yield self._open(segment, last=False)

    def finish(self) -> bytes:
        """The content of the last segment."""
        if self._cipher is None:
            if not self._waiting.startswith(MARK):
                raise FormatError("el archivo no está cifrado, y debería estarlo: puede que no lo hizo este servicio")
            raise FormatError("el archivo está cortado: su encabezado no llega a su final")
        if not self._waiting:
            raise FormatError("el archivo está cortado: le falta su último segmento")
        return self._open(bytes(self._waiting), last=True)

    def _begin(self) -> bool:
        head = bytes(self._waiting[:MAX_ENVELOPE_BYTES])
        lines = head.split(b"\n", 2)
        if not head.startswith(MARK[: len(head)]) or (len(lines) < 3 and len(head) == MAX_ENVELOPE_BYTES):
            raise FormatError("el archivo no está cifrado, y debería estarlo: puede que no lo hizo este servicio")
        if len(lines) < 3:
            return False
        self._head = lines[0] + b"\n" + lines[1] + b"\n"
        self._envelope = envelope = FileEnvelope.parse(self._head)
        self._check(envelope)
        try:
            secret = unwrap(envelope.wrapped, self._key.secret, envelope.line)
            self._cipher = AESGCM(secret)
        except ValueError:
            raise FormatError(
                f"el encabezado del archivo no es el que se cifró con la clave «{self._key.id}»: alguien lo cambió o"
                " está dañado"
            ) from None
        del self._waiting[: len(self._head)]
        return True

    def _check(self, envelope: FileEnvelope) -> None:
        said = (envelope.clinica_id, envelope.respaldo_id)
        if self._expected is not None and said != self._expected:
            clinica_id, respaldo_id = self._expected
            raise FormatError(
                f"el archivo dice ser el respaldo {envelope.respaldo_id} de {whose(envelope.clinica_id)},"
                f" y debería ser el {respaldo_id} de {whose(clinica_id)}"
            )
        if envelope.key_id != self._key.id:
            raise FormatError(
                f"el archivo está cifrado con la clave «{envelope.key_id}», y debería estarlo con «{self._key.id}»"
            )

    def _open(self, segment: bytes, *, last: bool) -> bytes:
        if (content := self._opened(segment, last=last)) is None:
            number = self._number + 1
            if self._opened(segment, last=not last) is None:
                raise FormatError(
                    f"el segmento {number:,} del archivo está dañado, o no es el que estaba ahí:"
                    " alguien lo cambió, lo movió o quitó otro"
                )
            raise FormatError(
                f"el archivo está cortado: después del segmento {number:,} falta el resto"
                if last
                else f"el archivo tiene bytes de más después del segmento {number:,}, que es el último"
            )
        self._number += 1
        return content

    def _opened(self, segment: bytes, *, last: bool) -> bytes | None:
        assert self._cipher is not None  # noqa: S101 (it has begun)
        try:
            return self._cipher.decrypt(_nonce(self._number, last=last), segment, self._head)
        except InvalidTag:
            return None


def _nonce(number: int, *, last: bool) -> bytes:
    # The key is this file's alone, so that no part of the nonce needs to be random.
    return number.to_bytes(_NONCE_BYTES - 1, "big") + bytes([last])


def _line(said: dict[str, Any]) -> bytes:
    return compact_json(said).encode() + b"\n"


def _parse(envelope: bytes, formato: str, what: str) -> tuple[dict[str, Any], bytes, bytes]:
    """What an envelope says, its line, and what it holds. Raises FormatError, in which `what` it is of."""
    lines = envelope.split(b"\n")
    try:
        if len(lines) != 3 or lines[2]:
            raise ValueError("not two lines")
        said = json.loads(lines[0])
        wrapped = b64decode(lines[1], validate=True)
    except (ValueError, RecursionError) as exc:
        raise FormatError(f"{what} no tiene el encabezado de un cifrado de este servicio") from exc
    if not isinstance(said, dict) or (said.get("formato"), said.get("version")) != (formato, _VERSION):
        raise FormatError(f"{what} tiene un cifrado que este programa no conoce: puede que sea de uno más nuevo")
    return said, lines[0] + b"\n", wrapped


def _identity(said: dict[str, Any], what: str) -> tuple[int | None, str]:
    clinica_id, key_id = said.get("clinica_id"), said.get("clave")
    if (
        not (clinica_id is None or type(clinica_id) is int)
        or not isinstance(key_id, str)
        or not _ID.fullmatch(key_id)
    ):
        raise FormatError(f"{what} no dice bien de quién es, o con qué clave se cifró")
    return clinica_id, key_id
