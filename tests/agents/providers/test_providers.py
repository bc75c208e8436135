"""What goes to a provider and what is taken from its answer (contract, section 7), over a real socket."""

import re
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from agents.providers import registry
from agents.providers.parameters import MODEL_PARAMETERS
from tests.agents.upstream import Upstream

KEYS = {"openai": "OPENAI_API_KEY", "claude": "ANTHROPIC_API_KEY", "gemini": "GEMINI_API_KEY"}


def run(client: APIClient, **body: Any) -> Any:
    return client.post("/api/playground/run", {"content": "Hi {{name}}", "variables": {"name": "Ada"}, **body})


@pytest.mark.parametrize("name", [*KEYS, "ollama"])
def test_a_provider_is_sent_the_rendered_prompt_with_the_servers_key_for_it_and_no_other(
    viewer: APIClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for variable in KEYS.values():
        monkeypatch.setenv(variable, f"key-in-{variable}")
    answer = run(viewer, provider=name, model="m-1")
    assert answer.status_code == 200, answer.json()
    [request] = upstream.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert upstream.bodies == [{"model": "m-1", "messages": [{"role": "user", "content": "Hi Ada"}]}]
    expected = f"Bearer key-in-{KEYS[name]}" if name in KEYS else None
    assert request.headers.get("Authorization") == expected


def test_the_answer_is_the_output_with_the_providers_own_word_on_model_usage_and_end(
    viewer: APIClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-server")
    body = run(viewer, provider="openai").json()
    run_id, latency = body.pop("run_id"), body["result"].pop("latency_ms")
    assert body == {
        "rendered": "Hi Ada",
        "missing": [],
        "unused": [],
        "result": {
            "provider": "openai",
            "model": "model-of-the-provider",
            "output": "Fine.",
            "prompt_tokens": 11,
            "output_tokens": 7,
            "cached_tokens": None,
            "tokens_estimated": False,
            "cost_usd": None,
            "finish_reason": "stop",
        },
    }
    logged = viewer.get(f"/api/runs/{run_id}").json()["data"]
    assert {name: logged[name] for name in ("status", "provider", "model", "prompt_tokens", "output_tokens")} == {
        "status": "ok",
        "provider": "openai",
        "model": "model-of-the-provider",
        "prompt_tokens": 11,
        "output_tokens": 7,
    }
    assert latency == logged["latency_ms"] >= 0


def test_the_parameters_of_models_are_sent_the_requests_before_the_prompts_own_and_what_is_not_is_told(
    editor: APIClient, upstream: Upstream
) -> None:
    own = dict.fromkeys(MODEL_PARAMETERS, "own")
    prompt = editor.post("/api/prompts", {"key": "k", "content": "x", "config": {**own, "ours": 1, "stream": True}})
    answer = editor.post(
        "/api/playground/run",
        {
            "id": prompt.json()["data"]["id"],
            "provider": "ollama",
            "config": {"temperature": 0.5, "stop": ["a"]},
        },
    )
    assert answer.status_code == 200, answer.json()
    [sent] = upstream.bodies
    assert sent == {
        **own,
        "temperature": 0.5,
        "stop": ["a"],
        "model": "llama3.2",
        "messages": [{"role": "user", "content": "x"}],
    }
    assert answer.json()["result"]["unsent"] == ["ours", "stream"]


@pytest.mark.parametrize("name", ["theirs", "messages", "stream", "n", "extra_headers", "temperatur"])
def test_what_is_no_parameter_of_models_is_refused_in_a_request_by_its_name(
    viewer: APIClient, upstream: Upstream, name: str
) -> None:
    for body in ({"config": {name: 1}}, {"variants": [{"config": {name: 1}}]}):
        refused = run(viewer, provider="ollama", **body)
        assert (refused.status_code, name in refused.json()["error"]) == (400, True), refused.json()
    assert upstream.requests == []
    assert name != "temperatur" or "did you mean temperature?" in refused.json()["error"]


def test_an_empty_key_and_an_empty_address_count_as_not_given(
    viewer: APIClient, editor: APIClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-server")
    empty = {"api_key": "", "base_url": ""}
    assert run(viewer, provider="openai", **empty).status_code == 200
    assert run(viewer, provider="openai", api_key="sk-mine", variants=[empty]).status_code == 200
    made = editor.post("/api/agents", {"key": "k", "prompt": "Hi", "provider": "openai"}).json()["data"]
    assert viewer.post(f"/api/agents/{made['id']}/run", empty).status_code == 200
    sent = [request.headers["Authorization"] for request in upstream.requests]
    assert sent == ["Bearer sk-server", "Bearer sk-mine", "Bearer sk-server"]


SURROUNDINGS = {
    "OPENAI_API_KEY": "sk-of-openai",
    "OPENAI_ADMIN_KEY": "sk-of-the-admin",
    "OPENAI_ORG_ID": "org-1",
    "OPENAI_PROJECT_ID": "project-1",
    "OPENAI_CUSTOM_HEADERS": "X-Gateway-Key: sk-of-a-gateway\nAuthorization: Bearer sk-of-a-gateway",
}


@pytest.mark.parametrize("name", ["ollama", "openai"])
def test_nothing_of_the_servers_surroundings_reaches_a_provider_but_its_own_key(
    viewer: APIClient, upstream: Upstream, canary: Upstream, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for variable, value in SURROUNDINGS.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("OPENAI_BASE_URL", canary.base_url)
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, f"http://{canary.place}")
    assert run(viewer, provider=name).status_code == 200
    [request] = upstream.requests
    sent = {header.lower(): value for header, value in request.headers.items()}
    assert sent.pop("authorization", None) == ("Bearer sk-of-openai" if name == "openai" else None)
    assert set(sent) == {
        "host",
        "accept",
        "accept-encoding",
        "content-length",
        "content-type",
        "user-agent",
    }
    assert not any(value in str(sent) for value in ("sk-", "org-1", "project-1"))


def test_a_provider_without_a_key_is_not_called_and_the_answer_says_which_variable_to_set(
    viewer: APIClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    for name in ("claude", "gemini"):
        answer = run(viewer, provider=name)
        assert (answer.status_code, list(answer.json()["fields"])) == (400, ["api_key"])
        assert KEYS[name] in answer.json()["error"]
        assert "sk-of-openai" not in answer.content.decode()
    assert upstream.requests == []


def test_a_key_that_comes_with_the_request_goes_before_the_servers(
    viewer: APIClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-server")
    run(viewer, provider="openai", api_key="sk-mine")
    run(viewer, provider="claude", api_key="sk-mine")
    assert [request.headers["Authorization"] for request in upstream.requests] == ["Bearer sk-mine"] * 2


def test_a_servers_key_from_a_file_with_a_newline_at_its_end_is_taken_without_it(
    viewer: APIClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-server\n")
    assert run(viewer, provider="openai").status_code == 200
    assert upstream.requests[0].headers["Authorization"] == "Bearer sk-server"


@pytest.mark.parametrize("key", ["sk-secret\nX-Other: 1", "sk secret", "sk-secrét", "sk-\x7fsecret", "\n", ""])
def test_a_key_that_no_header_can_carry_is_refused_without_being_repeated(
    viewer: APIClient, upstream: Upstream, key: str
) -> None:
    answer = run(viewer, provider="openai", api_key=key)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["api_key"])
    assert "secr" not in answer.content.decode()
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, (2, 2, True)),
        ({}, (2, 2, True)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (0, 0, False)),
        ({"prompt_tokens": "11", "completion_tokens": 7.5}, (2, 2, True)),
        ({"prompt_tokens": -1, "completion_tokens": 2**31}, (2, 2, True)),
        ({"prompt_tokens": True, "completion_tokens": None}, (2, 2, True)),
        ({"prompt_tokens": 2**31 - 1, "completion_tokens": 10**40}, (2**31 - 1, 2, True)),
        ("many", (2, 2, True)),
        ([1, 2], (2, 2, True)),
    ],
    ids=repr,
)
def test_a_token_count_that_is_none_is_estimated_and_never_a_failure(
    viewer: APIClient, upstream: Upstream, usage: Any, counted: tuple[int, int, bool]
) -> None:
    upstream.answers(upstream.completion(usage=usage))
    answer = run(viewer, provider="ollama")
    assert answer.status_code == 200, answer.json()
    logged = viewer.get(f"/api/runs/{answer.json()['run_id']}").json()["data"]
    for source in (answer.json()["result"], logged):
        assert (source["prompt_tokens"], source["output_tokens"]) == counted[:2]
    assert answer.json()["result"]["tokens_estimated"] is counted[2]
    assert logged["status"] == "ok"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model": "m" * 500}, {"model": "m" * 200}),
        ({"model": None}, {"model": "asked-for"}),
        ({"model": {"name": "x"}}, {"model": "asked-for"}),
        ({"model": "a\x00b\ud800c"}, {"model": "a\ufffdb\ufffdc"}),
        ({"id": None, "object": 1, "created": "x", "extra": {"a": [1]}}, {"output": "Fine."}),
        (
            {"choices": [{"message": {"content": "Half", "refusal": None}, "finish_reason": None}]},
            {"output": "Half", "finish_reason": None},
        ),
        ({"choices": [{"message": {"content": None}, "finish_reason": "tool_calls"}]}, {"output": ""}),
        ({"choices": [{"message": {"content": "x"}, "finish_reason": ["odd"]}]}, {"finish_reason": None}),
        ({"choices": [{"message": {"content": "a\x00b \ud83d c 😀"}}]}, {"output": "a\ufffdb \ufffd c 😀"}),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_of_an_odd_answer_what_can_be_used_is_used(
    viewer: APIClient, upstream: Upstream, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    upstream.answers(upstream.completion(**changes))
    answer = run(viewer, provider="ollama", model="asked-for")
    assert answer.status_code == 200, answer.json()
    result = answer.json()["result"]
    assert {name: result[name] for name in expected} == expected
    assert viewer.get(f"/api/runs/{answer.json()['run_id']}").json()["data"]["status"] == "ok"


def test_providers_are_listed_with_what_each_needs_and_never_a_key(
    viewer: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-server")
    answer = viewer.get("/api/playground/providers")
    assert answer.json()["data"] == ["mock", "openai", "claude", "ollama", "gemini"]
    ready = {row["name"]: (row["needs_key"], row["configured"]) for row in answer.json()["details"]}
    assert ready == {
        "mock": (False, True),
        "openai": (True, False),
        "claude": (True, True),
        "ollama": (False, True),
        "gemini": (True, False),
    }
    assert "sk-server" not in answer.content.decode()


def test_the_documentation_lists_every_parameter_that_is_sent() -> None:
    text = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
    section = text.partition("## Parameters")[2].partition("\n## ")[0]
    listed = {
        name for line in section.splitlines() if line.startswith("| ") for name in re.findall("`([a-z_]+)`", line)
    }
    assert listed == MODEL_PARAMETERS


def test_an_address_from_the_environment_may_have_white_space_around_it(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTOPS_OPENAI_BASE_URL", " https://models.example/v1\n")
    assert registry.find("openai").base_url == "https://models.example/v1"
    monkeypatch.setenv("PROMPTOPS_OPENAI_BASE_URL", "\n")
    assert registry.find("openai").base_url == "https://api.openai.com/v1"
