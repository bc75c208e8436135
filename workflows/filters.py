from django.db.models import QuerySet
from django_filters import rest_framework as filters

from governance.api.filtering import ApiFilterSet, containing
from workflows.models import Workflow


class WorkflowFilter(ApiFilterSet):
    q = filters.CharFilter(method="search", label="In key, name or description, case aside")
    key = filters.CharFilter()
    workspace = filters.CharFilter(field_name="workspace_id")

    def search(self, queryset: QuerySet[Workflow], name: str, value: str) -> QuerySet[Workflow]:
        return queryset.filter(containing(value, "key", "name", "description"))
