"""The seal of a backup file (docs/format.md): a signature, which whoever only writes to the bucket cannot make.

Who checks a file needs public keys alone, so what makes no backups, such as the API, has nothing to sign with.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from app.errors import FormatError

# A signature of something else, made with the same key, is none of a file.
_CONTEXT = b"respaldo-clinica 2\n"

_ID = re.compile(r"[A-Za-z0-9._-]{1,40}")


@dataclass(frozen=True, slots=True)
class Seal:
    """Whose signature (64 bytes) the file bears."""

    key_id: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class SealKeys:
    """The keys by their ids: one to sign with, where this process may, and those whose seals it takes.

    Without any, files are made without a seal, and nobody looks at those that have one.
    """

    signing_id: str | None = None
    signing: Ed25519PrivateKey | None = field(default=None, repr=False)
    public: Mapping[str, Ed25519PublicKey] = field(default_factory=dict)

    def sign(self, digest: bytes) -> Seal:
        """The seal of a file by the SHA-256 of what is signed of it."""
        if self.signing_id is None or self.signing is None:
            raise ValueError("no key to sign with")
        return Seal(self.signing_id, self.signing.sign(_CONTEXT + digest))

    def check(self, seal: Seal | None, digest: bytes, *, required: bool) -> None:
        """See that the seal is that of a known key over this digest. Raises FormatError.

        `required` says that a file without one is refused, too.
        """
        if not self.public:
            return
        if seal is None:
            if required:
                raise FormatError("el archivo no está sellado, y debería estarlo: puede que no lo hizo este servicio")
            return
        key = self.public.get(seal.key_id)
        if key is None:
            raise FormatError(
                f"el archivo está sellado con la clave «{seal.key_id}», que no está en SEAL_KEYS ni en"
                " SEAL_PUBLIC_KEYS"
            )
        try:
            key.verify(seal.signature, _CONTEXT + digest)
        except InvalidSignature:
            raise FormatError(
                f"el sello del archivo no es de la clave «{seal.key_id}»: alguien cambió el archivo o lo falsificó"
            ) from None


NO_SEALS = SealKeys()
"""Of whoever neither signs nor checks."""


def seal_keys(private: str, public: str) -> SealKeys:
    """The keys of two settings, each `id:base64` of 32 bytes, separated by commas; the first private one signs.

    Raises ValueError, which names the id and shows no key.
    """
    signing = {name: Ed25519PrivateKey.from_private_bytes(raw) for name, raw in _parse(private).items()}
    checking = {name: Ed25519PublicKey.from_public_bytes(raw) for name, raw in _parse(public).items()}
    for name, key in signing.items():
        if name in checking and checking[name] != key.public_key():
            raise ValueError(f"«{name}» es otra clave en SEAL_KEYS que en SEAL_PUBLIC_KEYS")
        checking[name] = key.public_key()
    first = next(iter(signing), None)
    return SealKeys(first, signing[first] if first is not None else None, checking)


def public_setting(keys: SealKeys) -> str:
    """SEAL_PUBLIC_KEYS for those who only check."""
    return ",".join(f"{name}:{b64encode(key.public_bytes_raw()).decode()}" for name, key in keys.public.items())


def _parse(text: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for item in filter(None, (item.strip() for item in text.split(","))):
        name, _, encoded = item.partition(":")
        if _ID.fullmatch(name) is None or not encoded:
            raise ValueError("debe ser id:clave, separados por comas; un id tiene letras, cifras, «.», «_» o «-»")
        if name in found:
            raise ValueError(f"«{name}» está dos veces")
        try:
            raw = b64decode(encoded, validate=True)
        except ValueError:
            raw = b""
        if len(raw) != 32:
            raise ValueError(f"la clave «{name}» no es base64 de 32 bytes")
        found[name] = raw
    return found
