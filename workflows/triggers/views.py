"""Schedules and webhooks, and the address that signed calls go to."""

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from governance.access.visibility import visible_to
from governance.api.parsing import loads
from governance.api.viewsets import ApiView, ResourceViewSet, one
from governance.core.errors import InvalidInputError
from workflows.filters import TriggerFilter
from workflows.models import Schedule, Webhook, Workflow
from workflows.runs.serializers import NewWebhookSerializer, ScheduleSerializer, WebhookSerializer
from workflows.triggers import schedules, webhooks


class _TriggerViewSet(ResourceViewSet[Any]):
    filterset_class = TriggerFilter

    def workflow(self, values: dict[str, Any]) -> Workflow:
        """The workflow that the body names, if the caller may know of it."""
        found = visible_to(self.actor, Workflow.objects.all()).filter(pk=values.pop("workflow_id")).first()
        if found is None:
            raise InvalidInputError.of("workflow_id", "there is no such workflow")
        return found

    def refuse_move(self, row: Any, values: dict[str, Any]) -> None:
        if values.pop("workflow_id", row.workflow_id) != row.workflow_id:
            raise InvalidInputError.of("workflow_id", "it can't be moved to another workflow: make a new one there")


class ScheduleViewSet(_TriggerViewSet):
    resource = "schedule"
    queryset = Schedule.objects.select_related("workflow")
    serializer_class = ScheduleSerializer

    def perform_create(self, values: dict[str, Any]) -> Schedule:
        return schedules.create_schedule(actor=self.actor, workflow=self.workflow(values), **values)

    def perform_update(self, row: Schedule, values: dict[str, Any], if_match: str | None) -> Schedule:
        self.refuse_move(row, values)
        return schedules.update_schedule(actor=self.actor, schedule=row, if_match=if_match, **values)

    def perform_destroy(self, row: Schedule, if_match: str | None) -> None:
        schedules.delete_schedule(actor=self.actor, schedule=row, if_match=if_match)


class WebhookViewSet(_TriggerViewSet):
    resource = "webhook"
    queryset = Webhook.objects.select_related("workflow")
    serializer_class = WebhookSerializer

    @extend_schema(request=WebhookSerializer, responses={201: NewWebhookSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make a webhook. The answer holds the secret to sign calls with, which is shown this once."""
        values = self.valid()
        workflow = self.workflow(values)
        webhook, secret = webhooks.create_webhook(actor=self.actor, workflow=workflow, **values)
        return one({**self.get_serializer(webhook).data, "secret": secret}, code=201, etag=webhook.etag)

    def perform_update(self, row: Webhook, values: dict[str, Any], if_match: str | None) -> Webhook:
        self.refuse_move(row, values)
        return webhooks.update_webhook(actor=self.actor, webhook=row, if_match=if_match, **values)

    def perform_destroy(self, row: Webhook, if_match: str | None) -> None:
        webhooks.delete_webhook(actor=self.actor, webhook=row, if_match=if_match)


class HookView(ApiView):
    """Where signed calls go: no bearer, the signature is who it is."""

    authentication_classes = []
    permission_classes = []

    @extend_schema(exclude=True)  # its callers sign, and have no use for a schema of bearers
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Start a run of the webhook's workflow. The JSON body is its `input`, an object's members are variables."""
        body = bytes(request._request.body)
        run = webhooks.receive(
            webhook_id=pk,
            timestamp=request.META.get("HTTP_X_PROMPTOPS_TIMESTAMP", ""),
            signature=request.META.get("HTTP_X_PROMPTOPS_SIGNATURE", ""),
            body=body,
            read=lambda: loads(body),
        )
        return Response({"run_id": str(run.pk), "status": run.status}, status=202)
