"""The filters of the audit log."""

from django_filters import rest_framework as filters

from governance.api.filtering import WindowFilterSet


class AuditFilter(WindowFilterSet):
    action = filters.CharFilter()
    resource = filters.CharFilter()
    resource_id = filters.CharFilter()
    actor = filters.CharFilter()
    actor_kind = filters.CharFilter()
    actor_id = filters.CharFilter()
    key = filters.CharFilter()
