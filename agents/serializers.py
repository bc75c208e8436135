"""The bodies of agents and of runs."""

from typing import Any

from rest_framework import serializers

from governance.api.fields import (
    ContentField,
    FlagField,
    IdField,
    KeyField,
    ObjectField,
    PatternField,
    StringField,
)
from governance.api.serializers import AnswerSerializer, ApiSerializer, ErrorSerializer

#: Runs of one request, side by side.
MAX_VARIANTS = 6


class AgentSerializer(ApiSerializer):
    id = serializers.UUIDField(read_only=True)
    workspace_id = StringField(required=False, max_length=36)
    key = KeyField()
    name = StringField(required=False, allow_blank=True, max_length=200)
    description = StringField(required=False, allow_blank=True, max_length=2000)
    prompt = ContentField(required=False, help_text="The prompt itself; or else `prompt_key`.")
    prompt_key = KeyField(required=False, allow_blank=True, help_text="A registry prompt, resolved at each run.")
    env = StringField(required=False, max_length=50, default="prod", source="environment.name")
    provider = StringField(required=False, max_length=50, default="mock")
    model = StringField(required=False, allow_blank=True, max_length=200)
    config = ObjectField(required=False)
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
    config = ObjectField(required=False, default=dict)
    api_key = SecretField(required=False)
    base_url = StringField(required=False, max_length=500)


class RunRequestSerializer(CallSerializer):
    """What a run of an agent can be given."""

    variables = ObjectField(required=False, default=dict)
    unit = StringField(required=False, max_length=500)
    strict = FlagField(required=False, default=False)
    stream = FlagField(
        required=False, default=False, help_text="Answer as server-sent events: `delta` as it comes, then one `result`."
    )


class VersionField(StringField):
    """Which text of a stored prompt."""

    def __init__(self, **kwargs: Any) -> None:
        help_text = "`draft`, `live`, or the label of a version."
        super().__init__(**{"max_length": 64, "required": False, "help_text": help_text, **kwargs})


class ContentVariantSerializer(CallSerializer):
    """One of several runs of a text, side by side. What it leaves out is as the request has it."""

    config = ObjectField(required=False)


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
    finish_reason = serializers.CharField(allow_null=True)


class RunAnswerSerializer(AnswerSerializer):
    rendered = serializers.CharField()
    missing = serializers.ListField(child=serializers.CharField())
    result = ResultSerializer()
    run_id = serializers.UUIDField()


class RunErrorSerializer(ErrorSerializer):
    rendered = serializers.CharField(required=False)
    run_id = serializers.UUIDField(required=False)


class VariantAnswerSerializer(serializers.Serializer[Any]):
    """A run's answer, or the error that it would have been answered with."""

    rendered = serializers.CharField(required=False)
    missing = serializers.ListField(child=serializers.CharField(), required=False)
    result = ResultSerializer(required=False)
    run_id = serializers.UUIDField(required=False)
    error = serializers.CharField(required=False)
    code = serializers.CharField(required=False)


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


class ModelProviderSerializer(ApiSerializer):
    id = serializers.UUIDField(read_only=True)
    name = PatternField(
        r"^[a-z0-9][a-z0-9_-]*\Z", expected="small letters, digits, - and _ (first a letter or a digit)", max_length=50
    )
    label = StringField(required=False, allow_blank=True, max_length=200)  # type: ignore[assignment]  # a field
    base_url = StringField(required=False, allow_blank=True, max_length=500)
    default_model = StringField(required=False, allow_blank=True, max_length=200)
    api_key = SecretField(
        required=False, allow_blank=True, help_text="Never shown again. Empty for none; left out for the stored one."
    )
    key_hint = serializers.CharField(read_only=True, help_text="The key's last characters, to tell keys apart.")
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)
