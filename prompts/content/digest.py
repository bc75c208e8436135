"""One form of a JSON value on every database, and the digest of values in that form."""

import hashlib
import json
from decimal import Decimal
from typing import TypeAlias

from django.core.serializers.json import DjangoJSONEncoder

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"


def canonical(value: JSON) -> JSON:
    """The one form of a JSON value that reads back as itself from every database.

    A jsonb column forgets the order of an object's names, writes exponents out (1e22 comes back as an integer) and
    drops the sign of zero. Whether a config came by the API, the admin or a script, this form is compared and served.
    """
    if isinstance(value, dict):
        return {name: canonical(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, float):
        # By its shortest digits, as it is sent: int(4.192461272448615e16) has others.
        return int(Decimal(repr(value))) if "e+" in repr(value) else value + 0.0  # -0.0 + 0.0 is 0.0
    return value


def digest_of(*values: JSON) -> str:
    """The SHA-256 (hex) of `values` as a JSON list. Objects in them have to be canonical already."""
    text = json.dumps(values, ensure_ascii=False, cls=DjangoJSONEncoder)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
