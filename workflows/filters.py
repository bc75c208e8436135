from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters

from governance.api.filtering import ApiFilterSet
from workflows.models import Workflow


class WorkflowFilter(ApiFilterSet):
    q = filters.CharFilter(method="search", label="In key, name or description, case aside")
    key = filters.CharFilter()
    workspace = filters.CharFilter(field_name="workspace_id")

    def search(self, queryset: QuerySet[Workflow], name: str, value: str) -> QuerySet[Workflow]:
        return queryset.filter(Q(key__icontains=value) | Q(name__icontains=value) | Q(description__icontains=value))
