"""What happened: to be looked at, by nobody to be changed."""

from datetime import timedelta

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from governance.admin.base import ReadOnlyAdmin, as_json, block
from governance.admin.filters import EnvironmentFilter, WorkspaceFilter
from governance.models import (
    AccessRevision,
    AuditEntry,
    Change,
    Connection,
    LogCount,
    Run,
    RunContent,
    RunFeedback,
    RunTally,
    ServerProcess,
)
from governance.realtime.registry import FORGET_AFTER
from governance.tallies import COUNTS, DIMENSIONS, LATENCIES


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin[AuditEntry]):
    list_display = ["created_at", "actor", "action", "resource", "key", "summary", "workspace_id"]
    list_filter = ["action", "resource", WorkspaceFilter]
    list_defer = ["changes"]
    search_fields = ["key", "summary", "actor", "resource_id", "request_id"]
    date_hierarchy = "created_at"
    shown = [
        "created_at",
        "actor",
        "action",
        "resource",
        "resource_id",
        "key",
        "summary",
        "workspace_id",
        "what_changed",
        "request_id",
    ]

    @admin.display(description="changes")
    def what_changed(self, entry: AuditEntry) -> SafeString:
        return as_json(entry.changes)


@admin.register(Change)
class ChangeAdmin(ReadOnlyAdmin[Change]):
    list_display = ["created_at", "environment", "revision", "type", "key", "version", "served"]
    list_filter = ["type", "served", WorkspaceFilter, EnvironmentFilter]
    list_select_related = ["environment"]
    list_defer = ["document"]
    search_fields = ["key", "resource_id"]
    date_hierarchy = "created_at"
    ordering = ["-id"]
    shown = [
        "created_at",
        "environment",
        "revision",
        "prev_served",
        "type",
        "resource_id",
        "key",
        "version",
        "served",
        "what_is_served",
        "etag",
    ]

    @admin.display(description="document", empty_value="Nothing is served.")
    def what_is_served(self, change: Change) -> SafeString | None:
        return None if change.document is None else block(change.document)


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin[Run]):
    list_display = [
        "created_at",
        "source",
        "ref_key",
        "environment",
        "provider",
        "model",
        "status",
        "prompt_tokens",
        "output_tokens",
        "cost_usd",
        "latency_ms",
        "actor",
    ]
    list_filter = ["status", "source", "provider", WorkspaceFilter]
    search_fields = ["ref_key", "model", "actor", "error"]
    date_hierarchy = "created_at"


@admin.register(RunContent)
class RunContentAdmin(ReadOnlyAdmin[RunContent]):
    """The texts of runs, where a workspace keeps them."""

    list_display = ["run", "delete_after"]
    list_select_related = ["run"]
    list_defer = ["prompt", "output"]
    search_fields = ["run__ref_key"]
    shown = ["run", "prompt_text", "output_text", "delete_after"]

    @admin.display(description="prompt")
    def prompt_text(self, content: RunContent) -> SafeString:
        return block(content.prompt)

    @admin.display(description="output")
    def output_text(self, content: RunContent) -> SafeString:
        return block(content.output)


@admin.register(RunFeedback)
class RunFeedbackAdmin(ReadOnlyAdmin[RunFeedback]):
    list_display = ["updated_at", "run", "actor", "score", "comment"]
    list_select_related = ["run"]
    search_fields = ["actor", "comment", "run__ref_key"]
    date_hierarchy = "updated_at"


@admin.register(RunTally)
class RunTallyAdmin(ReadOnlyAdmin[RunTally]):
    """Runs by the hour, the day and the month: what statistics are read from."""

    list_display = ["start", "grain", "source", "ref_key", "version", "provider", "model", "ok", "error", "interrupted"]
    list_filter = ["grain", "source", "provider", WorkspaceFilter]
    search_fields = ["ref_key", "model"]
    date_hierarchy = "start"
    shown = ["grain", "start", "workspace_id", *DIMENSIONS[1:], *COUNTS[: -len(LATENCIES)]]


@admin.register(LogCount)
class LogCountAdmin(ReadOnlyAdmin[LogCount]):
    """How many entries the logs have of each hour that is over."""

    list_display = ["hour", "log", "workspace_id", "count"]
    list_filter = ["log", WorkspaceFilter]
    search_fields = ["log"]
    date_hierarchy = "hour"


@admin.register(Connection)
class ConnectionAdmin(ReadOnlyAdmin[Connection]):
    """The event streams that are open now, as GET /api/clients has them."""

    list_display = ["connected_at", "client_type", "app", "workspace", "namespace", "actor", "remote_addr", "process"]
    list_filter = ["client_type", WorkspaceFilter]
    list_select_related = ["workspace", "process"]
    search_fields = ["client_type", "app", "actor", "remote_addr"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        alive = timezone.now() - timedelta(seconds=FORGET_AFTER)
        return super().get_queryset(request).filter(process__seen_at__gt=alive)


@admin.register(ServerProcess)
class ServerProcessAdmin(ReadOnlyAdmin[ServerProcess]):
    scoped = False
    list_display = ["host", "pid", "started_at", "seen_at"]
    search_fields = ["host"]
    ordering = ["-started_at"]


@admin.register(AccessRevision)
class AccessRevisionAdmin(ReadOnlyAdmin[AccessRevision]):
    scoped = False
    list_display = ["__str__", "revision"]
