"""What happened: audit, runs, live connections."""

from datetime import timedelta
from typing import Any

from django.db.models import Avg, Count, Q, QuerySet, Sum
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from governance.api.pagination import LogLimitOffset
from governance.api.viewsets import ReadViewSet, RowsViewSet
from governance.filters import AuditFilter, ConnectionFilter, RunFilter
from governance.models import AuditEntry, Connection, Run, RunStatus
from governance.realtime.registry import FORGET_AFTER
from governance.serializers import AuditEntrySerializer, ConnectionSerializer, RunSerializer, RunStatsSerializer


class AuditViewSet(RowsViewSet[AuditEntry]):
    resource = "audit"
    queryset = AuditEntry.objects.all()
    serializer_class = AuditEntrySerializer
    filterset_class = AuditFilter
    pagination_class = LogLimitOffset


class RunViewSet(ReadViewSet[Run]):
    resource = "run"
    capabilities = {"stats": "read"}
    queryset = Run.objects.all()
    serializer_class = RunSerializer
    filterset_class = RunFilter
    pagination_class = LogLimitOffset

    @extend_schema(responses={200: RunStatsSerializer})
    @action(detail=False, pagination_class=None)
    def stats(self, request: Request) -> Response:
        """Totals over the runs that the filters leave."""
        return Response(stats_of(self.filter_queryset(self.get_queryset())))


class ConnectionViewSet(RowsViewSet[Connection]):
    resource = "client"
    queryset = Connection.objects.all()
    serializer_class = ConnectionSerializer
    filterset_class = ConnectionFilter

    def get_queryset(self) -> QuerySet[Connection]:
        alive = timezone.now() - timedelta(seconds=FORGET_AFTER)
        return super().get_queryset().filter(process__seen_at__gt=alive)


def stats_of(runs: QuerySet[Run]) -> dict[str, Any]:
    """Totals over `runs`; two queries, whatever their number."""
    totals = runs.order_by().aggregate(
        total=Count("pk"),
        ok=Count("pk", filter=Q(status=RunStatus.OK)),
        error=Count("pk", filter=Q(status__in=[RunStatus.ERROR, RunStatus.INTERRUPTED])),
        running=Count("pk", filter=Q(status=RunStatus.RUNNING)),
        prompt_tokens=Sum("prompt_tokens", default=0),
        output_tokens=Sum("output_tokens", default=0),
        avg_latency_ms=Avg("latency_ms", default=0.0),
    )
    by_provider = runs.order_by().values("provider").annotate(count=Count("pk")).order_by("-count", "provider")
    return {**totals, "avg_latency_ms": round(totals["avg_latency_ms"], 1), "by_provider": list(by_provider)}
