"""The base of every body that comes in or goes out."""

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple

from django.core.exceptions import ObjectDoesNotExist
from django.utils.functional import cached_property
from rest_framework import serializers
from rest_framework.fields import Field, SkipField
from rest_framework.settings import api_settings

#: So many unknown fields are told of: an answer must not be many times as long as its request.
MAX_UNKNOWN_TOLD = 20


class Output(NamedTuple):
    """How one field of an answer is made: its value is read from the row, then written as JSON has it."""

    name: str
    find: Callable[[Any], Any]
    #: DRF's own way, for what `find` can't read: dictionaries, methods, and values that are not there.
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]

    @classmethod
    def of(cls, name: str, field: Field[Any, Any, Any, Any]) -> "Output":
        usual = type(field).get_attribute is Field.get_attribute and field.source != "*"
        find = attrgetter(field.source) if usual and field.source else field.get_attribute
        usual_time = type(field).to_representation is serializers.DateTimeField.to_representation
        if usual_time and not {"format", "timezone"} & vars(field).keys():
            return cls(name, find, field.get_attribute, _time_writer(field))
        return cls(name, find, field.get_attribute, field.to_representation)


def _time_writer(field: Field[Any, Any, Any, Any]) -> Callable[[Any], Any]:
    def write(value: Any) -> Any:
        if isinstance(value, datetime) and value.tzinfo is UTC:  # as the database has it
            return f"{value.isoformat()[:-6]}Z"
        return field.to_representation(value)

    return write


class ApiSerializer(serializers.Serializer[Any]):
    """A body whose fields are all known: a typo is refused, not lost.

    Read-only fields of the object itself are ignored, so that what was fetched can be sent back. `wrapped` tells
    whether the answer stands in `{"data": ...}`.

    It answers as DRF's serializers do, for a fraction of their CPU (docs/performance.md): fields are copied instead of
    made anew for each request, and how each is read and written is looked up once for all rows.
    """

    wrapped: ClassVar[bool] = True
    default_error_messages = {"invalid": "expected a JSON object"}

    def get_fields(self) -> dict[str, Field[Any, Any, Any, Any]]:
        """This serializer's own copies of the declared fields. One that has fields in it is copied with them."""
        return {
            name: copy.deepcopy(field)
            if isinstance(field, serializers.BaseSerializer) or hasattr(field, "child")
            else copy.copy(field)
            for name, field in self._declared_fields.items()
        }

    @cached_property
    def _outputs(self) -> list[Output]:
        return [Output.of(name, field) for name, field in self.fields.items() if not field.write_only]

    def to_representation(self, instance: Any) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for name, find, read, write in self._outputs:
            try:
                try:
                    value = find(instance)
                except (AttributeError, KeyError, ObjectDoesNotExist):
                    value = read(instance)
                if callable(value):
                    value = read(instance)
            except SkipField:
                continue
            shown[name] = None if value is None else write(value)
        return shown

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
