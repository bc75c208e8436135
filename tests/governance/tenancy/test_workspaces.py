"""Workspaces and their environments (contract, section 2)."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from governance.access.roles import Role
from governance.audit.models import AuditEntry
from governance.identity.models import Token
from governance.tenancy.models import Environment, Membership, Workspace
from tests.conftest import api
from tests.contract import world

Login = Callable[..., APIClient]


def create(client: APIClient, **fields: Any) -> Any:
    return client.post("/api/workspaces", {"name": "Team One", **fields})


def environment_of(client: APIClient, name: str = "prod", workspace: str = "default") -> dict[str, Any]:
    found = client.get("/api/environments", {"workspace": workspace}).json()["data"]
    return next(environment for environment in found if environment["name"] == name)


def test_a_new_workspace_keeps_texts_of_runs_if_it_is_told_to(editor: APIClient, admin: APIClient) -> None:
    made = create(editor, keep_content=True, content_days=7).json()["data"]
    assert (made["keep_content"], made["content_days"]) == (True, 7)
    [entry] = admin.get("/api/audit", {"resource": "workspace", "action": "create", "key": made["slug"]}).json()["data"]
    assert entry["changes"]["keep_content"] == {"old": None, "new": True}
    usual = create(editor, slug="usual").json()["data"]
    assert (usual["keep_content"], usual["content_days"]) == (False, 30)


def test_a_new_workspace_has_the_first_environments_and_its_maker_as_a_member(
    editor: APIClient, viewer: APIClient
) -> None:
    workspace = create(editor).json()["data"]
    assert workspace.keys() == {"id", "name", "slug", "created_at", "updated_at", "keep_content", "content_days"}
    environments = editor.get("/api/environments", {"workspace": workspace["id"]}).json()["data"]
    assert {environment["name"] for environment in environments} == {"dev", "test", "prod"}
    assert workspace["id"] in editor.get("/api/me").json()["workspaces"]
    assert viewer.get(f"/api/workspaces/{workspace['id']}").status_code == 404
    assert editor.post("/api/prompts", {"key": "a", "workspace_id": workspace["id"]}).status_code == 201


@pytest.mark.parametrize(
    ("names", "slugs"),
    [
        (["Team One", "Team One", "team  one"], ["team-one", "team-one-2", "team-one-3"]),
        (["Équipe", "日本", "!?"], ["equipe", "workspace", "workspace-2"]),
        (["x" * 200], ["x" * 90]),
    ],
)
def test_a_slug_is_made_from_the_name_and_is_free(names: list[str], slugs: list[str], static: APIClient) -> None:
    assert [create(static, name=name).json()["data"]["slug"] for name in names] == slugs


def test_a_slug_that_is_taken_is_a_conflict_however_it_is_written(static: APIClient) -> None:
    first = create(static, slug="one").json()["data"]
    second = create(static, slug="two").json()["data"]
    for answer in (create(static, slug="ONE"), static.put(f"/api/workspaces/{second['id']}", {"slug": "One"})):
        assert (answer.status_code, answer.json()["fields"]) == (409, {"slug": ["taken"]})
    own = static.put(f"/api/workspaces/{first['id']}", {"slug": "One"})
    assert (own.status_code, own.json()["data"]["slug"]) == (200, "One")


def test_a_name_is_kept_without_the_white_space_around_it_and_has_to_be_one(static: APIClient) -> None:
    assert create(static, name="  Team  One ").json()["data"]["name"] == "Team  One"
    for name in ("", "  ", "x" * 201, None, 5):
        assert create(static, name=name).status_code == 400


def test_a_fetched_workspace_or_environment_can_be_sent_back_and_changes_nothing(static: APIClient) -> None:
    rows = [
        ("workspaces", static.get("/api/workspaces/default").json()["data"]),
        ("environments", environment_of(static)),
    ]
    before = AuditEntry.objects.count()
    for name, row in rows:
        assert static.put(f"/api/{name}/{row['id']}", row).json()["data"] == row
    assert AuditEntry.objects.count() == before


def test_the_default_workspace_can_not_be_deleted(static: APIClient) -> None:
    answer = static.delete("/api/workspaces/default")
    assert (answer.status_code, answer.json()["error"]) == (400, "the default workspace can't be deleted")


def test_a_workspace_that_holds_something_says_how_much_and_stays(static: APIClient) -> None:
    workspace = create(static).json()["data"]["id"]
    world.make(workspace, known_ids=False)
    path = f"/api/workspaces/{workspace}"
    holds = {"prompts": 1, "agents": 1, "workflows": 1}
    while holds:
        refused = static.delete(path)
        held = ", ".join(f"{count} {name}" for name, count in holds.items())
        assert refused.status_code == 409
        assert refused.json()["error"] == f"workspace Team One still holds {held}: delete them first"
        assert refused.json()["holds"] == holds
        name, _ = holds.popitem()
        (row,) = static.get(f"/api/{name}", {"workspace": workspace}).json()["data"]
        assert static.delete(f"/api/{name}/{row['id']}").status_code == 200
    assert static.delete(path).json() == {"ok": True}
    assert static.delete(path).status_code == 404


def test_with_a_workspace_go_its_environments_its_tokens_and_its_memberships(static: APIClient, login: Login) -> None:
    editor = login(Role.EDITOR)
    workspace = create(editor).json()["data"]["id"]
    token = {"name": "app", "role": "viewer", "workspace_id": workspace}
    app = api(static.post("/api/tokens", token).json()["data"]["token"])
    assert app.get("/api/me").status_code == 200
    assert static.delete(f"/api/workspaces/{workspace}").status_code == 200
    assert app.get("/api/me").status_code == 401
    for model in (Environment, Token, Membership):
        assert not model._default_manager.filter(workspace_id=workspace).exists()
    assert editor.get("/api/me").json()["workspaces"] == ["default"]


def test_the_audit_log_outlives_its_workspace(static: APIClient) -> None:
    workspace = create(static).json()["data"]["id"]
    static.delete(f"/api/workspaces/{workspace}")
    entries = static.get("/api/audit", {"workspace": workspace}).json()["data"]
    assert [entry["action"] for entry in entries] == ["delete", "create"]


# --- environments ---


def test_an_environment_is_made_changed_and_deleted(static: APIClient) -> None:
    made = static.post("/api/environments", {"name": "staging", "description": "before prod"})
    environment = made.json()["data"]
    assert (made.status_code, environment["workspace_id"], environment["require_publish"], environment["revision"]) == (
        201,
        "default",
        False,
        0,
    )
    assert static.post("/api/prompts", {"key": "a", "env": "staging"}).status_code == 201
    static.delete(f"/api/prompts/{static.get('/api/prompts').json()['data'][0]['id']}")
    path = f"/api/environments/{environment['id']}"
    changed = static.patch(path, {"description": "", "require_publish": True}).json()["data"]
    assert (changed["description"], changed["require_publish"], changed["name"]) == ("", True, "staging")
    assert static.delete(path).json() == {"ok": True}
    assert static.get("/api/environments").json()["total"] == 3
    refused = static.post("/api/prompts", {"key": "a", "env": "staging"})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["env"])
    assert "expected one of: dev, test, prod" in refused.json()["error"]


def test_an_environments_name_is_its_own_within_its_workspace_and_stays(
    static: APIClient, other_workspace: Workspace
) -> None:
    taken = static.post("/api/environments", {"name": "prod"})
    assert (taken.status_code, taken.json()["fields"]) == (409, {"name": ["taken"]})
    elsewhere = {"name": "staging", "workspace_id": other_workspace.pk}
    for body in ({"name": "staging"}, elsewhere):
        assert static.post("/api/environments", body).status_code == 201
    path = f"/api/environments/{environment_of(static)['id']}"
    for change, field in (({"name": "live"}, "name"), ({"workspace_id": other_workspace.pk}, "workspace_id")):
        refused = static.put(path, change)
        assert (refused.status_code, list(refused.json()["fields"])) == (400, [field])


def test_an_environment_that_holds_prompts_or_agents_can_not_be_deleted(static: APIClient) -> None:
    ids = world.make()
    path = f"/api/environments/{environment_of(static)['id']}"
    for name, holds in (("prompts", {"prompts": 1, "agents": 1}), ("agents", {"agents": 1})):
        refused = static.delete(path)
        assert (refused.status_code, refused.json()["holds"]) == (409, holds)
        static.delete(f"/api/{name}/{ids[name]}")
    assert static.delete(path).status_code == 200


def test_a_workspace_that_is_not_there_can_not_be_given_anything(static: APIClient) -> None:
    for path, body in (
        ("/api/environments", {"name": "staging"}),
        ("/api/prompts", {"key": "a"}),
        ("/api/agents", {"key": "a", "prompt": "x"}),
        ("/api/workflows", {"key": "a", "steps": world.STEPS}),
        ("/api/tokens", {"name": "a", "role": "viewer"}),
        ("/api/playground/run", {"content": "x"}),
    ):
        refused = static.post(path, {**body, "workspace_id": "nowhere"})
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["workspace_id"]), path
