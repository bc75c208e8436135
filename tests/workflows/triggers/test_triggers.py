"""Runs that the clock or a signed call starts."""

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from governance.audit.models import AuditEntry
from governance.identity.models import User
from governance.tenancy.models import Workspace
from tests.workflows.runs.test_runs import get, work_off
from workflows.models import Delivery, Schedule, Webhook, WorkflowRun
from workflows.triggers import schedules, webhooks
from workflows.triggers.cron import next_tick

Make = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.django_db
SAY = {"id": "say", "type": "render", "template": "{{input}} from {{city}}"}


def schedule(client: APIClient, workflow: dict[str, Any], **fields: Any) -> Any:
    body = {"workflow_id": workflow["id"], "name": "nightly", "cron": "30 2 * * *", **fields}
    return client.post("/api/schedules", body)


@pytest.mark.parametrize(
    ("zone", "after", "expected"),
    [
        ("UTC", datetime(2026, 1, 1, 2, 30, tzinfo=UTC), datetime(2026, 1, 2, 2, 30, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, 30, tzinfo=UTC)),
        # On the day that summer begins there is no 02:30: it is when the clocks are put forward.
        ("Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 1, 0, 30, tzinfo=UTC)),
    ],
)
def test_a_schedules_next_tick_is_reckoned_in_its_time_zone(zone: str, after: datetime, expected: datetime) -> None:
    assert next_tick("30 2 * * *", zone, after) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cron", "every day"),
        ("cron", "61 * * * *"),
        ("cron", "* * * * * *"),
        ("cron", "0 0 31 2 *"),
        ("cron", "@reboot"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../etc/passwd"),
        ("workflow_id", "00000000-0000-0000-0000-000000000000"),
    ],
)
def test_a_schedule_that_could_not_run_is_refused(
    editor: APIClient, make_workflow: Make, field: str, value: str
) -> None:
    answer = schedule(editor, make_workflow(SAY), **{field: value})
    assert answer.status_code == 400, answer.json()
    assert list(answer.json()["fields"]) == [field]


def test_each_tick_starts_one_run_however_many_look_and_missed_ticks_make_one_together(
    editor: APIClient, make_workflow: Make
) -> None:
    made = schedule(editor, make_workflow(SAY), variables={"input": "hi", "city": "Bonn"}, cron="0 * * * *")
    assert made.status_code == 201, made.json()
    due = timezone.now() - timedelta(hours=5)
    Schedule.objects.update(next_at=due)
    late = Schedule.objects.get()
    [run] = schedules.tick()
    assert schedules.tick() == []
    assert schedules._tick(late, timezone.now()) is None  # another process that saw it as it was
    after = Schedule.objects.get()
    assert after.next_at is not None
    assert after.next_at > timezone.now()
    assert after.last_run_id == run.pk
    work_off()
    done = get(editor, str(run.pk))
    assert (done["status"], done["trigger"], done["trigger_id"]) == ("succeeded", "schedule", made.json()["data"]["id"])
    assert done["output"] == "hi from Bonn"


def test_a_schedule_that_is_off_has_no_next_tick(editor: APIClient, make_workflow: Make) -> None:
    made = schedule(editor, make_workflow(SAY)).json()["data"]
    assert made["next_at"] is not None
    off = editor.patch(f"/api/schedules/{made['id']}", {"enabled": False}).json()["data"]
    assert off["next_at"] is None
    assert AuditEntry.objects.filter(resource="schedule").count() == 2


def test_a_schedule_runs_as_who_set_it_up_and_not_once_they_are_gone(
    login: Callable[..., APIClient],
    make_user: Callable[..., User],
    editor: APIClient,
    make_workflow: Make,
) -> None:
    somebody = make_user("editor", username="somebody")
    schedule(login(user=somebody), make_workflow(SAY), variables={"city": "x"})
    Schedule.objects.update(next_at=timezone.now())
    somebody.delete()
    [run] = schedules.tick()
    work_off()
    assert "somebody" in get(editor, str(run.pk))["error"]


def hook(client: APIClient, workflow: dict[str, Any], **fields: Any) -> tuple[str, str]:
    made = client.post("/api/webhooks", {"workflow_id": workflow["id"], "name": "orders", **fields})
    assert made.status_code == 201, made.json()
    return made.json()["data"]["url"], made.json()["data"]["secret"]


def call(
    client: APIClient, url: str, secret: str, body: bytes, *, at: int | str | None = None, signed: bytes | None = None
) -> Any:
    timestamp = str(int(time.time()) if at is None else at)
    content = body if signed is None else signed
    signature = hmac.new(secret.encode(), timestamp.encode() + b"." + content, hashlib.sha256).hexdigest()
    return client.generic(
        "POST",
        url,
        body.decode(),
        "application/json",
        HTTP_X_PROMPTOPS_TIMESTAMP=timestamp,
        HTTP_X_PROMPTOPS_SIGNATURE=f"sha256={signature}",
    )


def test_a_signed_call_starts_a_run_with_its_body_as_input(
    editor: APIClient, anonymous: APIClient, make_workflow: Make
) -> None:
    url, secret = hook(editor, make_workflow(SAY), variables={"city": "Bonn"})
    answer = call(anonymous, url, secret, b'{"order": 7}')
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    work_off()
    done = get(editor, answer.json()["run_id"])
    assert (done["output"], done["trigger"]) == ('{"order":7} from Bonn', "webhook")


def test_a_call_is_taken_once_and_only_if_it_is_signed_and_fresh(
    editor: APIClient, anonymous: APIClient, make_workflow: Make
) -> None:
    url, secret = hook(editor, make_workflow(SAY))
    assert call(anonymous, url, secret, b"[1]").status_code == 202
    now = int(time.time())
    refused = [
        call(anonymous, url, secret, b"[1]", at=now - 1000),
        call(anonymous, url, secret, b"[1]", at=now + 1000),
        call(anonymous, url, secret, b"[1]", at="\xb2"),  # a digit to `str.isdigit`, and none to `int`
        call(anonymous, url, secret, b"[2]", signed=b"[1]"),
        call(anonymous, url, "another", b"[1]"),
        anonymous.post(url, {}),
        call(anonymous, url.replace(url[-4:], "0000"), secret, b"[1]"),
    ]
    assert [answer.status_code for answer in refused] == [401] * len(refused)
    assert call(anonymous, url, secret, b"[3]", at=now + 1).status_code == 202
    assert call(anonymous, url, secret, b"[3]", at=now + 1).status_code == 401  # the same one again
    assert call(anonymous, url, secret, b"{no json").status_code == 400
    Webhook.objects.update(enabled=False)
    assert call(anonymous, url, secret, b"[4]").status_code == 401
    assert WorkflowRun.objects.count() == 2
    assert Delivery.objects.count() == 2


def test_a_webhooks_secret_is_shown_once_and_kept_encrypted(
    editor: APIClient, viewer: APIClient, make_workflow: Make
) -> None:
    url, secret = hook(editor, make_workflow(SAY))
    row = Webhook.objects.get()
    assert secret not in row.encrypted_secret
    shown = viewer.get(f"/api/webhooks/{row.pk}").json()["data"]
    assert "secret" not in shown
    assert secret not in json.dumps(viewer.get("/api/webhooks").json())
    assert not AuditEntry.objects.filter(changes__icontains=secret).exists()
    assert webhooks.signature_of(secret, "1", b"x") != webhooks.signature_of(secret, "2", b"x")
    assert url.endswith(str(row.pk))


def test_nobody_sees_or_makes_triggers_in_another_workspace(
    login: Callable[..., APIClient], editor: APIClient, make_workflow: Make, other_workspace: Workspace
) -> None:
    workflow = make_workflow(SAY)
    made = schedule(editor, workflow).json()["data"]
    stranger = login("editor", workspaces=[other_workspace.pk])
    assert stranger.get("/api/schedules").json()["total"] == 0
    assert stranger.get(f"/api/schedules/{made['id']}").status_code == 404
    assert schedule(stranger, workflow).status_code == 400
    assert stranger.delete(f"/api/schedules/{made['id']}").status_code == 404


def test_a_schedule_whose_start_fails_says_why_goes_on_to_its_next_tick_and_keeps_nobody_waiting(
    editor: APIClient, make_workflow: Make
) -> None:
    demanding = make_workflow(SAY, inputs={"city": {"type": "string", "required": True}})
    for _ in range(schedules.MAX_STARTED):
        assert schedule(editor, demanding, cron="0 * * * *").status_code == 201
    Schedule.objects.update(next_at=timezone.now() - timedelta(hours=1))
    fine = schedule(editor, make_workflow(SAY, key="fine"), cron="0 * * * *").json()["data"]
    Schedule.objects.filter(pk=fine["id"]).update(next_at=timezone.now() - timedelta(minutes=1))
    assert schedules.tick() == []
    assert not Schedule.objects.exclude(pk=fine["id"]).filter(next_at__lte=timezone.now()).exists()
    [run] = schedules.tick()
    assert run.trigger_id == uuid.UUID(fine["id"])
    failing = Schedule.objects.exclude(pk=fine["id"]).first()
    assert failing is not None
    shown = editor.get(f"/api/schedules/{failing.pk}").json()["data"]
    assert "city" in shown["last_error"]
    assert (shown["enabled"], shown["last_run_id"]) == (True, None)
    assert editor.get(f"/api/schedules/{fine['id']}").json()["data"]["last_error"] == ""
    # Once it is mended, its next start goes well, and nothing is said any more.
    editor.patch(f"/api/schedules/{failing.pk}", {"variables": {"city": "Bonn"}})
    Schedule.objects.filter(pk=failing.pk).update(next_at=timezone.now())
    assert len(schedules.tick()) == 1
    assert Schedule.objects.get(pk=failing.pk).last_error == ""


def test_a_schedule_that_breaks_or_has_no_next_tick_any_more_stops_no_other(
    editor: APIClient, make_workflow: Make
) -> None:
    broken, gone, fine = (
        schedule(editor, make_workflow(SAY, key=key)).json()["data"]["id"] for key in ("broken", "gone", "fine")
    )
    Schedule.objects.update(next_at=timezone.now())
    Schedule.objects.filter(pk=broken).update(bounds={})  # no role in it: a fault that nobody thought of
    Schedule.objects.filter(pk=gone).update(timezone="Europe/Atlantis")
    [run] = schedules.tick()
    assert str(run.trigger_id) == fine
    assert schedules.tick() == []
    assert Schedule.objects.get(pk=broken).last_error == "internal error (KeyError)"
    lost = Schedule.objects.get(pk=gone)
    assert (lost.next_at, lost.enabled) == (None, True)
    assert "timezone" in lost.last_error


def test_a_signed_call_that_can_start_no_run_is_told_so_and_its_owner_too_and_may_come_again(
    editor: APIClient, anonymous: APIClient, make_workflow: Make
) -> None:
    url, secret = hook(editor, make_workflow(SAY, inputs={"city": {"type": "string", "required": True}}))
    now = int(time.time())
    for _ in range(2):  # it was not taken
        refused = call(anonymous, url, secret, b"{}", at=now)
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["variables"])
    shown = editor.get("/api/webhooks").json()["data"][0]
    assert "city" in shown["last_error"]
    assert call(anonymous, url, "another", b"{}").status_code == 401
    assert call(anonymous, url, secret, b'{"city": "Bonn"}', at=now).status_code == 202
    assert editor.get("/api/webhooks").json()["data"][0]["last_error"] == ""


def test_a_rule_of_the_database_that_a_start_breaks_is_not_told_as_a_repeated_call(
    editor: APIClient, anonymous: APIClient, make_workflow: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, secret = hook(editor, make_workflow(SAY))
    field = WorkflowRun._meta.get_field("segment")
    monkeypatch.setattr(field, "_get_default", lambda: -1, raising=False)
    answer = call(anonymous, url, secret, b"{}")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "internal error" in Webhook.objects.get().last_error
    assert WorkflowRun.objects.count() == Delivery.objects.count() == 0
