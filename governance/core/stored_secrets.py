"""How a secret that must be read again is stored beside other data: encrypted, with a hint by which people know it."""

from collections.abc import Mapping
from typing import Any, TypedDict

from governance.core import ciphertext
from governance.core.ciphertext import UnreadableError

__all__ = ["MASK", "StoredSecret", "UnreadableError", "hint_of", "reveal", "store"]

#: What every hint begins with. No header can carry it, so that a hint is never taken for a value.
MASK = "…"
#: A hint shows the last four characters of a secret of at least this length, and nothing of a shorter one.
_LONG = 16


class StoredSecret(TypedDict):
    """A secret as it is in the database: `box` is the ciphertext, `hint` is what people are shown."""

    box: str
    hint: str


def store(value: str) -> StoredSecret:
    return {"box": ciphertext.encrypt(value), "hint": hint_of(value)}


def reveal(secret: Mapping[str, Any]) -> str:
    """The value of a stored secret. Raises UnreadableError if it was encrypted with a SECRET_KEY that is gone."""
    return ciphertext.decrypt(secret["box"])


def hint_of(value: str) -> str:
    return MASK + (value[-4:] if len(value) >= _LONG else "")
