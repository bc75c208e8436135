"""Workflows in the back office."""

from typing import Any

from django.contrib import admin

from governance.actors import Actor
from governance.admin.base import ReadOnlyAdmin, ServiceAdmin
from governance.admin.filters import WorkspaceFilter
from governance.admin.forms import JsonField, LinesField, ServiceForm, code
from workflows import services
from workflows.models import Workflow, WorkflowVersion
from workflows.serializers import WorkflowSerializer
from workflows.steps import STEP_TYPES


class WorkflowForm(ServiceForm[Workflow]):
    serializer_class = WorkflowSerializer
    related = ("workspace",)
    description = LinesField(required=False, max_length=2000)
    steps = JsonField(
        empty=[], widget=code(14), help_text=f"A JSON list of steps, each with its type: {', '.join(STEP_TYPES)}."
    )


@admin.register(Workflow)
class WorkflowAdmin(ServiceAdmin[Workflow]):
    form = WorkflowForm
    list_display = ["key", "name", "workspace", "step_names", "updated_at"]
    list_filter = [WorkspaceFilter]
    list_select_related = ["workspace"]
    list_defer = ["description"]
    search_fields = ["key", "name", "description"]
    ordering = ["-updated_at", "-id"]
    add_fields = ["workspace", "key", "name", "description", "steps"]
    change_fields = ["key", "name", "description", "steps"]
    readonly_fields = ["workspace", "created_at", "updated_at"]

    @admin.display(description="steps")
    def step_names(self, workflow: Workflow) -> str:
        return ", ".join(step["name"] for step in workflow.steps)

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> Workflow:
        return services.create_workflow(actor=actor, **values)

    def perform_update(self, actor: Actor, row: Workflow, values: dict[str, Any], if_match: str | None) -> Workflow:
        return services.update_workflow(actor=actor, workflow=row, if_match=if_match, **values)

    def perform_destroy(self, actor: Actor, row: Workflow) -> None:
        services.delete_workflow(actor=actor, workflow=row)


@admin.register(WorkflowVersion)
class WorkflowVersionAdmin(ReadOnlyAdmin[WorkflowVersion]):
    list_display = ["created_at", "workflow", "label", "note", "created_by"]
    list_select_related = ["workflow"]
    list_defer = ["inputs", "steps", "outputs"]
    search_fields = ["workflow__key", "label", "note", "created_by"]
    date_hierarchy = "created_at"
    ordering = ["-created_at", "-id"]
