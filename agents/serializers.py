"""The bodies of agents and of runs."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents import toolbox
from agents.models import Output
from agents.providers.base import FEATURES, MODEL_PARAMETERS
from agents.providers.parameters import unknown
from governance.api.fields import (
    MAX_TAGS,
    ContentField,
    FlagField,
    IdField,
    KeyField,
    ObjectField,
    PatternField,
    PromptKeyField,
    StringField,
    TagsField,
)
from governance.api.serializers import AnswerSerializer, ApiSerializer, ErrorSerializer
from governance.serializers import HoldsErrorSerializer

#: Runs of one request, side by side.
MAX_VARIANTS = 6
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
        for name, kind in toolbox.KINDS.items():
            described = schema._map_serializer(kind.fields(), direction)
            described["properties"]["type"] = {"type": "string", "enum": [name]}
            if direction == "response":
                described["required"] = ["type"]  # what was not given is not shown
            kinds.append(described)
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
        return toolbox.shown(value)

    @staticmethod
    def _checked(description: Any) -> dict[str, Any]:
        if not isinstance(description, dict):
            raise serializers.ValidationError({"tool": ["expected an object with a type"]})
        named = description.get("type")
        kind = toolbox.KINDS.get(named) if isinstance(named, str) else None
        if kind is None:
            raise serializers.ValidationError({"type": [f"expected one of: {', '.join(toolbox.KINDS)}"]})
        serializer = kind.fields(data=description)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


class ParametersField(ObjectField):
    """Parameters for a model, for this one use: what is none is refused.

    A prompt's and an agent's own config may hold what is the application's; a run tells what of it was not sent.
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


class AgentSerializer(ApiSerializer):
    id = serializers.UUIDField(read_only=True)
    workspace_id = StringField(required=False, max_length=36)
    key = KeyField()
    name = StringField(required=False, allow_blank=True, max_length=200)
    description = StringField(required=False, allow_blank=True, max_length=2000)
    prompt = ContentField(required=False, help_text="The prompt itself; or else `prompt_key`.")
    prompt_key = PromptKeyField(required=False, allow_blank=True, help_text="A registry prompt, resolved at each run.")
    env = StringField(required=False, max_length=50, default="prod", source="environment.name")
    provider = StringField(required=False, max_length=50, default="mock")
    model = StringField(required=False, allow_blank=True, max_length=200)
    config = ObjectField(required=False)
    output = serializers.ChoiceField(
        choices=Output.choices,
        required=False,
        error_messages={"invalid_choice": f"expected one of: {', '.join(Output.values)}"},
    )
    output_schema = ObjectField(required=False, help_text="The JSON Schema that an output in JSON has to be valid by.")
    tools = ToolsField(required=False, help_text="What the model may call.")
    max_turns = WholeNumberField(required=False, min_value=1, max_value=50, help_text="Calls of the model in one run.")
    max_tokens = WholeNumberField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=100_000_000,
        help_text="Tokens of one run, those of the agents that it calls included; null is no limit.",
    )
    max_cost_usd = DollarsField(
        required=False, allow_null=True, help_text="US dollars for one run, where prices are known; null is no limit."
    )
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        values = dict(attrs)
        if "environment" in values:
            values["env"] = values.pop("environment")["name"]
        return values


class ProviderField(StringField):
    """The name of a provider. Whether there is one is looked up when it is used."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 50, **kwargs})


class SecretField(PatternField):
    """A key for a provider: it becomes a header's value."""

    def __init__(self, **kwargs: Any) -> None:
        expected = "ASCII characters without white space"
        super().__init__(r"^[\x21-\x7e]+\Z", expected=expected, max_length=500, write_only=True, **kwargs)


class CallSerializer(ApiSerializer):
    """How a run's model is called; what is left out is the prompt's or the agent's own."""

    provider = ProviderField(required=False)
    model = StringField(required=False, allow_blank=True, max_length=200)
    config = ParametersField(required=False, default=dict)
    api_key = SecretField(required=False, allow_blank=True)
    base_url = StringField(required=False, allow_blank=True, max_length=500)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """An empty address or key counts as not given: the first clients send both with every run."""
        return {name: value for name, value in attrs.items() if value != "" or name not in ("api_key", "base_url")}


class RunRequestSerializer(CallSerializer):
    """What a run of an agent can be given."""

    variables = ObjectField(required=False, default=dict)
    unit = StringField(required=False, max_length=500)
    strict = FlagField(required=False, default=False)
    stream = FlagField(
        required=False, default=False, help_text="Answer as server-sent events: `delta` as it comes, then one `result`."
    )


class AgentRunRequestSerializer(RunRequestSerializer):
    """A run of an agent, which may be a turn of a conversation."""

    session_id = KeyField(
        required=False, help_text="A conversation of the caller's own: what was said in it is told to the model."
    )
    session = FlagField(required=False, default=False, help_text="Begin a conversation; the answer has its session_id.")


class VersionField(StringField):
    """Which text of a stored prompt."""

    def __init__(self, **kwargs: Any) -> None:
        help_text = "`draft`, `live`, or the label of a version."
        super().__init__(**{"max_length": 64, "required": False, "help_text": help_text, **kwargs})


class ContentVariantSerializer(CallSerializer):
    """One of several runs of a text, side by side. What it leaves out is as the request has it."""

    config = ParametersField(required=False)


class PromptVariantSerializer(ContentVariantSerializer):
    """One of several runs of a stored prompt, side by side. What it leaves out is as the request has it."""

    version = VersionField()


def _variants(child: ApiSerializer) -> serializers.ListField:
    return serializers.ListField(
        child=child,
        required=False,
        min_length=1,
        max_length=MAX_VARIANTS,
        help_text=f"Up to {MAX_VARIANTS} runs at once; the answer is then `variants`, in the same order.",
    )


class PlaygroundPromptSerializer(RunRequestSerializer):
    """A run of a stored prompt."""

    id = IdField(error_messages={"required": "expected either the id of a prompt or content"})
    version = VersionField(default="draft")
    variants = _variants(PromptVariantSerializer())


class PlaygroundContentSerializer(RunRequestSerializer):
    """A run of a text that is not stored."""

    content = ContentField()
    workspace_id = StringField(required=False, max_length=36, help_text="Where the run is logged.")
    variants = _variants(ContentVariantSerializer())


class ResultSerializer(serializers.Serializer[Any]):
    provider = serializers.CharField()
    model = serializers.CharField()
    output = serializers.CharField()
    prompt_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField(allow_null=True, help_text="Those of the prompt that the provider had.")
    tokens_estimated = serializers.BooleanField(help_text="The provider did not count; about four characters a token.")
    cost_usd = serializers.FloatField(allow_null=True)
    latency_ms = serializers.IntegerField()
    finish_reason = serializers.CharField(
        allow_null=True, help_text="Why it ended, in the provider's words: `stop`, `length`, `refusal`, ..."
    )
    refusal = serializers.CharField(required=False, help_text="There when the model refused: what it said, as output.")
    reasoning = serializers.CharField(required=False, help_text="What the model thought, where the provider tells.")
    unsent = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="Of the prompt's or the agent's own config: what is no parameter of this provider's models.",
    )


class RunAnswerSerializer(AnswerSerializer):
    rendered = serializers.CharField()
    missing = serializers.ListField(child=serializers.CharField())
    unused = serializers.ListField(child=serializers.CharField(), help_text="Given, and not asked for by the text.")
    result = ResultSerializer()
    run_id = serializers.UUIDField()


@extend_schema_field({})
class AnythingField(serializers.JSONField):
    """A value of JSON."""


class AgentResultSerializer(ResultSerializer):
    parsed = AnythingField(required=False, help_text="The output's JSON, where the agent answers in JSON.")


class ToolTraceSerializer(serializers.Serializer[Any]):
    """A tool that the model called. Texts are cut after 2,000 characters."""

    name = serializers.CharField()
    type = serializers.CharField(required=False)
    arguments = serializers.CharField()
    output = serializers.CharField(required=False, help_text="What the model was told.")
    error = serializers.CharField(required=False)
    run_id = serializers.UUIDField(required=False, help_text="Its own run, in the run log.")
    latency_ms = serializers.IntegerField(required=False)


class TurnSerializer(serializers.Serializer[Any]):
    """One call of the model."""

    turn = serializers.IntegerField()
    output = serializers.CharField()
    prompt_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField(allow_null=True)
    latency_ms = serializers.IntegerField()
    finish_reason = serializers.CharField(allow_null=True)
    tools = ToolTraceSerializer(many=True)
    problem = serializers.CharField(required=False, help_text="What was wrong with the output, for the model to mend.")


class AgentAnswerSerializer(RunAnswerSerializer):
    result = AgentResultSerializer()
    turns = TurnSerializer(many=True, required=False, help_text="Of an agent that has tools or answers in JSON.")
    session_id = serializers.CharField(required=False)


class AgentErrorSerializer(ErrorSerializer):
    rendered = serializers.CharField(required=False)
    output = serializers.CharField(required=False, help_text="Half of an answer, or one that would not do.")
    run_id = serializers.UUIDField(required=False)
    turns = TurnSerializer(many=True, required=False)


class MessageSerializer(serializers.Serializer[Any]):
    role = serializers.ChoiceField(choices=["user", "assistant"])
    content = serializers.CharField()
    run_id = serializers.UUIDField(allow_null=True)
    created_at = serializers.DateTimeField()


class SessionSerializer(ApiSerializer):
    session_id = serializers.CharField()
    turns = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    used_at = serializers.DateTimeField()


class SessionDetailSerializer(SessionSerializer):
    """A conversation with what is remembered of it, oldest first."""

    messages = MessageSerializer(many=True)


class RunErrorSerializer(ErrorSerializer):
    rendered = serializers.CharField(required=False)
    output = serializers.CharField(required=False, help_text="Half of an answer, where no more came of it.")
    run_id = serializers.UUIDField(required=False)


class VariantAnswerSerializer(serializers.Serializer[Any]):
    """A run's answer, or the error that it would have been answered with."""

    rendered = serializers.CharField(required=False)
    missing = serializers.ListField(child=serializers.CharField(), required=False)
    unused = serializers.ListField(child=serializers.CharField(), required=False)
    result = ResultSerializer(required=False)
    run_id = serializers.UUIDField(required=False)
    error = serializers.CharField(required=False)
    code = serializers.CharField(required=False)
    output = serializers.CharField(required=False)


class VariantsAnswerSerializer(AnswerSerializer):
    variants = VariantAnswerSerializer(many=True)


class ProviderSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field, not the serializer's label
    default_model = serializers.CharField()
    needs_key = serializers.BooleanField()
    configured = serializers.BooleanField()


class ProvidersSerializer(AnswerSerializer):
    data = serializers.ListField(child=serializers.CharField())  # type: ignore[assignment]  # the contract's name
    details = ProviderSerializer(many=True)


class ProviderInUseSerializer(HoldsErrorSerializer):
    """Something runs on the provider, so that its name has to stay."""

    users = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="The keys of the agents and workflows (drafts and live versions) that run on it.",
    )


class UnsupportedField(TagsField):
    """Names of parameters, and of what else calls carry."""

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


class ModelProviderSerializer(ApiSerializer):
    id = serializers.UUIDField(read_only=True)
    name = PatternField(
        r"^[a-z0-9][a-z0-9_-]*\Z", expected="small letters, digits, - and _ (first a letter or a digit)", max_length=50
    )
    label = StringField(required=False, allow_blank=True, max_length=200)  # type: ignore[assignment]  # a field
    base_url = StringField(required=False, allow_blank=True, max_length=500)
    default_model = StringField(required=False, allow_blank=True, max_length=200)
    unsupported = UnsupportedField(
        required=False, help_text="What the provider does not know of what calls carry; it is not sent."
    )
    api_key = SecretField(
        required=False, allow_blank=True, help_text="Never shown again. Empty for none; left out for the stored one."
    )
    key_hint = serializers.CharField(read_only=True, help_text="The key's last characters, to tell keys apart.")
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)
