"""The body of a live client."""

from rest_framework import serializers

from governance.api.serializers import ApiSerializer


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
