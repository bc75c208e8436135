"""The body of an audit entry."""

from rest_framework import serializers

from governance.api.fields import ObjectField
from governance.api.serializers import ApiSerializer


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
