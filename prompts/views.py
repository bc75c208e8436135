"""The API for operators. What applications fetch is in prompts/delivery."""

from typing import Any

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from governance.api.concurrency import if_match
from governance.api.schema import IF_MATCH
from governance.api.serializers import ErrorSerializer, OkSerializer
from governance.api.viewsets import ResourceViewSet, ok, one
from governance.core.errors import NotFoundError
from governance.tenancy import environments, workspaces
from prompts import services
from prompts.filters import PromptFilter
from prompts.models import Prompt, PromptTag, Rollout
from prompts.serializers import (
    CopySerializer,
    PromptSerializer,
    PromptVersionSerializer,
    PublishSerializer,
    RollbackSerializer,
    RolloutSerializer,
    VersionSerializer,
)


class PromptViewSet(ResourceViewSet[Prompt]):
    resource = "prompt"
    capabilities = {"versions": "read", "get_rollout": "read"}
    queryset = Prompt.objects.select_related("environment", "live")
    serializer_class = PromptSerializer
    filterset_class = PromptFilter

    def get_queryset(self) -> QuerySet[Prompt]:
        rows = super().get_queryset()
        if self.action != "list":
            return rows
        # Of what is live only the label is shown, and the tags of all rows come by one query.
        tags = PromptTag.objects.order_by("id").only("prompt_id", "name")
        return rows.defer("live__content", "live__config").prefetch_related(Prefetch("tags", tags))

    def perform_create(self, values: dict[str, Any]) -> Prompt:
        workspace = workspaces.resolve(self.actor, values.pop("workspace_id", None))
        environment = environments.resolve(workspace, values.pop("env"), actor=self.actor)
        return services.create_prompt(actor=self.actor, environment=environment, **values)

    def perform_update(self, row: Prompt, values: dict[str, Any], if_match: str | None) -> Prompt:
        workspaces.refuse_move(row.workspace_id, values.pop("workspace_id", None))
        if "env" in values:
            workspace = row.environment.workspace
            values["environment"] = environments.resolve(workspace, values.pop("env"), actor=self.actor)
        return services.update_prompt(actor=self.actor, prompt=row, if_match=if_match, **values)

    def perform_destroy(self, row: Prompt, if_match: str | None) -> None:
        services.delete_prompt(actor=self.actor, prompt=row, if_match=if_match)

    @extend_schema(responses={200: PromptVersionSerializer(many=True)}, filters=False)
    @action(detail=True, filterset_class=None)
    def versions(self, request: Request, pk: str) -> Response:
        """Every version, newest first."""
        versions: QuerySet[Any] = self.get_object().versions.select_related("prompt__environment")
        page = self.paginate_queryset(versions)
        return self.get_paginated_response(PromptVersionSerializer(page, many=True).data)

    @extend_schema(
        request=VersionSerializer,
        parameters=[IF_MATCH],
        responses={200: PromptVersionSerializer, 201: PromptVersionSerializer, 409: ErrorSerializer},
    )
    @versions.mapping.post
    def create_version(self, request: Request, pk: str) -> Response:
        """Snapshot the draft as a version, and leave live what is live; 200 when there is that very version already."""
        values = self.valid(VersionSerializer)
        version, new = services.create_version(
            actor=self.actor, prompt=self.get_object(), if_match=if_match(request), **values
        )
        code = status.HTTP_201_CREATED if new else status.HTTP_200_OK
        return one(PromptVersionSerializer(version).data, code=code)

    @extend_schema(
        request=PublishSerializer,
        parameters=[IF_MATCH],
        responses={200: PromptVersionSerializer, 404: ErrorSerializer},
    )
    @action(detail=False, methods=["post"])
    def publish(self, request: Request) -> Response:
        """Snapshot the draft as a version and make it live."""
        values = self.valid(PublishSerializer)
        prompt = self._named(values.pop("id"))
        version = services.publish(actor=self.actor, prompt=prompt, if_match=if_match(request), **values)
        return one(PromptVersionSerializer(version).data)

    @extend_schema(
        request=RollbackSerializer,
        parameters=[IF_MATCH],
        responses={200: PromptSerializer, 404: ErrorSerializer},
    )
    @action(detail=False, methods=["post"])
    def rollback(self, request: Request) -> Response:
        """Make an earlier version live again."""
        values = self.valid(RollbackSerializer)
        prompt = self._named(values.pop("id"))
        prompt = services.rollback(actor=self.actor, prompt=prompt, if_match=if_match(request), **values)
        return self.represent(prompt)

    @extend_schema(
        request=CopySerializer,
        responses={200: PromptSerializer, 201: PromptSerializer, 409: ErrorSerializer},
    )
    @action(detail=True, methods=["post"])
    def copy(self, request: Request, pk: str) -> Response:
        """Copy the draft into an environment of the same workspace; 200 when a prompt that was there took it over."""
        values, row = self.valid(CopySerializer), self.get_object()
        environment = environments.resolve(row.environment.workspace, values.pop("env"), actor=self.actor)
        made, new = services.copy_prompt(actor=self.actor, prompt=row, environment=environment, **values)
        return self.represent(made, code=status.HTTP_201_CREATED if new else status.HTTP_200_OK)

    @extend_schema(responses={200: RolloutSerializer(allow_null=True)})
    @action(detail=True, methods=["get"], url_path="rollout", url_name="rollout")
    def get_rollout(self, request: Request, pk: str) -> Response:
        """The prompt's rollout, or null when there is none."""
        prompt = self.get_object()
        rollout = Rollout.objects.select_related("prompt__environment", "variant_a", "variant_b").filter(prompt=prompt)
        found = rollout.first()
        return one(RolloutSerializer(found).data if found else None)

    @extend_schema(request=RolloutSerializer, responses={200: RolloutSerializer})
    @get_rollout.mapping.put
    def set_rollout(self, request: Request, pk: str) -> Response:
        """Make or change the rollout; what is not sent stays as it is."""
        values = self.valid(RolloutSerializer, partial=True)
        return one(
            RolloutSerializer(services.set_rollout(actor=self.actor, prompt=self.get_object(), values=values)).data
        )

    @extend_schema(responses={200: OkSerializer})
    @get_rollout.mapping.delete
    def delete_rollout(self, request: Request, pk: str) -> Response:
        """End the rollout."""
        services.delete_rollout(actor=self.actor, prompt=self.get_object())
        return ok()

    def _named(self, pk: Any) -> Prompt:
        """The prompt that the body names, if the caller may know of it."""
        prompt = self.get_queryset().filter(pk=pk).first()
        if prompt is None:
            raise NotFoundError
        return prompt
