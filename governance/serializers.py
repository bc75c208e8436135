"""The bodies of governance's endpoints."""

from typing import Any

from django.contrib.auth.validators import UnicodeUsernameValidator
from rest_framework import serializers

from governance.api.fields import NAME_PATTERN, FlagField, ObjectField, PatternField, StringField, TimeField
from governance.api.serializers import AnswerSerializer, ApiSerializer, ErrorSerializer
from governance.models import Role, Token, User


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
        return {"type": "string", "maxLength": self.max_length, "pattern": r"\S"}


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
    actor = serializers.CharField()
    workspace_id = serializers.CharField(allow_null=True)
    changes = ObjectField(help_text="{field: {old, new}}")
    request_id = serializers.CharField()
    created_at = serializers.DateTimeField()


class RunSerializer(ApiSerializer):
    id = serializers.UUIDField()
    source = serializers.CharField(help_text="playground, agent or workflow")  # type: ignore[assignment]  # a field
    ref_id = serializers.UUIDField(allow_null=True)
    ref_key = serializers.CharField()
    env = serializers.CharField(source="environment")
    version = serializers.CharField()
    variant = serializers.CharField()
    provider = serializers.CharField()
    model = serializers.CharField()
    prompt_tokens = serializers.IntegerField(allow_null=True)
    output_tokens = serializers.IntegerField(allow_null=True)
    cost_usd = serializers.FloatField(allow_null=True)
    latency_ms = serializers.IntegerField(allow_null=True)
    status = serializers.CharField()
    error = serializers.CharField()
    actor = serializers.CharField()
    workspace_id = serializers.CharField()
    created_at = serializers.DateTimeField()


class ProviderCountSerializer(serializers.Serializer[Any]):
    provider = serializers.CharField()
    count = serializers.IntegerField()


class RunStatsSerializer(AnswerSerializer):
    total = serializers.IntegerField()
    ok = serializers.IntegerField()
    error = serializers.IntegerField()
    running = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    avg_latency_ms = serializers.FloatField()
    by_provider = ProviderCountSerializer(many=True)


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
