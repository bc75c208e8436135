"""Making and changing prompts (contract, sections 1 and 3)."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.identity import tokens
from governance.tenancy.models import Workspace
from tests.conftest import api

MakePrompt = Callable[..., dict[str, Any]]


def test_a_new_prompt_of_a_key_alone_is_a_draft_v1_in_dev_of_the_default_workspace(editor: APIClient) -> None:
    made = editor.post("/api/prompts", {"key": "greeting"})
    assert made.status_code == 201
    prompt = made.json()["data"]
    assert {name: prompt.pop(name) for name in ("id", "created_at", "updated_at")}.keys()
    assert prompt == {
        "workspace_id": "default",
        "key": "greeting",
        "name": "",
        "content": "",
        "version": "v1",
        "env": "dev",
        "category": "",
        "tags": [],
        "model": "",
        "config": {},
        "status": "draft",
        "live_version": None,
    }


def test_a_prompt_made_with_an_api_token_is_in_the_tokens_workspace(other_workspace: Workspace) -> None:
    _, secret = tokens.create_token(actor=SYSTEM, workspace=other_workspace, name="ci", role=Role.EDITOR)
    made = api(secret).post("/api/prompts", {"key": "greeting"})
    assert (made.status_code, made.json()["data"]["workspace_id"]) == (201, other_workspace.pk)
    refused = api(secret).post("/api/prompts", {"key": "other", "workspace_id": "default"})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["workspace_id"])


@pytest.mark.parametrize("env", ["staging", "PROD", "", "prod "])
def test_an_environment_that_there_is_not_is_refused_and_those_that_there_are_are_named(
    editor: APIClient, make_prompt: MakePrompt, env: str
) -> None:
    prompt = make_prompt()
    created = editor.post("/api/prompts", {"key": "other", "env": env})
    moved = editor.patch(f"/api/prompts/{prompt['id']}", {"env": env})
    for refused in (created, moved):
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["env"])
        if env:
            assert "dev, test, prod" in refused.json()["error"]


@pytest.mark.parametrize("key", ["a", "9", "A.b_c:d-e", "x" * 200])
def test_a_key_of_letters_digits_and_some_signs_is_taken_and_served(editor: APIClient, key: str) -> None:
    assert editor.post("/api/prompts", {"key": key, "env": "prod"}).status_code == 201
    assert editor.get(f"/api/sdk/prompts/{key}").json()["key"] == key


@pytest.mark.parametrize(
    "key", ["", "-a", ".a", "_a", ":a", "a b", "a/", "/a", "a//b", "a/-b", "ä", "a\n", "a?", "x" * 201, None, 5, ["a"]]
)
def test_any_other_key_is_refused(editor: APIClient, key: Any) -> None:
    refused = editor.post("/api/prompts", {"key": key})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["key"])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["b", "a"], ["b", "a"]),
        ("b,a", ["b", "a"]),
        (" b , a ,, b", ["b", "a"]),
        (["b ", "", "b"], ["b"]),
        ("", []),
        ([], []),
        (["with, comma"], ["with, comma"]),
    ],
)
def test_tags_are_a_list_or_a_string_with_commas_and_are_kept_in_order_each_once(
    editor: APIClient, make_prompt: MakePrompt, given: Any, kept: list[str]
) -> None:
    made = make_prompt(tags=given)
    assert made["tags"] == kept
    assert editor.get(f"/api/prompts/{made['id']}").json()["data"]["tags"] == kept
    changed = make_prompt("other", tags=["old", "older"])
    assert editor.patch(f"/api/prompts/{changed['id']}", {"tags": given}).json()["data"]["tags"] == kept


@pytest.mark.parametrize("tags", [5, {"a": 1}, [1], [None], None, ["x" * 101], [str(n) for n in range(101)]], ids=repr)
def test_what_is_no_list_of_tags_is_refused(editor: APIClient, tags: Any) -> None:
    refused = editor.post("/api/prompts", {"key": "greeting", "tags": tags})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["tags"])


@pytest.mark.parametrize("letter", ["a", "ä", "漢", "😀"])
def test_content_is_limited_in_bytes_whatever_its_characters(
    editor: APIClient, settings: Settings, letter: str
) -> None:
    settings.PROMPTOPS_MAX_CONTENT_BYTES = 1200
    fits = letter * (1200 // len(letter.encode()))
    assert editor.post("/api/prompts", {"key": "fits", "content": fits}).json()["data"]["content"] == fits
    refused = editor.post("/api/prompts", {"key": "over", "content": fits + "x"})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["content"])


ALL = {
    "name": "Name",
    "content": "Text {{x}}",
    "version": "v7",
    "category": "mail",
    "tags": ["a", "b"],
    "model": "m-1",
    "config": {"temperature": 0.5, "nested": {"b": [1], "a": None}},
}


@pytest.mark.parametrize("method", ["put", "patch"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", "another.key"),
        ("env", "test"),
        ("name", ""),
        ("content", " white space\n"),
        ("version", "v8"),
        ("category", "chat"),
        ("tags", ["c"]),
        ("model", "m-2"),
        ("config", {"temperature": 1}),
    ],
)
def test_put_and_patch_change_the_field_that_is_sent_and_leave_the_others(
    editor: APIClient, make_prompt: MakePrompt, method: str, name: str, value: Any
) -> None:
    before = make_prompt(**ALL)
    answer = getattr(editor, method)(f"/api/prompts/{before['id']}", {name: value})
    after = answer.json()["data"]
    assert answer.status_code == 200
    assert after.pop("updated_at") > before.pop("updated_at")
    assert after == {**before, name: value}
    again = editor.get(f"/api/prompts/{before['id']}").json()["data"]
    again.pop("updated_at")
    assert again == after


@pytest.mark.parametrize(
    ("old", "new"),
    [({"n": 1}, {"n": True}), ({"n": [0]}, {"n": [False]}), ({"n": True}, {"n": 1}), ({"n": 1}, {"n": 1.5})],
)
def test_a_config_that_differs_in_json_is_changed_though_python_calls_it_equal(
    editor: APIClient, make_prompt: MakePrompt, old: Any, new: Any
) -> None:
    prompt = make_prompt(config=old, publish=True)
    saved = editor.patch(f"/api/prompts/{prompt['id']}", {"config": new}).json()["data"]
    assert (repr(saved["config"]), saved["status"]) == (repr(new), "modified")


def test_a_prompt_cannot_be_moved_to_another_workspace(
    admin: APIClient, make_prompt: MakePrompt, other_workspace: Workspace
) -> None:
    prompt = make_prompt()
    refused = admin.patch(f"/api/prompts/{prompt['id']}", {"workspace_id": other_workspace.pk})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["workspace_id"])


def test_moving_a_prompt_to_where_its_key_is_taken_is_a_conflict_and_moves_nothing(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    here, there = make_prompt(content="here"), make_prompt(env="test", content="there")
    refused = editor.patch(f"/api/prompts/{here['id']}", {"env": "test"})
    assert refused.status_code == 409
    assert editor.get("/api/sdk/prompts/greeting").json()["content"] == "here"
    assert editor.get("/api/sdk/prompts/greeting?env=test").json()["content"] == "there"
    assert editor.get(f"/api/prompts/{there['id']}").json()["data"] == there


def test_publishing_an_earlier_content_under_its_own_label_makes_that_version_live_again_and_no_new_one(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt(content="one", publish=True)
    path = f"/api/prompts/{prompt['id']}"
    editor.patch(path, {"content": "two"})
    editor.post("/api/prompts/publish", {"id": prompt["id"]})
    editor.patch(path, {"content": "one"})
    again = editor.post("/api/prompts/publish", {"id": prompt["id"], "version": "v1"})
    assert (again.status_code, again.json()["data"]["live"]) == (200, True)
    assert editor.get("/api/sdk/prompts/greeting").json()["version"] == "v1"
    assert editor.get(f"{path}/versions").json()["total"] == 2
