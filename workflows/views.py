"""Workflows."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from governance.api.viewsets import ResourceViewSet
from governance.services import workspaces
from workflows import execution, services
from workflows.filters import WorkflowFilter
from workflows.models import Workflow
from workflows.serializers import (
    WorkflowRunErrorSerializer,
    WorkflowRunRequestSerializer,
    WorkflowRunSerializer,
    WorkflowSerializer,
)


class WorkflowViewSet(ResourceViewSet[Workflow]):
    resource = "workflow"
    capabilities = {"run": "run"}
    queryset = Workflow.objects.all()
    serializer_class = WorkflowSerializer
    filterset_class = WorkflowFilter

    def perform_create(self, values: dict[str, Any]) -> Workflow:
        workspace = workspaces.resolve(self.actor, values.pop("workspace_id", None))
        return services.create_workflow(actor=self.actor, workspace=workspace, **values)

    def perform_update(self, row: Workflow, values: dict[str, Any], if_match: str | None) -> Workflow:
        workspaces.refuse_move(row.workspace_id, values.pop("workspace_id", None))
        return services.update_workflow(actor=self.actor, workflow=row, if_match=if_match, **values)

    def perform_destroy(self, row: Workflow, if_match: str | None) -> None:
        services.delete_workflow(actor=self.actor, workflow=row, if_match=if_match)

    @extend_schema(
        request=WorkflowRunRequestSerializer,
        responses={
            200: WorkflowRunSerializer,
            400: WorkflowRunErrorSerializer,
            502: WorkflowRunErrorSerializer,
            504: WorkflowRunErrorSerializer,
        },
    )
    @action(detail=True, methods=["post"])
    def run(self, request: Request, pk: str) -> Response:
        """Run the workflow once; the answer has one entry a step."""
        workflow = self.get_object()
        wishes = self.valid(WorkflowRunRequestSerializer)
        return Response(execution.run(actor=self.actor, workflow=workflow, **wishes))
