"""Fields of plain values: numbers, choices and JSON, taken only in their own JSON type."""

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers


class JsonField(serializers.JSONField):
    """Any JSON value, as it is."""

    widget = "value"

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        return {}


class WholeField(serializers.IntegerField):
    """A whole number; "3" is none, and true is none."""

    default_error_messages = {"invalid": "expected a whole number"}

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return super().to_internal_value(data)


class NumberField(serializers.FloatField):
    """A number; "3" is none, and true is none."""

    default_error_messages = {"invalid": "expected a number"}

    def to_internal_value(self, data: Any) -> float | int:
        if type(data) not in (int, float):
            self.fail("invalid")
        super().to_internal_value(data)  # refuses what is no float, such as 10**400
        return data  # type: ignore[no-any-return]  # as it was sent


class ChoiceField(serializers.ChoiceField):
    """One of some words; the error lists them."""

    def __init__(self, choices: Sequence[str], **kwargs: Any) -> None:
        messages: dict[str, Any] = {"invalid_choice": f"expected one of: {', '.join(choices)}"}
        super().__init__(list(choices), error_messages=messages, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        value: str = super().to_internal_value(data)
        return value
