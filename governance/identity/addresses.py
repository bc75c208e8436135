"""Addresses of clients. Only this module reads them.

The server has already put the address that a trusted proxy reports into the request
(settings.PROMPTOPS_TRUSTED_PROXIES). An X-Forwarded-For header from any other client is ignored.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest


def address_of(request: HttpRequest | None) -> str:
    """The client's address as text; empty where there is none, as behind a socket file."""
    return str(request.META.get("REMOTE_ADDR") or "")[:64] if request is not None else ""


def address_in(scope: Mapping[str, Any]) -> str:
    """The same from an ASGI scope."""
    client = scope.get("client")
    return str(client[0] or "")[:64] if client else ""


def network_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or an IPv6 address's /64 network, all of which one host may use."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return str(found)
