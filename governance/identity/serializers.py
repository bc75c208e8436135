"""The bodies of logins, users and tokens."""

from typing import Any

from django.contrib.auth.validators import UnicodeUsernameValidator
from rest_framework import serializers

from governance.access.roles import Role
from governance.api.fields import FlagField, NameField, SlugField, StringField, TimeField
from governance.api.serializers import AnswerSerializer, ApiSerializer
from governance.identity.models import Token, User


class RoleField(serializers.ChoiceField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=Role.choices, **kwargs)
        self.error_messages["invalid_choice"] = f"expected one of: {', '.join(Role.values)}"


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


class UserSerializer(ApiSerializer):
    id = serializers.UUIDField(read_only=True)
    username = StringField(max_length=150, validators=[UnicodeUsernameValidator()])
    password = StringField(write_only=True, max_length=1000)
    role = RoleField(required=False)
    workspaces = WorkspaceIdsField(required=False)
    is_active = FlagField(required=False)
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
