"""Several runs of one request side by side: other versions, providers, models."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient
from werkzeug import Request, Response

from governance.runs.models import Run
from tests.agents.upstream import Upstream

MakePrompt = Callable[..., dict[str, Any]]


def run(client: APIClient, **body: Any) -> Any:
    return client.post("/api/playground/run", body)


@pytest.fixture
def prompt(editor: APIClient, make_prompt: MakePrompt) -> dict[str, Any]:
    """A prompt with the versions v1 and v2 (live) and a draft that differs from both."""
    made = make_prompt(content="one {{x}}", model="m-1", config={"temperature": 0.1}, publish=True)
    for label, text in (("v2", "two {{x}}"), (None, "draft {{x}}")):
        editor.patch(f"/api/prompts/{made['id']}", {"content": text})
        if label:
            assert editor.post("/api/prompts/publish", {"id": made["id"], "version": label}).status_code == 200
    return made


@pytest.mark.parametrize(
    ("version", "rendered", "label"),
    [("draft", "draft Ada", "v2"), ("live", "two Ada", "v2"), ("v1", "one Ada", "v1"), (None, "draft Ada", "v2")],
)
def test_a_stored_prompt_runs_as_its_draft_as_it_is_live_or_as_a_named_version(
    viewer: APIClient, prompt: dict[str, Any], version: str | None, rendered: str, label: str
) -> None:
    wish = {} if version is None else {"version": version}
    answer = run(viewer, id=prompt["id"], variables={"x": "Ada"}, **wish).json()
    assert answer["rendered"] == rendered
    assert viewer.get(f"/api/runs/{answer['run_id']}").json()["data"]["version"] == label


def test_a_version_that_is_not_there_is_refused_with_what_there_can_be(
    viewer: APIClient, make_prompt: MakePrompt, prompt: dict[str, Any]
) -> None:
    unpublished = make_prompt(key="other")
    for identity, version in ((prompt["id"], "v9"), (unpublished["id"], "live"), (unpublished["id"], "v1")):
        refused = run(viewer, id=identity, version=version)
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["version"])
        assert "draft, live or the label" in refused.json()["error"]
    assert Run.objects.count() == 0


def test_variants_are_answered_in_order_each_with_its_own_wishes_before_the_requests(
    viewer: APIClient, prompt: dict[str, Any], upstream: Upstream
) -> None:
    variants = [
        {"version": "v1"},
        {"version": "live", "model": "m-9"},
        {"config": {"top_p": 0.5}},
        {"provider": "mock"},
    ]
    answer = run(
        viewer, id=prompt["id"], variables={"x": "Ada"}, provider="ollama", config={"seed": 1}, variants=variants
    )
    assert answer.status_code == 200, answer.json()
    rows = answer.json()["variants"]
    assert [row["rendered"] for row in rows] == ["one Ada", "two Ada", "draft Ada", "draft Ada"]
    assert [row["result"]["provider"] for row in rows] == ["ollama", "ollama", "ollama", "mock"]
    sent = {body["messages"][0]["content"]: body for body in upstream.bodies}
    assert {name: sent["one Ada"][name] for name in ("model", "seed", "temperature")} == {
        "model": "m-1",
        "seed": 1,
        "temperature": 0.1,
    }
    assert (sent["two Ada"]["model"], sent["draft Ada"]["top_p"], "top_p" in sent["one Ada"]) == ("m-9", 0.5, False)
    assert {row["run_id"] for row in rows} == {str(pk) for pk in Run.objects.values_list("pk", flat=True)}


def test_a_variant_that_fails_says_so_in_its_place_and_the_others_are_answered(
    viewer: APIClient, upstream: Upstream
) -> None:
    upstream.answers(Response("oops", 500))
    rows = run(viewer, content="x", variants=[{"provider": "ollama"}, {"provider": "mock"}]).json()["variants"]
    assert (rows[0]["code"], rows[0]["rendered"], "result" in rows[0]) == ("provider_failed", "x", False)
    assert rows[1]["result"]["output"] == "mock completion for: x"
    statuses = {str(pk): status for pk, status in Run.objects.values_list("pk", "status")}
    assert [statuses[row["run_id"]] for row in rows] == ["error", "ok"]


def test_a_wish_that_cannot_be_granted_refuses_all_variants_before_anything_is_called(
    viewer: APIClient, upstream: Upstream
) -> None:
    refused = run(viewer, content="x", variants=[{"provider": "ollama"}, {"provider": "openai"}])
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["api_key"])
    assert (Run.objects.count(), upstream.requests) == (0, [])


def test_six_variants_take_about_as_long_as_one(viewer: APIClient, upstream: Upstream) -> None:
    run(viewer, content="x")  # what is slow the first time is not to be measured
    usual = upstream.handler

    def think(request: Request) -> Response:
        time.sleep(0.5)
        return usual(request)

    upstream.answers(think)
    started = time.monotonic()
    rows = run(viewer, content="x", provider="ollama", variants=[{"model": f"m-{n}"} for n in range(6)]).json()[
        "variants"
    ]
    assert (len(rows), 0.5 <= time.monotonic() - started < 2) == (6, True)
    assert all(500 <= row["result"]["latency_ms"] < 2000 for row in rows)
