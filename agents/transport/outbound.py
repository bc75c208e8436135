"""The guard of every address that the server calls for somebody: a provider's, a request's own, a tool's.

An address is https, or the operator allowed its host and port (PROMPTOPS_OUTBOUND_ALLOW). Its name is resolved once;
what is not globally routable is refused unless it was allowed, and the connection goes to the addresses that were
checked (agents.transport.http), so that a name can't mean another place a moment later. No redirect is followed.
"""

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from django.conf import settings

from governance.core.errors import InvalidInputError, ProviderError

_PORTS = {"http": 80, "https": 443}
_PLAIN = re.compile(r"[\x21-\x5b\x5d-\x7e]+")
_EXPECTED = "expected an address such as https://host:port/v1"

#: What IANA's registries of special-purpose addresses name, and a few beside it; Python's own lists lack some. No
#: provider lives in any of them, also where the registry says that they are reachable.
_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # Azure's, on each of its machines
        *("2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20"),
    )
)
#: The only part of IPv6 that is handed out to the internet.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
#: IPv6 networks that carry an IPv4 address, and the number of bits behind it.
_CARRIERS = (
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped (RFC 4291)
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated (RFC 2765)
    (ipaddress.IPv6Network("::/96"), 0),  # IPv4-compatible (RFC 4291, deprecated)
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64 (RFC 6052)
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4 (RFC 3056)
)
#: In front of the IPv4 address at the end of an ISATAP address, whatever its network (RFC 5214).
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)


@dataclass(frozen=True, slots=True)
class Place:
    """The host and port of an address, and whether the operator vouches for it wherever it leads."""

    scheme: str
    host: str
    port: int
    allowed: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def how_to_allow(self) -> str:
        return f"{self} is not allowed; an admin can add it to PROMPTOPS_OUTBOUND_ALLOW"


@dataclass(frozen=True, slots=True)
class Admitted:
    """A place with the addresses that may be connected to: those that its name had when it was checked."""

    place: Place
    addresses: tuple[str, ...]


def parse(url: str, field: str = "base_url") -> Place:
    """The place of `url`.

    Raises InvalidInputError, of `field`, for what is no address, and for what two readers of an address could
    understand differently: white space, backslashes, user names.
    """
    try:
        parts = urlsplit(url)
        port = _PORTS.get(parts.scheme) if parts.port is None else parts.port
    except ValueError:
        raise InvalidInputError.of(field, _EXPECTED) from None
    plain = _PLAIN.fullmatch(url) and parts.username is None and not parts.query and not parts.fragment
    if not plain or not port or parts.scheme not in _PORTS or not parts.hostname:
        raise InvalidInputError.of(field, _EXPECTED)
    place = Place(parts.scheme, parts.hostname, port)
    allowed = {name.strip().lower() for name in settings.PROMPTOPS_OUTBOUND_ALLOW}
    return replace(place, allowed=str(place) in allowed)


def check_base_url(url: str) -> str:
    """`url` of a request's own wish, if its `host:port` is allowed; else InvalidInputError."""
    place = parse(url)
    if not place.allowed:
        raise InvalidInputError.of("base_url", place.how_to_allow)
    return url


def check_url(url: str, field: str = "base_url") -> str:
    """`url` to be stored, if it may be called as far as can be told without the network; else InvalidInputError."""
    problem = _problem(parse(url, field))
    if problem:
        raise InvalidInputError.of(field, problem)
    return url


async def admit(url: str, *, is_vouched: bool = False) -> Admitted:
    """Resolve the address's name, once. `is_vouched`: the operator configured this very address, so it may be anywhere.

    Raises ProviderError for an address that can't be read, a name that nobody knows, and one that leads to an address
    which is not public.
    """
    try:
        place = parse(url)
    except InvalidInputError as error:
        raise ProviderError(f"its address can't be read: {error.message.partition(': ')[2]}") from None
    place = replace(place, allowed=place.allowed or is_vouched)
    problem = _problem(place)
    if problem:
        raise ProviderError(f"its address is not called: {problem}")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ProviderError(f"it could not be reached: no such host as {place.host}") from None
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    private = [address for address in addresses if not is_public(address)]
    if private and not place.allowed:
        raise ProviderError(f"its address is not called: {place.host} is at {private[0]}, which is not public")
    return Admitted(place, addresses)


def is_public(address: str) -> bool:
    """Whether an IP address is globally routable, and the IPv4 address too that an IPv6 address carries."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        for network, behind in _CARRIERS:
            if ip in network:
                return is_public(str(ipaddress.IPv4Address((int(ip) >> behind) & 0xFFFFFFFF)))
        if ip not in _GLOBAL_UNICAST:
            return False
        if (int(ip) >> 32) & 0xFFFFFFFF in _ISATAP and not is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))):
            return False
    return ip.is_global and not any(ip in network for network in _SPECIAL if network.version == ip.version)


def _problem(place: Place) -> str | None:
    """Why the place may not be called, as far as its name tells."""
    if place.allowed:
        return None
    if place.scheme != "https":
        return f"expected https; {place.how_to_allow}"
    if _is_figures(place.host) and not is_public(place.host):
        return f"{place.host} is not a public address; {place.how_to_allow}"
    return None


def _is_figures(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
