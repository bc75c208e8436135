"""Agents: kept, and run (contract, section 7)."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from agents import services
from agents.models import Agent
from governance.access.actors import SYSTEM
from governance.audit.models import AuditEntry
from governance.changes.models import Change
from governance.tenancy.models import Workspace
from prompts.rollouts import pick
from tests.agents.upstream import Upstream

MakePrompt = Callable[..., dict[str, Any]]
MakeAgent = Callable[..., dict[str, Any]]


@pytest.fixture
def make_agent(editor: APIClient) -> MakeAgent:
    def make(key: str = "helper", **fields: Any) -> dict[str, Any]:
        inline = {} if "prompt_key" in fields else {"prompt": "Help {{name}}"}
        answer = editor.post("/api/agents", {"key": key, **inline, **fields})
        assert answer.status_code == 201, answer.json()
        agent: dict[str, Any] = answer.json()["data"]
        return agent

    return make


def run(client: APIClient, agent: dict[str, Any], **body: Any) -> Any:
    return client.post(f"/api/agents/{agent['id']}/run", body)


def test_a_new_agent_runs_on_the_mock_against_prod_of_the_default_workspace(make_agent: MakeAgent) -> None:
    agent = make_agent()
    assert {name: agent.pop(name) for name in ("id", "created_at", "updated_at")}.keys()
    assert agent == {
        "workspace_id": "default",
        "key": "helper",
        "name": "",
        "description": "",
        "prompt": "Help {{name}}",
        "prompt_key": "",
        "env": "prod",
        "provider": "mock",
        "model": "",
        "config": {},
        "output": "text",
        "output_schema": {},
        "tools": [],
        "max_turns": 8,
        "max_tokens": 200_000,
        "max_cost_usd": None,
    }


def test_an_agent_is_read_changed_field_by_field_and_deleted(
    editor: APIClient, make_agent: MakeAgent, admin: APIClient
) -> None:
    agent = make_agent(name="A", config={"temperature": 1})
    path = f"/api/agents/{agent['id']}"
    assert editor.get(path).json()["data"] == agent
    for change in ({"name": "B"}, {"config": {"temperature": True}}, {"env": "dev"}, {"prompt": "P"}, {"model": "m"}):
        before = editor.get(path).json()["data"]
        after = editor.patch(path, change).json()["data"]
        assert repr(after) == repr({**before, **change, "updated_at": after["updated_at"]})
    assert [row["id"] for row in editor.get("/api/agents", {"q": "HELP", "env": "dev"}).json()["data"]] == [agent["id"]]
    assert editor.get("/api/agents", {"env": "prod"}).json()["total"] == 0
    assert editor.delete(path).json() == {"ok": True}
    assert [editor.get(path).status_code, editor.delete(path).status_code] == [404, 404]
    entries = AuditEntry.objects.filter(resource="agent", resource_id=agent["id"]).order_by("created_at")
    assert [entry.action for entry in entries] == ["create", *["update"] * 5, "delete"]
    assert entries[3].changes == {"env": {"old": "prod", "new": "dev"}}
    assert Change.objects.count() == 0, "agents move no revision"


def test_an_agent_that_is_sent_back_as_it_was_read_is_not_changed(editor: APIClient, make_agent: MakeAgent) -> None:
    agent = make_agent(config={"a": 1})
    answer = editor.put(f"/api/agents/{agent['id']}", agent)
    assert (answer.status_code, answer.json()["data"]) == (200, agent)
    assert AuditEntry.objects.filter(resource="agent").count() == 1


@pytest.mark.parametrize(
    "prompts",
    [
        {},
        {"prompt": ""},
        {"prompt_key": ""},
        {"prompt": "x", "prompt_key": "greeting"},
        {"prompt": "", "prompt_key": ""},
    ],
    ids=str,
)
def test_an_agent_has_either_an_inline_prompt_or_a_prompt_key(
    editor: APIClient, make_agent: MakeAgent, prompts: dict[str, str]
) -> None:
    refused = editor.post("/api/agents", {"key": "other", **prompts})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["prompt"])
    path = f"/api/agents/{make_agent()['id']}"
    assert editor.patch(path, {"prompt_key": "greeting"}).status_code == 400
    assert editor.patch(path, {"prompt": ""}).status_code == 400
    moved = editor.patch(path, {"prompt": "", "prompt_key": "greeting"}).json()["data"]
    assert (moved["prompt"], moved["prompt_key"]) == ("", "greeting")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"provider": "nobody"}, "provider"),
        ({"env": "staging"}, "env"),
        ({"key": "a b"}, "key"),
        ({"prompt_key": "a b", "prompt": ""}, "prompt_key"),
        ({"config": []}, "config"),
        ({"promt": "typo"}, "promt"),
    ],
)
def test_an_agent_that_could_not_run_is_refused_when_it_is_saved(
    editor: APIClient, make_agent: MakeAgent, fields: dict[str, Any], named: str
) -> None:
    path = f"/api/agents/{make_agent()['id']}"
    for refused in (editor.post("/api/agents", {"key": "other", "prompt": "x", **fields}), editor.patch(path, fields)):
        assert (refused.status_code, list(refused.json()["fields"])) == (400, [named])
    assert Agent.objects.count() == 1


def test_a_key_is_taken_in_one_workspace_and_free_in_another(
    editor: APIClient, admin: APIClient, make_agent: MakeAgent, other_workspace: Workspace
) -> None:
    make_agent()
    second = make_agent("second")
    assert editor.post("/api/agents", {"key": "helper", "prompt": "x"}).status_code == 409
    assert editor.patch(f"/api/agents/{second['id']}", {"key": "helper"}).status_code == 409
    there = {"key": "helper", "prompt": "x", "workspace_id": other_workspace.pk}
    assert admin.post("/api/agents", there).status_code == 201


def test_a_stale_if_match_is_refused_and_changes_nothing(editor: APIClient, make_agent: MakeAgent) -> None:
    path = f"/api/agents/{make_agent()['id']}"
    etag = editor.get(path).headers["ETag"]
    assert editor.patch(path, {"name": "mine"}, headers={"If-Match": etag}).status_code == 200
    assert editor.patch(path, {"name": "theirs"}, headers={"If-Match": etag}).status_code == 412
    assert editor.delete(path, headers={"If-Match": etag}).status_code == 412
    assert editor.get(path).json()["data"]["name"] == "mine"


def test_an_inline_agent_runs_its_prompt_with_its_provider_model_and_config(
    viewer: APIClient, make_agent: MakeAgent, upstream: Upstream
) -> None:
    agent = make_agent(provider="ollama", model="m-agent", config={"temperature": 0.1, "max_tokens": 5, "own": 1})
    answer = run(viewer, agent, variables={"name": "Ada"}, config={"temperature": 0.9})
    assert (answer.status_code, answer.json()["rendered"]) == (200, "Help Ada")
    messages = [{"role": "user", "content": "Help Ada"}]
    assert upstream.bodies == [{"model": "m-agent", "messages": messages, "temperature": 0.9, "max_tokens": 5}]
    row = viewer.get(f"/api/runs/{answer.json()['run_id']}").json()["data"]
    assert {name: row[name] for name in ("source", "ref_id", "ref_key", "env", "version", "provider", "model")} == {
        "source": "agent",
        "ref_id": agent["id"],
        "ref_key": "helper",
        "env": "prod",
        "version": "",
        "provider": "ollama",
        "model": "model-of-the-provider",
    }


def test_a_run_may_choose_another_provider_and_is_not_sent_there_with_a_model_of_the_agents_own(
    viewer: APIClient, make_agent: MakeAgent
) -> None:
    agent = make_agent(provider="ollama", model="m-of-ollama")
    result = run(viewer, agent, provider="mock").json()["result"]
    assert (result["provider"], result["model"]) == ("mock", "mock-1")
    assert run(viewer, agent, provider="mock", model="asked").json()["result"]["model"] == "asked"


def test_an_agent_with_a_prompt_key_runs_what_an_application_is_served_at_that_moment(
    editor: APIClient, make_agent: MakeAgent, make_prompt: MakePrompt, upstream: Upstream
) -> None:
    prompt = make_prompt(content="one {{x}}", model="m-prompt", config={"temperature": 0.1, "top_p": 0.5}, publish=True)
    agent = make_agent(prompt_key="greeting", provider="ollama", config={"temperature": 0.2})
    editor.patch(f"/api/prompts/{prompt['id']}", {"content": "a draft"})
    first = run(editor, agent, variables={"x": "!"}, config={"seed": 3}).json()
    assert first["rendered"] == "one !"
    messages = [{"role": "user", "content": "one !"}]
    assert upstream.bodies == [{"model": "m-prompt", "messages": messages, "temperature": 0.2, "top_p": 0.5, "seed": 3}]
    editor.post("/api/prompts/publish", {"id": prompt["id"]})
    second = run(editor, agent).json()
    assert second["rendered"] == "a draft"
    versions = [editor.get(f"/api/runs/{r['run_id']}").json()["data"]["version"] for r in (first, second)]
    assert versions == ["v1", "v2"]


def test_a_rollout_picks_for_an_agent_by_unit_as_it_does_for_an_application(
    editor: APIClient, make_agent: MakeAgent, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt(content="one", publish=True)
    editor.patch(f"/api/prompts/{prompt['id']}", {"content": "two"})
    editor.post("/api/prompts/publish", {"id": prompt["id"]})
    path = f"/api/prompts/{prompt['id']}/rollout"
    rollout = editor.put(path, {"variant_a": "v2", "variant_b": "v1", "weight_a": 40}).json()["data"]
    agent = make_agent(prompt_key="greeting")
    for unit in map(str, range(12)):
        variant = pick(seed=rollout["seed"], weight_a=40, unit=unit)
        body = run(editor, agent, unit=unit).json()
        assert body["rendered"] == {"A": "two", "B": "one"}[variant]
        row = editor.get(f"/api/runs/{body['run_id']}").json()["data"]
        assert (row["variant"], row["version"]) == (variant, {"A": "v2", "B": "v1"}[variant])
    assert {run(editor, agent).json()["rendered"] for _ in range(40)} == {"one", "two"}


def test_a_prompt_key_that_nothing_is_served_under_is_a_conflict_that_names_it(
    admin: APIClient, editor: APIClient, make_agent: MakeAgent, make_prompt: MakePrompt
) -> None:
    agent = make_agent(prompt_key="greeting")
    missing = run(editor, agent)
    assert (missing.status_code, "greeting" in missing.json()["error"]) == (409, True)
    prompt = make_prompt()
    assert run(editor, agent).status_code == 200
    prod = next(env for env in admin.get("/api/environments").json()["data"] if env["name"] == "prod")
    admin.put(f"/api/environments/{prod['id']}", {"require_publish": True})
    assert run(editor, agent).status_code == 409
    editor.post("/api/prompts/publish", {"id": prompt["id"]})
    assert run(editor, agent).status_code == 200
    editor.delete(f"/api/prompts/{prompt['id']}")
    assert run(editor, agent).status_code == 409


def test_an_agent_that_fails_says_so_with_what_was_rendered_and_a_run_to_look_up(
    viewer: APIClient, make_agent: MakeAgent, upstream: Upstream
) -> None:
    upstream.answers(upstream.completion(choices=[]))
    failed = run(viewer, make_agent(provider="ollama"), variables={"name": "Ada"})
    assert (failed.status_code, failed.json()["rendered"]) == (502, "Help Ada")
    row = viewer.get(f"/api/runs/{failed.json()['run_id']}").json()["data"]
    assert (row["status"], row["error"], row["source"]) == ("error", failed.json()["error"], "agent")
    assert viewer.get("/api/runs", {"source": "agent", "status": "error"}).json()["total"] == 1


def test_strict_names_what_the_agents_prompt_lacks(viewer: APIClient, make_agent: MakeAgent) -> None:
    refused = run(viewer, make_agent(), strict=True)
    assert (refused.status_code, refused.json()["fields"]) == (400, {"variables": ["name"]})


def test_a_viewer_runs_agents_and_may_not_write_them_and_sees_none_of_another_workspace(
    viewer: APIClient, admin: APIClient, make_agent: MakeAgent, other_workspace: Workspace
) -> None:
    agent = make_agent()
    path = f"/api/agents/{agent['id']}"
    assert run(viewer, agent).status_code == 200
    for refused in (
        viewer.post("/api/agents", {"key": "x", "prompt": "x"}),
        viewer.patch(path, {"name": "x"}),
        viewer.delete(path),
    ):
        assert (refused.status_code, refused.json()["error"]) == (403, "forbidden: requires editor role")
    there = admin.post("/api/agents", {"key": "x", "prompt": "x", "workspace_id": other_workspace.pk}).json()["data"]
    absent = {"id": str(uuid.uuid4())}
    for hidden in (there, absent):
        assert viewer.get(f"/api/agents/{hidden['id']}").status_code == 404
        assert run(viewer, hidden).status_code == 404
    assert [row["key"] for row in viewer.get("/api/agents").json()["data"]] == ["helper"]


def test_when_the_audit_entry_cannot_be_written_nothing_happened_to_the_agent(
    make_agent: MakeAgent, environment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent.objects.get(pk=make_agent()["id"])
    before = list(Agent.objects.values())

    def fail(self: Any, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr(AuditEntry, "save", fail)
    for write in (
        lambda: services.create_agent(actor=SYSTEM, environment=environment("prod"), key="other", prompt="x"),
        lambda: services.update_agent(actor=SYSTEM, agent=agent, name="other"),
        lambda: services.delete_agent(actor=SYSTEM, agent=agent),
    ):
        with pytest.raises(RuntimeError, match="disk full"):
            write()
        assert list(Agent.objects.values()) == before
