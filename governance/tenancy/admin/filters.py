"""List filters that offer only what the user may see; Django's own would list the names of every workspace's rows."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from governance.access.visibility import visible_to
from governance.admin.base import actor_of
from governance.tenancy.models import Environment, Workspace


class WorkspaceFilter(admin.SimpleListFilter):
    title = "workspace"
    parameter_name = "workspace"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(visible_to(actor_of(request), Workspace.objects.order_by("name")).values_list("pk", "name"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        path: str = getattr(queryset.model, "workspace_path")  # noqa: B009  # every scoped model declares it
        return queryset.filter(**{path: self.value()}) if self.value() else queryset


class EnvironmentFilter(admin.SimpleListFilter):
    """By name, as environments of one name stand for one stage in every workspace."""

    title = "environment"
    parameter_name = "env"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        seen = visible_to(actor_of(request), Environment.objects.order_by("name"))
        return [(name, name) for name in seen.values_list("name", flat=True).distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        path: str = getattr(queryset.model, "environment_path")  # noqa: B009  # as above
        return queryset.filter(**{path: self.value()}) if self.value() else queryset
