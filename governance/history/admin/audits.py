"""The audit log in the back office: who did what, with old and new line by line."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from governance.access.visibility import visible_to
from governance.admin import diffs
from governance.admin.base import ReadOnlyAdmin, actor_of
from governance.audit.models import AuditEntry
from governance.history.admin.forms import AuditForm
from governance.history.admin.lists import LogAdmin
from governance.history.counts import CountedPages
from governance.history.models import LogCount
from governance.tenancy.admin.filters import WorkspaceFilter

#: The filters that the counts of past hours can be narrowed down by too.
COUNTED_BY = {"workspace", "window", "since", "until"}

#: Under any other filter entries are counted up to here; who looks for older ones narrows the list down.
MOST = 10_000


class FirstPages:
    """The newest MOST entries of a list that nobody has counted."""

    ordered = True

    def __init__(self, entries: QuerySet[Any]) -> None:
        self._entries = entries

    def count(self) -> int:
        return self._entries.order_by()[:MOST].count()

    def __getitem__(self, wanted: slice) -> list[Any]:
        return list(self._entries[wanted])


@admin.register(AuditEntry)
class AuditEntryAdmin(LogAdmin[AuditEntry]):
    form_class = AuditForm
    exported = (
        *(
            "id",
            "created_at",
            "actor",
            "actor_kind",
            "actor_id",
            "action",
            "resource",
            "resource_id",
            "key",
            "summary",
            "workspace_id",
        ),
        *("request_id", "changes"),
    )
    list_display = ["created_at", "actor", "action", "resource", "key", "summary", "workspace"]
    list_defer = ["changes"]
    change_form_template = "governance/admin/audit.html"

    def pages_of(self, request: HttpRequest, form: Any, rows: QuerySet[AuditEntry]) -> Any:
        entries = form.within(rows)
        if form.is_valid() and form.chosen.keys() <= COUNTED_BY:
            counted = visible_to(actor_of(request), LogCount.objects.filter(log="audit"))
            if "workspace" in form.chosen:
                counted = counted.filter(workspace_id=form.chosen["workspace"])
            since, until = form.span()
            return CountedPages(entries, counted, since=since, until=until)
        return FirstPages(entries)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, {"capped": MOST, **(extra_context or {})})

    @admin.display
    def workspace(self, entry: Any) -> str:
        return str(entry.workspace_name)

    def page_context(self, request: HttpRequest, row: AuditEntry | None) -> dict[str, Any]:
        if row is None:
            return {}
        return {"entry": row, "title": row.summary, "subtitle": None, "changes": diffs.of_changes(row.changes)}


@admin.register(LogCount)
class LogCountAdmin(ReadOnlyAdmin[LogCount]):
    """How many entries the logs have of each hour that is over."""

    list_display = ["hour", "log", "workspace_id", "count"]
    list_filter = ["log", WorkspaceFilter]
    search_fields = ["log"]
    date_hierarchy = "hour"
