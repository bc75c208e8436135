from django_filters import rest_framework as filters

from governance.api.filtering import ApiFilterSet, WindowFilterSet


class AuditFilter(WindowFilterSet):
    action = filters.CharFilter()
    resource = filters.CharFilter()
    resource_id = filters.CharFilter()
    actor = filters.CharFilter()
    key = filters.CharFilter()


class RunFilter(WindowFilterSet):
    source = filters.CharFilter()
    ref_key = filters.CharFilter()
    env = filters.CharFilter(field_name="environment")
    provider = filters.CharFilter()
    model = filters.CharFilter()
    status = filters.CharFilter()
    actor = filters.CharFilter()


class InWorkspaceFilter(ApiFilterSet):
    workspace = filters.CharFilter(field_name="workspace_id")


class ConnectionFilter(InWorkspaceFilter):
    namespace = filters.CharFilter()
    client_type = filters.CharFilter()
