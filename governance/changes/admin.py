"""The change log in the back office: read-only."""

from django.contrib import admin
from django.utils.safestring import SafeString

from governance.admin.base import ReadOnlyAdmin, block
from governance.changes.models import Change
from governance.tenancy.admin.filters import EnvironmentFilter, WorkspaceFilter


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
