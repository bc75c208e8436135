"""What the script of an agent's page asks for: whether a form would be accepted, and runs to try the agent out."""

import uuid
from collections.abc import AsyncGenerator
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_POST

from agents.models import Agent
from agents.runtime import plans, schemas, streaming
from agents.runtime.execution import failure
from agents.runtime.plans import RunRequest
from agents.runtime.streaming import Stream
from agents.serializers import AgentRunRequestSerializer, AgentSerializer
from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.admin.scripts import for_scripts, object_of
from governance.core.errors import DomainError, InvalidInputError, NotFoundError

CHECKED = ("config", "output_schema", "tools")


@require_POST
@for_scripts("agent.write")
def check(actor: Actor, request: HttpRequest) -> HttpResponseBase:
    """What is wrong with `{config, output_schema, tools}`, as a save would answer it, by field."""
    body = object_of(request)
    checked = AgentSerializer(data={name: body[name] for name in CHECKED if name in body}, partial=True)
    problems: dict[str, Any] = {} if checked.is_valid() else dict(checked.errors)
    schema = body.get("output_schema")
    if isinstance(schema, dict) and schema:
        try:
            schemas.check(schema, field="output_schema")
        except InvalidInputError as error:
            problems |= error.fields or {}
    return JsonResponse({"problems": problems})


@require_POST
@for_scripts("agent.run")
def run(actor: Actor, request: HttpRequest, agent_id: uuid.UUID) -> HttpResponseBase:
    """Run the agent as it is saved; the answer is a stream of events, as the API's."""
    agents = visible_to(actor, Agent.objects.select_related("environment")).filter(pk=agent_id)
    agent = agents.first()
    if agent is None:
        raise NotFoundError
    body = AgentRunRequestSerializer(data=object_of(request))
    body.is_valid(raise_exception=True)
    values = body.validated_data
    if values["session"]:
        values.setdefault("session_id", str(uuid.uuid4()))
    try:
        plan = plans.plan_of_agent(agent, RunRequest.of(values), actor=actor)
        return streaming.respond(Stream(actor=actor, plans=[plan], single=True))
    except DomainError as error:
        return streaming.respond(_Failed(actor, error))


class _Failed:
    """A run that failed at once, in the form of one that fails later: the page has one way to show a failure."""

    def __init__(self, actor: Actor, error: DomainError) -> None:
        self.actor = actor
        self.workspaces: set[str] = set()
        self._error = error

    def stop(self, reason: str) -> None:
        """There is nothing to stop."""

    async def events(self) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        yield "error", failure(self._error)
