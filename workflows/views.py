"""The endpoints of workflows: stored, published, imported, exported and run."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from governance.api.concurrency import if_match
from governance.api.parsing import StrictJSONParser
from governance.api.schema import IF_MATCH
from governance.api.serializers import ErrorSerializer
from governance.api.viewsets import ResourceViewSet, one
from governance.core.errors import InvalidInputError, NotFoundError
from governance.tenancy import workspaces
from workflows import services
from workflows.definition import documents, schema, versions
from workflows.filters import WorkflowFilter
from workflows.models import Workflow
from workflows.runs import execution
from workflows.runs.serializers import StartedSerializer
from workflows.serializers import (
    WorkflowImportSerializer,
    WorkflowPublishSerializer,
    WorkflowRollbackSerializer,
    WorkflowRunErrorSerializer,
    WorkflowRunRequestSerializer,
    WorkflowRunSerializer,
    WorkflowSerializer,
    WorkflowVersionSerializer,
)

FORMATS = ("yaml", "json")
_FORMAT = OpenApiParameter("format", str, enum=FORMATS, description="What `Accept` says, if not said; else YAML.")
_VERSION = OpenApiParameter("version", str, description="`draft` (if not said), `live`, or the label of a version.")
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "maxLength": 200},
    OpenApiParameter.HEADER,
    description="The same key and body again give the same run, and start no second one; another body is 409.",
)
_EXPORTED = {(200, name): OpenApiTypes.OBJECT for name in ("text/yaml", "application/json")} | {404: ErrorSerializer}


class WorkflowViewSet(ResourceViewSet[Workflow]):
    resource = "workflow"
    capabilities = {"run": "run", "versions": "read", "export": "read", "definition_schema": "read"}
    queryset = Workflow.objects.select_related("live")
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
        parameters=[IDEMPOTENCY_KEY],
        responses={
            200: WorkflowRunSerializer,
            202: StartedSerializer,
            400: WorkflowRunErrorSerializer,
            409: WorkflowRunErrorSerializer,
            429: ErrorSerializer,
            502: WorkflowRunErrorSerializer,
            504: WorkflowRunErrorSerializer,
        },
    )
    @action(detail=True, methods=["post"])
    def run(self, request: Request, pk: str) -> Response:
        """Run the workflow once; the answer has one entry a step.

        202 for a run that goes on in the background: one that was to, one that takes long, and one that has to wait.
        """
        workflow = self.get_object()
        values = self.valid(WorkflowRunRequestSerializer)
        key = idempotency_key(request)
        answer = execution.run(actor=self.actor, workflow=workflow, idempotency_key=key, **values)
        return Response(answer.body, status=answer.status)

    # --- versions -----------------------------------------------------------------------------------------------

    @extend_schema(responses={200: WorkflowVersionSerializer(many=True)}, filters=False)
    @action(detail=True, filterset_class=None)
    def versions(self, request: Request, pk: str) -> Response:
        """Every version that was published, newest first."""
        rows: QuerySet[Any] = self.get_object().versions.select_related("workflow")
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(WorkflowVersionSerializer(page, many=True).data)

    @extend_schema(
        request=WorkflowPublishSerializer,
        parameters=[IF_MATCH],
        responses={200: WorkflowVersionSerializer, 404: ErrorSerializer},
    )
    @action(detail=False, methods=["post"])
    def publish(self, request: Request) -> Response:
        """Snapshot the draft as a version and make it live."""
        values = self.valid(WorkflowPublishSerializer)
        workflow = self._named(values.pop("id"))
        version = services.publish(actor=self.actor, workflow=workflow, if_match=if_match(request), **values)
        return one(WorkflowVersionSerializer(version).data)

    @extend_schema(
        request=WorkflowRollbackSerializer,
        parameters=[IF_MATCH],
        responses={200: WorkflowSerializer, 404: ErrorSerializer},
    )
    @action(detail=False, methods=["post"])
    def rollback(self, request: Request) -> Response:
        """Make an earlier version live again."""
        values = self.valid(WorkflowRollbackSerializer)
        workflow = self._named(values.pop("id"))
        return self.represent(
            services.rollback(actor=self.actor, workflow=workflow, if_match=if_match(request), **values)
        )

    # --- documents ----------------------------------------------------------------------------------------------

    @extend_schema(parameters=[_FORMAT, _VERSION], responses=_EXPORTED, filters=False)
    @action(detail=True, filterset_class=None)
    def export(self, request: Request, pk: str) -> HttpResponse:
        """The workflow as a document that can be kept elsewhere and imported again. Secrets are not in it."""
        workflow = self.get_object()
        document = documents.document_of(workflow, _definition(workflow, request))
        services.record_export(actor=self.actor, workflow=workflow)
        if _format(request) == "json":
            return Response(document)
        return HttpResponse(documents.to_yaml(document), content_type="text/yaml; charset=utf-8")

    @extend_schema(
        operation_id="workflows_import_post",
        request={"application/json": WorkflowImportSerializer, "text/yaml": WorkflowImportSerializer},
        responses={200: WorkflowSerializer, 201: WorkflowSerializer},
    )
    @action(
        detail=False,
        methods=["post"],
        url_path="import",
        parser_classes=[StrictJSONParser, documents.YamlParser, documents.ApplicationYamlParser],
    )
    def import_document(self, request: Request) -> Response:
        """Create the workflow of the document's key, or make its draft what the document says."""
        values = self.valid(WorkflowImportSerializer)
        workspace = workspaces.resolve(self.actor, values.pop("workspace_id", None))
        workflow, created = services.import_workflow(actor=self.actor, workspace=workspace, **values)
        return self.represent(workflow, code=status.HTTP_201_CREATED if created else status.HTTP_200_OK)

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT}, filters=False)
    @action(detail=False, url_path="schema", filterset_class=None, pagination_class=None)
    def definition_schema(self, request: Request) -> Response:
        """The JSON Schema of such a document, for editors."""
        return Response(schema.of_document(WorkflowImportSerializer()))

    def _named(self, pk: Any) -> Workflow:
        """The workflow that the body names, if the caller may know of it."""
        workflow = self.get_queryset().filter(pk=pk).first()
        if workflow is None:
            raise NotFoundError
        return workflow


def idempotency_key(request: Request) -> str:
    key: str = request.META.get("HTTP_IDEMPOTENCY_KEY", "")
    if len(key) > 200:
        raise InvalidInputError("Idempotency-Key: expected at most 200 characters")
    return key


def _definition(workflow: Workflow, request: Request) -> dict[str, Any]:
    """The stored definition that the query's `version` names. Raises NotFoundError when there is none."""
    try:
        _, stored = versions.choose(workflow, request.query_params.get("version", "draft"))
    except InvalidInputError:
        raise NotFoundError("version not found") from None
    return stored


def _format(request: Request) -> str:
    wanted = request.query_params.get("format")
    if wanted is None:
        accepted = request.META.get("HTTP_ACCEPT", "")
        return "json" if "json" in accepted and "yaml" not in accepted else "yaml"
    if wanted not in FORMATS:
        raise InvalidInputError.of("format", f"expected one of: {', '.join(FORMATS)}")
    return wanted
