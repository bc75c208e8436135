"""Bearer secrets: how they come (RFC 6750) and how they are stored."""

import hashlib


def bearer_of(header: str) -> str | None:
    """The secret of an `Authorization` header (RFC 6750, 2.1), or None when it is of another scheme."""
    scheme, _, secret = header.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


def digest_of(secret: str) -> str:
    """The SHA-256 that a token is stored as. Secrets are random and long, so a slow hash would add nothing."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
