"""The base of every body that comes in or goes out."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers


class ApiSerializer(serializers.Serializer[Any]):
    """A body whose fields are all known: a typo is refused, not lost.

    Read-only fields of the object itself are ignored, so that what was fetched can be sent back. `wrapped` tells
    whether the answer stands in `{"data": ...}`.
    """

    wrapped: ClassVar[bool] = True

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [name for name in data if name not in self.fields]
            if unknown:
                known = ", ".join(name for name, field in self.fields.items() if not field.read_only)
                raise serializers.ValidationError({name: [f"unknown field; expected {known}"] for name in unknown})
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
