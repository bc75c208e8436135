"""Headers of an HTTP request: their names, and templates of their values."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from workflows.steps.fields.references import TemplateField
from workflows.steps.fields.scope import Referring

MAX_HEADERS = 50
_NAME_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
#: What the transport says by itself.
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "upgrade"})


def check_header_names(headers: Mapping[str, Any]) -> None:
    """Raise ValidationError for names that no header has, and for those that the server sends by itself."""
    if len(headers) > MAX_HEADERS:
        raise serializers.ValidationError(f"expected at most {MAX_HEADERS} headers")
    problems: dict[str, list[str]] = {}
    for name in headers:
        if not name or not _NAME_CHARACTERS.issuperset(name.lower()) or len(name) > 200:
            problems[name] = ["expected the name of a header"]
        elif name.lower() in _OWN_HEADERS:
            problems[name] = ["the server sends this one by itself"]
    if problems:
        raise serializers.ValidationError(problems)


class HeadersField(Referring, serializers.DictField):
    """Headers of a request: names, and templates of their values."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=TemplateField(max_length=4000), **kwargs)

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        return {"type": "object", "maxProperties": MAX_HEADERS, "additionalProperties": {"type": "string"}}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        headers = super().to_internal_value(data)
        check_header_names(headers)
        return headers
