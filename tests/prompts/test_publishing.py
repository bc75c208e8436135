"""Drafts, versions, publishing, rolling back (contract, section 3)."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

MakePrompt = Callable[..., dict[str, Any]]


def fetch(client: APIClient, key: str = "greeting", **query: str) -> Any:
    return client.get(f"/api/sdk/prompts/{key}", {"env": "prod", **query})


def test_a_prompt_that_was_never_published_is_served_as_its_draft(editor: APIClient, make_prompt: MakePrompt) -> None:
    prompt = make_prompt(content="first draft")
    assert prompt["status"] == "draft"
    assert fetch(editor).json() == {
        "key": "greeting",
        "version": "v1",
        "env": "prod",
        "model": "",
        "content": "first draft",
        "config": {},
    }
    editor.patch(f"/api/prompts/{prompt['id']}", {"content": "second draft"})
    assert fetch(editor).json()["content"] == "second draft"


def test_from_the_first_publish_on_saving_the_draft_changes_nothing_that_is_served(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt(content="published", publish=True)
    assert (prompt["status"], prompt["live_version"]) == ("published", "v1")
    saved = editor.put(f"/api/prompts/{prompt['id']}", {"content": "draft"}).json()["data"]
    assert (saved["status"], saved["content"], saved["live_version"]) == ("modified", "draft", "v1")
    assert fetch(editor).json()["content"] == "published"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([None, None, None], ["v1", "v2", "v3"]),
        (["v2", None, None], ["v2", "v3", "v4"]),
        (["release-7", None], ["release-7", "v2"]),
        ([None, "v3", None], ["v1", "v3", "v4"]),
    ],
)
def test_a_label_is_the_one_asked_for_else_the_drafts_own_else_the_next_free(
    editor: APIClient, make_prompt: MakePrompt, labels: list[str | None], expected: list[str]
) -> None:
    prompt, given = make_prompt(), []
    for number, label in enumerate(labels):
        editor.patch(f"/api/prompts/{prompt['id']}", {"content": f"text {number}"})
        body = {"id": prompt["id"], **({"version": label} if label else {})}
        given.append(editor.post("/api/prompts/publish", body).json()["data"]["version"])
    assert given == expected


def test_publishing_what_is_live_already_returns_that_version_and_makes_no_second_one(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt(publish=True)
    again = editor.post("/api/prompts/publish", {"id": prompt["id"]})
    assert (again.status_code, again.json()["data"]["version"]) == (200, "v1")
    assert editor.get(f"/api/prompts/{prompt['id']}/versions").json()["total"] == 1


def test_a_label_of_different_content_is_a_conflict_when_it_is_asked_for_by_name(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt(publish=True)
    editor.patch(f"/api/prompts/{prompt['id']}", {"content": "other"})
    refused = editor.post("/api/prompts/publish", {"id": prompt["id"], "version": "v1"})
    assert refused.status_code == 409
    assert refused.json()["fields"] == {"version": ["taken by different content"]}


def test_rollback_makes_an_earlier_version_live_and_the_draft_equal_to_it_and_removes_none(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt(content="one", model="m1", config={"temperature": 0.1}, publish=True)
    editor.patch(f"/api/prompts/{prompt['id']}", {"content": "two", "model": "m2", "config": {}})
    editor.post("/api/prompts/publish", {"id": prompt["id"]})
    back = editor.post("/api/prompts/rollback", {"id": prompt["id"], "version": "v1"}).json()["data"]
    assert (back["content"], back["model"], back["config"], back["status"]) == (
        "one",
        "m1",
        {"temperature": 0.1},
        "published",
    )
    assert fetch(editor).json()["content"] == "one"
    versions = editor.get(f"/api/prompts/{prompt['id']}/versions").json()["data"]
    assert [(version["version"], version["live"]) for version in versions] == [("v2", False), ("v1", True)]


def test_rolling_back_to_what_is_no_version_of_this_prompt_is_not_found(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    prompt, _ = make_prompt(publish=True), make_prompt("another", publish=True)
    answer = editor.post("/api/prompts/rollback", {"id": prompt["id"], "version": "v9"})
    assert (answer.status_code, answer.json()["error"]) == (404, "version not found")


def test_an_environment_that_requires_publishing_serves_no_draft(
    admin: APIClient, editor: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt()
    prod = next(env for env in admin.get("/api/environments").json()["data"] if env["name"] == "prod")
    admin.put(f"/api/environments/{prod['id']}", {"require_publish": True})
    refused = fetch(editor)
    assert refused.status_code == 404
    assert "never published" in refused.json()["error"]
    assert admin.get("/api/sdk/prompts").json()["data"] == []
    editor.post("/api/prompts/publish", {"id": prompt["id"]})
    assert fetch(editor).status_code == 200


def test_a_second_prompt_with_the_same_key_in_an_environment_is_a_conflict_and_in_another_it_is_not(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    make_prompt()
    assert editor.post("/api/prompts", {"key": "greeting", "env": "prod"}).status_code == 409
    assert editor.post("/api/prompts", {"key": "greeting", "env": "test"}).status_code == 201


def test_a_stale_if_match_is_refused_and_changes_nothing(editor: APIClient, make_prompt: MakePrompt) -> None:
    prompt = make_prompt()
    path = f"/api/prompts/{prompt['id']}"
    etag = editor.get(path).headers["ETag"]
    assert editor.patch(path, {"content": "mine"}, headers={"If-Match": etag}).status_code == 200
    for stale in (
        editor.patch(path, {"content": "theirs"}, headers={"If-Match": etag}),
        editor.delete(path, headers={"If-Match": etag}),
        editor.post("/api/prompts/publish", {"id": prompt["id"]}, headers={"If-Match": etag}),
    ):
        assert stale.status_code == 412
    assert editor.get(path).json()["data"]["content"] == "mine"


def test_a_fetched_prompt_can_be_sent_back_as_it_is_and_changes_nothing(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt(tags=["a", "b"], category="x", publish=True)
    path = f"/api/prompts/{prompt['id']}"
    etag = editor.get(path).headers["ETag"]
    answer = editor.put(path, prompt)
    assert (answer.status_code, answer.json()["data"], answer.headers["ETag"]) == (200, prompt, etag)


def test_a_prompt_that_moves_is_gone_from_the_old_place_and_keeps_its_versions(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt(publish=True)
    moved = editor.patch(f"/api/prompts/{prompt['id']}", {"key": "salutation", "env": "test"})
    assert moved.status_code == 200, moved.json()
    assert fetch(editor).status_code == 404
    assert editor.get("/api/sdk/prompts/salutation", {"env": "test"}).json()["version"] == "v1"
