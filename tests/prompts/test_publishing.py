"""Drafts, versions, publishing, rolling back (contract, section 3)."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from governance.audit.models import AuditEntry
from governance.changes.models import Change
from prompts.models import Prompt, PromptVersion

MakePrompt = Callable[..., dict[str, Any]]


def fetch(client: APIClient, key: str = "greeting", **query: str) -> Any:
    return client.get(f"/api/sdk/prompts/{key}", {"env": "prod", **query})


@pytest.mark.parametrize("word", ["draft", "live", "latest"])
def test_a_word_of_the_api_is_no_label_wherever_one_can_be_given(
    editor: APIClient, make_prompt: MakePrompt, word: str
) -> None:
    prompt = make_prompt(content="one")
    workflow = {"key": "flow", "steps": [{"name": "a", "type": "render", "template": "x"}]}
    flow = editor.post("/api/workflows", workflow).json()["data"]["id"]
    for method, path, body in (
        ("post", "/api/prompts", {"key": "other", "version": word}),
        ("patch", f"/api/prompts/{prompt['id']}", {"version": word}),
        ("post", f"/api/prompts/{prompt['id']}/versions", {"version": word}),
        ("post", "/api/prompts/publish", {"id": prompt["id"], "version": word}),
        ("post", "/api/workflows", {**workflow, "key": "second", "version": word}),
        ("patch", f"/api/workflows/{flow}", {"version": word}),
        ("post", "/api/workflows/publish", {"id": flow, "version": word}),
    ):
        refused = getattr(editor, method)(path, body)
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["version"]), path
    assert fetch(editor, version=word).status_code == 404
    assert editor.get(f"/api/prompts/{prompt['id']}").json()["data"] == prompt


def test_a_label_from_before_the_rule_is_served_pinned_and_rolled_back_to_and_given_to_nothing_new(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt(content="one", publish=True)
    PromptVersion.objects.update(label="live")
    Prompt.objects.update(version="live")
    before = editor.get(f"/api/prompts/{prompt['id']}").json()["data"]
    assert (fetch(editor).json()["version"], fetch(editor, version="live").json()["content"]) == ("live", "one")
    saved = editor.put(f"/api/prompts/{prompt['id']}", {**before, "content": "two"})  # as it was fetched
    assert (saved.status_code, saved.json()["data"]["version"]) == (200, "live")
    assert editor.post("/api/prompts/publish", {"id": prompt["id"]}).json()["data"]["version"] == "v2"
    assert fetch(editor, version="live").json()["content"] == "one"
    assert editor.post("/api/prompts/rollback", {"id": prompt["id"], "version": "live"}).status_code == 200
    assert fetch(editor).json()["version"] == "live"
    copied = editor.post(f"/api/prompts/{prompt['id']}/copy", {"env": "test"})
    assert (copied.status_code, copied.json()["data"]["version"]) == (201, "v1")
    Prompt.objects.filter(environment__name="test").update(version="latest")
    copy = copied.json()["data"]["id"]
    assert editor.post("/api/prompts/publish", {"id": copy}).json()["data"]["version"] == "v1"


def test_a_version_is_made_of_the_draft_without_anything_that_is_served_changing(
    editor: APIClient, viewer: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt(content="one", publish=True)
    path = f"/api/prompts/{prompt['id']}/versions"
    editor.patch(f"/api/prompts/{prompt['id']}", {"content": "two", "model": "m-2"})
    served, changes = fetch(editor), Change.objects.count()
    assert viewer.post(path, {}).status_code == 403
    made = editor.post(path, {"note": "to be looked at"})
    version = made.json()["data"]
    assert (made.status_code, version["version"], version["number"], version["live"]) == (201, "v2", 2, False)
    assert (version["content"], version["model"], version["note"]) == ("two", "m-2", "to be looked at")
    assert (fetch(editor).content, fetch(editor).headers["ETag"]) == (served.content, served.headers["ETag"])
    assert Change.objects.count() == changes
    assert fetch(editor, version="v2").json()["content"] == "two"
    assert editor.get(f"/api/prompts/{prompt['id']}").json()["data"]["status"] == "modified"
    assert [row["number"] for row in editor.get(path).json()["data"]] == [2, 1]
    entry = AuditEntry.objects.order_by("-created_at").first()
    assert entry is not None
    assert (entry.action, entry.changes["version"]) == ("snapshot", {"old": None, "new": "v2"})
    again = editor.post(path, {"version": "v2"})
    assert (again.status_code, again.json()["data"]) == (200, version)
    assert editor.post(path, {"version": "v1"}).status_code == 409
    assert editor.post(path, {}, headers={"If-Match": '"1"'}).status_code == 412
    assert editor.post("/api/prompts/publish", {"id": prompt["id"], "version": "v2"}).json()["data"]["number"] == 2
    assert fetch(editor).json()["content"] == "two"


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
