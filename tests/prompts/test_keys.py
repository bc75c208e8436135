"""Keys of prompts: with folders, in paths as they are and percent-encoded, wherever a key of a prompt is named."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

MakePrompt = Callable[..., dict[str, Any]]
LONG = "/".join(["a" * 49] * 4)  # 199 characters


@pytest.mark.parametrize("key", ["support/reply", "a/b/c", "1/2", "v1.0/x_y:z-", "a.b:c", LONG + "b"])
def test_a_key_with_folders_is_fetched_as_it_is_and_percent_encoded(
    viewer: APIClient, make_prompt: MakePrompt, key: str
) -> None:
    make_prompt(key, content="found", publish=True)
    for written in (key, key.replace("/", "%2F"), key.replace("/", "%2f")):
        answer = viewer.get(f"/api/sdk/prompts/{written}")
        assert (answer.status_code, answer.json().get("key")) == (200, key), written
        assert viewer.get(f"/api/sdk/prompts/{written}?version=v1").json()["content"] == "found"


@pytest.mark.parametrize(
    "key",
    [
        "/a",
        "a/",
        "a//b",
        "a/.b",
        "../a",
        "a/..",
        "a/-b",
        "a b",
        "a/b\n",
        "é",
        "a/é",
        "a\\b",
        "a" * 201,
        LONG + "/b",
        "",
    ],
)
def test_what_is_no_key_is_refused_with_what_was_expected(editor: APIClient, key: str) -> None:
    refused = editor.post("/api/prompts", {"key": key})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["key"])


def test_a_folder_is_no_prompt_and_a_prompt_is_no_folder(viewer: APIClient, make_prompt: MakePrompt) -> None:
    make_prompt("support/reply")
    for key in ("support", "reply", "support/", "support/reply/", "support//reply", "Support/reply"):
        assert viewer.get(f"/api/sdk/prompts/{key}").status_code == 404, key
    listed = viewer.get("/api/sdk/prompts").json()["data"]
    assert [document["key"] for document in listed] == ["support/reply"]
    assert viewer.get("/api/prompts?key=support/reply").json()["total"] == 1
    assert viewer.get("/api/prompts?q=support/r").json()["total"] == 1


def test_an_agent_a_workflow_and_a_copy_name_a_prompt_by_a_key_with_folders(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt("support/reply", content="Hello {{name}}", publish=True)
    agent = editor.post("/api/agents", {"key": "helper", "prompt_key": "support/reply", "env": "prod"})
    assert agent.status_code == 201, agent.json()
    ran = editor.post(f"/api/agents/{agent.json()['data']['id']}/run", {"variables": {"name": "Ada"}})
    assert ran.json()["rendered"] == "Hello Ada"
    steps = [{"name": "greet", "type": "prompt", "prompt_key": "support/reply"}]
    flow = editor.post("/api/workflows", {"key": "flow", "steps": steps})
    assert flow.status_code == 201, flow.json()
    ran = editor.post(f"/api/workflows/{flow.json()['data']['id']}/run", {"variables": {"name": "Ada"}})
    assert ran.json()["output"] == "Hello Ada"
    copied = editor.post(f"/api/prompts/{prompt['id']}/copy", {"env": "test", "key": "other/folder/reply"})
    assert copied.json()["data"]["key"] == "other/folder/reply"
    for path, body in (
        ("/api/agents", {"key": "a/b", "prompt": "x"}),
        ("/api/workflows", {"key": "a/b", "steps": steps}),
    ):
        assert editor.post(path, body).json()["fields"].keys() == {"key"}  # theirs have no folders
