"""The audit log over the API."""

from typing import ClassVar

from django.db.models import QuerySet

from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.api.viewsets import RowsViewSet
from governance.audit.models import AuditEntry
from governance.history.filters import AuditFilter
from governance.history.models import LogCount
from governance.history.pagination import LogLimitOffset
from governance.history.serializers import AuditEntrySerializer


class OfLog:
    """A log whose past hours are counted."""

    log: ClassVar[str]
    actor: Actor

    def counts(self) -> QuerySet[LogCount]:
        if self.actor.environment:
            return LogCount.objects.none()  # past hours are counted by workspace, and this actor sees less than one
        return visible_to(self.actor, LogCount.objects.filter(log=self.log))


class AuditViewSet(OfLog, RowsViewSet[AuditEntry]):
    resource = "audit"
    log = "audit"
    queryset = AuditEntry.objects.all()
    serializer_class = AuditEntrySerializer
    filterset_class = AuditFilter
    pagination_class = LogLimitOffset
