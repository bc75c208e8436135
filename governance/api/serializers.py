"""The base of every body that comes in or goes out."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.settings import api_settings

#: So many unknown fields are told of: an answer must not be many times as long as its request.
MAX_UNKNOWN_TOLD = 20


class ApiSerializer(serializers.Serializer[Any]):
    """A body whose fields are all known: a typo is refused, not lost.

    Read-only fields of the object itself are ignored, so that what was fetched can be sent back. `wrapped` tells
    whether the answer stands in `{"data": ...}`.
    """

    wrapped: ClassVar[bool] = True
    default_error_messages = {"invalid": "expected a JSON object"}

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        if data is None and not self.allow_null:
            raise serializers.ValidationError({api_settings.NON_FIELD_ERRORS_KEY: [self.error_messages["invalid"]]})
        return super().validate_empty_values(data)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [name for name in data if name not in self.fields]
            if unknown:
                known = ", ".join(name for name, field in self.fields.items() if not field.read_only)
                problem = f"unknown field; expected {known}"
                raise serializers.ValidationError({name: [problem] for name in unknown[:MAX_UNKNOWN_TOLD]})
        return super().to_internal_value(data)


class AnswerSerializer(ApiSerializer):
    """An answer that is the whole body, without an envelope."""

    wrapped = False


class OkSerializer(AnswerSerializer):
    ok = serializers.BooleanField()


class ErrorSerializer(AnswerSerializer):
    error = serializers.CharField(help_text="One sentence that a person can act on.")
    code = serializers.CharField(help_text="One word for a machine.")
    request_id = serializers.CharField()
    fields = serializers.DictField(  # type: ignore[assignment]  # the contract's name for it
        required=False, help_text="The input fields at fault, each with what was expected."
    )
