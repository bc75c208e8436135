"""Logging in, passwords, tokens."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse

from governance.access.roles import Role
from governance.audit.models import AuditEntry
from governance.identity import tokens
from governance.identity.models import LoginFailures, Token, TokenKind, User
from governance.tenancy.models import Workspace
from tests.conftest import PASSWORD, api
from tests.promptops.admin.browser import Browser
from tests.promptops.admin.conftest import World

Browse = Callable[..., Browser]
LOGIN = "/admin/login/"
NEW = "another-horse-battery"


def log_in(browser: Browser, username: str, password: str) -> Any:
    return browser.client.post(LOGIN, {"username": username, "password": password, "next": "/admin/"})


def entries(action: str) -> list[tuple[str, str, str]]:
    found = AuditEntry.objects.filter(action=action).order_by("created_at")
    return list(found.values_list("actor", "resource", "summary"))


@pytest.mark.parametrize("role", Role.values)
def test_everybody_logs_in_with_name_and_password_and_the_audit_log_has_it(make_user: Any, role: str) -> None:
    make_user(role, username="Nina")
    browser = Browser()
    answer = log_in(browser, "nina", PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
    assert entries("login") == [("Nina", "session", "Nina logged in to the admin")]
    assert browser.open("/admin/").status == 200
    browser.post("/admin/logout/", {})
    assert entries("logout") == [("Nina", "session", "Nina logged out of the admin")]
    assert browser.open("/admin/").status == 302


def test_a_wrong_password_or_an_unknown_name_or_somebody_shut_out_comes_not_in(make_user: Any) -> None:
    make_user(username="nina")
    shut_out = make_user(username="otto")
    User.objects.filter(pk=shut_out.pk).update(is_active=False)
    for username, password in (("nina", "wrong"), ("nobody", PASSWORD), ("otto", PASSWORD), ("nul\0", PASSWORD)):
        browser = Browser()
        answer = log_in(browser, username, password)
        assert answer.status_code == 200
        assert "errornote" in answer.content.decode() or "errorlist" in answer.content.decode()
        assert browser.open("/admin/").status == 302
    assert entries("login") == []


def test_repeated_failures_lock_the_name_out_with_a_page_in_the_admin_and_json_in_the_api(make_user: Any) -> None:
    make_user(username="nina")
    browser = Browser()
    answers = [log_in(browser, "nina", "wrong") for _ in range(settings.PROMPTOPS_LOGIN_FAILURES)]
    assert [answer.status_code for answer in answers] == [200] * (settings.PROMPTOPS_LOGIN_FAILURES - 1) + [429]
    locked = log_in(browser, "nina", PASSWORD)
    assert (locked.status_code, locked.headers["Retry-After"]) in {(429, "180"), (429, "179")}
    assert "ry again in 1" in locked.content.decode()
    assert 'href="/static/admin/css/base.css"' in locked.content.decode()
    refused = api("").post("/api/login", {"username": "nina", "password": PASSWORD})
    assert (refused.status_code, refused.headers["Content-Type"]) == (429, "application/json; charset=utf-8")
    assert refused.json()["code"] == "too_many_attempts"
    assert refused.headers["Retry-After"] in {"180", "179"}
    assert entries("login") == []


def test_an_admin_unlocks_a_name_by_deleting_the_failed_attempts(make_user: Any, browse: Browse) -> None:
    make_user(username="nina")
    for _ in range(settings.PROMPTOPS_LOGIN_FAILURES):
        log_in(Browser(), "nina", "wrong")
    assert log_in(Browser(), "nina", PASSWORD).status_code == 429
    browser = browse(Role.ADMIN)
    assert "nina" in browser.list_page(LoginFailures).text
    held = LoginFailures.objects.get(kind="name_at")
    browser.act("delete_selected", held, post="yes")
    assert entries("delete") == [("admin-1", "lockout", f"Lifted the lock-out of {held}")]
    assert log_in(Browser(), "nina", PASSWORD).status_code == 302


# --- passwords ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role.values)
def test_ones_own_password_is_changed_by_the_service_and_this_session_stays(make_user: Any, role: str) -> None:
    user = make_user(role, username="nina")
    browser, elsewhere = Browser(user), Browser(user)
    _, secret = tokens.open_session(user=user)
    page = browser.open("/admin/password_change/")
    assert page.status == 200
    sent = page.browser.post(page.path, {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW})
    assert (sent.status, sent.response.headers["Location"]) == (302, reverse("admin:password_change_done"))
    entry = AuditEntry.objects.get(action="update", resource="user")
    assert (entry.actor, entry.changes) == ("nina", {"password": {"old": "(hidden)", "new": "(hidden)"}})
    user.refresh_from_db()
    assert user.check_password(NEW)
    assert browser.open("/admin/password_change/done/").status == 200
    assert elsewhere.open("/admin/").status == 302
    assert api(secret).get("/api/me").status_code == 401


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"old_password": "wrong"}, "old_password"),
        ({"new_password2": "something-else-entirely"}, "new_password2"),
        ({"new_password1": "short", "new_password2": "short"}, "new_password2"),
    ],
)
def test_ones_own_password_is_not_changed_without_the_old_one_or_to_a_weak_one(
    make_user: Any, fields: dict[str, str], field: str
) -> None:
    user = make_user(username="nina")
    sent = Browser(user).post(
        "/admin/password_change/", {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW, **fields}
    )
    assert sent.status == 200
    assert field in sent.response.context["form"].errors
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_a_password_set_for_somebody_ends_their_sessions_and_ones_own_goes_on(make_user: Any, browse: Browse) -> None:
    user = make_user(username="nina")
    theirs, browser = Browser(user), browse(Role.ADMIN)
    page = browser.operation(user, "password")
    done = page.send(password=NEW, again=NEW)
    assert done.messages == ["nina has a new password; their sessions have ended."]
    assert theirs.open("/admin/").status == 302
    user.refresh_from_db()
    assert user.check_password(NEW)
    own = browser.user
    assert own is not None
    assert browser.operation(own, "password").send(password=NEW, again=NEW).status == 302
    assert browser.open("/admin/").status == 200


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"password": "short", "again": "short"}, "password"), ({"password": NEW, "again": "x"}, "again")],
)
def test_a_password_that_is_refused_is_told_and_not_shown(
    make_user: Any, browse: Browse, fields: dict[str, str], field: str
) -> None:
    user = make_user(username="nina")
    refused = browse().operation(user, "password").send(**fields)
    assert field in refused.errors
    assert NEW not in refused.text
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_nobody_but_an_admin_sets_somebody_elses_password(make_user: Any, browse: Browse) -> None:
    user = make_user(username="nina")
    for role in (Role.VIEWER, Role.EDITOR):
        browser = browse(role)
        assert browser.operation(user, "password").status == 403
        assert (
            browser.post(f"/admin/governance/user/{user.pk}/password/", {"password": NEW, "again": NEW}).status == 403
        )
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_no_page_shows_a_password_hash(make_user: Any, browse: Browse) -> None:
    user = make_user(username="nina")
    browser = browse()
    for page in (browser.list_page(User), browser.change_page(user)):
        assert "nina" in page.text
        assert user.password not in page.text


# --- tokens -------------------------------------------------------------------------------------------------------


def test_a_new_tokens_secret_is_shown_once_and_works(workspace: Workspace, browse: Browse) -> None:
    browser = browse()
    sent = browser.add_page(Token).send(
        name="<i>shop</i>",
        role="viewer",
        workspace="default",
        env="prod",
        expires_at_0="2999-01-02",
        expires_at_1="03:04:05",
    )
    following = browser.open(sent.response.headers["Location"])
    (secret,) = re.findall(r"po_[\w-]{43}", following.text)
    assert "&lt;i&gt;shop" in following.text
    assert "<i>shop" not in following.text
    me = api(secret).get("/api/me").json()
    assert me["workspaces"] == ["default"]
    assert me["token"] == {
        "kind": "api",
        "name": "<i>shop</i>",
        "env": "prod",
        "expires_at": "2999-01-02T03:04:05Z",
    }
    token = Token.objects.get(kind=TokenKind.API)
    for page in (browser.list_page(Token), browser.change_page(token)):
        assert token.hint in page.text
        assert secret not in page.text
        assert token.digest not in page.text


def test_sessions_are_listed_and_can_be_revoked_and_nothing_can_be_changed(
    world: World, make_user: Any, browse: Browse
) -> None:
    _, secret = tokens.open_session(user=make_user(username="nina"))
    session = Token.objects.get(kind=TokenKind.SESSION)
    browser = browse()
    assert "nina" in browser.list_page(Token, kind__exact="session").text
    assert 'name="_save"' not in browser.change_page(session).text
    assert api(secret).get("/api/me").status_code == 200
    assert browser.delete(session).status == 302
    assert api(secret).get("/api/me").status_code == 401
    assert AuditEntry.objects.filter(action="delete", resource="token", resource_id=str(session.pk)).exists()


def test_a_user_that_is_deleted_takes_their_sessions_along(make_user: Any, browse: Browse) -> None:
    user = make_user(username="nina")
    _, secret = tokens.open_session(user=user)
    browser = browse()
    assert re.search(r"Sessions: 1", browser.open(f"/admin/governance/user/{user.pk}/delete/").text)
    browser.delete(user)
    assert api(secret).get("/api/me").status_code == 401
