"""Runs, schedules and webhooks in the back office."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from governance.actors import Actor
from governance.admin.base import ReadOnlyAdmin, ServiceAdmin, actor_of, as_json
from governance.admin.filters import WorkspaceFilter
from governance.admin.forms import JsonField, ServiceForm
from workflows import runs, schedules, webhooks
from workflows.models import Delivery, Schedule, StepAttempt, Webhook, WorkflowRun, WorkflowWorker
from workflows.run_serializers import ScheduleSerializer, WebhookSerializer


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


class ScheduleForm(ServiceForm[Schedule]):
    serializer_class = ScheduleSerializer
    related = ("workflow",)
    variables = JsonField(required=False, empty={})


class WebhookForm(ServiceForm[Webhook]):
    serializer_class = WebhookSerializer
    related = ("workflow",)
    variables = JsonField(required=False, empty={})


@admin.register(Schedule)
class ScheduleAdmin(ServiceAdmin[Schedule]):
    form = ScheduleForm
    list_display = ["name", "workflow", "cron", "timezone", "enabled", "next_at", "last_at", "created_by"]
    list_filter = ["enabled", WorkspaceFilter]
    list_select_related = ["workflow"]
    search_fields = ["name", "workflow__key"]
    add_fields = ["workflow", "name", "cron", "timezone", "enabled", "variables"]
    change_fields = add_fields[1:]
    readonly_fields = ["workflow", "next_at", "last_at", "last_run_id", "created_by", "created_at", "updated_at"]

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> Schedule:
        return schedules.create_schedule(actor=actor, **values)

    def perform_update(self, actor: Actor, row: Schedule, values: dict[str, Any], if_match: str | None) -> Schedule:
        return schedules.update_schedule(actor=actor, schedule=row, if_match=if_match, **values)

    def perform_destroy(self, actor: Actor, row: Schedule) -> None:
        schedules.delete_schedule(actor=actor, schedule=row)


@admin.register(Webhook)
class WebhookAdmin(ServiceAdmin[Webhook]):
    form = WebhookForm
    list_display = ["name", "workflow", "enabled", "last_at", "created_by"]
    list_filter = ["enabled", WorkspaceFilter]
    list_select_related = ["workflow"]
    search_fields = ["name", "workflow__key"]
    add_fields = ["workflow", "name", "enabled", "variables"]
    change_fields = add_fields[1:]
    readonly_fields = ["workflow", "address", "last_at", "last_run_id", "created_by", "created_at", "updated_at"]

    @admin.display(description="address")
    def address(self, webhook: Webhook) -> str:
        return f"/api/hooks/{webhook.pk}"

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> Webhook:
        webhook, secret = webhooks.create_webhook(actor=actor, **values)
        webhook.secret = secret  # type: ignore[attr-defined]  # for the message alone
        return webhook

    def perform_update(self, actor: Actor, row: Webhook, values: dict[str, Any], if_match: str | None) -> Webhook:
        return webhooks.update_webhook(actor=actor, webhook=row, if_match=if_match, **values)

    def perform_destroy(self, actor: Actor, row: Webhook) -> None:
        webhooks.delete_webhook(actor=actor, webhook=row)

    def response_add(self, request: HttpRequest, obj: Webhook, post_url_continue: str | None = None) -> HttpResponse:
        said = "The secret of {}, which is shown this once: {}"
        self.message_user(request, format_html(said, obj.name, obj.secret), messages.WARNING)  # type: ignore[attr-defined]
        return super().response_add(request, obj, post_url_continue)
