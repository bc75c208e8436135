from django.db.models import QuerySet
from django_filters import rest_framework as filters

from governance.api.filtering import ApiFilterSet, IdFilter, SearchFilter, WindowFilterSet, containing
from workflows.models import RunState, Trigger, Workflow


class WorkflowFilter(ApiFilterSet):
    q = SearchFilter(method="search", label="In key, name or description, case aside")
    key = filters.CharFilter()
    workspace = filters.CharFilter(field_name="workspace_id")

    def search(self, queryset: QuerySet[Workflow], name: str, value: str) -> QuerySet[Workflow]:
        return queryset.filter(containing(value, "key", "name", "description"))


class WorkflowRunFilter(WindowFilterSet):
    workflow = IdFilter(field_name="workflow_id", label="A workflow's id")
    key = filters.CharFilter()
    status = filters.ChoiceFilter(choices=RunState.choices)
    trigger = filters.ChoiceFilter(choices=Trigger.choices)
    actor = filters.CharFilter()


class TriggerFilter(ApiFilterSet):
    workflow = IdFilter(field_name="workflow_id", label="A workflow's id")
    workspace = filters.CharFilter(field_name="workflow__workspace_id")
