"""The public keys of the clinics' own backend, read from its JWKS address."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any, Final

import aiohttp
import jwt

from app.auth.public_key import PublicKey, usable_key
from app.errors import KeysUnavailable, TokenRefused

# For the whole answer (seconds): a request waits for it.
TIMEOUT: Final = 5

# A key set is a few kilobytes.
MAX_BYTES: Final = 1 << 18

# How long keys are good without asking again, how often an unknown one makes us ask, and how soon again where there
# has been no answer yet (seconds).
MAX_AGE: Final = 3600.0
UNKNOWN_SECONDS: Final = 60.0
FIRST_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class KeySet:
    """The keys at one address that can verify one algorithm. `close` closes the connections. For one event loop.

    Keys once read stay good while the address does not answer.
    """

    def __init__(self, url: str, algorithm: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._algorithm = algorithm
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._lock = asyncio.Lock()
        self._keys: dict[str | None, PublicKey] | None = None
        self._read_at = 0.0
        self._tried_at: float | None = None

    async def key(self, kid: str | None) -> PublicKey:
        """The key of that id, or the only one where the token names none. Raises TokenRefused, KeysUnavailable."""
        # A known key does not wait for a refresh that somebody else has begun.
        if self._due(kid) and not (self._lock.locked() and self._find(kid) is not None):
            async with self._lock:
                if self._due(kid):
                    await self._read()
        found = self._find(kid)
        if found is None:
            if self._keys is None:
                raise KeysUnavailable("no se puede verificar el token: la dirección de JWT_JWKS_URL no responde")
            raise TokenRefused("el token está firmado con una clave que no se conoce")
        return found

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _find(self, kid: str | None) -> PublicKey | None:
        keys = self._keys or {}
        if kid is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(kid)

    def _due(self, kid: str | None) -> bool:
        if self._tried_at is None:
            return True
        now = self._clock()
        if self._keys is None:
            return now - self._tried_at >= FIRST_SECONDS
        wanted = self._find(kid) is None or now - self._read_at >= MAX_AGE
        return wanted and now - self._tried_at >= UNKNOWN_SECONDS

    async def _read(self) -> None:
        began = self._clock()
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))
        try:
            # A redirect might lead to anybody's keys.
            async with self._session.get(self._url, allow_redirects=False) as response:
                if response.status != 200:
                    raise ValueError(f"HTTP {response.status}")
                body = await response.content.read(MAX_BYTES + 1)
                while len(body) <= MAX_BYTES and (more := await response.content.read(MAX_BYTES)):
                    body += more
            keys = _parse(body, self._algorithm)
        except (aiohttp.ClientError, OSError, ValueError, RecursionError) as exc:
            _log.warning("JWT_JWKS_URL: no se pudieron leer las claves: %s", str(exc) or type(exc).__name__)
            self._tried_at = began
            return
        self._keys = keys
        self._tried_at = self._read_at = began


def _parse(body: bytes, algorithm: str) -> dict[str | None, PublicKey]:
    """The usable keys by id. Raises ValueError where this is not a key set at all."""
    if len(body) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    document: Any = json.loads(body)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no list of keys")
    found: dict[str | None, PublicKey] = {}
    for entry in listed:
        if not isinstance(entry, dict) or not _for_verifying(entry, algorithm):
            continue
        try:
            key = usable_key(jwt.PyJWK(entry, algorithm).key, algorithm)
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        kid = entry.get("kid")
        found[kid if isinstance(kid, str) else None] = key
    return found


def _for_verifying(entry: dict[str, Any], algorithm: str) -> bool:
    operations = entry.get("key_ops")
    return (
        entry.get("use", "sig") == "sig"
        and entry.get("alg", algorithm) == algorithm
        and (not isinstance(operations, list) or "verify" in operations)
    )
