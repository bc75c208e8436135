"""Workspaces and environments."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from governance.access.actors import Actor
from governance.admin.base import ServiceAdmin
from governance.admin.forms import ServiceForm
from governance.tenancy import environments, workspaces
from governance.tenancy.admin.filters import WorkspaceFilter
from governance.tenancy.models import Environment, Workspace
from governance.tenancy.serializers import EnvironmentSerializer, WorkspaceSerializer


class WorkspaceForm(ServiceForm[Workspace]):
    serializer_class = WorkspaceSerializer
    slug = forms.CharField(
        required=False, max_length=100, help_text="Letters, digits, - and _. Made from the name if it is left empty."
    )

    def check_input(self, names: Iterable[str]) -> None:
        self.dropped_when_empty = ["slug"] if self.is_new else []  # type: ignore[misc]  # an emptied one is no wish for another
        super().check_input(names)


@admin.register(Workspace)
class WorkspaceAdmin(ServiceAdmin[Workspace]):
    form = WorkspaceForm
    list_display = ["name", "slug", "environment_count", "member_count", "created_at", "updated_at"]
    search_fields = ["name", "slug", "id"]
    ordering = ["name", "id"]
    add_fields = change_fields = ["name", "slug", "keep_content", "content_days"]
    readonly_fields = ["id", "created_at", "updated_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Workspace]:
        counts = {name: Count(name, distinct=True) for name in ("environments", "memberships")}
        return super().get_queryset(request).annotate(**{f"{name}_there": count for name, count in counts.items()})

    @admin.display(description="environments")
    def environment_count(self, workspace: Any) -> int:
        return int(workspace.environments_there)

    @admin.display(description="members")
    def member_count(self, workspace: Any) -> int:
        return int(workspace.memberships_there)

    def belongings(self, rows: Iterable[Workspace]) -> dict[str, int]:
        there = Workspace.objects.filter(pk__in=[row.pk for row in rows])
        return {name: there.aggregate(count=Count(name))["count"] for name in ("environments", "tokens")}

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> Workspace:
        return workspaces.create_workspace(actor=actor, **values)

    def perform_update(self, actor: Actor, row: Workspace, values: dict[str, Any], if_match: str | None) -> Workspace:
        return workspaces.update_workspace(actor=actor, workspace=row, **values)

    def perform_destroy(self, actor: Actor, row: Workspace) -> None:
        workspaces.delete_workspace(actor=actor, workspace=row)


class EnvironmentForm(ServiceForm[Environment]):
    serializer_class = EnvironmentSerializer
    related = ("workspace",)


@admin.register(Environment)
class EnvironmentAdmin(ServiceAdmin[Environment]):
    form = EnvironmentForm
    list_display = ["name", "workspace", "description", "require_publish", "revision", "updated_at"]
    list_filter = ["require_publish", WorkspaceFilter]
    list_select_related = ["workspace"]
    search_fields = ["name", "description", "workspace__name"]
    ordering = ["workspace__name", "created_at", "name"]
    add_fields = ["workspace", "name", "description", "require_publish"]
    change_fields = ["description", "require_publish"]
    readonly_fields = ["workspace", "name", "revision", "served_revision", "epoch", "created_at", "updated_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Environment]:
        return super().get_queryset(request).select_related("workspace")

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> Environment:
        return environments.create_environment(actor=actor, **values)

    def perform_update(
        self, actor: Actor, row: Environment, values: dict[str, Any], if_match: str | None
    ) -> Environment:
        return environments.update_environment(actor=actor, environment=row, **values)

    def perform_destroy(self, actor: Actor, row: Environment) -> None:
        environments.delete_environment(actor=actor, environment=row)
