"""The playground: rendering and running a prompt or a text, and what the run log keeps of it (contract, section 7)."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from governance.runs.models import Run
from governance.tenancy.models import Workspace
from tests.agents.upstream import Upstream

MakePrompt = Callable[..., dict[str, Any]]


def run(client: APIClient, **body: Any) -> Any:
    return client.post("/api/playground/run", body)


def logged(client: APIClient, run_id: str) -> dict[str, Any]:
    row: dict[str, Any] = client.get(f"/api/runs/{run_id}").json()["data"]
    return row


def test_the_mock_answers_offline_with_the_words_mock_completion_and_the_rendered_prompt(
    viewer: APIClient, canary: Upstream
) -> None:
    answer = run(viewer, content="Hello {{name}}", variables={"name": "Ada"}, provider="mock", model="any")
    assert answer.status_code == 200, answer.json()
    body = answer.json()
    assert (body["rendered"], body["missing"]) == ("Hello Ada", [])
    assert body["result"].pop("latency_ms") >= 0
    assert body["result"] == {
        "provider": "mock",
        "model": "any",
        "output": "mock completion for: Hello Ada",
        "prompt_tokens": 2,
        "output_tokens": 7,
        "cached_tokens": None,
        "tokens_estimated": False,
        "cost_usd": None,
        "finish_reason": "stop",
    }


def test_the_mock_is_the_provider_unless_the_request_says_another_and_answers_alike_every_time(
    viewer: APIClient,
) -> None:
    one, two = (run(viewer, content="x {{y}}").json() for _ in range(2))
    for body in (one, two):
        body["result"].pop("latency_ms")
    assert one["result"] == two["result"]
    assert (one["result"]["provider"], one["run_id"] == two["run_id"]) == ("mock", False)


def test_a_stored_prompt_is_run_as_its_draft_with_its_own_model_and_config(
    editor: APIClient, make_prompt: MakePrompt, upstream: Upstream
) -> None:
    prompt = make_prompt(content="live", model="m-live", publish=True)
    draft = {"content": "draft of {{who}}", "model": "m-draft", "config": {"temperature": 0.1, "top_p": 0.2}}
    editor.patch(f"/api/prompts/{prompt['id']}", draft)
    answer = run(editor, id=prompt["id"], variables={"who": "Ada"}, provider="ollama", config={"top_p": 0.9})
    assert answer.json()["rendered"] == "draft of Ada"
    messages = [{"role": "user", "content": "draft of Ada"}]
    assert upstream.bodies == [{"model": "m-draft", "messages": messages, "temperature": 0.1, "top_p": 0.9}]
    row = logged(editor, answer.json()["run_id"])
    assert (row["ref_id"], row["ref_key"], row["env"], row["version"]) == (prompt["id"], "greeting", "prod", "v1")


def test_a_run_is_logged_with_who_ran_what_where_and_what_it_took(viewer: APIClient, make_prompt: MakePrompt) -> None:
    prompt = make_prompt()
    answer = run(viewer, id=prompt["id"], variables={"name": "Ada"}).json()
    row = logged(viewer, answer["run_id"])
    assert row.pop("created_at").endswith("Z")
    assert row.pop("latency_ms") >= 0
    assert row == {
        "id": answer["run_id"],
        "source": "playground",
        "ref_id": prompt["id"],
        "ref_key": "greeting",
        "env": "prod",
        "version": "v1",
        "variant": "",
        "prompt_id": prompt["id"],
        "parent_id": None,
        "provider": "mock",
        "model": "mock-1",
        "prompt_tokens": 2,
        "output_tokens": 7,
        "cached_tokens": None,
        "tokens_estimated": False,
        "cost_usd": None,
        "prompt": None,
        "output": None,
        "feedback": [],
        "status": "ok",
        "error": "",
        "actor": viewer.get("/api/me").json()["username"],
        "workspace_id": "default",
    }


@pytest.mark.parametrize(
    ("variables", "rendered", "missing", "unused"),
    [
        ({}, "{{a}} {{ b.c }} {{a}}", ["a", "b.c"], []),
        ({"a": 1, "A": 2}, "1 {{ b.c }} 1", ["b.c"], ["A"]),
        ({"a": None, "b": {"c": ["x", True]}}, 'null ["x",true] null', [], []),
        ({"a": "{{b.c}}", "b.c": "{{a}}", "b": {}}, "{{b.c}} {{a}} {{b.c}}", [], ["b"]),
    ],
)
def test_variables_without_a_value_stay_in_the_text_and_are_listed_as_values_are_that_it_does_not_use(
    viewer: APIClient, variables: dict[str, Any], rendered: str, missing: list[str], unused: list[str]
) -> None:
    body = run(viewer, content="{{a}} {{ b.c }} {{a}}", variables=variables).json()
    assert (body["rendered"], body["missing"], body["unused"]) == (rendered, missing, unused)


def test_names_of_any_script_and_with_hyphens_are_filled_and_missed_like_others(viewer: APIClient) -> None:
    content, values = "Hi {{user-name}}, {{имя}} {{質問}}", {"user-name": "a", "имя": "b", "質問": "c"}
    assert run(viewer, content=content, variables=values, strict=True).json()["rendered"] == "Hi a, b c"
    refused = run(viewer, content=content, variables={}, strict=True)
    assert (refused.status_code, refused.json()["fields"]) == (400, {"variables": ["user-name", "имя", "質問"]})


def test_strict_makes_variables_without_a_value_an_error_that_names_them_and_no_run(
    viewer: APIClient, upstream: Upstream
) -> None:
    refused = run(viewer, content="{{a}} {{b}} {{c}}", variables={"b": ""}, strict=True, provider="ollama")
    assert refused.status_code == 400
    assert refused.json()["fields"] == {"variables": ["a", "c"]}
    assert "a, c" in refused.json()["error"]
    assert (upstream.requests, Run.objects.count()) == ([], 0)
    assert run(viewer, content="{{a}}", variables={"a": ""}, strict=True).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"content": "x", "provider": "nobody"}, "provider"),
        ({"content": "x", "provider": ""}, "provider"),
        ({"content": "x", "provider": 1}, "provider"),
        ({"content": "x", "variables": []}, "variables"),
        ({"content": "x", "variables": "a=b"}, "variables"),
        ({"content": "x", "config": 1}, "config"),
        ({"content": "x", "strict": "yes"}, "strict"),
        ({"content": "x", "stream": "yes"}, "stream"),
        ({"content": "x", "variants": []}, "variants"),
        ({"content": "x", "variants": [{}] * 7}, "variants"),
        ({"content": "x", "variants": [{"version": "v1"}]}, "variants"),
        ({"content": "x", "variants": [{"provider": "nobody"}]}, "provider"),
        ({"content": "x", "version": "v1"}, "version"),
        ({"content": "x", "modell": "typo"}, "modell"),
        ({"id": "no-uuid"}, "id"),
    ],
)
def test_a_run_that_asks_for_what_there_is_not_is_refused_and_the_field_is_named(
    viewer: APIClient, body: dict[str, Any], field: str
) -> None:
    answer = run(viewer, **body)
    assert (answer.status_code, field in answer.json()["fields"]) == (400, True)
    assert Run.objects.count() == 0


def test_an_unknown_provider_is_answered_with_those_that_there_are(viewer: APIClient) -> None:
    assert "mock, openai, claude, ollama, gemini" in run(viewer, content="x", provider="nobody").json()["error"]


def test_a_run_is_of_a_prompt_or_of_a_text_and_not_of_both_or_neither(
    viewer: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt()
    assert run(viewer).status_code == 400
    assert run(viewer, id=prompt["id"], content="x").status_code == 400
    assert run(viewer, content="").json()["rendered"] == ""


def test_a_prompt_that_somebody_may_not_see_cannot_be_run_and_a_workspace_not_be_run_in(
    viewer: APIClient, admin: APIClient, other_workspace: Workspace
) -> None:
    made = admin.post("/api/prompts", {"key": "secret", "content": "x", "workspace_id": other_workspace.pk})
    for identity in (made.json()["data"]["id"], str(uuid.uuid4())):
        refused = run(viewer, id=identity)
        assert (refused.status_code, refused.json()["error"]) == (404, "not found")
    refused = run(viewer, content="x", workspace_id=other_workspace.pk)
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["workspace_id"])
    there = run(admin, content="x", workspace_id=other_workspace.pk).json()
    assert logged(admin, there["run_id"])["workspace_id"] == other_workspace.pk
    assert viewer.get(f"/api/runs/{there['run_id']}").status_code == 404
    assert viewer.get("/api/runs").json()["total"] == 0


def test_a_text_that_its_values_would_blow_up_is_refused(viewer: APIClient, upstream: Upstream) -> None:
    refused = run(viewer, content="{{a}}" * 40_000, variables={"a": "x" * 500_000}, provider="ollama")
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["variables"])
    assert upstream.requests == []


def test_the_statistics_count_the_runs_that_went_well_and_those_that_failed_by_provider(
    viewer: APIClient, upstream: Upstream
) -> None:
    for text in ("one", "two"):
        run(viewer, content=text)
    run(viewer, content="three", provider="ollama")
    upstream.answers(upstream.completion(choices=[]))
    assert run(viewer, content="four", provider="ollama").status_code == 502
    stats = viewer.get("/api/runs/stats").json()
    assert {name: stats[name] for name in ("total", "ok", "error", "running", "prompt_tokens", "output_tokens")} == {
        "total": 4,
        "ok": 3,
        "error": 1,
        "running": 0,
        "prompt_tokens": 1 + 1 + 11,
        "output_tokens": 6 + 6 + 7,
    }
    counts = [(row["provider"], row["count"], row["error"]) for row in stats["by_provider"]]
    assert counts == [("mock", 2, 0), ("ollama", 2, 1)]
    listed = viewer.get("/api/runs?provider=ollama&limit=1").json()
    assert (listed["total"], [row["status"] for row in listed["data"]]) == (2, ["error"])
