"""The bodies of governance's endpoints."""

from typing import Any

from django.contrib.auth.validators import UnicodeUsernameValidator
from rest_framework import serializers

from governance.api.fields import NAME_PATTERN, FlagField, ObjectField, PatternField, StringField, TimeField
from governance.api.serializers import AnswerSerializer, ApiSerializer, ErrorSerializer
from governance.models import Role, Run, Token, User


class RoleField(serializers.ChoiceField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=Role.choices, **kwargs)
        self.error_messages["invalid_choice"] = f"expected one of: {', '.join(Role.values)}"


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


class DaysField(serializers.IntegerField):
    """Whole days, up to a year."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=365, **kwargs)

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError("expected a number of days from 1 to 365")
        return super().to_internal_value(data)


class PasswordLoginSerializer(ApiSerializer):
    username = StringField(max_length=150, error_messages={"required": "expected username and password, or token"})
    password = StringField(max_length=1000)


class TokenLoginSerializer(ApiSerializer):
    token = StringField(max_length=512)


class LoginAnswerSerializer(AnswerSerializer):
    ok = serializers.BooleanField()
    token = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)
    username = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)


class MeTokenSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=["session", "api", "static"])
    name = serializers.CharField()
    env = serializers.CharField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)


class MeSerializer(AnswerSerializer):
    username = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)
    workspaces = serializers.ListField(child=serializers.CharField())
    token = MeTokenSerializer()


class WorkspaceIdsField(serializers.ListField):
    """A user's workspaces, by id."""

    child = StringField(max_length=36)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 1000, **kwargs})

    def get_attribute(self, instance: User) -> list[str]:
        return sorted(membership.workspace_id for membership in instance.memberships.all())

    def to_representation(self, data: list[str]) -> list[str]:
        return data


class HoldsErrorSerializer(ErrorSerializer):
    """It can't be deleted while something is in it."""

    holds = serializers.DictField(
        child=serializers.IntegerField(), required=False, help_text="How many prompts, agents, ... are in there."
    )


class UserSerializer(ApiSerializer):
    id = serializers.UUIDField(read_only=True)
    username = StringField(max_length=150, validators=[UnicodeUsernameValidator()])
    password = StringField(write_only=True, max_length=1000)
    role = RoleField(required=False)
    workspaces = WorkspaceIdsField(required=False)
    is_active = FlagField(required=False)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)


class WorkspaceSerializer(ApiSerializer):
    id = serializers.CharField(read_only=True)
    name = NameField()
    slug = SlugField(required=False, max_length=100)
    keep_content = FlagField(required=False, help_text="Keep the texts of runs, prompt and output.")
    content_days = DaysField(required=False, help_text="For so many days.")
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)


class EnvironmentSerializer(ApiSerializer):
    id = serializers.UUIDField(read_only=True)
    workspace_id = StringField(required=False, max_length=36)
    name = SlugField(max_length=50)
    description = StringField(required=False, allow_blank=True, max_length=500)
    require_publish = FlagField(required=False)
    revision = serializers.IntegerField(read_only=True)
    epoch = serializers.CharField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)


class TokenSerializer(ApiSerializer):
    id = serializers.UUIDField(read_only=True)
    name = NameField()
    role = RoleField()
    workspace_id = StringField(required=False, max_length=36)
    env = SlugField(required=False, allow_null=True, max_length=50, source="environment")
    hint = serializers.CharField(read_only=True, help_text="The secret's first characters, to tell tokens apart.")
    created_by = serializers.CharField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    expires_at = TimeField(required=False, allow_null=True)

    def to_representation(self, instance: Token) -> dict[str, Any]:
        return {**super().to_representation(instance), "env": instance.environment or None}


class NewTokenSerializer(TokenSerializer):
    """The one answer that holds the secret."""

    token = serializers.CharField(read_only=True, help_text="The secret. It is shown here and never again.")


class AuditEntrySerializer(ApiSerializer):
    id = serializers.UUIDField()
    action = serializers.CharField()
    resource = serializers.CharField()
    resource_id = serializers.CharField()
    key = serializers.CharField()
    summary = serializers.CharField()
    actor = serializers.CharField(help_text="What they were called then.")
    actor_kind = serializers.CharField(
        help_text="How they came in: session, api, static, admin, system or anonymous; empty in old entries."
    )
    actor_id = serializers.CharField(help_text="The id of the user or of the API token, if it is one.")
    workspace_id = serializers.CharField(allow_null=True)
    changes = ObjectField(help_text="{field: {old, new}}")
    request_id = serializers.CharField()
    created_at = serializers.DateTimeField()


class RunSerializer(ApiSerializer):
    id = serializers.UUIDField()
    source = serializers.CharField(help_text="playground, agent, workflow, model (a step's call) or tool")  # type: ignore[assignment]  # a field
    ref_id = serializers.UUIDField(allow_null=True)
    ref_key = serializers.CharField()
    prompt_id = serializers.UUIDField(allow_null=True)
    parent_id = serializers.UUIDField(allow_null=True, help_text="The run that started this one.")
    env = serializers.CharField(source="environment")
    version = serializers.CharField()
    variant = serializers.CharField()
    provider = serializers.CharField()
    model = serializers.CharField()
    prompt_tokens = serializers.IntegerField(allow_null=True)
    output_tokens = serializers.IntegerField(allow_null=True)
    cached_tokens = serializers.IntegerField(allow_null=True, help_text="Those of the prompt that the provider had.")
    tokens_estimated = serializers.BooleanField()
    cost_usd = serializers.FloatField(allow_null=True)
    latency_ms = serializers.IntegerField(allow_null=True)
    status = serializers.CharField()
    error = serializers.CharField()
    actor = serializers.CharField()
    workspace_id = serializers.CharField()
    created_at = serializers.DateTimeField()

    def to_representation(self, instance: Run) -> dict[str, Any]:
        shown = super().to_representation(instance)
        actor = self.context["request"].user
        # Providers repeat what they were sent in their errors. Here the cheap half of the rule of
        # `shows_texts_to` is enough: what a run sent to workflows that it called itself is not in its own error.
        if actor.environment and instance.actor_identity != actor.identity and instance.parent_id is not None:
            shown["error"] = ""
        return shown


class FeedbackSerializer(ApiSerializer):
    score = serializers.FloatField(min_value=-1, max_value=1, help_text="From -1 (useless) to 1 (just right).")
    comment = StringField(required=False, allow_blank=True, max_length=2000)
    actor = serializers.CharField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def validate_score(self, value: float) -> float:
        if isinstance(self.initial_data["score"], bool | str):
            raise serializers.ValidationError("expected a number from -1 to 1")
        return value


class RunDetailSerializer(RunSerializer):
    """One run, with its texts where the workspace keeps them."""

    prompt = serializers.CharField(source="content.prompt", default=None, allow_null=True)
    output = serializers.CharField(source="content.output", default=None, allow_null=True)
    feedback = FeedbackSerializer(many=True, read_only=True)

    def to_representation(self, instance: Run) -> dict[str, Any]:
        shown = super().to_representation(instance)
        actor = self.context["request"].user
        if not instance.shows_texts_to(actor.environment, actor.identity):
            shown |= {"prompt": None, "output": None, "error": "", "feedback": []}
        return shown


class FiguresSerializer(serializers.Serializer[Any]):
    """What some runs come to. Quantiles are off by 19 % at most."""

    count = serializers.IntegerField()
    ok = serializers.IntegerField()
    error = serializers.IntegerField(help_text="Failed or interrupted.")
    prompt_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField(help_text="Of the runs whose cost is known.")
    unpriced = serializers.IntegerField(help_text="Runs that ended and whose cost nobody knows.")
    avg_latency_ms = serializers.FloatField()
    p50_latency_ms = serializers.FloatField(allow_null=True)
    p95_latency_ms = serializers.FloatField(allow_null=True)


class ByProviderSerializer(FiguresSerializer):
    provider = serializers.CharField()


class ByModelSerializer(FiguresSerializer):
    model = serializers.CharField()


class ByVersionSerializer(FiguresSerializer):
    version = serializers.CharField()


class ByVariantSerializer(FiguresSerializer):
    variant = serializers.CharField()


class PointSerializer(serializers.Serializer[Any]):
    start = serializers.DateTimeField()
    count = serializers.IntegerField()
    error = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField()
    avg_latency_ms = serializers.FloatField()


class RunStatsSerializer(AnswerSerializer):
    since = serializers.DateTimeField(allow_null=True, help_text="The whole hours that are covered.")
    until = serializers.DateTimeField(allow_null=True)
    total = serializers.IntegerField()
    ok = serializers.IntegerField()
    error = serializers.IntegerField()
    running = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField()
    unpriced = serializers.IntegerField()
    avg_latency_ms = serializers.FloatField()
    p50_latency_ms = serializers.FloatField(allow_null=True)
    p95_latency_ms = serializers.FloatField(allow_null=True)
    by_provider = ByProviderSerializer(many=True)
    by_model = ByModelSerializer(many=True)
    by_version = ByVersionSerializer(many=True)
    by_variant = ByVariantSerializer(many=True)
    interval = serializers.ChoiceField(choices=["hour", "day", "month"])
    series = PointSerializer(many=True)


class ConnectionSerializer(ApiSerializer):
    id = serializers.UUIDField()
    client_type = serializers.CharField()
    app = serializers.CharField()
    namespace = serializers.CharField()
    workspace_id = serializers.CharField()
    remote_addr = serializers.CharField()
    user_agent = serializers.CharField()
    actor = serializers.CharField()
    connected_at = serializers.DateTimeField()
