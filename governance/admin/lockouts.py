"""Failed logins that are counted against somebody: who deletes them lets that one in again, and that is in the log."""

from typing import Any

from axes.admin import AccessAttemptAdmin
from axes.models import AccessAttempt
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from governance import audit
from governance.admin.base import actor_of

admin.site.unregister(AccessAttempt)


@admin.register(AccessAttempt)
class LockOutAdmin(AccessAttemptAdmin):  # type: ignore[misc]  # axes is untyped
    """As axes has it, with an audit entry for each deletion."""

    actions = ()

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        audit.record(
            actor=actor_of(request),
            action="delete",
            resource="lockout",
            resource_id=str(obj.pk),
            key=str(obj.username or "")[:200],
            summary=f"Forgot {obj.failures_since_start} failed logins as {obj.username} from {obj.ip_address}",
            workspace_id=None,
        )
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for attempt in queryset:
            self.delete_model(request, attempt)
