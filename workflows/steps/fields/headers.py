"""Headers of an HTTP request: their names, and templates of their values."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from agents.transport import headers
from workflows.steps.fields.references import TemplateField
from workflows.steps.fields.scope import Referring

MAX_HEADERS = 50
MAX_NAME = 200


def check_header_names(values: Mapping[str, Any]) -> None:
    """Raise ValidationError for names that no header can have, and for headers that the server sets by itself."""
    if len(values) > MAX_HEADERS:
        raise serializers.ValidationError(f"expected at most {MAX_HEADERS} headers")
    problems: dict[str, list[str]] = {}
    for name in values:
        if not headers.is_name(name, max_length=MAX_NAME):
            problems[name] = ["expected the name of a header"]
        elif name.lower() in headers.SET_BY_SERVER:
            problems[name] = ["the server sends this one by itself"]
    if problems:
        raise serializers.ValidationError(problems)


class HeadersField(Referring, serializers.DictField):
    """Headers of a request: names, and templates of their values."""

    widget = "pairs"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=TemplateField(max_length=4000), **kwargs)

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        return {"type": "object", "maxProperties": MAX_HEADERS, "additionalProperties": {"type": "string"}}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        values: dict[str, Any] = super().to_internal_value(data)
        check_header_names(values)
        return values
