"""The filter of the list of workflows."""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest

from workflows.models import Workflow


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("draft", "Never published"), ("published", "Published"), ("modified", "Changed since")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Workflow]) -> QuerySet[Workflow]:
        if self.value() == "draft":
            return queryset.filter(live=None)
        if self.value() == "published":
            return queryset.filter(live__digest=F("draft_digest"))
        if self.value() == "modified":
            return queryset.exclude(live=None).exclude(live__digest=F("draft_digest"))
        return queryset
