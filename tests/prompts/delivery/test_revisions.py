"""What a client has just written it can ask for, from any process: `min_revision` (contract, section 5)."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from rest_framework.test import APIClient

from governance.tenancy.models import Environment
from tests.faults.tools.support import another, create, data, installation
from tests.servers import Server

MakePrompt = Callable[..., dict[str, Any]]
REVISION = "X-PromptOps-Revision"
ROLLOUT = {"variant_a": "v1", "variant_b": "v2", "weight_a": 100}

#: Every write that changes what is served: the request, and the environment that it changes.
WRITES: list[tuple[str, str, dict[str, Any], str]] = [
    ("post", "/api/prompts", {"key": "new", "env": "prod"}, "prod"),
    ("put", "/api/prompts/{id}", {"content": "one"}, "prod"),
    ("post", "/api/prompts/publish", {"id": "{id}"}, "prod"),
    ("patch", "/api/prompts/{id}", {"content": "two"}, "prod"),
    ("post", "/api/prompts/publish", {"id": "{id}"}, "prod"),
    ("post", "/api/prompts/publish", {"id": "{id}"}, "prod"),  # live already
    ("post", "/api/prompts/rollback", {"id": "{id}", "version": "v1"}, "prod"),
    ("post", "/api/prompts/rollback", {"id": "{id}", "version": "v1"}, "prod"),
    ("put", "/api/prompts/{id}/rollout", ROLLOUT, "prod"),
    ("put", "/api/prompts/{id}/rollout", ROLLOUT, "prod"),
    ("delete", "/api/prompts/{id}/rollout", {}, "prod"),
    ("post", "/api/prompts/{id}/copy", {"env": "test"}, "test"),
    ("post", "/api/prompts/{id}/copy", {"env": "test", "replace": True}, "test"),
    ("put", "/api/prompts/{id}", {"env": "dev"}, "dev"),
    ("delete", "/api/prompts/{id}", {}, "dev"),
]


def test_the_answer_of_each_write_says_by_which_revision_it_is_served(
    editor: APIClient, make_prompt: MakePrompt, environment: Callable[[str], Environment]
) -> None:
    prompt = make_prompt("greeting")
    for method, path, body, env in WRITES:
        filled = {name: value.format(**prompt) if isinstance(value, str) else value for name, value in body.items()}
        answer = getattr(editor, method)(path.format(**prompt), filled)
        assert answer.status_code in (200, 201), (path, answer.json())
        assert int(answer.headers[REVISION]) == environment(env).revision, (method, path, body)


def test_what_writes_nothing_says_no_revision_and_so_does_what_is_refused(
    editor: APIClient, admin: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt("greeting")
    for answer in (
        editor.get(f"/api/prompts/{prompt['id']}"),
        editor.get("/api/prompts"),
        editor.post("/api/prompts", {"key": "greeting", "env": "prod"}),
        editor.put(f"/api/prompts/{prompt['id']}", {"content": "x"}, headers={"If-Match": '"9"'}),
        editor.post("/api/agents", {"key": "a", "prompt": "x"}),
    ):
        assert REVISION not in answer.headers
    place = admin.get("/api/environments").json()["data"]
    prod = next(row["id"] for row in place if row["name"] == "prod")
    assert REVISION in admin.put(f"/api/environments/{prod}", {"require_publish": True}).headers


@pytest.mark.parametrize("least", ["x", "-1", "1.5", "\u0661", "\xb2", "1" * 19, " "])
@pytest.mark.parametrize("path", ["/api/sdk/prompts/greeting", "/api/sdk/prompts"])
def test_a_min_revision_that_is_no_number_is_refused(
    viewer: APIClient, make_prompt: MakePrompt, path: str, least: str
) -> None:
    make_prompt("greeting")
    refused = viewer.get(path, {"min_revision": least})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["min_revision"])
    assert viewer.get(path, {"min_revision": ""}).status_code == 200


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Two processes on one database, without Redis: one hears of what the other writes by its tick alone."""
    with installation(tmp_path_factory, PROMPTOPS_TICK_SECONDS="1") as first, another(first) as second:
        yield first, second


def warm(client: httpx.Client, place: str) -> None:
    deadline = time.monotonic() + 10
    while "x-frame-options" in client.get(place).headers:
        assert time.monotonic() < deadline, "the lane never answered"
        time.sleep(0.02)


def test_a_fetch_by_min_revision_sees_the_write_from_another_process_at_once(two: tuple[Server, Server]) -> None:
    first, second = two
    with first.client() as writer, second.client() as reader:
        prompt = create(writer, "own/write", content="x")["id"]
        warm(reader, "/api/sdk/prompts/own/write?env=prod")
        took, by_lane = [], 0
        for number in range(60):
            writer.put(f"/api/prompts/{prompt}", json={"content": f"text {number}"}).raise_for_status()
            published = writer.post("/api/prompts/publish", json={"id": prompt})
            version, revision = data(published)["version"], int(published.headers[REVISION])
            started = time.monotonic()
            if number % 2:
                answer = reader.get(f"/api/sdk/prompts/own/write?env=prod&min_revision={revision}&unit=ada")
                found = answer.json()
            else:
                answer = reader.get(f"/api/sdk/prompts?env=prod&min_revision={revision}")
                found = next(row for row in answer.json()["data"] if row["key"] == "own/write")
            took.append(time.monotonic() - started)
            assert (found["version"], found["content"]) == (version, f"text {number}")
            assert int(answer.headers[REVISION]) >= revision
            by_lane += "x-frame-options" not in answer.headers
        assert by_lane > 40  # it waited for the look that it asked for, and held no thread
        assert sorted(took)[len(took) // 2] < 0.25


@pytest.mark.parametrize("least", ["x", "\u00b2", "\u0661", "1" * 19])
def test_a_min_revision_that_is_no_number_is_refused_before_and_behind_the_lane(
    two: tuple[Server, Server], least: str
) -> None:
    _, second = two
    with second.client() as reader:
        refused = reader.get("/api/sdk/prompts", params={"env": "prod", "min_revision": least})
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["min_revision"])


def test_a_revision_that_nobody_reached_is_waited_for_for_a_second_and_then_answered_by_the_database(
    two: tuple[Server, Server],
) -> None:
    _, second = two
    with second.client() as reader:
        create(reader, "patient", content="x")
        warm(reader, "/api/sdk/prompts/patient?env=prod")
        started = time.monotonic()
        answer = reader.get("/api/sdk/prompts/patient?env=prod&min_revision=999999999")
        assert (answer.status_code, answer.json()["content"]) == (200, "x")
        assert 0.9 < time.monotonic() - started < 5
        assert "x-frame-options" in answer.headers
