"""Logging in and out, and who one is (contract, section 2)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.conf import settings
from django.contrib.auth.hashers import ScryptPasswordHasher
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.audit.models import AuditEntry
from governance.identity import tokens, users
from governance.identity.credentials.bearer import digest_of
from governance.identity.models import Token, User
from governance.tenancy.models import Workspace
from tests.conftest import PASSWORD, api

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MakeUser = Callable[..., User]


def log_in(client: APIClient, username: str = "ada", password: str = PASSWORD, *, address: str = "192.0.2.1") -> Any:
    return client.post("/api/login", {"username": username, "password": password}, REMOTE_ADDR=address)


@pytest.fixture
def ada(make_user: MakeUser) -> User:
    return make_user(Role.EDITOR, username="ada")


@time_machine.travel(NOW, tick=False)
def test_a_login_by_password_opens_a_session_of_the_users_role_for_twelve_hours(
    ada: User, anonymous: APIClient
) -> None:
    answer = log_in(anonymous)
    assert answer.status_code == 200
    body = answer.json()
    secret = body.pop("token")
    assert body == {"ok": True, "role": "editor", "username": "ada", "expires_at": "2026-03-02T00:00:00Z"}
    assert api(secret).get("/api/me").json() == {
        "username": "ada",
        "role": "editor",
        "workspaces": ["default"],
        "token": {"kind": "session", "name": "login", "env": None, "expires_at": "2026-03-02T00:00:00Z"},
    }


def test_a_login_by_the_static_token_answers_that_token_and_its_role(static: APIClient, settings: Any) -> None:
    expected = {"ok": True, "role": "admin", "username": "static token", "expires_at": None}
    answer = APIClient().post("/api/login", {"token": settings.PROMPTOPS_TOKEN})
    assert answer.json() == {**expected, "token": settings.PROMPTOPS_TOKEN}
    assert static.get("/api/me").json()["token"] == {
        "kind": "static",
        "name": "PROMPTOPS_TOKEN",
        "env": None,
        "expires_at": None,
    }
    assert not Token.objects.exists()


@time_machine.travel(NOW, tick=False)
def test_a_login_by_an_api_token_answers_that_token_and_its_role(workspace: Workspace, anonymous: APIClient) -> None:
    _, secret = tokens.create_token(
        actor=SYSTEM, workspace=workspace, name="app", role=Role.VIEWER, env="prod", expires_at=NOW + timedelta(days=1)
    )
    answer = anonymous.post("/api/login", {"token": secret}).json()
    expected = {"token": secret, "role": "viewer", "username": "token app", "expires_at": "2026-03-02T12:00:00Z"}
    assert answer == {"ok": True, **expected}
    assert api(secret).get("/api/me").json() == {
        "username": "token app",
        "role": "viewer",
        "workspaces": ["default"],
        "token": {"kind": "api", "name": "app", "env": "prod", "expires_at": "2026-03-02T12:00:00Z"},
    }


def test_who_may_not_log_in_learns_nothing_from_the_answer(
    ada: User, make_user: MakeUser, anonymous: APIClient
) -> None:
    shut_out = make_user(username="shut-out")
    users.update_user(actor=SYSTEM, user=shut_out, is_active=False)
    answers = [
        log_in(anonymous, "ada", "a wrong password"),
        log_in(anonymous, "nobody-of-that-name", PASSWORD),
        log_in(anonymous, "shut-out", PASSWORD),
        log_in(anonymous, "shut-out", "a wrong password"),
    ]
    bodies = [{**answer.json(), "request_id": ""} for answer in answers]
    assert bodies == [{"error": "invalid credentials", "code": "unauthorized", "request_id": ""}] * 4
    assert {(answer.status_code, answer.headers["WWW-Authenticate"]) for answer in answers} == {(401, "Bearer")}


@pytest.mark.real_passwords
@pytest.mark.parametrize("username", ["ada", "nobody-of-that-name", "shut-out"])
def test_a_refused_login_costs_one_hash_whoever_it_is_for(
    username: str, ada: User, make_user: MakeUser, anonymous: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashing is what takes the time: as many hashes, as much time."""
    users.update_user(actor=SYSTEM, user=make_user(username="shut-out"), is_active=False)
    hashes = []
    encode = ScryptPasswordHasher.encode

    def count(self: Any, password: str, *args: Any, **kwargs: Any) -> str:
        hashes.append(password)
        return encode(self, password, *args, **kwargs)

    monkeypatch.setattr(ScryptPasswordHasher, "encode", count)
    assert log_in(anonymous, username, "a wrong password").status_code == 401
    assert len(hashes) == 1


@pytest.mark.parametrize("secret", ["wrong", "po_" + "x" * 43, "x" * 512])
def test_a_login_by_a_token_that_is_none_is_invalid(secret: str, anonymous: APIClient, workspace: Workspace) -> None:
    answer = anonymous.post("/api/login", {"token": secret})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid token")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["username", "password"]),
        ({"username": "ada"}, ["password"]),
        ({"password": "x"}, ["username"]),
        ({"username": "ada", "password": ""}, ["password"]),
        ({"token": ""}, ["token"]),
        ({"token": "x" * 513}, ["token"]),
        ({"token": "x", "username": "ada"}, ["username"]),
        ({"username": "ada", "password": "x", "otp": "1"}, ["otp"]),
    ],
)
def test_a_login_that_lacks_or_mixes_credentials_is_refused_by_its_fields(
    body: Any, fields: list[str], anonymous: APIClient
) -> None:
    answer = anonymous.post("/api/login", body)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, fields)


def test_repeated_failures_lock_that_name_at_that_address_and_nobody_else(
    ada: User, make_user: MakeUser, anonymous: APIClient
) -> None:
    make_user(username="grace")
    with time_machine.travel(NOW, tick=False) as clock:
        statuses = [log_in(anonymous, password="a wrong password").status_code for _ in range(5)]
        assert statuses == [401, 401, 401, 401, 429]
        locked = log_in(anonymous)
        assert (locked.status_code, locked.json()["code"]) == (429, "too_many_attempts")
        assert locked.headers["Retry-After"] == "180"
        assert log_in(anonymous, "grace").status_code == 200
        assert log_in(anonymous, address="192.0.2.2").status_code == 200
        clock.move_to(NOW + timedelta(seconds=179))
        assert log_in(anonymous).status_code == 429
        clock.move_to(NOW + timedelta(seconds=180))
        assert log_in(anonymous).status_code == 200


def test_a_name_is_locked_however_it_is_written(ada: User, anonymous: APIClient) -> None:
    """Names are found without regard to case, so case must not give an attacker more tries."""
    statuses = [log_in(anonymous, name, "a wrong password").status_code for name in ("ada", "Ada", "ADA", "aDa", "adA")]
    assert statuses == [401, 401, 401, 401, 429]
    assert log_in(anonymous, "AdA").status_code == 429


def test_a_success_forgets_the_failures_before_it(ada: User, anonymous: APIClient) -> None:
    for _ in range(3):
        assert [log_in(anonymous, password="a wrong password").status_code for _ in range(4)] == [401] * 4
        assert log_in(anonymous).status_code == 200


def test_a_logout_ends_its_own_session_and_no_other(ada: User, anonymous: APIClient) -> None:
    here, there = (api(log_in(anonymous).json()["token"]) for _ in range(2))
    assert here.post("/api/logout").json() == {"ok": True}
    assert here.get("/api/me").status_code == 401
    assert here.post("/api/logout").status_code == 401
    assert there.get("/api/me").status_code == 200


def test_a_logout_leaves_the_static_token_and_api_tokens_alone(static: APIClient, workspace: Workspace) -> None:
    _, secret = tokens.create_token(actor=SYSTEM, workspace=workspace, name="app", role=Role.VIEWER)
    for client in (static, api(secret)):
        assert client.post("/api/logout").json() == {"ok": True}
        assert client.get("/api/me").status_code == 200


def test_a_session_ends_when_its_time_is_up_and_is_swept_out_by_the_next_login(
    ada: User, anonymous: APIClient, settings: Any
) -> None:
    settings.PROMPTOPS_SESSION_HOURS = 2
    with time_machine.travel(NOW, tick=False) as clock:
        client = api(log_in(anonymous).json()["token"])
        clock.move_to(NOW + timedelta(hours=1, minutes=59))
        assert client.get("/api/me").status_code == 200
        clock.move_to(NOW + timedelta(hours=2, seconds=1))
        refused = client.get("/api/me")
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid token")
        log_in(anonymous)
        assert Token.objects.filter(user=ada).count() == 1


def test_no_secret_is_in_the_database(ada: User, anonymous: APIClient, admin: APIClient) -> None:
    session = log_in(anonymous).json()["token"]
    created = admin.post("/api/tokens", {"name": "app", "role": "viewer"}).json()["data"]["token"]
    log_in(anonymous, password="a wrong password")
    everything = str([list(model._default_manager.values()) for model in apps.get_models()])
    for secret in (session, created):
        assert digest_of(secret) in everything
        assert secret not in everything
    assert PASSWORD not in everything
    assert "a wrong password" not in everything


def test_logins_failed_ones_and_logouts_are_in_the_audit_log(ada: User, anonymous: APIClient) -> None:
    client = api(log_in(anonymous).json()["token"])
    log_in(anonymous, password="a wrong password")
    client.post("/api/logout")
    entries = AuditEntry.objects.filter(resource="session").order_by("created_at")
    assert [(entry.action, entry.actor, entry.workspace_id) for entry in entries] == [
        ("login", "ada", None),
        ("login_failed", "anonymous", None),
        ("logout", "ada", None),
    ]


@pytest.mark.parametrize("seen", [[], ["default"], ["default", "other"]])
def test_me_lists_the_workspaces_that_one_sees(
    seen: list[str], make_user: MakeUser, login: Callable[..., APIClient], other_workspace: Workspace
) -> None:
    ids = {"default": "default", "other": other_workspace.pk}
    expected = [ids[name] for name in seen]
    assert login(user=make_user(workspaces=expected)).get("/api/me").json()["workspaces"] == expected
    assert login(Role.ADMIN).get("/api/me").json()["workspaces"] == list(ids.values())


def test_the_name_that_rows_of_sessions_have_for_how_somebody_logged_in_is_still_known() -> None:
    """Django ends a session whose row names a backend that is not there: an upgrade would log everybody out."""
    assert "governance.backends.PasswordBackend" in settings.AUTHENTICATION_BACKENDS
