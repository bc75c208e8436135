"""The filters of live clients."""

from django_filters import rest_framework as filters

from governance.tenancy.filters import InWorkspaceFilter


class ConnectionFilter(InWorkspaceFilter):
    namespace = filters.CharFilter()
    client_type = filters.CharFilter()
