"""Secrets that have to be read again, such as providers' keys: encrypted at rest with keys made of the settings.

Fernet (AES-128-CBC with HMAC-SHA256; github.com/fernet/spec) under keys that HKDF (RFC 5869) makes of SECRET_KEY and of
SECRET_KEY_FALLBACKS, so that a rotated SECRET_KEY goes on reading what the former one wrote.
"""

import base64
import functools

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class UnreadableError(Exception):
    """The text was encrypted with a SECRET_KEY that is no longer configured, or is no ciphertext."""


def encrypt(secret: str) -> str:
    """The secret's ciphertext, as ASCII text."""
    return _fernet(_secret_keys()).encrypt(secret.encode()).decode("ascii")


def decrypt(ciphertext: str) -> str:
    """The secret that `encrypt` made this ciphertext of. Raises UnreadableError."""
    try:
        return _fernet(_secret_keys()).decrypt(ciphertext.encode()).decode()
    except InvalidToken:
        raise UnreadableError from None


def _secret_keys() -> tuple[str, ...]:
    return (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


@functools.lru_cache(maxsize=4)
def _fernet(secret_keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derived(secret_key)) for secret_key in secret_keys])


def _derived(secret_key: str) -> bytes:
    # The `info` is part of the key: with another one, what is stored could not be read any more.
    derivation = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"promptops secretbox")
    return base64.urlsafe_b64encode(derivation.derive(secret_key.encode()))
