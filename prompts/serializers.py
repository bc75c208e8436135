"""The bodies of the prompt endpoints."""

from typing import Any

from rest_framework import serializers

from governance.api.fields import (
    ContentField,
    FlagField,
    IdField,
    ObjectField,
    PatternField,
    PercentageField,
    PromptKeyField,
    StringField,
    TagsField,
)
from governance.api.serializers import AnswerSerializer, ApiSerializer
from prompts.models import PromptVersion, Rollout

STATUSES = ["draft", "published", "modified"]


class LabelField(PatternField):
    """A version's label. Reserved words are refused by governance.changes.publishing."""

    def __init__(self, **kwargs: Any) -> None:
        expected = "letters, digits and any of . _ + - (first a letter or a digit)"
        super().__init__(r"^[A-Za-z0-9][A-Za-z0-9._+-]*\Z", expected=expected, **{"max_length": 64, **kwargs})


class PromptSerializer(ApiSerializer):
    id = serializers.UUIDField(read_only=True)
    workspace_id = StringField(required=False, max_length=36)
    key = PromptKeyField()
    name = StringField(required=False, allow_blank=True, max_length=200)
    content = ContentField(required=False)
    version = LabelField(required=False, default="v1")
    env = StringField(required=False, default="dev", max_length=50, source="environment.name")
    category = StringField(required=False, allow_blank=True, max_length=100)
    tags = TagsField(required=False, source="tag_names")
    model = StringField(required=False, allow_blank=True, max_length=200)
    config = ObjectField(required=False)
    status = serializers.ChoiceField(choices=STATUSES, read_only=True)
    live_version = serializers.CharField(source="live.label", default=None, read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        values = dict(attrs)
        if "environment" in values:
            values["env"] = values.pop("environment")["name"]
        if "tag_names" in values:
            values["tags"] = values.pop("tag_names")
        return values


class PromptVersionSerializer(ApiSerializer):
    id = serializers.UUIDField()
    prompt_id = serializers.UUIDField()
    key = serializers.CharField(source="prompt.key")
    version = serializers.CharField(source="label")
    number = serializers.IntegerField(help_text="1 for the prompt's first version, and so on.")
    env = serializers.CharField(source="prompt.environment.name")
    content = serializers.CharField()
    model = serializers.CharField()
    config = ObjectField()
    note = serializers.CharField()
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    live = serializers.SerializerMethodField()

    def get_live(self, version: PromptVersion) -> bool:
        return version.prompt.live_id == version.pk


class PublishSerializer(ApiSerializer):
    id = IdField()
    version = LabelField(required=False)
    note = StringField(required=False, allow_blank=True, max_length=1000)


class VersionSerializer(ApiSerializer):
    version = LabelField(required=False)
    note = StringField(required=False, allow_blank=True, max_length=1000)


class RollbackSerializer(ApiSerializer):
    id = IdField()
    version = StringField(max_length=64)


class CopySerializer(ApiSerializer):
    env = StringField(max_length=50)
    key = PromptKeyField(required=False)
    replace = FlagField(required=False)


class RolloutSerializer(ApiSerializer):
    id = serializers.UUIDField(read_only=True)
    key = serializers.CharField(source="prompt.key", read_only=True)
    env = serializers.CharField(source="prompt.environment.name", read_only=True)
    enabled = FlagField(required=False)
    variant_a = StringField(required=False, max_length=64, source="variant_a.label")
    variant_b = StringField(required=False, max_length=64, source="variant_b.label")
    weight_a = PercentageField(required=False)
    seed = serializers.CharField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {name: value["label"] if isinstance(value, dict) else value for name, value in attrs.items()}


class DocumentSerializer(AnswerSerializer):
    key = serializers.CharField()
    version = serializers.CharField()
    env = serializers.CharField()
    model = serializers.CharField()
    content = serializers.CharField()
    config = ObjectField()
    variant = serializers.ChoiceField(choices=["A", "B"], required=False)


class VariantsSerializer(serializers.Serializer[Any]):
    A = DocumentSerializer()
    B = DocumentSerializer()


class PickSerializer(serializers.Serializer[Rollout]):
    seed = serializers.CharField()
    weight_a = serializers.FloatField()
    variants = VariantsSerializer()


class ListedDocumentSerializer(DocumentSerializer):
    variant = None  # type: ignore[assignment]
    rollout = PickSerializer(required=False)


class EnvironmentDocumentSerializer(AnswerSerializer):
    data = ListedDocumentSerializer(many=True)  # type: ignore[assignment]  # the contract's name for it
    revision = serializers.IntegerField()
    epoch = serializers.CharField()
    env = serializers.CharField()
    workspace = serializers.CharField()
