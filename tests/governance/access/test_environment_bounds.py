"""A token that is bound to one environment learns nothing of another, nor of what belongs to none, by any endpoint.

The word PLANTED stands in every text of production, in every run that has no environment, and in what others typed.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from agents.models import Agent
from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.clients.models import Connection
from governance.core.models import ServerProcess
from governance.identity import tokens
from governance.identity.authentication import STATIC_ACTOR
from governance.identity.models import Token
from governance.runs import log
from governance.runs.models import Run
from governance.tenancy.models import Workspace
from prompts.models import Prompt
from tests.conftest import api
from tests.contract import world
from tests.contract.endpoints import ENDPOINTS
from workflows.models import Schedule, Webhook, WorkflowRun
from workflows.triggers.schedules import create_schedule
from workflows.triggers.webhooks import create_webhook

PLANTED = "PLANTED"
Ids = dict[str, list[str]]


def post(client: APIClient, path: str, body: dict[str, Any], status: int = 201) -> Any:
    answer = client.post(path, body)
    assert answer.status_code == status, answer.json()
    return answer.json().get("data", answer.json())


@pytest.fixture
def ids(static: APIClient, workspace: Workspace) -> Ids:
    """Production and what has no environment, full of PLANTED; returns the ids of all rows by their resource."""
    static.patch(f"/api/workspaces/{workspace.pk}", {"keep_content": True})
    text = f"{PLANTED} {{{{name}}}}"
    fields = {"content": text, "name": PLANTED, "category": PLANTED, "tags": [PLANTED], "config": {"stop": PLANTED}}
    prompt = post(static, "/api/prompts", {"key": "greeting", "env": "prod", **fields})
    post(static, "/api/prompts", {"key": "greeting", "env": "dev", "content": "harmless {{name}}"})
    for label in ("v1", "v2"):
        static.patch(f"/api/prompts/{prompt['id']}", {"content": f"{text} {label}"})
        post(static, "/api/prompts/publish", {"id": prompt["id"], "version": label, "note": PLANTED}, 200)
    rollout = {"enabled": True, "variant_a": "v1", "variant_b": "v2", "weight_a": 50}
    static.put(f"/api/prompts/{prompt['id']}/rollout", rollout)
    agent = {"prompt": text, "description": PLANTED, "name": PLANTED, "config": {"stop": PLANTED}}
    prod_agent = post(static, "/api/agents", {"key": "helper", "env": "prod", **agent})
    dev_agent = post(static, "/api/agents", {"key": "listener", "env": "dev", "prompt": "I heard {{input}}"})

    # A workflow itself is the whole workspace's. What it makes of production is not.
    steps = [
        {"type": "prompt", "prompt_key": "greeting", "env": "prod"},
        {"type": "model", "provider": "mock"},
        {"type": "agent", "agent_key": "listener"},
    ]
    flow = post(static, "/api/workflows", {"key": "pipeline", "steps": steps})
    post(static, "/api/workflows/publish", {"id": flow["id"]}, 200)
    caller = {"prompt": '@call pipeline {"input": "x"}', "model": "mock-script", "tools": [
        {"type": "workflow", "key": "pipeline"},
    ]}  # fmt: skip
    calling_agent = post(static, "/api/agents", {"key": "caller", "env": "dev", **caller})
    variables = {"variables": {"name": PLANTED, "input": PLANTED}}
    done = [
        post(static, "/api/playground/run", {"content": text, **variables}, 200),
        post(static, "/api/playground/run", {"id": prompt["id"], **variables}, 200),
        post(static, f"/api/agents/{prod_agent['id']}/run", variables, 200),
        post(static, f"/api/agents/{calling_agent['id']}/run", {"variables": {}}, 200),
        post(static, f"/api/workflows/{flow['id']}/run", {**variables, "background": False}, 200),
    ]
    assert PLANTED in json.dumps(done[3]), "the agent of dev was told the text of production by its tool"
    static.post("/api/playground/run", {"content": text, **variables, "model": "mock-malformed"})
    for answer in done:
        post(static, f"/api/runs/{answer['run_id']}/feedback", {"score": 1, "comment": PLANTED}, 200)
    session = {"variables": {"input": PLANTED}, "session_id": "chat"}
    post(static, f"/api/agents/{dev_agent['id']}/run", session, 200)
    Run.objects.filter(
        ref_key="listener", parent_id=None
    ).delete()  # in dev, with what was typed there: not of this test
    broken = log.start(actor=STATIC_ACTOR, workspace_id="default", source="playground", ref_key=PLANTED)
    log.fail(broken, PLANTED, prompt=PLANTED)
    kept = WorkflowRun.objects.get()
    create_schedule(
        actor=STATIC_ACTOR, workflow=_flow(flow), name=PLANTED, cron="0 3 * * *", variables={"name": PLANTED}
    )
    create_webhook(actor=STATIC_ACTOR, workflow=_flow(flow), name=PLANTED, variables={"name": PLANTED})
    tokens.create_token(actor=SYSTEM, workspace=workspace, name=PLANTED, role=Role.VIEWER, env="prod")
    tokens.create_token(actor=SYSTEM, workspace=workspace, name=PLANTED, role=Role.VIEWER)
    process = ServerProcess.objects.create(host="test", pid=1, started_at=timezone.now(), seen_at=timezone.now())
    for namespace in ("prod", ""):
        Connection.objects.create(
            process=process, workspace=workspace, client_type="sdk", app=PLANTED, namespace=namespace,
            actor="x", connected_at=timezone.now(),
        )  # fmt: skip
    return {
        "prompts": [str(pk) for pk in Prompt.objects.values_list("pk", flat=True)],
        "agents": [str(pk) for pk in Agent.objects.values_list("pk", flat=True)],
        "workflows": [flow["id"]],
        "workflows/runs": [str(kept.pk)],
        "runs": [str(pk) for pk in Run.objects.values_list("pk", flat=True)],
        "schedules": [str(pk) for pk in Schedule.objects.values_list("pk", flat=True)],
        "webhooks": [str(pk) for pk in Webhook.objects.values_list("pk", flat=True)],
        "tokens": [str(pk) for pk in Token.objects.values_list("pk", flat=True)],
        "environments": [str(one.pk) for one in workspace.environments.all()],
        "workspaces": [workspace.pk],
    }


def _flow(flow: dict[str, Any]) -> Any:
    from workflows.models import Workflow

    return Workflow.objects.get(pk=flow["id"])


def bound(workspace: Workspace, role: Role, name: str = "app", env: str | None = "dev") -> APIClient:
    return api(tokens.create_token(actor=SYSTEM, workspace=workspace, name=name, role=role, env=env)[1])


def requests(ids: Ids) -> Iterator[tuple[str, str, Any]]:
    """Every operation of the schema, on every row that there is, with a body that is taken there and with none."""
    schema = SchemaGenerator().get_schema(public=True)
    bodies = {(endpoint.method, endpoint.route): endpoint.body for endpoint in ENDPOINTS}
    for route, operations in schema["paths"].items():
        resource = "workflows/runs" if "/workflows/runs/" in route else route.split("/")[2]
        for id_ in ids.get(resource, [world.NOWHERE]) if "{id}" in route else [""]:
            path = route.replace("{id}", id_).replace("{session_id}", "chat").replace("{key}", "greeting")
            for method in operations:
                if method not in {"get", "post", "put", "patch", "delete"} or path == "/api/logout":
                    continue
                body = bodies.get((method.upper(), route))
                if body and body.get("id") == world.PROMPT:
                    yield from ((method, path, {**body, "id": pk}) for pk in ids["prompts"])
                elif body and world.WORKFLOW in body.values():
                    name = next(name for name, value in body.items() if value == world.WORKFLOW)
                    yield method, path, {**body, name: ids["workflows"][0]}
                else:
                    yield method, path, body
    for prompt in ids["prompts"]:
        yield "post", "/api/playground/run", {"id": prompt, "variables": {}}
    for query in (
        "env=prod",
        "namespace=prod",
        "env=",
        f"q={PLANTED}",
        f"key={PLANTED}",
        "version=v1",
        "workspace=default",
    ):
        for path in (
            "prompts",
            "agents",
            "runs",
            "runs/stats",
            "clients",
            "tokens",
            "sdk/prompts",
            "sdk/prompts/greeting",
        ):
            yield "get", f"/api/{path}?{query}", None


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR, Role.ADMIN])
def test_no_endpoint_tells_a_token_of_dev_what_is_in_prod_or_was_typed_by_others(
    role: Role, ids: Ids, workspace: Workspace, static: APIClient
) -> None:
    client, seen, asked = bound(workspace, role), 0, 0
    for method, path, body in requests(ids):
        with transaction.atomic():
            answer = getattr(client, method)(path, body)
            text = b"".join(answer) if answer.streaming and not answer.is_async else getattr(answer, "content", b"")
            transaction.set_rollback(True)
        assert answer.status_code not in {500, 503}, (method, path)
        assert PLANTED.encode() not in text.replace(path.encode(), b""), (method, path, body, answer.status_code)
        seen += answer.status_code == 200
        asked += 1
    assert asked > 150, "it did ask"
    assert seen > 30, "it was answered"
    assert PLANTED in static.get("/api/runs").content.decode()


def test_a_token_of_dev_counts_and_lists_what_is_in_dev_and_what_it_started_itself(
    ids: Ids, workspace: Workspace, static: APIClient
) -> None:
    client, peer = bound(workspace, Role.VIEWER), bound(workspace, Role.VIEWER)
    own = client.post("/api/playground/run", {"content": "my {{name}}", "variables": {"name": "Ada"}}).json()["run_id"]
    prompt = Prompt.objects.get(environment__name="dev")
    shared = static.post("/api/playground/run", {"id": str(prompt.pk), "variables": {}}).json()["run_id"]
    assert client.get(f"/api/runs/{own}").json()["data"]["prompt"] == "my Ada"
    assert client.get(f"/api/runs/{shared}").json()["data"]["prompt"] == "harmless {{name}}"
    assert peer.get(f"/api/runs/{own}").status_code == 404
    listed = client.get("/api/runs").json()
    assert listed["total"] == len(listed["data"])
    assert {own, shared} <= {row["id"] for row in listed["data"]}
    assert {row["env"] for row in listed["data"]} == {"", "dev"}
    stats = client.get("/api/runs/stats").json()
    assert stats["total"] == static.get("/api/runs/stats", {"env": "dev"}).json()["total"] > 0
    flow = ids["workflows"][0]
    failed = client.post(f"/api/workflows/{flow}/run", {"variables": {"name": "Ada"}})
    assert (failed.status_code, "no prompt greeting is served in prod" in failed.json()["error"]) == (502, True)
    assert client.get("/api/workflows/runs").json()["total"] == 1


def test_a_token_of_one_environment_changes_no_workflow_since_others_run_it(
    ids: Ids, workspace: Workspace, static: APIClient
) -> None:
    client, [flow] = bound(workspace, Role.ADMIN), ids["workflows"]
    steps = [{"type": "http", "url": "https://attacker.example/"}]
    before = static.get(f"/api/workflows/{flow}").json()
    for answer in (
        client.put(f"/api/workflows/{flow}", {"steps": steps}),
        client.patch(f"/api/workflows/{flow}", {"steps": steps}),
        client.delete(f"/api/workflows/{flow}"),
        client.post("/api/workflows", {"key": "new", "steps": steps}),
        client.post("/api/workflows/import", {"key": "pipeline", "steps": steps}),
        client.post("/api/workflows/publish", {"id": flow}),
        client.post("/api/workflows/rollback", {"id": flow, "version": "v1"}),
    ):
        assert (answer.status_code, answer.json()["error"]) == (
            403,
            "forbidden: this token is bound to one environment",
        )
    assert static.get(f"/api/workflows/{flow}").json() == before


def test_a_token_of_one_environment_takes_over_no_schedule_and_no_webhook_of_others(
    ids: Ids, workspace: Workspace, static: APIClient
) -> None:
    client, peer = bound(workspace, Role.EDITOR), bound(workspace, Role.EDITOR)
    for name in ("schedules", "webhooks"):
        path = f"/api/{name}/{ids[name][0]}"
        for answer in (client.get(path), client.patch(path, {"enabled": False}), client.delete(path)):
            assert answer.status_code == 404, path
        assert static.get(path).json()["data"]["enabled"] is True
    made = post(client, "/api/schedules", {"workflow_id": ids["workflows"][0], "name": "mine", "cron": "0 3 * * *"})
    assert [one["id"] for one in peer.get("/api/schedules").json()["data"]] == [made["id"]]
    assert bound(workspace, Role.EDITOR, env="test").get("/api/schedules").json()["total"] == 0
    assert Schedule.objects.get(pk=made["id"]).bounds["environment"] == "dev"


def test_an_agent_that_a_token_of_dev_edited_reaches_nothing_beyond_dev_whoever_runs_it(
    ids: Ids, workspace: Workspace, static: APIClient
) -> None:
    client = bound(workspace, Role.EDITOR)
    tool = {"type": "workflow", "key": "pipeline"}
    script = {"prompt": '@call pipeline {"input": "x"}', "model": "mock-script", "tools": [tool]}
    made = post(client, "/api/agents", {"key": "deputy", "env": "dev", **script})
    answer = static.post(f"/api/agents/{made['id']}/run", {"variables": {}})
    [called] = answer.json()["turns"][0]["tools"]
    assert "no prompt greeting is served in prod" in called["error"]
    assert PLANTED not in answer.content.decode()
    static.patch(f"/api/agents/{made['id']}", {"description": "looked at by somebody who may see production"})
    assert PLANTED in static.post(f"/api/agents/{made['id']}/run", {"variables": {}}).content.decode()


# --- whose something is, is told by kind and id ---


@pytest.fixture
def namesakes(workspace: Workspace) -> Callable[[], APIClient]:
    return lambda: bound(workspace, Role.EDITOR, "deploy", None)


def test_a_key_of_one_token_starts_no_run_of_another_one_of_the_same_name(
    namesakes: Callable[[], APIClient], static: APIClient
) -> None:
    flow = post(static, "/api/workflows", {"key": "say", "steps": [{"type": "render", "template": "{{name}}"}]})
    answers = [
        client.post(
            f"/api/workflows/{flow['id']}/run", {"variables": {"name": name}}, headers={"Idempotency-Key": "one"}
        )
        for client, name in ((namesakes(), "first"), (namesakes(), "second"))
    ]
    assert [(answer.status_code, answer.json()["output"]) for answer in answers] == [(200, "first"), (200, "second")]
    again = namesakes().post(f"/api/workflows/{flow['id']}/run", {"variables": {}}, headers={"Idempotency-Key": "one"})
    assert again.json()["run_id"] not in {answer.json()["run_id"] for answer in answers}


def test_a_conversation_of_one_token_is_not_that_of_another_one_of_the_same_name(
    namesakes: Callable[[], APIClient], static: APIClient
) -> None:
    agent = post(static, "/api/agents", {"key": "a", "prompt": "{{input}}"})
    first, second = namesakes(), namesakes()
    body = {"variables": {"input": "my secret"}, "session_id": "chat"}
    post(first, f"/api/agents/{agent['id']}/run", body, 200)
    assert second.get(f"/api/agents/{agent['id']}/sessions").json()["total"] == 0
    assert second.get(f"/api/agents/{agent['id']}/sessions/chat").status_code == 404
    assert first.get(f"/api/agents/{agent['id']}/sessions/chat").status_code == 200


def test_feedback_of_one_token_is_not_overwritten_by_another_one_of_the_same_name(
    namesakes: Callable[[], APIClient], static: APIClient
) -> None:
    run = static.post("/api/playground/run", {"content": "x"}).json()["run_id"]
    for client, score in ((namesakes(), 1), (namesakes(), -1)):
        post(client, f"/api/runs/{run}/feedback", {"score": score}, 200)
    said = static.get(f"/api/runs/{run}").json()["data"]["feedback"]
    assert sorted(word["score"] for word in said) == [-1, 1]
    assert {word["actor"] for word in said} == {"token deploy"}


def test_a_run_that_a_schedule_starts_is_of_who_set_it_up(workspace: Workspace, static: APIClient) -> None:
    from workflows.triggers import schedules

    flow = post(static, "/api/workflows", {"key": "say", "steps": [{"type": "render", "template": "x"}]})
    client = bound(workspace, Role.EDITOR)
    made = post(client, "/api/schedules", {"workflow_id": flow["id"], "name": "mine", "cron": "0 3 * * *"})
    schedule = Schedule.objects.get(pk=made["id"])
    [run] = schedules.tick(schedule.next_at)
    token = Token.objects.get(pk=uuid.UUID(schedule.bounds["token_id"]))
    assert run.actor_identity == Run.objects.get(pk=run.pk).actor_identity == f"token:{token.pk}"
    assert client.get(f"/api/runs/{run.pk}").status_code == 200
    assert client.get(f"/api/workflows/runs/{run.pk}").json()["data"]["actor"] == "token app"
