"""Copying a draft to another environment, and finishing a rollout with one of its variants."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.audit.models import AuditEntry
from governance.changes.models import Change
from governance.core.errors import NotFoundError, PreconditionError
from governance.tenancy.models import Workspace
from prompts import services
from prompts.models import Prompt, Rollout

MakePrompt = Callable[..., dict[str, Any]]
FIELDS = {"name": "Greeting", "category": "mail", "tags": ["a", "b"], "model": "m", "config": {"temperature": 0.5}}


def copy(client: APIClient, prompt: dict[str, Any], **body: Any) -> Any:
    return client.post(f"/api/prompts/{prompt['id']}/copy", body)


def last(model: Any) -> Any:
    return model.objects.order_by("-created_at").first()


def test_a_copy_is_a_draft_of_its_own_in_the_other_environment(editor: APIClient, make_prompt: MakePrompt) -> None:
    prompt = make_prompt(publish=True, **FIELDS)
    answer = copy(editor, prompt, env="test")
    assert answer.status_code == 201
    made = answer.json()["data"]
    assert {name: made[name] for name in FIELDS} == FIELDS
    assert (made["env"], made["key"], made["content"]) == ("test", "greeting", prompt["content"])
    assert (made["status"], made["live_version"]) == ("draft", None)
    entry = last(AuditEntry)
    assert (entry.action, entry.summary) == ("create", "Created prompt greeting from prod/greeting in test")
    assert entry.changes["copied_from"] == {"old": None, "new": "prod/greeting"}
    assert last(Change).type == "prompt.created"


def test_a_copy_to_where_the_key_is_taken_is_refused_unless_it_may_replace_the_draft_there(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    source = make_prompt(content="new text", **FIELDS)
    there = make_prompt(env="test", content="old text", publish=True)
    refused = copy(editor, source, env="test")
    assert (refused.status_code, refused.json()["fields"]) == (409, {"key": ["taken in this environment"]})
    answer = copy(editor, source, env="test", replace=True)
    assert answer.status_code == 200
    done = answer.json()["data"]
    assert (done["id"], done["content"], done["status"]) == (there["id"], "new text", "modified")
    assert editor.get("/api/sdk/prompts/greeting?env=test").json()["content"] == "old text"
    assert last(AuditEntry).changes["copied_from"] == {"old": None, "new": "prod/greeting"}


def test_a_copy_may_have_another_key_and_none_comes_upon_itself(editor: APIClient, make_prompt: MakePrompt) -> None:
    prompt = make_prompt()
    assert copy(editor, prompt, env="prod", key="other").json()["data"]["key"] == "other"
    for body in ({"env": "prod"}, {"env": "prod", "replace": True}):
        assert copy(editor, prompt, **body).status_code == 409


def test_a_copy_stays_in_the_workspace(admin: APIClient, make_prompt: MakePrompt, other_workspace: Workspace) -> None:
    admin.post("/api/environments", {"workspace_id": other_workspace.pk, "name": "elsewhere"})
    refused = copy(admin, make_prompt(), env="elsewhere")
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["env"])


def test_who_changed_a_prompt_last_is_kept_with_it(
    editor: APIClient, admin: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt()

    def by() -> str:
        return Prompt.objects.get(pk=prompt["id"]).changed_by

    made_by = by()
    assert made_by.startswith("editor")
    admin.put(f"/api/prompts/{prompt['id']}", {"content": "new"})
    assert by().startswith("admin")
    editor.post("/api/prompts/publish", {"id": prompt["id"]})
    assert by() == made_by
    admin.put(f"/api/prompts/{prompt['id']}", {"content": "newer"})
    editor.post("/api/prompts/rollback", {"id": prompt["id"], "version": "v1"})
    assert by() == made_by


def test_the_state_that_lists_are_filtered_by_is_the_status_at_each_turn(
    editor: APIClient, make_prompt: MakePrompt
) -> None:
    prompt = make_prompt()
    path = f"/api/prompts/{prompt['id']}"
    turns: list[tuple[str, Callable[[], Any]]] = [
        ("draft", lambda: editor.put(path, {"content": "one"})),
        ("published", lambda: editor.post("/api/prompts/publish", {"id": prompt["id"]})),
        ("modified", lambda: editor.put(path, {"content": "two"})),
        ("published", lambda: editor.put(path, {"content": "one"})),
        ("modified", lambda: editor.put(path, {"content": "two"})),
        ("published", lambda: editor.post("/api/prompts/publish", {"id": prompt["id"]})),
        ("published", lambda: editor.post("/api/prompts/rollback", {"id": prompt["id"], "version": "v1"})),
    ]
    for expected, turn in turns:
        assert turn().status_code == 200
        row = Prompt.objects.select_related("live").get(pk=prompt["id"])
        assert row.state == row.status == editor.get(path).json()["data"]["status"] == expected


# --- the end of a rollout -----------------------------------------------------------------------------------------


@pytest.fixture
def rolled(editor: APIClient, make_prompt: MakePrompt) -> Prompt:
    """Versions v1 (`one`) and v2 (`two`, live), and a rollout of v1 as A and v2 as B."""
    prompt = make_prompt(content="one", publish=True)
    editor.put(f"/api/prompts/{prompt['id']}", {"content": "two"})
    editor.post("/api/prompts/publish", {"id": prompt["id"]})
    rollout = {"variant_a": "v1", "variant_b": "v2", "weight_a": 50}
    assert editor.put(f"/api/prompts/{prompt['id']}/rollout", rollout).status_code == 200
    return Prompt.objects.select_related("environment", "live").get(pk=prompt["id"])


def served(client: APIClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/api/sdk/prompts/greeting?env=prod").json()
    return document


@pytest.mark.parametrize(("winner", "label", "content"), [("A", "v1", "one"), ("B", "v2", "two")])
def test_a_rollout_that_is_finished_leaves_its_winner_live_for_everybody(
    editor: APIClient, rolled: Prompt, winner: str, label: str, content: str
) -> None:
    services.finish_rollout(actor=SYSTEM, prompt=rolled, winner=winner)
    assert not Rollout.objects.exists()
    document = served(editor)
    assert (document["version"], document["content"]) == (label, content)
    assert "variant" not in document
    prompt = Prompt.objects.get(pk=rolled.pk)
    assert (prompt.content, prompt.version, prompt.status, prompt.state) == (content, label, "published", "published")
    entry = last(AuditEntry)
    assert (entry.action, entry.resource) == ("delete", "rollout")
    assert entry.changes["live_version"] == {"old": "v2", "new": label}
    change = last(Change)
    assert (change.type, change.version) == ("rollout.deleted", label)


def test_a_draft_that_was_never_published_outlives_the_end_of_a_rollout(editor: APIClient, rolled: Prompt) -> None:
    editor.put(f"/api/prompts/{rolled.pk}", {"content": "three"})
    services.finish_rollout(actor=SYSTEM, prompt=rolled, winner="A")
    prompt = Prompt.objects.get(pk=rolled.pk)
    assert (prompt.content, prompt.status, served(editor)["content"]) == ("three", "modified", "one")


def test_a_rollout_that_is_not_there_or_was_changed_meanwhile_is_not_finished(rolled: Prompt) -> None:
    with pytest.raises(PreconditionError):
        services.finish_rollout(actor=SYSTEM, prompt=rolled, winner="A", if_match='"99"')
    assert Rollout.objects.exists()
    services.delete_rollout(actor=SYSTEM, prompt=rolled)
    with pytest.raises(NotFoundError):
        services.finish_rollout(actor=SYSTEM, prompt=rolled, winner="A")
