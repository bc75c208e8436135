"""Fields whose values are secret. The serializer of any type of step can have them, inside of groups and lists too.

Stored is `{"box", "hint", "origin"}`: the ciphertext, what people are shown, and what the secret is for, which the
step's serializer says (`StepSerializer.destination`). People are shown the mask `{"kept", "hint"}` and may send it back
to keep the secret, so that those who don't know a secret can edit its step. It is kept for the same destination only:
who may edit a workflow can't have a secret sent to a place of their own.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rest_framework import serializers

from agents.transport import headers
from governance.core import stored_secrets
from workflows.steps.fields.headers import MAX_HEADERS, check_header_names
from workflows.steps.fields.scope import Referring

MAX_SECRET = 4000

Path = tuple[str, ...]
Secret = Mapping[str, Any]


class SecretField(Referring, serializers.Field[Any, Any, Any, Any]):
    """A secret text of 1 to 4000 visible ASCII characters, or the mask of one that is stored already."""

    widget = "secret"

    default_error_messages = {
        "invalid": "expected a text, or what was shown for a stored secret",
        "null": "expected a text, or what was shown for a stored secret",
        "characters": f"expected 1 to {MAX_SECRET} visible ASCII characters",
        "unknown": "this secret is not stored here: send its value",
    }

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        pattern = headers.VALUE_PATTERN.replace(r"\Z", "$")
        secret = {"type": "string", "minLength": 1, "maxLength": MAX_SECRET, "pattern": pattern}
        mask = {
            "type": "object",
            "required": ["kept"],
            "properties": {"kept": {"type": "string"}, "hint": {"type": "string"}},
            "additionalProperties": False,
        }
        return {"oneOf": [secret, mask]}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, str):
            if not headers.is_secret_value(data, max_length=MAX_SECRET):
                self.fail("characters")
            return {**stored_secrets.store(data)}
        if not isinstance(data, Mapping) or not isinstance(data.get("kept"), str):
            self.fail("invalid")
        stored = self.scope.secrets.get(data["kept"]) if self.scope else None
        if stored is None:
            self.fail("unknown")
        return dict(stored)

    def to_representation(self, value: Any) -> Any:
        return mask_of(value)


class SecretHeadersField(serializers.DictField):
    """Headers of a request whose values are secret."""

    widget = "secrets"

    child = SecretField()
    default_error_messages = {"not_a_dict": "expected an object: names of headers and their secret values"}

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        secret = SecretField().openapi(schema, direction)
        return {"type": "object", "maxProperties": MAX_HEADERS, "additionalProperties": secret}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            self.fail("not_a_dict")
        check_header_names(data)
        secrets: dict[str, Any] = super().to_internal_value(dict(data))
        return secrets


def id_of(secret: Secret) -> str:
    """The id of a stored secret in its mask, from which nothing about the secret can be learnt."""
    return hashlib.sha256(secret["box"].encode()).hexdigest()[:16]


def mask_of(secret: Secret) -> dict[str, str]:
    """What people are shown for a stored secret."""
    return {"kept": id_of(secret), "hint": secret["hint"]}


def masked(kind: type[serializers.Serializer[Any]], values: Mapping[str, Any]) -> dict[str, Any]:
    """Stored values of that serializer, with the mask of each secret in its place."""
    return _replaced(kind, values, lambda path, secret: mask_of(secret))


def secrets_of(kind: type[serializers.Serializer[Any]], values: Mapping[str, Any]) -> Iterator[Secret]:
    """Each secret in stored values of that serializer."""
    found: list[Secret] = []
    _replaced(kind, values, lambda path, secret: found.append(secret))
    return iter(found)


def bound(
    kind: type[serializers.Serializer[Any]], values: Mapping[str, Any], *, destination: str, noun: str
) -> dict[str, Any]:
    """Validated values of that serializer, each secret marked as one for `destination`, which is a `noun`.

    Raises ValidationError, by their places, for secrets that are stored for another destination.
    """
    problems: dict[str, Any] = {}

    def bind(path: Path, secret: Secret) -> dict[str, Any]:
        if secret.get("origin", destination) != destination:
            inner = problems
            for name in path[:-1]:
                inner = inner.setdefault(name, {})
            inner[path[-1]] = [f"this secret is for another {noun}: send its value again"]
        return {**secret, "origin": destination}

    made = _replaced(kind, values, bind)
    if problems:
        raise serializers.ValidationError(problems)
    return made


def _replaced(
    kind: type[serializers.Serializer[Any]], values: Mapping[str, Any], change: Callable[[Path, Secret], Any]
) -> dict[str, Any]:
    """`values` with what `change` makes of each secret in its place."""
    fields = _fields_with_secrets(kind)
    return {
        name: _replace(fields[name], value, change, (name,)) if name in fields else value
        for name, value in values.items()
    }


def _replace(field: Any, value: Any, change: Callable[[Path, Secret], Any], path: Path) -> Any:
    if value is None or not _has_secrets(field):
        return value
    if isinstance(field, SecretField):
        return change(path, value)
    if isinstance(field, serializers.Serializer):
        fields = field.fields
        return {name: _replace(fields.get(name), item, change, (*path, name)) for name, item in value.items()}
    if isinstance(value, Mapping):
        return {name: _replace(field.child, item, change, (*path, name)) for name, item in value.items()}
    return [_replace(field.child, item, change, (*path, str(place))) for place, item in enumerate(value)]


@functools.cache
def _fields_with_secrets(kind: type[serializers.Serializer[Any]]) -> Mapping[str, Any]:
    return {name: field for name, field in kind().fields.items() if _has_secrets(field)}


def _has_secrets(field: Any) -> bool:
    if isinstance(field, serializers.Serializer):
        return any(map(_has_secrets, field.fields.values()))
    return isinstance(field, SecretField) or (hasattr(field, "child") and _has_secrets(field.child))
