"""Runs of workflows in the back office."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from governance.admin.base import ReadOnlyAdmin, actor_of, as_json
from governance.admin.filters import WorkspaceFilter
from workflows import runs
from workflows.models import Delivery, StepAttempt, WorkflowRun, WorkflowWorker


@admin.register(WorkflowRun)
class WorkflowRunAdmin(ReadOnlyAdmin[WorkflowRun]):
    """Runs can be cancelled here; decisions are made, and runs resumed, over the API."""

    list_display = ["created_at", "key", "version", "status", "waits_for", "trigger", "actor", "ended_at"]
    list_filter = ["status", "trigger", WorkspaceFilter]
    list_defer = ["definition", "variables", "output", "outputs", "bounds"]
    search_fields = ["key", "actor", "error"]
    date_hierarchy = "created_at"
    actions = ["cancel_selected"]
    shown = [
        "created_at",
        "key",
        "version",
        "workspace_id",
        "status",
        "what_came_of_it",
        "error",
        "waits_for",
        "due_at",
        "trigger",
        "actor",
        "started_at",
        "ended_at",
        "worked_ms",
        "deadline",
        "trace",
    ]

    @admin.display(description="output")
    def what_came_of_it(self, run: WorkflowRun) -> SafeString:
        return as_json(run.output if run.outputs is None else run.outputs)

    @admin.display(description="steps")
    def trace(self, run: WorkflowRun) -> SafeString:
        fields = ("path", "number", "status", "error", "input", "output", "started_at", "ended_at")
        return as_json(list(run.attempts.order_by("id").values(*fields)))

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("workflows.change_workflowrun")

    @admin.action(permissions=["cancel"], description="Cancel selected runs")
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[WorkflowRun]) -> None:
        cancelled = 0
        for run in queryset:
            if run.going:
                runs.cancel(actor=actor_of(request), run=run)
                cancelled += 1
        self.message_user(request, f"Cancelled {cancelled} runs.", messages.SUCCESS)


@admin.register(StepAttempt)
class StepAttemptAdmin(ReadOnlyAdmin[StepAttempt]):
    list_display = ["started_at", "run", "path", "number", "type", "status", "ended_at"]
    list_filter = ["status", "type"]
    list_select_related = ["run"]
    list_defer = ["input", "output", "trace", "kept"]
    search_fields = ["run__key", "path", "error"]
    date_hierarchy = "started_at"
    ordering = ["-id"]
    shown = ["run", "path", "number", "type", "status", "went_in", "came_out", "error", "started_at", "ended_at"]

    @admin.display(description="input")
    def went_in(self, attempt: StepAttempt) -> SafeString:
        return as_json(attempt.input)

    @admin.display(description="output")
    def came_out(self, attempt: StepAttempt) -> SafeString:
        return as_json(attempt.output)


@admin.register(WorkflowWorker)
class WorkflowWorkerAdmin(ReadOnlyAdmin[WorkflowWorker]):
    scoped = False
    list_display = ["id", "started_at"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin[Delivery]):
    """Calls of webhooks that were taken a short while ago."""

    list_display = ["webhook_id", "forget_at"]
    shown = ["webhook_id", "forget_at"]
