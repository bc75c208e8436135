"""Secrets in a step: encrypted where they are stored, shown as a mask, and bound to the host that they are sent to.

Stored is `{"box", "hint", "origin"}`. People are shown `{"kept", "hint"}`, and may send that back for the stored one:
so a definition can be edited by those who don't know its secrets. To be sent to another host, a secret must be typed
again: whoever may edit a workflow can't read its secrets that way.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rest_framework import serializers

from governance.core import ciphertext
from workflows.steps.fields.headers import check_header_names
from workflows.steps.fields.scope import Referring

MAX_SECRET = 4000
_PLAIN = re.compile(r"[\x20-\x7e]+")
FIELD = "secret_headers"


class SecretHeadersField(Referring, serializers.Field[Any, Any, Any, Any]):
    """Headers whose values are secret. What comes in is a text, or the mask of one that is stored already."""

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        secret = {"type": "string", "minLength": 1, "maxLength": MAX_SECRET, "pattern": "^[\\x20-\\x7e]+$"}
        mask = {
            "type": "object",
            "required": ["kept"],
            "properties": {"kept": {"type": "string"}, "hint": {"type": "string"}},
            "additionalProperties": False,
        }
        return {"type": "object", "maxProperties": 50, "additionalProperties": {"oneOf": [secret, mask]}}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            raise serializers.ValidationError("expected an object: names of headers and their secret values")
        check_header_names(data)
        return {name: self._secret(name, value) for name, value in data.items()}

    def to_representation(self, value: Any) -> Any:
        return value

    def _secret(self, name: str, value: Any) -> dict[str, Any]:
        if isinstance(value, str):
            if not _PLAIN.fullmatch(value) or len(value) > MAX_SECRET:
                raise serializers.ValidationError({name: [f"expected 1 to {MAX_SECRET} visible ASCII characters"]})
            return {"box": ciphertext.encrypt(value), "hint": _hint(value)}
        if isinstance(value, Mapping) and isinstance(value.get("kept"), str):
            stored = self.scope.secrets.get(value["kept"]) if self.scope else None
            if stored is None:
                raise serializers.ValidationError({name: ["this secret is not stored here: send its value"]})
            return dict(stored)
        raise serializers.ValidationError({name: ["expected a text, or what was shown for a stored secret"]})


def sealed_for(origin: str, secrets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The secrets, bound to the place that they are sent to. Raises ValidationError for those of another place."""
    moved = {
        name: ["this secret is for another host: send its value again"]
        for name, secret in secrets.items()
        if secret.get("origin", origin) != origin
    }
    if moved:
        raise serializers.ValidationError({FIELD: moved})
    return {name: {**secret, "origin": origin} for name, secret in secrets.items()}


class SecretError(ValueError):
    """A stored secret can't be used; the message says why."""


def opened(origin: str, secrets: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The headers as they are sent. Raises SecretError when one can't be read any more, or is for another place."""
    headers = {}
    for name, secret in secrets.items():
        if secret["origin"] != origin:
            raise SecretError(f"{name}: this secret is for another host; store it again")
        try:
            headers[name] = ciphertext.decrypt(secret["box"])
        except ciphertext.UnreadableError:
            raise SecretError(f"{name}: the secret can't be read: SECRET_KEY was changed; store it again") from None
    return headers


def name_of(secret: Mapping[str, Any]) -> str:
    """What a stored secret is called by those who may not know it."""
    return hashlib.sha256(secret["box"].encode()).hexdigest()[:16]


def masked(step: Mapping[str, Any]) -> dict[str, Any]:
    """A stored step for people, with those inside."""
    shown = dict(step)
    if FIELD in step:
        shown[FIELD] = {name: {"kept": name_of(secret), "hint": secret["hint"]} for name, secret in step[FIELD].items()}
    if "steps" in step:
        shown["steps"] = [masked(inner) for inner in step["steps"]]
    return shown


def secrets_of(steps: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each secret of stored steps, with what it is called."""
    for step in steps:
        for secret in step.get(FIELD, {}).values():
            yield name_of(secret), secret
        yield from secrets_of(step.get("steps", ()))


def _hint(value: str) -> str:
    return f"…{value[-4:]}" if len(value) >= 16 else "…"
