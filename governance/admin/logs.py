"""What happened: to be looked at, by nobody to be changed."""

from django.contrib import admin
from django.utils.safestring import SafeString

from governance.admin.base import ReadOnlyAdmin, block
from governance.admin.filters import EnvironmentFilter, WorkspaceFilter
from governance.models import (
    AccessRevision,
    Change,
    LogCount,
    ServerProcess,
)


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


@admin.register(LogCount)
class LogCountAdmin(ReadOnlyAdmin[LogCount]):
    """How many entries the logs have of each hour that is over."""

    list_display = ["hour", "log", "workspace_id", "count"]
    list_filter = ["log", WorkspaceFilter]
    search_fields = ["log"]
    date_hierarchy = "hour"


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
