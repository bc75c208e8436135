"""Runs over the API."""

from typing import Any

from django_filters.utils import translate_validation
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from governance.access.visibility import visible_to
from governance.api.viewsets import ReadViewSet, one
from governance.core.errors import InvalidInputError
from governance.history.pagination import LogLimitOffset
from governance.history.views import OfLog
from governance.history.windows import window
from governance.runs import log as runs
from governance.runs import statistics
from governance.runs.filters import RunFilter, StatsFilter
from governance.runs.models import Run, RunTally
from governance.runs.serializers import (
    FeedbackSerializer,
    RunDetailSerializer,
    RunSerializer,
    RunStatsSerializer,
)

#: Filters of the list that the tallies know nothing of.
NO_STATISTICS = {"status", "actor"}


class RunViewSet(OfLog, ReadViewSet[Run]):
    resource = "run"
    capabilities = {"stats": "read", "feedback": "feedback"}
    log = "runs"
    queryset = Run.objects.all()
    serializer_class = RunSerializer
    filterset_class = RunFilter
    pagination_class = LogLimitOffset

    def get_serializer_class(self) -> Any:
        return RunDetailSerializer if self.action == "retrieve" else RunSerializer

    @extend_schema(responses={200: RunStatsSerializer})
    @action(detail=False, pagination_class=None, filterset_class=StatsFilter)
    def stats(self, request: Request) -> Response:
        """Totals, latencies, breakdowns and a series over the runs that the filters leave, in whole hours (UTC)."""
        for name in NO_STATISTICS & request.query_params.keys():
            raise InvalidInputError.of(name, "statistics can't be had by this; list the runs instead")
        chosen = StatsFilter(request.query_params, queryset=visible_to(self.actor, RunTally.objects.all()))
        running = self.get_queryset().filter(pk__in=statistics.running())
        if self.actor.environment:  # as tallies have it: what the actor ran elsewhere is in the list alone
            running = running.filter(environment=self.actor.environment)
        going = StatsFilter(request.query_params, queryset=running)
        for wishes in (chosen, going):
            if not wishes.is_valid():
                raise translate_validation(wishes.errors)
        since, until = window(chosen.cleaned_data.get("since"), chosen.cleaned_data.get("until"))
        return Response(RunStatsSerializer(statistics.of(chosen.qs, going.qs, since=since, until=until)).data)

    @extend_schema(request=FeedbackSerializer, responses={200: FeedbackSerializer})
    @action(detail=True, methods=["post"], filterset_class=None)
    def feedback(self, request: Request, pk: str) -> Response:
        """Say what the run was worth; a later word of the same one replaces the former."""
        said = self.valid(FeedbackSerializer)
        return one(FeedbackSerializer(runs.rate(run=self.get_object(), actor=self.actor, **said)).data)
