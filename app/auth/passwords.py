"""Passwords as Django stores them: pbkdf2_sha256, argon2, bcrypt_sha256 and bcrypt."""

import asyncio
import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from hashlib import pbkdf2_hmac, sha256
from hmac import compare_digest
from secrets import token_bytes
from typing import Final, Protocol

import argon2
import bcrypt

# At once: each takes a processor for a quarter of a second, and argon2 a hundred megabytes.
AT_ONCE: Final = 2

# What a hash may cost at most; Django's own are far below. Whoever can write one could else stop the service.
MAX_ITERATIONS: Final = 10_000_000
MAX_MEMORY_KIB: Final = 1 << 20
MAX_PASSES: Final = 32
MAX_LANES: Final = 64
MAX_BCRYPT_COST: Final = 16

# Django 5.2's, until a real hash has been seen.
ITERATIONS: Final = 1_000_000

# bcrypt looks at no more of a password (bytes); the library leaves it to its caller to say so.
_BCRYPT_BYTES: Final = 72

_BCRYPT: Final = re.compile(r"\$2[aby]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{53}")


class _Malformed(Exception):
    """A hash that looked like one, and is none."""


class _Hash(Protocol):
    """A stored password. `matches` takes as long as it was made to take, and raises _Malformed."""

    def matches(self, password: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Pbkdf2:
    iterations: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def matches(self, password: bytes) -> bool:
        return compare_digest(pbkdf2_hmac("sha256", password, self.salt, self.iterations), self.digest)


@dataclass(frozen=True, slots=True)
class _Argon2:
    encoded: str = field(repr=False)

    def matches(self, password: bytes) -> bool:
        try:
            return argon2.PasswordHasher().verify(self.encoded, password)
        except argon2.exceptions.VerifyMismatchError:
            return False
        # ValueError: an invalid hash, or one with letters that are not ASCII.
        except (argon2.exceptions.VerificationError, ValueError) as exc:
            raise _Malformed from exc


@dataclass(frozen=True, slots=True)
class _Bcrypt:
    encoded: bytes = field(repr=False)
    hashed_first: bool

    def matches(self, password: bytes) -> bool:
        if self.hashed_first:
            password = sha256(password).hexdigest().encode()
        try:
            return bcrypt.checkpw(password[:_BCRYPT_BYTES], self.encoded)
        except ValueError as exc:
            raise _Malformed from exc


class Passwords:
    """Verifies passwords in threads, a few at once."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._typical: _Hash = _Pbkdf2(ITERATIONS, token_bytes(16), token_bytes(32))

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether the password is the stored one.

        It takes as long where there is none, or none that can be used: as long as the last real one took.
        """
        known = _parse(stored) if stored is not None else None
        # Lone surrogates, which JSON can spell, are no UTF-8.
        secret = password.encode("utf-8", "surrogatepass")
        async with self._free:
            return await asyncio.to_thread(self._work, known, secret)

    def _work(self, known: _Hash | None, secret: bytes) -> bool:
        if known is not None:
            try:
                matches = known.matches(secret)
            except _Malformed:
                known = None
            else:
                self._typical = known
                return matches
        self._typical.matches(secret)
        return False


def _parse(stored: str) -> _Hash | None:
    """The hash, or None for one that is unusable (Django's `!…`), malformed, of another kind, or too costly."""
    kind, _, rest = stored.partition("$")
    match kind:
        case "pbkdf2_sha256":
            return _parse_pbkdf2(rest)
        case "argon2":
            return _parse_argon2(f"${rest}")
        case "bcrypt_sha256" | "bcrypt":
            found = _BCRYPT.fullmatch(rest)
            if found is None or int(found["cost"]) > MAX_BCRYPT_COST:
                return None
            return _Bcrypt(rest.encode(), hashed_first=kind == "bcrypt_sha256")
        case _:
            return None


def _parse_pbkdf2(text: str) -> _Hash | None:
    try:
        iterations, salt, digest = text.split("$")
        expected = b64decode(digest, validate=True)
        cost = int(iterations)
    except (ValueError, Base64Error):
        return None
    if not 1 <= cost <= MAX_ITERATIONS or len(expected) != sha256().digest_size:
        return None
    return _Pbkdf2(cost, salt.encode(), expected)


def _parse_argon2(encoded: str) -> _Hash | None:
    try:
        cost = argon2.extract_parameters(encoded)
    except (KeyError, ValueError):
        return None
    if cost.memory_cost > MAX_MEMORY_KIB or cost.time_cost > MAX_PASSES or cost.parallelism > MAX_LANES:
        return None
    return _Argon2(encoded)
