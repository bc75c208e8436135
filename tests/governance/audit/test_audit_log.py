"""What the audit log tells beside writes, how it is bounded, who is who in it, and that nobody changes it."""

import hashlib
import hmac
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.core.management.base import CommandError
from django.core.management.sql import emit_post_migrate_signal
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from governance import audit
from governance.access.actors import ANONYMOUS, SYSTEM, Actor
from governance.access.roles import Role
from governance.audit import bounded
from governance.audit.models import AuditEntry
from governance.core import append_only
from governance.history import counts
from governance.identity import tokens, users
from governance.identity.models import FailureKind, LoginFailures, User
from governance.tenancy.models import Workspace
from tests.conftest import PASSWORD, api
from tests.contract.endpoints import ENDPOINTS
from tests.promptops.admin.browser import Browser


def entries(action: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action=action).order_by("created_at", "id"))


# --- nobody changes it ---


def test_the_database_refuses_to_change_and_to_delete_an_entry(workspace: Workspace) -> None:
    entry = audit.record(
        actor=SYSTEM, action="try", resource="x", resource_id="x", summary="as it was", workspace_id=None
    )
    tries: list[Callable[[], Any]] = [
        lambda: AuditEntry.objects.filter(pk=entry.pk).update(summary="other"),
        lambda: AuditEntry.objects.filter(pk=entry.pk).delete(),
        lambda: AuditEntry.objects.all().delete(),
        lambda: AuditEntry(pk=entry.pk, summary="other").save(force_update=True),
        lambda: connection.cursor().execute("UPDATE governance_auditentry SET actor = 'somebody else'"),
    ]
    for attempt in tries:
        with pytest.raises(IntegrityError, match="never changed or deleted"), transaction.atomic():
            attempt()
    assert AuditEntry.objects.get(pk=entry.pk).summary == "as it was"


def test_the_trigger_is_back_after_a_migration_made_the_table_anew(workspace: Workspace) -> None:
    with connection.cursor() as cursor:
        for statement in append_only.around(connection, {append_only.TABLE}, ["SELECT 1"]):
            if statement == "SELECT 1":
                break
            cursor.execute(statement)
    emit_post_migrate_signal(verbosity=0, interactive=False, db="default")
    audit.record(actor=SYSTEM, action="try", resource="x", resource_id="x", summary="", workspace_id=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        AuditEntry.objects.all().delete()


def test_an_operator_deletes_what_is_older_than_so_many_days_and_the_log_says_so(
    workspace: Workspace, static: APIClient
) -> None:
    now = timezone.now()
    for days in (400, 399, 20):
        with time_machine.travel(now - timedelta(days=days), tick=False):
            audit.record(actor=SYSTEM, action="try", resource="x", resource_id="x", summary="", workspace_id="default")
    counts.count()
    total = static.get("/api/audit").json()["total"]
    call_command("forgetaudit", days=365)
    assert len(entries("try")) == 1
    [told] = entries("forget")
    assert told.changes["entries"] == {"old": 2, "new": None}
    assert static.get("/api/audit").json()["total"] == total - 2 + 1
    with pytest.raises(IntegrityError), transaction.atomic():
        AuditEntry.objects.all().delete()
    with pytest.raises(CommandError, match="--days"):
        call_command("forgetaudit", days=0)


# --- who it was ---


def test_an_entry_names_its_actor_by_kind_id_and_name(
    static: APIClient, workspace: Workspace, make_user: Callable[..., User]
) -> None:
    user = make_user(Role.EDITOR, username="ada")
    made = [tokens.create_token(actor=SYSTEM, workspace=workspace, name="app", role=Role.EDITOR) for _ in range(2)]
    clients = [static, api(tokens.open_session(user=user)[1]), *(api(secret) for _, secret in made)]
    for number, client in enumerate(clients):
        assert client.post("/api/prompts", {"key": f"k{number}"}).status_code == 201
    with transaction.atomic():
        users.update_user(actor=SYSTEM, user=user, username="grace")
    listed = static.get("/api/audit", {"resource": "prompt"}).json()["data"]
    told = [(row["actor"], row["actor_kind"], row["actor_id"]) for row in reversed(listed)]
    assert told == [
        ("static token", "static", ""),
        ("ada", "session", str(user.pk)),
        ("token app", "api", str(made[0][0].pk)),
        ("token app", "api", str(made[1][0].pk)),
    ]
    assert static.get("/api/audit", {"actor": "token app"}).json()["total"] == 2
    assert static.get("/api/audit", {"actor_id": str(made[1][0].pk)}).json()["total"] == 1
    assert static.get("/api/audit", {"actor_kind": "static", "resource": "prompt"}).json()["total"] == 1


LOOKALIKES = [
    "system",
    "System",
    "\uff33\uff39\uff33\uff34\uff25\uff2d",
    "sys\u200btem",
    "sýstem",
    "static-token",
    "STATIC_TOKEN",
    "guard",
    "Anonymous",
]


@pytest.mark.parametrize("name", LOOKALIKES)
def test_nobody_is_given_a_name_that_stands_for_the_system(name: str, admin: APIClient, make_user: Any) -> None:
    user = make_user(username="ada")
    body = {"username": name, "password": PASSWORD, "role": "admin"}
    for answer, field in (
        (admin.post("/api/users", body), "username"),
        (admin.put(f"/api/users/{user.pk}", {"username": name}), "username"),
        (admin.post("/api/tokens", {"name": name, "role": "viewer"}), "name"),
        (admin.post("/api/tokens", {"name": f"  {name}\u00a0 ", "role": "viewer"}), "name"),
    ):
        assert (answer.status_code, list(answer.json()["fields"])) == (400, [field]), answer.json()


@pytest.mark.parametrize("other", ["Ada.L", "\uff41\uff44\uff41.\uff4c", "ADA.l"])
def test_nobody_is_given_a_name_that_is_hard_to_tell_from_a_users(other: str, admin: APIClient, make_user: Any) -> None:
    make_user(username="ada.l")
    answer = admin.post("/api/users", {"username": other, "password": PASSWORD})
    assert (answer.status_code, list(answer.json()["fields"])) == (409, ["username"])
    assert admin.post("/api/users", {"username": "ada-l", "password": PASSWORD}).status_code == 201


def test_who_bears_such_a_name_already_goes_on_with_it(admin: APIClient, workspace: Workspace) -> None:
    old = User.objects.create(username="guard", role=Role.EDITOR, password="!")
    client = api(tokens.open_session(user=old)[1])
    assert client.get("/api/me").status_code == 200
    assert admin.put(f"/api/users/{old.pk}", {"username": "guard", "role": "viewer"}).status_code == 200


# --- what was denied ---


def test_a_denied_write_is_in_the_log_and_a_denied_look_is_not(
    viewer: APIClient, admin: APIClient, workspace: Workspace
) -> None:
    refused = viewer.post("/api/prompts", {"key": "mine"}, headers={"X-Request-ID": "req-7"})
    assert refused.status_code == viewer.get("/api/users").status_code == 403
    [entry] = entries("denied")
    assert (entry.actor, entry.actor_kind, entry.resource, entry.request_id) == (
        "viewer-0",
        "session",
        "prompt",
        "req-7",
    )
    assert entry.summary == "POST /api/prompts was refused: forbidden: requires editor role"
    assert admin.get("/api/audit", {"action": "denied"}).json()["total"] == 1
    assert viewer.get("/api/audit", {"action": "denied"}).json()["total"] == 0, "it concerns no workspace"


def test_denied_writes_by_thousands_are_an_entry_a_minute_for_each_thing_and_a_count(
    viewer: APIClient, static: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        viewer.post("/api/prompts", {"key": f"k{number}"})
        viewer.delete(f"/api/prompts/00000000-0000-4000-8000-0000000000{number:02}")
    assert len(entries("denied")) == 2
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    bounded.settle()
    bounded.settle()
    assert [entry.changes.get("times") for entry in entries("denied")] == [None, None, *[{"old": None, "new": 39}] * 2]
    viewer.post("/api/prompts", {"key": "again"})
    assert len(entries("denied")) == 5


def test_what_many_callers_cause_is_bounded_too(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MOST", 5)
    for number in range(50):
        actor = Actor(name=f"n{number}", role=Role.VIEWER, kind="session")
        bounded.record(
            actor=actor, action="denied", what=str(number), resource="x", resource_id="", summary="s", workspace_id=None
        )
    assert len(entries("denied")) == 6


def test_every_write_of_the_table_that_a_role_denies_is_noted(viewer: APIClient, workspace: Workspace) -> None:
    writes = [one for one in ENDPOINTS if one.method != "GET" and one.least in (Role.EDITOR, Role.ADMIN)]
    for endpoint in writes:
        bounded.forget()
        before = len(entries("denied"))
        assert endpoint.call(viewer).status_code == 403, endpoint
        assert len(entries("denied")) == before + 1, endpoint


def test_a_denied_write_in_the_back_office_is_in_the_log(
    make_user: Callable[..., User], workspace: Workspace, make_prompt: Callable[..., dict[str, Any]]
) -> None:
    prompt, user = make_prompt(), make_user(Role.VIEWER, username="nina")
    browser = Browser(user)
    answer = browser.client.post(f"/admin/prompts/prompt/{prompt['id']}/change/", {"content": "mine"})
    assert answer.status_code == 403
    [entry] = entries("denied")
    assert (entry.actor, entry.actor_kind, entry.actor_id, entry.resource, entry.resource_id) == (
        "nina",
        "admin",
        str(user.pk),
        "prompt",
        prompt["id"],
    )
    script = browser.client.post("/admin/workflows/workflow/check/", "{}", content_type="application/json")
    assert (script.status_code, len(entries("denied"))) == (403, 2)


# --- webhooks, exports, feedback, lock-outs ---


def test_a_refused_call_of_a_webhook_is_in_the_log_once_a_minute_for_each_reason(
    static: APIClient, anonymous: APIClient
) -> None:
    steps = [{"type": "render", "template": "x"}]
    flow = static.post("/api/workflows", {"key": "flow", "steps": steps}).json()["data"]["id"]
    hook = static.post("/api/webhooks", {"workflow_id": flow, "name": "orders"}).json()["data"]

    def call(path: str, at: int, secret: str) -> int:
        signature = hmac.new(secret.encode(), f"{at}.{{}}".encode(), hashlib.sha256).hexdigest()
        headers = {"X-PromptOps-Timestamp": str(at), "X-PromptOps-Signature": signature}
        return anonymous.post(path, {}, headers=headers).status_code

    now = int(time.time())
    for _ in range(3):
        assert call(hook["url"], now, "wrong") == 401
        assert call(hook["url"], now - 3600, hook["secret"]) == 401
        assert call("/api/hooks/00000000-0000-4000-8000-000000000000", now, "wrong") == 401
        assert call("/api/hooks/00000000-0000-4000-8000-000000000001", now, "wrong") == 401
    assert call(hook["url"], now, hook["secret"]) == 202
    assert call(hook["url"], now, hook["secret"]) == 401
    told = [(entry.actor_kind, entry.key, entry.workspace_id) for entry in entries("refused")]
    assert sorted(told, key=str) == [("anonymous", "", None), *[("anonymous", "orders", "default")] * 3]
    assert all(hook["secret"] not in str(entry.__dict__) for entry in AuditEntry.objects.all())


def test_feedback_is_in_the_log_with_what_was_said_before(static: APIClient, viewer: APIClient) -> None:
    run = viewer.post("/api/playground/run", {"content": "x"}).json()["run_id"]
    for score in (1, 1, -0.5):
        assert viewer.post(f"/api/runs/{run}/feedback", {"score": score}).status_code == 200
    first, second = entries("feedback")
    assert (first.resource_id, first.changes["score"]) == (run, {"old": None, "new": 1})
    assert second.changes == {"score": {"old": 1, "new": -0.5}}


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous")
def test_exports_are_in_the_log(make_user: Callable[..., User], static: APIClient, workspace: Workspace) -> None:
    browser = Browser(make_user(Role.VIEWER, username="nina"))
    for _ in range(3):
        for log in ("auditentry", "run"):
            assert browser.client.get(f"/admin/governance/{log}/export/csv/?key=a").status_code == 200
    told = [(entry.actor, entry.resource, entry.changes) for entry in entries("export")]
    assert told == [("nina", name, {"key": {"old": None, "new": "a"}}) for name in ("audit", "run")]
    flow = static.post("/api/workflows", {"key": "flow", "steps": [{"type": "render", "template": "x"}]})
    assert static.get(f"/api/workflows/{flow.json()['data']['id']}/export").status_code == 200
    assert [entry.key for entry in entries("export")][2:] == ["flow"]


def test_forgetting_failed_logins_is_in_the_log(make_user: Callable[..., User], workspace: Workspace) -> None:
    browser = Browser(make_user(Role.ADMIN, username="root-of-all"))
    now = timezone.now()
    rows = [
        LoginFailures.objects.create(
            digest=name, kind=FailureKind.NAME, username=name, failures=9, started_at=now, forgotten_at=now
        )
        for name in ("nina", "omar")
    ]
    body = {"action": "delete_selected", "_selected_action": [row.pk for row in rows], "post": "yes"}
    browser.client.post("/admin/governance/loginfailures/", body)
    assert not LoginFailures.objects.exists()
    told = [(entry.actor, entry.resource, entry.key) for entry in entries("delete") if entry.resource == "lockout"]
    assert sorted(told) == [("root-of-all", "lockout", "nina"), ("root-of-all", "lockout", "omar")]


def test_an_entry_of_somebody_without_a_credential_has_no_id(workspace: Workspace) -> None:
    entry = audit.record(
        actor=ANONYMOUS, action="login", resource="session", resource_id="", summary="", workspace_id=None
    )
    assert (entry.actor, entry.actor_kind, entry.actor_id) == ("anonymous", "anonymous", "")
    assert AuditEntry._meta.db_table == append_only.TABLE
