"""The one way in which entries of the audit log end: an operator says so, by `manage.py forgetaudit`."""

from datetime import datetime

from django.db import transaction

from governance import audit
from governance.access.actors import Actor
from governance.audit.models import AuditEntry
from governance.core import append_only
from governance.history.models import LogCount

AT_ONCE = 5000


def forget_audit(*, actor: Actor, before: datetime) -> int:
    """Delete the entries of whole hours that ended by `before`; returns how many. That it was done is an entry itself.

    A few thousand at a time, so that nobody who writes has to wait for long: when it is broken off, some are left.
    """
    before = before.replace(minute=0, second=0, microsecond=0)
    count = 0
    while True:
        with append_only.lifted():
            old = AuditEntry.objects.filter(created_at__lt=before).order_by("created_at", "id")
            some = list(old.values_list("pk", flat=True)[:AT_ONCE])
            AuditEntry.objects.filter(pk__in=some).delete()
        count += len(some)
        if len(some) < AT_ONCE:
            break
    with transaction.atomic():
        LogCount.objects.filter(log="audit", hour__lt=before).delete()
        if count:
            audit.record(
                actor=actor,
                action="forget",
                resource="audit",
                resource_id="",
                summary=f"Deleted {count} entries of the audit log from before {before:%Y-%m-%d %H:%M} UTC",
                workspace_id=None,
                changes={"before": {"old": None, "new": before}, "entries": {"old": count, "new": None}},
            )
    return count
