"""An installation with one of everything in it, under ids that are known before it is made."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from agents.models import AgentSession
from agents.providers.services import create_provider
from agents.services import create_agent
from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.audit.models import AuditEntry
from governance.clients.models import Connection
from governance.core.models import ServerProcess
from governance.identity.authentication import STATIC_ACTOR
from governance.identity.credentials.bearer import digest_of
from governance.identity.models import Token, TokenKind, User
from governance.runs import log as runs
from governance.runs import rollups
from governance.runs.log import OpenRun
from governance.runs.models import Run, RunStatus
from governance.tenancy import workspaces
from governance.tenancy.models import DEFAULT_WORKSPACE, Environment, Membership, Workspace
from prompts import services
from workflows.models import AttemptState, RunState, StepAttempt, Workflow
from workflows.runs.control import new as new_run
from workflows.services import create_workflow, update_workflow
from workflows.services import publish as publish_workflow
from workflows.triggers.schedules import create_schedule
from workflows.triggers.webhooks import create_webhook


def id_of(name: str) -> str:
    """The id of what is called `name` in the world."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


PROMPT, AGENT, WORKFLOW, RUN = id_of("prompt"), id_of("agent"), id_of("workflow"), id_of("run")
USER, WORKSPACE, ENVIRONMENT, TOKEN = id_of("user"), id_of("workspace"), id_of("environment"), id_of("token")
PROVIDER = id_of("provider")
SESSION = "conversation-with-the-static-token"
GOING_RUN, ENDED_RUN = id_of("going run"), id_of("ended run")
SCHEDULE, WEBHOOK = id_of("schedule"), id_of("webhook")
NOWHERE = id_of("what is not there")

KEY = "greeting"
IDS = {
    "prompts": PROMPT,
    "agents": AGENT,
    "workflows": WORKFLOW,
    "providers": PROVIDER,
    "runs": RUN,
    "workflow_runs": GOING_RUN,
    "ended_runs": ENDED_RUN,
    "schedules": SCHEDULE,
    "webhooks": WEBHOOK,
    "users": USER,
    "workspaces": WORKSPACE,
    "environments": ENVIRONMENT,
    "tokens": TOKEN,
}
HTTP_TOOL: dict[str, Any] = {
    "type": "http",
    "name": "look_up",
    "description": "Looks a word up.",
    "method": "GET",
    "url": "https://words.example/{word}",
    "headers": {"X-Key": "a-key-of-the-house"},
    "parameters": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
}
STEPS: list[dict[str, Any]] = [
    {"type": "render", "template": "Hello {{name}}"},
    {"type": "model", "provider": "mock"},
    {"type": "transform", "op": "upper"},
]
#: The same with the names and defaults that they are stored with.
STORED_STEPS: list[dict[str, Any]] = [
    {"name": "render-1", **STEPS[0]},
    {"name": "model-2", "model": "", "config": {}, **STEPS[1]},
    {"name": "transform-3", **STEPS[2]},
]
#: One of each type of step, none of which refers to another; and what every step can have.
ONE_OF_EACH: list[dict[str, Any]] = [
    {"type": "prompt", "prompt_key": KEY, "env": "prod"},
    {"type": "agent", "agent_key": "helper", "variables": {"name": "{{input}}"}},
    {"type": "transform", "op": "replace", "find": "a", "replacement": ""},
    {"type": "extract", "path": "input", "default": [None]},
    {"type": "validate", "schema": {"type": "string"}},
    {"type": "condition", "branches": [{"when": {"path": "input", "op": "exists"}, "goto": "end"}]},
    {"type": "map", "steps": [{"type": "render", "template": "{{item}}"}], "concurrency": 2},
    {"type": "http", "url": "https://api.example/{{name}}", "secret_headers": {"X-Key": "0123456789"}, "json": [None]},
    {"type": "workflow", "workflow_key": "absent", "variables": {}},
    {"type": "approval", "message": "{{input}}?", "timeout": 1.5},
    {
        "type": "wait",
        "seconds": 0,
        "when": {"not": {"or": [{"path": "input", "op": "in", "value": ["a"]}]}},
        "retry": {"max": 1, "backoff": 0, "on": ["step_failed"]},
        "on_error": "continue",
    },
]


def make(workspace_id: str = DEFAULT_WORKSPACE, *, known_ids: bool = True) -> dict[str, str]:
    """Fill a workspace: a prompt with two versions and a rollout, an agent, a workflow, a run, ...

    Returns the ids by the names of `IDS`, which they are unless `known_ids` is false.
    """
    ids = IDS if known_ids else {name: str(uuid.uuid4()) for name in IDS}
    prod = Environment.objects.select_related("workspace").get(workspace_id=workspace_id, name="prod")
    prompt = services.create_prompt(
        actor=SYSTEM, environment=prod, key=KEY, id=uuid.UUID(ids["prompts"]), content="Hello {{name}}", tags=["warm"]
    )
    services.publish(actor=SYSTEM, prompt=prompt)
    services.update_prompt(actor=SYSTEM, prompt=prompt, content="Good day {{name}}")
    services.publish(actor=SYSTEM, prompt=prompt)
    rollout = {"enabled": True, "variant_a": "v1", "variant_b": "v2", "weight_a": 50}
    services.set_rollout(actor=SYSTEM, prompt=prompt, values=rollout)
    agent = create_agent(
        actor=SYSTEM,
        environment=prod,
        key="helper",
        id=uuid.UUID(ids["agents"]),
        prompt="Help {{name}}",
        provider="mock",
    )
    AgentSession.objects.create(
        agent=agent, session_id=SESSION, owner=STATIC_ACTOR.identity, actor=STATIC_ACTOR.name, turns=1
    )
    workflow = create_workflow(
        actor=SYSTEM, workspace=prod.workspace, key="pipeline", id=uuid.UUID(ids["workflows"]), steps=STEPS
    )
    publish_workflow(actor=SYSTEM, workflow=workflow)
    update_workflow(actor=SYSTEM, workflow=workflow, steps=STEPS[:2])
    _runs_of(workflow, ids)
    opened = runs.start(actor=SYSTEM, workspace_id=workspace_id, source="playground", provider="mock", model="mock-1")
    runs.finish(opened, provider="mock", model="mock-1", prompt_tokens=3, output_tokens=5)
    Run.objects.filter(pk=opened.id).update(id=ids["runs"])
    Token.objects.create(
        id=ids["tokens"],
        kind=TokenKind.API,
        name="spare",
        digest=digest_of(ids["tokens"]),
        workspace_id=workspace_id,
        role=Role.VIEWER,
        created_by="system",
    )
    Environment.objects.create(id=ids["environments"], workspace_id=workspace_id, name="spare")
    seen_at = timezone.now() + timedelta(hours=1)  # it counts as alive for as long as the tests may take
    process = ServerProcess.objects.create(host="test", pid=1, started_at=timezone.now(), seen_at=seen_at)
    Connection.objects.create(
        process=process, workspace_id=workspace_id, client_type="sdk", actor="system", connected_at=timezone.now()
    )
    return ids


def _runs_of(workflow: Workflow, ids: dict[str, str]) -> None:
    """A run that waits for a decision and one that is over; a schedule and a webhook."""
    now = timezone.now()
    for name, status in (("workflow_runs", RunState.WAITING), ("ended_runs", RunState.FAILED)):
        log = Run(pk=ids[name], workspace_id=workflow.workspace_id, source="workflow", actor="system")
        log.status = RunStatus.RUNNING if status == RunState.WAITING else RunStatus.ERROR
        log.save(force_insert=True)
        rollups.add([log] if log.status == RunStatus.ERROR else [])
        row = new_run(
            OpenRun(uuid.UUID(ids[name])), actor=SYSTEM, workflow=workflow, definition=workflow.definition, variables={}
        )
        row.status = status
        row.ended_at = now if status == RunState.FAILED else None
        row.save(force_insert=True)
        kind = "approval" if status == RunState.WAITING else "render"
        step = StepAttempt(run=row, path="say", step_id="say", name="say", type=kind, number=1, started_at=now)
        step.status = AttemptState.WAITING if status == RunState.WAITING else AttemptState.FAILED
        step.changed_at = now
        step.save(force_insert=True)
    create_schedule(
        actor=SYSTEM,
        workflow=workflow,
        id=uuid.UUID(ids["schedules"]),
        name="nightly",
        cron="0 3 * * *",
        timezone="UTC",
    )
    create_webhook(actor=SYSTEM, workflow=workflow, id=uuid.UUID(ids["webhooks"]), name="orders")


def make_all() -> dict[str, str]:
    """The world in `default`, with a provider, a spare user and a spare, empty workspace besides."""
    ids = make()
    create_provider(
        actor=SYSTEM, name="house", base_url="https://model.example/v1", default_model="m", id=uuid.UUID(PROVIDER)
    )
    User.objects.create(id=USER, username="somebody", role=Role.VIEWER, password="!")
    Membership.objects.create(user_id=USER, workspace_id=DEFAULT_WORKSPACE)
    workspaces.create_workspace(actor=SYSTEM, name="Spare", slug="spare", id=WORKSPACE)
    return ids


def exists(workspace_id: str) -> bool:
    return Workspace.objects.filter(pk=workspace_id).exists()


def soon() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+00:00", "Z")


def many(name: str, count: int) -> None:
    """Make so many more rows of that resource, in one go."""
    if name == "audit":
        AuditEntry.objects.bulk_create(
            AuditEntry(action="try", resource="none", resource_id=str(number), summary="", actor="test")
            for number in range(count)
        )
    elif name == "runs":
        Run.objects.bulk_create(Run(workspace_id=DEFAULT_WORKSPACE, source="none", actor="test") for _ in range(count))
    else:
        Workspace.objects.bulk_create(Workspace(name="Many", slug=f"many-{number}") for number in range(count))
