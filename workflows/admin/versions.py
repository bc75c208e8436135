"""Versions of workflows, to be looked at, and what differs between two states of one."""

from typing import Any

from django.contrib import admin
from django.utils.safestring import SafeString

from governance.admin.base import ReadOnlyAdmin, block
from governance.core.diffs import Diff, side_by_side
from governance.tenancy.admin.filters import WorkspaceFilter
from workflows.definition import documents, parsing
from workflows.models import DEFINITION_FIELDS, Workflow, WorkflowVersion

State = Workflow | WorkflowVersion


def text_of(state: State | None) -> str:
    """A state's definition as people read it, without its secrets."""
    if state is None:
        return ""
    shown = parsing.shown(state.definition)
    return documents.to_yaml({name: value for name, value in shown.items() if value})


def compare(old: State | None, new: State) -> Diff:
    return side_by_side(text_of(old), text_of(new))


@admin.register(WorkflowVersion)
class WorkflowVersionAdmin(ReadOnlyAdmin[WorkflowVersion]):
    list_display = ["created_at", "workflow", "label", "workspace", "live", "note", "created_by"]
    list_filter = [WorkspaceFilter]
    list_select_related = ["workflow__workspace"]
    list_defer = [*DEFINITION_FIELDS, *(f"workflow__{name}" for name in DEFINITION_FIELDS)]
    search_fields = ["workflow__key", "label", "note", "created_by"]
    date_hierarchy = "created_at"
    ordering = ["-created_at", "-id"]
    shown = ["workflow", "label", "number", "text", "note", "created_by", "created_at", "live"]

    @admin.display(ordering="workflow__workspace__name")
    def workspace(self, version: WorkflowVersion) -> str:
        return version.workflow.workspace.name

    @admin.display(boolean=True)
    def live(self, version: WorkflowVersion) -> bool:
        return version.workflow.live_id == version.pk

    @admin.display(description="definition")
    def text(self, version: Any) -> SafeString:
        return block(text_of(version))
