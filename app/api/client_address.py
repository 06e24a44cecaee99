"""From where a request comes."""

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.requests import Request

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_FORWARDING = ("x-forwarded-for", "forwarded", "x-real-ip")


def networks(settings: Collection[str]) -> tuple[Network, ...]:
    """The addresses and networks of FORWARDED_ALLOW_IPS. Raises ValueError where one is none."""
    return tuple(ip_network(entry, strict=False) for entry in settings)


def client_address(request: Request, trusted: Sequence[Network]) -> str:
    """The IP address of who asks.

    That is the connection's other end; where it is a proxy in `trusted`, the right-most hop of X-Forwarded-For
    that is not. What stands left of that was written by anybody.
    """
    peer = request.client.host if request.client is not None else ""
    found = _parsed(peer)
    if found is None:
        return peer
    hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    while hops and _within(found, trusted):
        before = _parsed(hops.pop().strip())
        if before is None:
            break
        found = before
    return str(found)


def claimed_address(request: Request, trusted: Sequence[Network]) -> str | None:
    """Whom a peer that is not in `trusted` says that it speaks for, in whatever words; None where it says nothing.

    Of several hops, the last: a proxy adds it to what it was told itself.
    """
    peer = _parsed(request.client.host) if request.client is not None else None
    if peer is not None and _within(peer, trusted):
        return None
    said = next((lines for name in _FORWARDING if (lines := request.headers.getlist(name))), None)
    if said is None:
        return None
    hop = said[-1].rpartition(",")[2].strip()
    return str(_parsed(hop) or hop)


def is_local(request: Request) -> bool:
    """Whether a program of this machine asks, and not somebody else through a proxy on it."""
    peer = _parsed(request.client.host) if request.client is not None else None
    return peer is not None and peer.is_loopback and not any(name in request.headers for name in _FORWARDING)


def _parsed(text: str) -> Address | None:
    """The address, without the port that some proxies add; None where it is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _within(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)
