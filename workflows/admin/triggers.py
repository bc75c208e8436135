"""Schedules and webhooks in the back office."""

import zoneinfo
from typing import Any, Generic, TypeVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminTextInputWidget
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET

from governance.access.actors import Actor
from governance.admin.base import ServiceAdmin
from governance.admin.forms import JsonField, ServiceForm
from governance.admin.messages import of_new_secret
from governance.admin.scripts import for_scripts
from governance.core.errors import InvalidInputError
from governance.runs.admin.formatting import NOTHING
from governance.templatetags.admin_tags import ago
from governance.tenancy.admin.filters import WorkspaceFilter
from workflows.models import DEFINITION_FIELDS, Schedule, Webhook
from workflows.runs.serializers import ScheduleSerializer, WebhookSerializer
from workflows.triggers import schedules, webhooks
from workflows.triggers.cron import next_tick

T = TypeVar("T", Schedule, Webhook)


#: How many of its next times a schedule's page shows.
TICKS = 5


class ScheduleForm(ServiceForm[Schedule]):
    serializer_class = ScheduleSerializer
    related = ("workflow",)
    cron = forms.CharField(
        max_length=100,
        widget=AdminTextInputWidget(attrs={"class": "vTextField mono", "placeholder": "30 7 * * mon-fri"}),
        help_text="Minute, hour, day of month, month, day of week.",
    )
    timezone = forms.CharField(
        max_length=64,
        initial="UTC",
        widget=AdminTextInputWidget(attrs={"class": "vTextField", "list": "timezones", "autocomplete": "off"}),
        help_text="Such as Europe/Berlin.",
    )
    variables = JsonField(required=False, empty={}, help_text="What each run is given, as a JSON object.")


class WebhookForm(ServiceForm[Webhook]):
    serializer_class = WebhookSerializer
    related = ("workflow",)
    variables = JsonField(
        required=False, empty={}, help_text="What each run is given, as a JSON object. A call's body goes before it."
    )


class TriggerAdmin(ServiceAdmin[T], Generic[T]):
    """What the pages of schedules and webhooks share."""

    list_filter = ["enabled", WorkspaceFilter]
    list_select_related = ["workflow"]
    list_defer = [f"workflow__{name}" for name in DEFINITION_FIELDS]
    search_fields = ["name", "workflow__key"]

    @admin.display(description="last run")
    def last_run(self, row: Any) -> SafeString | str:
        if row.last_run_id is None:
            return NOTHING
        address = reverse("admin:workflows_workflowrun_change", args=[row.last_run_id])
        return format_html('<a href="{}">{}</a>', address, ago(row.last_at))

    @admin.display(description="last start failed", ordering="last_error")
    def failed(self, row: Any) -> str:
        return row.last_error or NOTHING


@admin.register(Schedule)
class ScheduleAdmin(TriggerAdmin[Schedule]):
    form = ScheduleForm
    list_display = ["name", "workflow", "cron", "timezone", "enabled", "next_at", "last_run", "failed", "created_by"]
    add_fields = ["workflow", "name", "cron", "timezone", "enabled", "variables"]
    change_fields = add_fields[1:]
    readonly_fields = ["workflow", "next_times", "last_run", "failed", "created_by", "created_at", "updated_at"]
    change_form_template = "workflows/admin/schedule.html"

    def get_urls(self) -> list[URLPattern]:
        return [
            path("ticks/", self.admin_site.admin_view(ticks_view), name="workflows_schedule_ticks"),
            *super().get_urls(),
        ]

    @admin.display(description="next times")
    def next_times(self, schedule: Schedule) -> SafeString | str:
        if not schedule.enabled:
            return "none: it is off"
        times = format_html_join("", "<li>{}</li>", ((moment,) for moment in ticks(schedule.cron, schedule.timezone)))
        return format_html('<ul class="ticks" id="schedule-ticks">{}</ul>', times)

    def page_context(self, request: HttpRequest, row: Schedule | None) -> dict[str, Any]:
        if row is not None and not self.has_change_permission(request, row):
            return {}
        return {
            "ticks_url": reverse("admin:workflows_schedule_ticks"),
            "timezones": sorted(zoneinfo.available_timezones()),
        }

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> Schedule:
        return schedules.create_schedule(actor=actor, **values)

    def perform_update(self, actor: Actor, row: Schedule, values: dict[str, Any], if_match: str | None) -> Schedule:
        return schedules.update_schedule(actor=actor, schedule=row, if_match=if_match, **values)

    def perform_destroy(self, actor: Actor, row: Schedule) -> None:
        schedules.delete_schedule(actor=actor, schedule=row)


@admin.register(Webhook)
class WebhookAdmin(TriggerAdmin[Webhook]):
    form = WebhookForm
    list_display = ["name", "workflow", "enabled", "last_run", "failed", "created_by"]
    add_fields = ["workflow", "name", "enabled", "variables"]
    change_fields = add_fields[1:]
    readonly_fields = ["workflow", "address", "last_run", "failed", "created_by", "created_at", "updated_at"]
    change_form_template = "workflows/admin/webhook.html"

    class Media:
        js = ["governance/copy.js"]

    @admin.display(description="address")
    def address(self, webhook: Webhook) -> SafeString:
        return format_html("<code>{}/api/hooks/{}</code>", settings.PROMPTOPS_ROOT_PATH, webhook.pk)

    def perform_create(self, actor: Actor, values: dict[str, Any]) -> Webhook:
        webhook, secret = webhooks.create_webhook(actor=actor, **values)
        webhook.secret = secret  # type: ignore[attr-defined]  # for the message alone
        return webhook

    def perform_update(self, actor: Actor, row: Webhook, values: dict[str, Any], if_match: str | None) -> Webhook:
        return webhooks.update_webhook(actor=actor, webhook=row, if_match=if_match, **values)

    def perform_destroy(self, actor: Actor, row: Webhook) -> None:
        webhooks.delete_webhook(actor=actor, webhook=row)

    def response_add(self, request: HttpRequest, obj: Webhook, post_url_continue: str | None = None) -> HttpResponse:
        self.message_user(request, of_new_secret(obj.name, obj.secret), messages.WARNING)  # type: ignore[attr-defined]
        return super().response_add(request, obj, post_url_continue)


def ticks(cron: str, zone: str) -> list[str]:
    """The next times of a schedule, as its own place writes them. Raises InvalidInputError."""
    moment, found = timezone.now(), []
    for _ in range(TICKS):
        moment = next_tick(cron, zone, moment)
        found.append(f"{moment.astimezone(zoneinfo.ZoneInfo(zone)):%a %Y-%m-%d %H:%M %Z}")
    return found


@require_GET
@for_scripts("schedule.read")
def ticks_view(actor: Actor, request: HttpRequest) -> HttpResponseBase:
    """The next times of the schedule that is being typed, or the problem with it: an unfinished one is no error."""
    try:
        return JsonResponse({"ticks": ticks(request.GET.get("cron", ""), request.GET.get("timezone") or "UTC")})
    except InvalidInputError as error:
        return JsonResponse({"problem": error.message})
