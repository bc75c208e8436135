"""The filters of runs and of their statistics."""

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters

from governance.api.filtering import ApiFilterSet, IdFilter, TimeFilter, WindowFilterSet


class RunFilter(WindowFilterSet):
    source = filters.CharFilter()
    key = filters.CharFilter(field_name="ref_key")
    ref_key = filters.CharFilter()
    parent_id = IdFilter(label="The run that started it")
    version = filters.CharFilter()
    variant = filters.CharFilter()
    env = filters.CharFilter(field_name="environment")
    provider = filters.CharFilter()
    model = filters.CharFilter()
    status = filters.CharFilter()
    actor = filters.CharFilter()


class StatsFilter(ApiFilterSet):
    """Of runs and of their tallies. The window is not applied here: tallies are of hours, days and months."""

    since = TimeFilter(method="whole_hours", label="RFC 3339; the hour that it is in and later")
    until = TimeFilter(method="whole_hours", label="RFC 3339; up to the end of the hour before it")
    workspace = filters.CharFilter(field_name="workspace_id")
    env = filters.CharFilter(field_name="environment")
    source = filters.CharFilter()
    key = filters.CharFilter(field_name="ref_key")
    ref_key = filters.CharFilter()
    version = filters.CharFilter()
    variant = filters.CharFilter()
    provider = filters.CharFilter()
    model = filters.CharFilter()

    def whole_hours(self, queryset: QuerySet[Any], name: str, value: Any) -> QuerySet[Any]:
        return queryset
