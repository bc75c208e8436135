"""The API of agents, of the playground, and of model providers."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents import services
from agents.filters import AgentFilter
from agents.models import Agent, AgentSession, ModelProvider
from agents.providers import registry
from agents.providers.services import create_provider, delete_provider, update_provider
from agents.runtime import execution, plans, sessions, streaming
from agents.runtime.execution import failure
from agents.runtime.invocations import Plan
from agents.runtime.plans import RunRequest
from agents.runtime.streaming import Stream
from agents.serializers import (
    AgentAnswerSerializer,
    AgentErrorSerializer,
    AgentRunRequestSerializer,
    AgentSerializer,
    ModelProviderSerializer,
    PlaygroundContentSerializer,
    PlaygroundPromptSerializer,
    ProviderInUseSerializer,
    ProvidersSerializer,
    RunAnswerSerializer,
    RunErrorSerializer,
    SessionDetailSerializer,
    SessionSerializer,
    VariantsAnswerSerializer,
)
from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.api.serializers import ErrorSerializer, OkSerializer
from governance.api.viewsets import ApiView, ResourceViewSet, actor_of, ok, one
from governance.core.errors import DomainError, NotFoundError
from governance.tenancy import environments, workspaces
from prompts.models import Prompt

PLAYGROUND: Any = PolymorphicProxySerializer(
    component_name="Playground",
    serializers=[PlaygroundPromptSerializer, PlaygroundContentSerializer],
    resource_type_field_name=None,
)
PLAYGROUND_ANSWER: Any = PolymorphicProxySerializer(
    component_name="PlaygroundAnswer",
    serializers=[RunAnswerSerializer, VariantsAnswerSerializer],
    resource_type_field_name=None,
)
RUN_RESPONSES = {200: RunAnswerSerializer, 429: ErrorSerializer, 502: RunErrorSerializer, 504: RunErrorSerializer}
AGENT_RESPONSES = {
    200: AgentAnswerSerializer,
    409: ErrorSerializer,
    429: ErrorSerializer,
    502: AgentErrorSerializer,
    504: AgentErrorSerializer,
}


class AgentViewSet(ResourceViewSet[Agent]):
    resource = "agent"
    capabilities = {"run": "run", "sessions": "run", "session": "run", "delete_session": "run"}
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

    @extend_schema(request=AgentRunRequestSerializer, responses=AGENT_RESPONSES)
    @action(detail=True, methods=["post"])
    def run(self, request: Request, pk: str) -> HttpResponseBase:
        """Run the agent once. With `stream` the answer is `text/event-stream`."""
        agent = self.get_object()
        values = self.valid(AgentRunRequestSerializer)
        if values["session"]:
            values.setdefault("session_id", str(uuid.uuid4()))
        plan = plans.plan_of_agent(agent, RunRequest.of(values), actor=self.actor)
        return _answer(self.actor, [plan], values)

    @extend_schema(responses={200: SessionSerializer(many=True)})
    @action(detail=True, filterset_class=None)
    def sessions(self, request: Request, pk: str) -> Response:
        """The caller's own conversations with the agent, the last used one first."""
        page = self.paginate_queryset(sessions.own(self.actor, self.get_object()))  # type: ignore[arg-type]
        return self.get_paginated_response(SessionSerializer(page, many=True).data)

    @extend_schema(responses={200: SessionDetailSerializer})
    @action(detail=True, url_path="sessions/<str:session_id>", pagination_class=None, filterset_class=None)
    def session(self, request: Request, pk: str, session_id: str) -> Response:
        """A conversation of the caller's own, with what is remembered of it."""
        return one(SessionDetailSerializer(self._session(session_id)).data)

    @extend_schema(responses={200: OkSerializer})
    @session.mapping.delete
    def delete_session(self, request: Request, pk: str, session_id: str) -> Response:
        """Forget a conversation."""
        sessions.delete(actor=self.actor, session=self._session(session_id))
        return ok()

    def _session(self, session_id: str) -> AgentSession:
        found = sessions.own(self.actor, self.get_object()).filter(session_id=session_id).first()
        if found is None:
            raise NotFoundError
        return found


class PlaygroundView(ApiView):
    capabilities = {"post": "playground.run"}

    @extend_schema(request=PLAYGROUND, responses={**RUN_RESPONSES, 200: PLAYGROUND_ANSWER, 404: ErrorSerializer})
    def post(self, request: Request) -> HttpResponseBase:
        """Render a stored prompt, or the given text, and run it on a model, or on several side by side.

        With `stream` the answer is `text/event-stream`.
        """
        of_content = isinstance(request.data, Mapping) and "content" in request.data
        body = (PlaygroundContentSerializer if of_content else PlaygroundPromptSerializer)(data=request.data)
        body.is_valid(raise_exception=True)
        actor, values = actor_of(request), body.validated_data
        return _answer(actor, (_plans_of_content if of_content else _plans_of_prompt)(actor, values), values)


class ProvidersView(ApiView):
    capabilities = {"get": "playground.read"}

    @extend_schema(responses={200: ProvidersSerializer})
    def get(self, request: Request) -> Response:
        """The providers there are, and which of them are ready to use."""
        details = registry.describe()
        return Response({"data": [provider["name"] for provider in details], "details": details})


@extend_schema_view(
    update=extend_schema(responses={200: ModelProviderSerializer, 409: ProviderInUseSerializer}),
    partial_update=extend_schema(responses={200: ModelProviderSerializer, 409: ProviderInUseSerializer}),
    destroy=extend_schema(responses={200: OkSerializer, 409: ProviderInUseSerializer}),
)
class ModelProviderViewSet(ResourceViewSet[ModelProvider]):
    """Providers as admins set them up: a key for a built-in one, or one more that speaks the OpenAI API."""

    resource = "provider"
    queryset = ModelProvider.objects.all()
    serializer_class = ModelProviderSerializer

    def get_queryset(self) -> Any:
        return self.queryset.all()  # they belong to no workspace; the capability says who may know of them

    def perform_create(self, values: dict[str, Any]) -> ModelProvider:
        return create_provider(actor=self.actor, **values)

    def perform_update(self, row: ModelProvider, values: dict[str, Any], if_match: str | None) -> ModelProvider:
        return update_provider(actor=self.actor, provider=row, if_match=if_match, **values)

    def perform_destroy(self, row: ModelProvider, if_match: str | None) -> None:
        delete_provider(actor=self.actor, provider=row, if_match=if_match)


def _plans_of_content(actor: Actor, values: Mapping[str, Any]) -> list[Plan]:
    workspace = workspaces.resolve(actor, values.get("workspace_id"))
    return plans.plans_of_content(values["content"], workspace.pk, RunRequest.of(values))


def _plans_of_prompt(actor: Actor, values: Mapping[str, Any]) -> list[Plan]:
    prompts = visible_to(actor, Prompt.objects.select_related("environment", "live"))
    prompt = prompts.filter(pk=values["id"]).first()
    if prompt is None:
        raise NotFoundError
    return plans.plans_of_prompt(prompt, RunRequest.of(values))


def _answer(actor: Actor, plans: list[Plan], values: Mapping[str, Any]) -> HttpResponseBase:
    """Make the runs, and answer as the request asks: at once or as a stream, one or side by side."""
    single = "variants" not in values
    if values["stream"]:
        return streaming.respond(Stream(actor=actor, plans=plans, single=single))
    if single:
        return Response(execution.run(actor=actor, plan=plans[0]))
    outcomes = execution.run_each(actor=actor, plans=plans)
    return Response(
        {"variants": [failure(outcome) if isinstance(outcome, DomainError) else outcome for outcome in outcomes]}
    )
