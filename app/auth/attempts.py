"""Counts failed logins in Redis, so that passwords cannot be guessed."""

from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from redis.asyncio import Redis

from app.broker.connection import connection_class, redis_errors
from app.errors import TooManyAttempts

# Failures, for an e-mail from one address and for an address, until nothing more is looked at.
FAILURES: Final = 5
ADDRESS_FAILURES: Final = 50

# Failures for an e-mail from wherever, until each further guess has to wait, twice as long as the one before it and
# LONGEST_PAUSE (seconds) at most. Never for good: else anybody could shut anybody out. Where somebody has logged in
# within KNOWN_SECONDS does not wait for strangers, who may be asking all the time.
ACCOUNT_FAILURES: Final = 10
LONGEST_PAUSE: Final = 60
KNOWN_SECONDS: Final = 30 * 24 * 3600

# From the first failure on, and, for an e-mail from wherever, from the last one (seconds).
WINDOW: Final = 15 * 60
ACCOUNT_WINDOW: Final = 3600

# For connecting, and for each answer (seconds): somebody waits for the page.
TIMEOUT: Final = 2

# Who has IPv6 has at least a network of this size to ask from.
_IPV6_PREFIX: Final = 64

# Counts one more for every key, or, where it has to wait, for none: then how long (ms). The keys are the address's,
# the e-mail's and its pause's; and those of the e-mail from this address, its failures and whether it is known.
_COUNT: Final = """
local address, account, pause, pair, known = unpack(KEYS)
local function left(key, limit)
    if tonumber(redis.call('GET', key) or '0') < tonumber(limit) then return 0 end
    return math.max(redis.call('PTTL', key), 1)
end
local stranger = not known or redis.call('EXISTS', known) == 0
local wait = math.max(left(address, ARGV[2]), pair and left(pair, ARGV[3]) or 0)
if stranger then wait = math.max(wait, redis.call('PTTL', pause)) end
if wait > 0 then return wait end
if redis.call('INCR', address) == 1 then redis.call('EXPIRE', address, ARGV[1]) end
if pair and redis.call('INCR', pair) == 1 then redis.call('EXPIRE', pair, ARGV[1]) end
local over = redis.call('INCR', account) - tonumber(ARGV[4])
redis.call('EXPIRE', account, ARGV[5])
if over >= 0 then redis.call('SET', pause, '', 'PX', 1000 * math.min(2 ^ math.min(over, 30), tonumber(ARGV[6]))) end
return 0
"""

# Counts one less; a count that has expired meanwhile stays away.
_DISCOUNT: Final = """
for _, key in ipairs(KEYS) do
    local count = tonumber(redis.call('GET', key) or '0')
    if count > 1 then redis.call('DECR', key) elseif count == 1 then redis.call('DEL', key) end
end
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """From where somebody logs in. `claimed`: whom a proxy that is not known to be ours says it speaks for.

    Everybody behind such a proxy has its address. So failures are counted by what it claims, and for an e-mail from
    wherever: who makes claims up has no more guesses than that.
    """

    direccion: str
    claimed: str | None = None


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

    async def count(self, correo: str, origin: Origin) -> None:
        """Count a failure before it is one, so that guesses made at the same time do not pass together.

        Raises TooManyAttempts, having counted nothing, and QueueUnavailable.
        """
        limits = (WINDOW, ADDRESS_FAILURES, FAILURES, ACCOUNT_FAILURES, ACCOUNT_WINDOW, LONGEST_PAUSE)
        with redis_errors():
            wait_ms = await self._count(keys=_keys(correo, origin), args=limits)
        if wait_ms:
            seconds = -(-int(wait_ms) // 1000)
            raise TooManyAttempts(
                f"demasiados intentos fallidos; vuelva a intentarlo en {_in_words(seconds)}", retry_after=seconds
            )

    async def succeeded(self, correo: str, origin: Origin) -> None:
        """Forget the failures of that e-mail; the address's other ones stay. Raises QueueUnavailable."""
        address, account, pause, *here = _keys(correo, origin)
        with redis_errors():
            await self._redis.delete(account, pause, *here[:1])
            for known in here[1:]:
                await self._redis.set(known, "", ex=KNOWN_SECONDS)
            await self._discount(keys=[address])

    async def release(self, correo: str, origin: Origin) -> None:
        """Take back what `count` counted, as nobody could say whether it was a failure. Raises QueueUnavailable."""
        address, account, pause, *here = _keys(correo, origin)
        with redis_errors():
            await self._redis.delete(pause)
            await self._discount(keys=[address, account, *here[:1]])

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _keys(correo: str, origin: Origin) -> list[str]:
    """In the order of _COUNT."""
    network, who = network_of(origin.direccion), correo.casefold()
    if origin.claimed is not None:
        return [_key("direccion", network, network_of(origin.claimed)), _key("cuenta", who), _key("pausa", who)]
    return [
        _key("direccion", network),
        _key("cuenta", who),
        _key("pausa", who),
        _key("cuenta", who, network),
        _key("conocida", who, network),
    ]


def _key(kind: str, *parts: str) -> str:
    return f"respaldos:ingreso:{kind}:{_digest(*parts)}"


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
