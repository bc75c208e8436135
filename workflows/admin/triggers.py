"""Schedules and webhooks in the back office."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

from governance.actors import Actor
from governance.admin.base import ServiceAdmin
from governance.admin.filters import WorkspaceFilter
from governance.admin.forms import JsonField, ServiceForm
from workflows import schedules, webhooks
from workflows.models import Schedule, Webhook
from workflows.run_serializers import ScheduleSerializer, WebhookSerializer


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
