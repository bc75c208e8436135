"""The guard of every address that a request brings: none is called unless an admin allowed its host and port."""

from urllib.parse import urlsplit

from django.conf import settings

from governance.errors import InvalidInputError

_PORTS = {"http": 80, "https": 443}


def check_base_url(url: str) -> str:
    """`url` if its `host:port` is in PROMPTOPS_OUTBOUND_ALLOW; else InvalidInputError."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        raise InvalidInputError.of("base_url", "expected an address such as https://host:port/v1") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        raise InvalidInputError.of("base_url", "expected an address such as https://host:port/v1")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if f"{host}:{port}" not in settings.PROMPTOPS_OUTBOUND_ALLOW:
        raise InvalidInputError.of(
            "base_url", f"{host}:{port} is not allowed; an admin can add it to PROMPTOPS_OUTBOUND_ALLOW"
        )
    return url
