"""Counts failed logins in Redis, so that passwords cannot be guessed."""

from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from redis.asyncio import Redis

from app.broker.connection import connection_class, redis_errors
from app.errors import TooManyAttempts

# Failures, for an e-mail from one address and for an address, until nothing more is looked at.
FAILURES: Final = 5
ADDRESS_FAILURES: Final = 50

# From the first failure on (seconds).
WINDOW: Final = 15 * 60

# For connecting, and for each answer (seconds): somebody waits for the page.
TIMEOUT: Final = 2

# Who has IPv6 has at least a network of this size to ask from.
_IPV6_PREFIX: Final = 64

# Counts one more for every key, or, where a key is at its limit, for none: then how long until it is not (ms).
_COUNT: Final = """
for i, key in ipairs(KEYS) do
    if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[i + 1]) then
        return math.max(redis.call('PTTL', key), 1)
    end
end
for i, key in ipairs(KEYS) do
    if redis.call('INCR', key) == 1 then redis.call('EXPIRE', key, ARGV[1]) end
end
return 0
"""

# Counts one less; a count that has expired meanwhile stays away.
_DISCOUNT: Final = """
for _, key in ipairs(KEYS) do
    local count = tonumber(redis.call('GET', key) or '0')
    if count > 1 then redis.call('DECR', key) elseif count == 1 then redis.call('DEL', key) end
end
"""


class LoginAttempts:
    """Failed logins at one Redis. It is connected when first used; `close` ends that."""

    def __init__(self, redis_url: str) -> None:
        self._redis = Redis.from_url(
            redis_url,
            connection_class=connection_class(redis_url),
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
        )
        self._count = self._redis.register_script(_COUNT)
        self._discount = self._redis.register_script(_DISCOUNT)

    async def count(self, correo: str, direccion: str) -> None:
        """Count a failure before it is one, so that guesses made at the same time do not pass together.

        Raises TooManyAttempts, having counted nothing, and QueueUnavailable.
        """
        with redis_errors():
            wait_ms = await self._count(
                keys=[_pair(correo, direccion), _address(direccion)], args=[WINDOW, FAILURES, ADDRESS_FAILURES]
            )
        if wait_ms:
            seconds = -(-int(wait_ms) // 1000)
            raise TooManyAttempts(
                f"demasiados intentos fallidos; vuelva a intentarlo en {_in_words(seconds)}", retry_after=seconds
            )

    async def succeeded(self, correo: str, direccion: str) -> None:
        """Forget the failures of that e-mail from there; the address's other ones stay. Raises QueueUnavailable."""
        with redis_errors():
            await self._redis.delete(_pair(correo, direccion))
            await self._discount(keys=[_address(direccion)])

    async def release(self, correo: str, direccion: str) -> None:
        """Take back what `count` counted, as nobody could say whether it was a failure. Raises QueueUnavailable."""
        with redis_errors():
            await self._discount(keys=[_pair(correo, direccion), _address(direccion)])

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _pair(correo: str, direccion: str) -> str:
    return f"respaldos:ingreso:cuenta:{_digest(correo.casefold(), network_of(direccion))}"


def _address(direccion: str) -> str:
    return f"respaldos:ingreso:direccion:{_digest(network_of(direccion))}"


def _digest(*parts: str) -> str:
    # Redis is no place for people's addresses.
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def network_of(direccion: str) -> str:
    """Whom an address stands for: itself, or the network of an IPv6 one, of which whoever has one has 2⁶⁴."""
    try:
        address = ip_address(direccion)
    except ValueError:
        return direccion
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((int(address), _IPV6_PREFIX), strict=False))
    return str(address)


def _in_words(seconds: int) -> str:
    minutes = -(-seconds // 60)
    return "un minuto" if minutes == 1 else f"{minutes} minutos"
