from django.db.models import QuerySet
from django_filters import rest_framework as filters

from agents.models import Agent
from governance.api.filtering import ApiFilterSet, SearchFilter, containing


class AgentFilter(ApiFilterSet):
    q = SearchFilter(method="search", label="In key, name or description, case aside")
    key = filters.CharFilter()
    env = filters.CharFilter(field_name="environment__name")
    workspace = filters.CharFilter(field_name="workspace_id")

    def search(self, queryset: QuerySet[Agent], name: str, value: str) -> QuerySet[Agent]:
        return queryset.filter(containing(value, "key", "name", "description"))
