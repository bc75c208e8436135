"""The bodies of agents and of runs."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.fields import (
    DollarsField,
    ParametersField,
    ProviderField,
    SecretField,
    ToolsField,
    UnsupportedField,
    VersionField,
    WholeNumberField,
    without_empty,
)
from agents.models import DEFAULT_PROVIDER, Output
from governance.api.fields import (
    ContentField,
    FlagField,
    IdField,
    KeyField,
    ObjectField,
    PatternField,
    PromptKeyField,
    StringField,
)
from governance.api.serializers import AnswerSerializer, ApiSerializer, ErrorSerializer
from governance.tenancy.serializers import HoldsErrorSerializer

#: Runs of one request, side by side.
MAX_VARIANTS = 6


class AgentSerializer(ApiSerializer):
    id = serializers.UUIDField(read_only=True)
    workspace_id = StringField(required=False, max_length=36)
    key = KeyField()
    name = StringField(required=False, allow_blank=True, max_length=200)
    description = StringField(required=False, allow_blank=True, max_length=2000)
    prompt = ContentField(required=False, help_text="The prompt itself; or else `prompt_key`.")
    prompt_key = PromptKeyField(required=False, allow_blank=True, help_text="A registry prompt, resolved at each run.")
    env = StringField(required=False, max_length=50, default="prod", source="environment.name")
    provider = StringField(required=False, max_length=50, default=DEFAULT_PROVIDER)
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


class CallSerializer(ApiSerializer):
    """How a run's model is called; what is left out is the prompt's or the agent's own."""

    provider = ProviderField(required=False)
    model = StringField(required=False, allow_blank=True, max_length=200)
    config = ParametersField(required=False, default=dict)
    api_key = SecretField(required=False, allow_blank=True)
    base_url = StringField(required=False, allow_blank=True, max_length=500)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return without_empty(attrs)


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
