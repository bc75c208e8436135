"""The bodies of workspaces and environments."""

from typing import Any

from rest_framework import serializers

from governance.api.fields import FlagField, NameField, SlugField, StringField
from governance.api.serializers import ApiSerializer, ErrorSerializer


class DaysField(serializers.IntegerField):
    """Whole days, up to a year."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=365, **kwargs)

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError("expected a number of days from 1 to 365")
        return super().to_internal_value(data)


class HoldsErrorSerializer(ErrorSerializer):
    """It can't be deleted while something is in it."""

    holds = serializers.DictField(
        child=serializers.IntegerField(), required=False, help_text="How many prompts, agents, ... are in there."
    )


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
