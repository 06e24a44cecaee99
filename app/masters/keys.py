"""The master keys of the settings, by their ids: one wraps, all unwrap."""

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from app.dump.encryption import ClinicKey, KeyEnvelope, key_line, unwrap, wrap
from app.dump.whose import whose
from app.errors import KeyRefused, MasterKeyMissing
from app.masters.kms import KmsKey, KmsOptions

_ID = re.compile(r"[A-Za-z0-9._-]{1,40}")

# What stands before the ARN of a key that is in KMS, in the place of a key.
_KMS = "aws-kms:"


class MasterKey(Protocol):
    """Wraps 32 bytes so that only who has it unwraps them, and only with the same line."""

    async def wrap(self, secret: bytes, line: bytes) -> bytes:
        """Raises EncryptionError."""

    async def unwrap(self, wrapped: bytes, line: bytes) -> bytes:
        """Raises EncryptionError, of which KeyRefused says that it is another key, another line, or damaged."""


@dataclass(frozen=True, slots=True)
class LocalKey:
    """A master key that this process holds itself."""

    secret: bytes = field(repr=False)

    async def wrap(self, secret: bytes, line: bytes) -> bytes:
        """By AES-256-GCM."""
        return wrap(secret, self.secret, line)

    async def unwrap(self, wrapped: bytes, line: bytes) -> bytes:
        """Raises KeyRefused."""
        try:
            return unwrap(wrapped, self.secret, line)
        except ValueError as exc:
            raise KeyRefused("no es la que la envolvió, o alguien cambió lo guardado") from exc


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """The keys by their ids; the first one wraps."""

    keys: Mapping[str, MasterKey] = field(default_factory=dict)

    @property
    def wrapping(self) -> str:
        """The id of the one that wraps. Raises MasterKeyMissing where there is none."""
        if (first := next(iter(self.keys), None)) is None:
            raise MasterKeyMissing("MASTER_KEYS: falta, y sin clave maestra no se cifra ningún respaldo")
        return first

    async def wrap(self, key: ClinicKey, *, clinica_id: int | None) -> KeyEnvelope:
        """The clinic's key, wrapped by the first. Raises EncryptionError."""
        master_id = self.wrapping
        line = key_line(clinica_id, key.id, master_id)
        wrapped = await self.keys[master_id].wrap(key.secret, line)
        return KeyEnvelope(clinica_id, key.id, master_id, line, wrapped)

    async def try_out(self, master_id: str) -> None:
        """Wrap something with that key, and unwrap it. Raises EncryptionError."""
        key = ClinicKey.draw()
        line = key_line(None, key.id, master_id)
        master = self.keys[master_id]
        await master.unwrap(await master.wrap(key.secret, line), line)

    async def unwrap(self, envelope: KeyEnvelope) -> ClinicKey:
        """The clinic's key again. Raises EncryptionError, which names both keys."""
        what = f"la clave «{envelope.key_id}» de {whose(envelope.clinica_id)}"
        master = self.keys.get(envelope.master_id)
        if master is None:
            raise MasterKeyMissing(
                f"{what} está envuelta con la clave maestra «{envelope.master_id}», que este proceso no tiene en"
                " MASTER_KEYS ni en MASTER_KEYS_FILE"
            )
        try:
            key = ClinicKey.of(await master.unwrap(envelope.wrapped, envelope.line))
        except KeyRefused as exc:
            raise KeyRefused(f"{what} no se puede abrir con la clave maestra «{envelope.master_id}»: {exc}") from exc
        if key.id != envelope.key_id:
            raise KeyRefused(f"{what} es en verdad otra: «{key.id}»")
        return key


NO_MASTERS = MasterKeys()
"""Of whoever neither encrypts nor decrypts."""


def master_keys(*given: str, kms: KmsOptions) -> MasterKeys:
    """The keys of some texts: each `id:base64` of 32 bytes, or `id:aws-kms:` and a KMS key's ARN, id or alias.

    They are separated by commas or line breaks. Raises ValueError, which names the id and shows no key.
    """
    found: dict[str, MasterKey] = {}
    for item in (item.strip() for text in given for item in re.split(r"[,\n]", text)):
        if not item:
            continue
        name, _, rest = item.partition(":")
        if _ID.fullmatch(name) is None or not rest:
            raise ValueError("debe ser id:clave, separados por comas; un id tiene letras, cifras, «.», «_» o «-»")
        if name in found:
            raise ValueError(f"«{name}» está dos veces")
        found[name] = KmsKey(rest.removeprefix(_KMS), kms) if rest.startswith(_KMS) else _local(name, rest)
    return MasterKeys(found)


def _local(name: str, encoded: str) -> LocalKey:
    try:
        raw = b64decode(encoded, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise ValueError(f"la clave «{name}» no es base64 de 32 bytes, ni {_KMS} y la de KMS")
    return LocalKey(raw)
