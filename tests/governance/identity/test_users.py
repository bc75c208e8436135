"""Users: who they are, what they may, and that there is always an admin (contract, section 2)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from governance.access.roles import Role
from governance.audit.models import AuditEntry
from governance.identity.models import Token, User
from governance.tenancy.models import Membership, Workspace
from tests.conftest import PASSWORD

Login = Callable[..., APIClient]
MakeUser = Callable[..., User]
OTHER_PASSWORD = "tea-for-two-at-four"


def create(client: APIClient, username: str = "ada", **fields: Any) -> Any:
    return client.post("/api/users", {"username": username, "password": PASSWORD, **fields})


def test_a_new_user_is_a_viewer_in_default_unless_told_otherwise(static: APIClient, other_workspace: Workspace) -> None:
    plain = create(static).json()["data"]
    assert plain.keys() == {"id", "username", "role", "workspaces", "is_active", "created_at", "updated_at"}
    assert (plain["username"], plain["role"], plain["workspaces"], plain["is_active"]) == (
        "ada",
        "viewer",
        ["default"],
        True,
    )
    told = create(static, "grace", role="editor", workspaces=[other_workspace.pk], is_active=False).json()["data"]
    assert (told["role"], told["workspaces"], told["is_active"]) == ("editor", [other_workspace.pk], False)
    assert create(static, "nowhere", workspaces=[]).json()["data"]["workspaces"] == []


@pytest.mark.parametrize(
    ("fields", "status", "at_fault"),
    [
        ({"role": "owner"}, 400, "role"),
        ({"role": "Admin"}, 400, "role"),
        ({"role": None}, 400, "role"),
        ({"username": "ADA"}, 409, "username"),
        ({"username": "two words"}, 400, "username"),
        ({"username": "line\n"}, 400, "username"),
        ({"username": ""}, 400, "username"),
        ({"username": "x" * 151}, 400, "username"),
        ({"password": "short"}, 400, "password"),
        ({"password": "password123"}, 400, "password"),
        ({"password": "grace-hopper", "username": "grace-hopper"}, 400, "password"),
        ({"workspaces": ["nowhere"]}, 400, "workspaces"),
        ({"workspaces": "default"}, 400, "workspaces"),
        ({"workspaces": ["default"] * 1001}, 400, "workspaces"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_user_that_can_not_be_is_refused_by_the_field_at_fault(
    fields: dict[str, Any], status: int, at_fault: str, static: APIClient
) -> None:
    create(static)
    answer = static.post("/api/users", {"username": "grace", "password": PASSWORD, **fields})
    assert (answer.status_code, list(answer.json()["fields"])) == (status, [at_fault])
    assert User.objects.count() == 1


def test_a_user_is_fetched_changed_and_deleted(static: APIClient, other_workspace: Workspace) -> None:
    user = create(static).json()["data"]
    path = f"/api/users/{user['id']}"
    assert static.get(path).json()["data"] == user
    changed = static.put(path, {"role": "editor", "workspaces": [other_workspace.pk], "username": "Ada"}).json()["data"]
    assert {name for name in user if changed[name] != user[name]} == {"role", "workspaces", "username", "updated_at"}
    assert static.delete(path).json() == {"ok": True}
    assert static.get(path).status_code == static.delete(path).status_code == 404


def test_a_fetched_user_can_be_sent_back_and_changes_nothing(static: APIClient) -> None:
    user = create(static).json()["data"]
    before = AuditEntry.objects.count()
    assert static.put(f"/api/users/{user['id']}", user).json()["data"] == user
    assert AuditEntry.objects.count() == before


@pytest.mark.real_passwords
def test_no_answer_and_no_audit_entry_holds_a_password_or_its_hash(static: APIClient) -> None:
    answers = [create(static)]
    path = f"/api/users/{answers[0].json()['data']['id']}"
    answers.append(static.put(path, {"password": OTHER_PASSWORD}))
    answers += [static.get(path), static.get("/api/users"), static.get("/api/audit")]
    digest = User.objects.get(username="ada").password
    answers.append(static.delete(path))
    told = "".join(answer.content.decode() for answer in answers) + json.dumps(
        list(AuditEntry.objects.values("summary", "changes"))
    )
    assert PASSWORD not in told
    assert OTHER_PASSWORD not in told
    assert digest.startswith("scrypt$")
    assert "scrypt$" not in told
    changes = AuditEntry.objects.get(resource="user", action="update").changes
    assert changes == {"password": {"old": "(hidden)", "new": "(hidden)"}}


#: What leaves an admin without the power, and the word for it.
LOSSES = [({"role": "editor"}, "demoted"), ({"role": "viewer"}, "demoted"), ({"is_active": False}, "shut out")]


@pytest.mark.parametrize(("change", "verb"), [*LOSSES, (None, "deleted")])
def test_the_last_admin_can_not_be_lost_but_one_of_two_can(
    change: dict[str, Any] | None, verb: str, static: APIClient, make_user: MakeUser
) -> None:
    last, editor = make_user(Role.ADMIN, username="last"), make_user(Role.EDITOR)
    make_user(Role.ADMIN, username="shut-out", is_active=False)  # is no help

    def lose(user: User) -> Any:
        path = f"/api/users/{user.pk}"
        return static.delete(path) if change is None else static.put(path, change)

    refused = lose(last)
    assert (refused.status_code, refused.json()["error"]) == (
        409,
        f"last is the last admin and can't be {verb}: make somebody else admin first",
    )
    last.refresh_from_db()
    assert (last.role, last.is_active) == ("admin", True)
    static.put(f"/api/users/{editor.pk}", {"role": "admin"})
    assert lose(last).status_code == 200
    assert lose(editor).status_code == 409


def test_another_change_of_the_last_admin_is_none_of_that_rules_business(
    static: APIClient, make_user: MakeUser
) -> None:
    last = make_user(Role.ADMIN)
    answer = static.put(f"/api/users/{last.pk}", {"username": "root", "password": OTHER_PASSWORD, "role": "admin"})
    assert (answer.status_code, answer.json()["data"]["username"]) == (200, "root")


@pytest.mark.parametrize("change", [{"password": OTHER_PASSWORD}, {"is_active": False}, None], ids=str)
def test_a_user_who_is_repassworded_shut_out_or_deleted_is_out_at_the_next_request(
    change: dict[str, Any] | None, static: APIClient, make_user: MakeUser, login: Login
) -> None:
    user = make_user(username="ada")
    clients = [login(user=user) for _ in range(2)]
    path = f"/api/users/{user.pk}"
    assert (static.delete(path) if change is None else static.put(path, change)).status_code == 200
    assert [client.get("/api/me").status_code for client in clients] == [401, 401]
    assert not Token.objects.filter(user_id=user.pk).exists()
    old = APIClient().post("/api/login", {"username": "ada", "password": PASSWORD})
    assert old.status_code == 401
    if change and "password" in change:
        assert APIClient().post("/api/login", {"username": "ada", "password": OTHER_PASSWORD}).status_code == 200


def test_a_new_role_and_new_workspaces_hold_from_the_next_request_on(
    static: APIClient, make_user: MakeUser, login: Login, other_workspace: Workspace
) -> None:
    user = make_user(Role.EDITOR)
    client, path = login(user=user), f"/api/users/{user.pk}"
    assert client.post("/api/prompts", {"key": "one"}).status_code == 201
    static.put(path, {"role": "viewer"})
    assert client.post("/api/prompts", {"key": "two"}).status_code == 403
    static.put(path, {"workspaces": [other_workspace.pk]})
    assert client.get("/api/prompts").json()["total"] == 0
    assert client.get("/api/me").json()["workspaces"] == [other_workspace.pk]
    static.put(path, {"workspaces": []})
    assert client.get("/api/workspaces").json()["total"] == 0


def test_a_user_who_sees_no_workspace_can_write_nowhere(login: Login) -> None:
    client = login(Role.EDITOR, workspaces=[])
    answer = client.post("/api/prompts", {"key": "one"})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["workspace_id"])


def test_a_deleted_users_memberships_go_and_their_audit_entries_stay(
    static: APIClient, make_user: MakeUser, login: Login
) -> None:
    user = make_user(Role.EDITOR, username="ada")
    login(user=user).post("/api/prompts", {"key": "one"})
    static.delete(f"/api/users/{user.pk}")
    assert not Membership.objects.filter(user_id=user.pk).exists()
    assert AuditEntry.objects.get(resource="prompt").actor == "ada"
