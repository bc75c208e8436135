"""Agents, the playground and its providers."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents import playground, services
from agents.filters import AgentFilter
from agents.models import Agent
from agents.providers import registry
from agents.serializers import (
    AgentSerializer,
    PlaygroundContentSerializer,
    PlaygroundPromptSerializer,
    ProvidersSerializer,
    RunAnswerSerializer,
    RunErrorSerializer,
    RunRequestSerializer,
)
from governance.api.serializers import ErrorSerializer
from governance.api.viewsets import ApiView, ResourceViewSet, actor_of
from governance.errors import NotFoundError
from governance.querysets import visible_to
from governance.services import environments, workspaces
from prompts.models import Prompt

PLAYGROUND: Any = PolymorphicProxySerializer(
    component_name="Playground",
    serializers=[PlaygroundPromptSerializer, PlaygroundContentSerializer],
    resource_type_field_name=None,
)
RUN_RESPONSES = {200: RunAnswerSerializer, 502: RunErrorSerializer, 504: RunErrorSerializer}


class AgentViewSet(ResourceViewSet[Agent]):
    resource = "agent"
    capabilities = {"run": "run"}
    queryset = Agent.objects.select_related("environment")
    serializer_class = AgentSerializer
    filterset_class = AgentFilter

    def perform_create(self, values: dict[str, Any]) -> Agent:
        workspace = workspaces.resolve(self.actor, values.pop("workspace_id", None))
        environment = environments.resolve(workspace, values.pop("env"), actor=self.actor)
        return services.create_agent(actor=self.actor, environment=environment, **values)

    def perform_update(self, row: Agent, values: dict[str, Any], if_match: str | None) -> Agent:
        workspaces.refuse_move(row.workspace_id, values.pop("workspace_id", None))
        if "env" in values:
            values["environment"] = environments.resolve(row.workspace, values.pop("env"), actor=self.actor)
        return services.update_agent(actor=self.actor, agent=row, if_match=if_match, **values)

    def perform_destroy(self, row: Agent, if_match: str | None) -> None:
        services.delete_agent(actor=self.actor, agent=row, if_match=if_match)

    @extend_schema(request=RunRequestSerializer, responses={**RUN_RESPONSES, 409: ErrorSerializer})
    @action(detail=True, methods=["post"])
    def run(self, request: Request, pk: str) -> Response:
        """Run the agent once."""
        agent = self.get_object()
        return Response(playground.run_agent(actor=self.actor, agent=agent, wishes=self.valid(RunRequestSerializer)))


class PlaygroundView(ApiView):
    capabilities = {"post": "playground.run"}

    @extend_schema(request=PLAYGROUND, responses={**RUN_RESPONSES, 404: ErrorSerializer})
    def post(self, request: Request) -> Response:
        """Render a stored prompt's draft, or the given text, and run it on a model."""
        of_content = isinstance(request.data, Mapping) and "content" in request.data
        body = (PlaygroundContentSerializer if of_content else PlaygroundPromptSerializer)(data=request.data)
        body.is_valid(raise_exception=True)
        wishes, actor = body.validated_data, actor_of(request)
        if of_content:
            workspace = workspaces.resolve(actor, wishes.get("workspace_id"))
            answer = playground.run_content(
                actor=actor, content=wishes["content"], workspace_id=workspace.pk, wishes=wishes
            )
            return Response(answer)
        prompt = visible_to(actor, Prompt.objects.select_related("environment")).filter(pk=wishes["id"]).first()
        if prompt is None:
            raise NotFoundError
        return Response(playground.run_prompt(actor=actor, prompt=prompt, wishes=wishes))


class ProvidersView(ApiView):
    capabilities = {"get": "playground.read"}

    @extend_schema(responses={200: ProvidersSerializer})
    def get(self, request: Request) -> Response:
        """The providers there are, and which of them are ready to use."""
        return Response({"data": list(registry.PROVIDERS), "details": registry.describe()})
