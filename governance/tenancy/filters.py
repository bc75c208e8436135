"""The filter by workspace that lists share."""

from django_filters import rest_framework as filters

from governance.api.filtering import ApiFilterSet


class InWorkspaceFilter(ApiFilterSet):
    workspace = filters.CharFilter(field_name="workspace_id")
