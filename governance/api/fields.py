"""Fields that take what they say and nothing that merely looks like it: 5 is not text, "yes" is not true."""

import re
import uuid
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from governance.api.parsing import unstorable
from governance.core.text import composed

# A pattern ends in \Z: `$` would let a last line break through.
KEY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]*\Z"
PROMPT_KEY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]*(/[A-Za-z0-9][A-Za-z0-9._:-]*)*\Z"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*\Z"
MAX_KEY = 200
MAX_TAGS = MAX_TAG = 100

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
NO_TIME = "expected an RFC 3339 time such as 2026-01-31T12:00:00Z"

#: Moments that hours, days and months can be added to and taken from, in any time zone and in both databases.
EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
#: The same for the OpenAPI schema, as far as an expression can say it.
YEARS = r"^(19|[2-8][0-9])[0-9]{2}-"


def is_time(text: object) -> bool:
    """Whether `text` is written as RFC 3339 has it: nobody has to guess which zone was meant."""
    return isinstance(text, str) and _TIME.fullmatch(text) is not None


class _NoSurrogates(ProhibitSurrogateCharactersValidator):
    """Looks for surrogates with one expression: DRF's own loop takes a tenth of a second for a long prompt."""

    def __call__(self, value: str) -> None:
        if unstorable(value):
            super().__call__(value)


class StringField(serializers.CharField):
    """Text. White space is kept as it is sent."""

    default_error_messages = {"invalid": "expected a string"}

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("trim_whitespace", False)
        super().__init__(**kwargs)
        slow = ProhibitSurrogateCharactersValidator
        self.validators = [_NoSurrogates() if type(one) is slow else one for one in self.validators]

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class PatternField(serializers.RegexField):
    """Text of one pattern, just as it is sent; `expected` says it for people."""

    def __init__(self, pattern: str, *, expected: str, **kwargs: Any) -> None:
        messages = {"invalid": f"expected {expected}", **kwargs.pop("error_messages", {})}
        super().__init__(pattern, **{"trim_whitespace": False, "error_messages": messages, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class KeyField(PatternField):
    """What applications call a thing by: letters, digits and `._:-`, starting with a letter or a digit."""

    def __init__(self, **kwargs: Any) -> None:
        expected = "letters, digits and any of . _ : - (first a letter or a digit)"
        super().__init__(KEY_PATTERN, expected=expected, **{"max_length": MAX_KEY, **kwargs})


class PromptKeyField(PatternField):
    """What applications call a prompt by: a key, or several with `/` between them, as in folders."""

    def __init__(self, **kwargs: Any) -> None:
        expected = "letters, digits and any of . _ : - (first a letter or a digit), with / between folders"
        super().__init__(PROMPT_KEY_PATTERN, expected=expected, **{"max_length": MAX_KEY, **kwargs})


class IdField(serializers.UUIDField):
    """A UUID as a string; a number, which Python would take for one, is none."""

    default_error_messages = {"invalid": "expected a UUID"}

    def to_internal_value(self, data: Any) -> uuid.UUID:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class TimeField(serializers.DateTimeField):
    """A moment, with its offset from UTC."""

    default_error_messages = {"invalid": NO_TIME, "overflow": NO_TIME}

    def to_internal_value(self, value: Any) -> datetime:
        if not is_time(value):
            self.fail("invalid")
        moment = super().to_internal_value(value.upper())
        if not EARLIEST <= moment < LATEST:
            self.fail("overflow")
        return moment


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

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        return {"type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.001}

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


class TagsField(serializers.Field[list[str], Any, list[str], Any]):
    """A list of strings; "a, b" is taken for ["a", "b"]. Kept in order, each once, in whatever Unicode form."""

    default_error_messages = {
        "invalid": "expected a list of strings, or one string with commas between",
        "long": f"expected tags of at most {MAX_TAG} characters",
        "many": f"expected at most {MAX_TAGS} tags",
    }

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        tags = {"type": "array", "items": {"type": "string", "maxLength": MAX_TAG}, "maxItems": MAX_TAGS}
        tag = f"[^,]{{0,{MAX_TAG}}}"
        text = {"type": "string", "pattern": f"^{tag}(,{tag}){{0,{MAX_TAGS - 1}}}$"}
        return {"oneOf": [tags, text]} if direction == "request" else tags

    def to_internal_value(self, data: Any) -> list[str]:
        if isinstance(data, str):
            data = data.split(",")
        if not isinstance(data, list) or not all(isinstance(tag, str) for tag in data):
            self.fail("invalid")
        if len(data) > MAX_TAGS:
            self.fail("many")
        if any(len(tag) > MAX_TAG for tag in data):
            self.fail("long")
        once: dict[str, str] = {}
        for tag in filter(None, map(str.strip, data)):
            once.setdefault(composed(tag), tag)
        return list(once.values())

    def to_representation(self, value: list[str]) -> list[str]:
        return value


class SlugField(PatternField):
    def __init__(self, **kwargs: Any) -> None:
        expected = "letters, digits, - and _ (first a letter or a digit)"
        super().__init__(NAME_PATTERN, expected=expected, **kwargs)


class NameField(StringField):
    """A name for people: not empty, white space at its ends cut off."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trim_whitespace": True, "max_length": 200, **kwargs})

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        # Separators that Python takes for white space and ECMA-262's \s doesn't are named.
        return {"type": "string", "maxLength": self.max_length, "pattern": r"[^\s\x1c-\x1f\x85]"}
