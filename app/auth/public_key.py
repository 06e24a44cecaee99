"""Public keys, each for one algorithm."""

from typing import Any, TypeAlias

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey


def usable_key(key: Any, algorithm: str) -> PublicKey:
    """The key, if it is a public one of that algorithm and long enough for it. Raises ValueError otherwise."""
    verifier = jwt.get_algorithm_by_name(algorithm)
    if not isinstance(key, PublicKey):
        raise ValueError("not a public key")
    try:
        prepared: PublicKey = verifier.prepare_key(key)
    except (jwt.InvalidKeyError, TypeError) as exc:
        raise ValueError(f"not a key of {algorithm}") from exc
    if verifier.check_key_length(prepared) is not None:
        raise ValueError("too short")
    return prepared


def read_pem(text: str, algorithm: str) -> PublicKey:
    """The public key of that text, in which line ends may be written `\\\\n`. Raises ValueError."""
    try:
        key = load_pem_public_key(text.strip().replace("\\n", "\n").encode())
    except UnsupportedAlgorithm as exc:
        raise ValueError("of a kind that is not known") from exc
    return usable_key(key, algorithm)
