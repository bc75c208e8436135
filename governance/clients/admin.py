"""The open event streams, on a page that keeps itself up to date.

Its script reads the list every two seconds by the session's cookie, which is one small query. `/ws` would bring nothing
sooner, since the table of connections is written by all processes. And `/ws` takes bearer tokens only: one for a page
would be a credential in an address, an entry in the audit log, and a client in its own list.
"""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path, reverse

from governance.admin.base import ReadOnlyAdmin
from governance.clients.connections import FORGET_AFTER
from governance.clients.models import Connection
from governance.core.db import ago
from governance.core.models import ServerProcess
from governance.tenancy.admin.filters import WorkspaceFilter


@admin.register(Connection)
class ConnectionAdmin(ReadOnlyAdmin[Connection]):
    """The event streams that are open now, as GET /api/clients has them."""

    list_display = ["connected_at", "client_type", "app", "workspace", "namespace", "actor", "remote_addr", "process"]
    list_filter = ["client_type", WorkspaceFilter]
    list_select_related = ["workspace", "process"]
    search_fields = ["client_type", "app", "actor", "remote_addr"]
    list_per_page = 200
    change_list_template = "governance/admin/clients.html"

    class Media:
        css = {"all": ["governance/observe.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        return super().get_queryset(request).filter(process__seen_at__gt=ago(FORGET_AFTER))

    def get_urls(self) -> list[URLPattern]:
        live = path("live/", self.admin_site.admin_view(self.live_view), name="governance_connection_live")
        return [live, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Mapping[str, Any] | None = None) -> HttpResponse:
        address = f"{reverse('admin:governance_connection_live')}?{request.GET.urlencode()}"
        return super().changelist_view(request, {"title": "Live clients", "live_url": address, **(extra_context or {})})

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """The same page of the same list, as JSON."""
        self.require_view(request)
        found: Any = self.get_changelist_instance(request)
        return JsonResponse({"count": found.result_count, "clients": [_row(each) for each in found.result_list]})


def _row(client: Connection) -> dict[str, Any]:
    return {
        "id": str(client.pk),
        "url": reverse("admin:governance_connection_change", args=[client.pk]),
        "client_type": client.client_type,
        "app": client.app,
        "workspace": client.workspace.name,
        "namespace": client.namespace,
        "actor": client.actor,
        "remote_addr": client.remote_addr,
        "process": str(client.process),
        "connected_at": client.connected_at.isoformat(),
    }


@admin.register(ServerProcess)
class ServerProcessAdmin(ReadOnlyAdmin[ServerProcess]):
    scoped = False
    list_display = ["host", "pid", "started_at", "seen_at"]
    search_fields = ["host"]
    ordering = ["-started_at"]
