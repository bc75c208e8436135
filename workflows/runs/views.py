"""Runs of workflows: what they came to, and what people do to them."""

from typing import Any

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from governance.api.pagination import LimitOffset
from governance.api.viewsets import ReadViewSet
from workflows.filters import WorkflowRunFilter
from workflows.models import WorkflowRun
from workflows.runs import control, watching
from workflows.runs.serializers import (
    DecisionSerializer,
    ResumeSerializer,
    RunEventSerializer,
    WorkflowRunDetailSerializer,
    WorkflowRunRowSerializer,
)


class RunsPage(LimitOffset):
    default_limit = 50
    max_limit = 200


class WorkflowRunViewSet(ReadViewSet[WorkflowRun]):
    resource = "workflow_run"
    capabilities = {"events": "read", "cancel": "cancel", "resume": "resume", "approve": "decide", "reject": "decide"}
    queryset = WorkflowRun.objects.all()
    filterset_class = WorkflowRunFilter
    pagination_class = RunsPage

    def get_queryset(self) -> QuerySet[WorkflowRun]:
        rows = super().get_queryset()
        if self.action == "list":
            rows = rows.defer("definition", "variables", "output", "bounds")
        return rows

    def get_serializer_class(self) -> Any:
        return WorkflowRunRowSerializer if self.action == "list" else WorkflowRunDetailSerializer

    @extend_schema(request=None, responses={200: WorkflowRunDetailSerializer})
    @action(detail=True, methods=["post"], filterset_class=None)
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop the run where it is; a step under way is stopped within two seconds."""
        return self.represent(control.cancel(actor=self.actor, run=self.get_object()))

    @extend_schema(request=ResumeSerializer, responses={200: WorkflowRunDetailSerializer})
    @action(detail=True, methods=["post"], filterset_class=None)
    def resume(self, request: Request, pk: str) -> Response:
        """Go on with a run that ended: where it failed, or again from a step on. What was done before is kept."""
        wishes = self.valid(ResumeSerializer)
        return self.represent(control.resume(actor=self.actor, run=self.get_object(), step=wishes.get("from")))

    @extend_schema(request=DecisionSerializer, responses={200: WorkflowRunDetailSerializer})
    @action(detail=True, methods=["post"], filterset_class=None)
    def approve(self, request: Request, pk: str) -> Response:
        """Say yes to the approval that the run waits for."""
        return self._decide(approved=True)

    @extend_schema(request=DecisionSerializer, responses={200: WorkflowRunDetailSerializer})
    @action(detail=True, methods=["post"], filterset_class=None)
    def reject(self, request: Request, pk: str) -> Response:
        """Say no to the approval that the run waits for."""
        return self._decide(approved=False)

    @extend_schema(responses={(200, "text/event-stream"): OpenApiResponse(RunEventSerializer, "Until it ends.")})
    @action(detail=True, filterset_class=None, pagination_class=None)
    def events(self, request: Request, pk: str) -> HttpResponseBase:
        """The run as server-sent events: `run` and `step` as they change, and `end` with the run that is over."""
        return watching.respond(self.get_object(), actor=self.actor)

    def _decide(self, *, approved: bool) -> Response:
        said = self.valid(DecisionSerializer)
        return self.represent(control.decide(actor=self.actor, run=self.get_object(), approved=approved, **said))
