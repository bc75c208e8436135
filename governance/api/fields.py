"""Fields that take what they say and nothing that merely looks like it: 5 is not text, "yes" is not true."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

KEY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
MAX_KEY = 200


class StringField(serializers.CharField):
    """Text. White space is kept as it is sent."""

    default_error_messages = {"invalid": "expected a string"}

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("trim_whitespace", False)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class KeyField(serializers.RegexField):
    """What applications call a thing by: letters, digits and `._:-`, starting with a letter or a digit."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", MAX_KEY)
        super().__init__(KEY_PATTERN, **kwargs)
        self.error_messages["invalid"] = "expected letters, digits and any of . _ : - (first a letter or a digit)"

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or data != data.strip():  # `$` would let a last newline pass
            self.fail("invalid")
        return super().to_internal_value(data)


class ContentField(StringField):
    """A prompt's text, bounded in bytes (UTF-8), which is what it costs to store and to send."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("allow_blank", True)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        limit = settings.PROMPTOPS_MAX_CONTENT_BYTES
        if len(text.encode("utf-8")) > limit:
            raise serializers.ValidationError(f"expected at most {limit} bytes")
        return text


class FlagField(serializers.BooleanField):
    default_error_messages = {"invalid": "expected true or false"}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class PercentageField(serializers.DecimalField):
    """0 to 100, with up to three decimals: the grain of a rollout's buckets."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=6, decimal_places=3, min_value=0, max_value=100, coerce_to_string=False, **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool) or not isinstance(data, int | float):
            raise serializers.ValidationError("expected a number from 0 to 100")
        return super().to_internal_value(data)

    def to_representation(self, value: Any) -> float | int:  # type: ignore[override]
        number = float(value)
        return int(number) if number.is_integer() else number


@extend_schema_field({"type": "object", "additionalProperties": {}})
class ObjectField(serializers.JSONField):
    """A JSON object."""

    default_error_messages = {"invalid": "expected a JSON object"}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("invalid")
        return data


@extend_schema_field(
    {"oneOf": [{"type": "array", "items": {"type": "string", "maxLength": 100}, "maxItems": 100}, {"type": "string"}]}
)
class TagsField(serializers.Field[list[str], Any, list[str], Any]):
    """A list of strings; "a, b" is taken for ["a", "b"]. Kept in order, each once."""

    default_error_messages = {
        "invalid": "expected a list of strings, or one string with commas between",
        "long": "expected tags of at most 100 characters",
        "many": "expected at most 100 tags",
    }

    def to_internal_value(self, data: Any) -> list[str]:
        if isinstance(data, str):
            data = data.split(",")
        if not isinstance(data, list) or not all(isinstance(tag, str) for tag in data):
            self.fail("invalid")
        tags = list(dict.fromkeys(tag.strip() for tag in data if tag.strip()))
        if len(tags) > 100:
            self.fail("many")
        if any(len(tag) > 100 for tag in tags):
            self.fail("long")
        return tags

    def to_representation(self, value: list[str]) -> list[str]:
        return value
