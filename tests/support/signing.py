"""Tokens and keys as others make them, right and wrong."""

import base64
import json
import time
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.auth.tokens import Tokens

SECRET = "un-secreto-de-prueba-de-mas-de-32-bytes"
BACKEND = "https://clinica.example"
AUDIENCE = "respaldos"


def rsa_key(name: str = "uno") -> RSAPrivateKey:
    """A private key; the same for the same name."""
    return _rsa_key(name)


@cache
def _rsa_key(_: str) -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(key: Any) -> str:
    """Its public half, as JWT_PUBLIC_KEY takes it."""
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def jwk(key: RSAPrivateKey, kid: str | None = "uno", **more: Any) -> dict[str, Any]:
    """Its public half, as a JWKS lists it."""
    named = {} if kid is None else {"kid": kid}
    return {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "use": "sig"} | named | more


def our_tokens(**changes: Any) -> Tokens:
    """Tokens as the settings of most installations make them."""
    given: dict[str, Any] = {"secret": SECRET, "hours": 8, "admin_roles": ("administrador", "admin")}
    return Tokens(**(given | changes))


def backend_tokens(**changes: Any) -> Tokens:
    """Those that believe the clinics' own backend too, by its public key; what is None is not looked at."""
    given: dict[str, Any] = {"public_key": public_pem(rsa_key()), "issuer": BACKEND, "audience": AUDIENCE} | changes
    unchecked = [claim for claim, name in (("iss", "issuer"), ("aud", "audience")) if given[name] is None]
    return our_tokens(**({"unchecked": unchecked} | given))


def claims(**changes: Any) -> dict[str, Any]:
    """What the clinics' own backend says of an administrator of clinic 7; None takes a claim away."""
    now = int(time.time())
    said = {
        "iss": BACKEND,
        "aud": AUDIENCE,
        "sub": "12",
        "iat": now,
        "exp": now + 600,
        "clinica_id": 7,
        "rol": "Administrador",
    }
    return {name: value for name, value in (said | changes).items() if value is not None}


def our_claims(**changes: Any) -> dict[str, Any]:
    """The same as we would say it."""
    return claims(**({"iss": "respaldos", "aud": None, "jti": "uno"} | changes))


def backend_token(key: Any = None, algorithm: str = "RS256", kid: str | None = None, **changes: Any) -> str:
    """A token of the clinics' own backend."""
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), key or rsa_key(), algorithm, headers=headers)


def our_token(**changes: Any) -> str:
    """A token of ours, whatever it says."""
    return jwt.encode(our_claims(**changes), SECRET, "HS256")


def forged(header: dict[str, Any], payload: Any, signature: bytes = b"") -> str:
    """A token put together by hand, since no library would make it."""
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
