"""The guard of every address that a request brings: none is called unless an admin allowed its host and port."""

import re
from urllib.parse import urlsplit

from django.conf import settings

from governance.errors import InvalidInputError

_PORTS = {"http": 80, "https": 443}
_PLAIN = re.compile(r"[\x21-\x5b\x5d-\x7e]+")
_EXPECTED = "expected an address such as https://host:port/v1"


def check_base_url(url: str) -> str:
    """`url` if its `host:port` is in PROMPTOPS_OUTBOUND_ALLOW; else InvalidInputError."""
    try:
        parts = urlsplit(url)
        port = _PORTS.get(parts.scheme) if parts.port is None else parts.port
    except ValueError:
        raise InvalidInputError.of("base_url", _EXPECTED) from None
    # What two readers of an address could understand differently (white space, backslashes, user names) is refused.
    plain = _PLAIN.fullmatch(url) and parts.username is None and not parts.query and not parts.fragment
    if not plain or parts.scheme not in _PORTS or not parts.hostname:
        raise InvalidInputError.of("base_url", _EXPECTED)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if f"{host}:{port}" not in {place.strip().lower() for place in settings.PROMPTOPS_OUTBOUND_ALLOW}:
        raise InvalidInputError.of(
            "base_url", f"{host}:{port} is not allowed; an admin can add it to PROMPTOPS_OUTBOUND_ALLOW"
        )
    return url
