"""The fields of agents, runs and providers."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from agents.providers.parameters import FEATURES, MODEL_PARAMETERS, unknown
from agents.runtime import toolbox
from governance.api.fields import MAX_TAGS, ObjectField, PatternField, StringField, TagsField

MAX_DOLLARS = 10_000


class WholeNumberField(serializers.IntegerField):
    """A whole number, and nothing that can be read as one."""

    def __init__(self, **kwargs: Any) -> None:
        self.expected = f"expected a whole number from {kwargs['min_value']} to {kwargs['max_value']}"
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError(self.expected)
        return super().to_internal_value(data)


class DollarsField(serializers.DecimalField):
    """US dollars, rounded to the millionth."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=12, decimal_places=6, coerce_to_string=False, **kwargs)

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        bounds = {"minimum": 0, "maximum": MAX_DOLLARS}
        return {"type": "number", "nullable": True, **(bounds if direction == "request" else {})}

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        return serializers.Field.validate_empty_values(self, data)  # a text without a letter is no null

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, int | float | Decimal) or not 0 <= data <= MAX_DOLLARS:
            raise serializers.ValidationError(f"expected US dollars, a number from 0 to {MAX_DOLLARS}")
        return Decimal(str(data)).quantize(Decimal("0.000001"))

    def to_representation(self, value: Any) -> float:  # type: ignore[override]
        return float(value)


class ToolsField(serializers.Field[Any, Any, Any, Any]):
    """Descriptions of tools, each with the fields of its type."""

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        kinds = []
        for name, kind in toolbox.kinds().items():
            fields = schema._map_serializer(kind.fields(), direction)
            fields["properties"]["type"] = {"type": "string", "enum": [name]}
            if direction == "response":
                fields["required"] = ["type"]  # only what was sent is shown
            kinds.append(fields)
        return {"type": "array", "maxItems": toolbox.MAX_TOOLS, "items": {"oneOf": kinds}}

    def to_internal_value(self, data: Any) -> list[dict[str, Any]]:
        if not isinstance(data, list) or len(data) > toolbox.MAX_TOOLS:
            raise serializers.ValidationError(f"expected a list of at most {toolbox.MAX_TOOLS} tools")
        tools, problems = [], {}
        for place, description in enumerate(data):
            try:
                tools.append(self._checked(description))
            except serializers.ValidationError as error:
                problems[str(place)] = error.detail
        if problems:
            raise serializers.ValidationError(problems)
        return tools

    def to_representation(self, value: Any) -> Any:
        return toolbox.to_show(value)

    @staticmethod
    def _checked(description: Any) -> dict[str, Any]:
        if not isinstance(description, dict):
            raise serializers.ValidationError({"tool": ["expected an object with a type"]})
        name = description.get("type")
        kind = toolbox.kinds().get(name) if isinstance(name, str) else None
        if kind is None:
            raise serializers.ValidationError({"type": [f"expected one of: {', '.join(toolbox.kinds())}"]})
        serializer = kind.fields(data=description)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


class ParametersField(ObjectField):
    """Parameters of a model for one run; a name that is no parameter is refused.

    The config of a prompt or an agent is another field: it may hold values of the application's, and a run's answer
    lists what of it was not sent.
    """

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        known: dict[str, Any] = {name: {} for name in sorted(MODEL_PARAMETERS)}
        return {"type": "object", "properties": known, "additionalProperties": direction == "response"}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        config = super().to_internal_value(data)
        problem = unknown(config)
        if problem is not None:
            raise serializers.ValidationError(problem)
        return config


class ProviderField(StringField):
    """The name of a provider. Whether it exists is looked up when it is used."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 50, **kwargs})


class SecretField(PatternField):
    """A key for a provider, which becomes the value of a header."""

    def __init__(self, **kwargs: Any) -> None:
        expected = "ASCII characters without white space"
        super().__init__(r"^[\x21-\x7e]+\Z", expected=expected, max_length=500, write_only=True, **kwargs)


class VersionField(StringField):
    """Which text of a stored prompt is run."""

    def __init__(self, **kwargs: Any) -> None:
        help_text = "`draft`, `live`, or the label of a version."
        super().__init__(**{"max_length": 64, "required": False, "help_text": help_text, **kwargs})


class UnsupportedField(TagsField):
    """Names of parameters and features that a provider does not know."""

    names = MODEL_PARAMETERS | FEATURES

    def openapi(self, schema: Any, direction: str) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "string", "enum": sorted(self.names)}, "maxItems": MAX_TAGS}

    def to_internal_value(self, data: Any) -> list[str]:
        if not isinstance(data, list):
            raise serializers.ValidationError("expected a list of names")
        names = super().to_internal_value(data)
        strange = next((name for name in names if name not in self.names), None)
        if strange is not None:
            features = ", ".join(sorted(FEATURES))
            raise serializers.ValidationError(f"expected names of parameters, or any of {features}: {strange[:50]}")
        return names


def without_empty(attrs: dict[str, Any]) -> dict[str, Any]:
    """The values of a run's request without an empty address or key: the first clients send both with every run."""
    return {name: value for name, value in attrs.items() if value != "" or name not in ("api_key", "base_url")}
