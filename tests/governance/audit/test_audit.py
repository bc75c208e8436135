"""The audit log: every change, who made it, and what was there before (contract, section 2)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from rest_framework.test import APIClient

from governance.audit.models import AuditEntry
from tests.contract import world
from tests.contract.endpoints import ENDPOINTS, PASSWORD, Endpoint

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

#: What each writing endpoint leaves: action, resource, and a field with its old and its new value.
TRACES: dict[str, tuple[str, str, str, Any, Any]] = {
    "POST /api/prompts": ("create", "prompt", "key", None, "new"),
    "PUT /api/prompts/{id}": ("update", "prompt", "content", "Good day {{name}}", "other"),
    "PATCH /api/prompts/{id}": ("update", "prompt", "content", "Good day {{name}}", "other"),
    "DELETE /api/prompts/{id}": ("delete", "prompt", "content", "Good day {{name}}", None),
    "POST /api/prompts/{id}/copy": ("create", "prompt", "key", None, "copied"),
    "POST /api/prompts/{id}/versions": ("snapshot", "prompt", "note", None, "kept"),
    "POST /api/prompts/rollback": ("rollback", "prompt", "live_version", "v2", "v1"),
    "PUT /api/prompts/{id}/rollout": ("update", "rollout", "weight_a", 50.0, 12.5),
    "DELETE /api/prompts/{id}/rollout": ("delete", "rollout", "variant_a", "v1", None),
    "POST /api/agents": ("create", "agent", "prompt", None, "Help"),
    "PUT /api/agents/{id}": ("update", "agent", "description", "", "other"),
    "PATCH /api/agents/{id}": ("update", "agent", "description", "", "other"),
    "DELETE /api/agents/{id}": ("delete", "agent", "prompt", "Help {{name}}", None),
    "POST /api/workflows": ("create", "workflow", "key", None, "new"),
    "PUT /api/workflows/{id}": ("update", "workflow", "description", "", "other"),
    "PATCH /api/workflows/{id}": ("update", "workflow", "description", "", "other"),
    "DELETE /api/workflows/{id}": ("delete", "workflow", "key", "pipeline", None),
    "POST /api/workflows/publish": ("publish", "workflow", "live_version", "v1", "v2"),
    "POST /api/workflows/rollback": ("rollback", "workflow", "steps", world.STORED_STEPS[:2], world.STORED_STEPS),
    "POST /api/workflows/import": ("create", "workflow", "key", None, "imported"),
    "POST /api/workflows/runs/{id}/cancel": ("cancel", "workflow_run", "status", "waiting", "cancelled"),
    "POST /api/workflows/runs/{id}/resume": ("resume", "workflow_run", "status", "failed", "queued"),
    "POST /api/workflows/runs/{id}/approve": ("approve", "workflow_run", "comment", None, "fine"),
    "POST /api/workflows/runs/{id}/reject": ("reject", "workflow_run", "approved", None, False),
    "POST /api/schedules": ("create", "schedule", "cron", None, "30 2 * * *"),
    "PUT /api/schedules/{id}": ("update", "schedule", "cron", "0 3 * * *", "0 4 * * *"),
    "PATCH /api/schedules/{id}": ("update", "schedule", "cron", "0 3 * * *", "0 4 * * *"),
    "DELETE /api/schedules/{id}": ("delete", "schedule", "name", "nightly", None),
    "POST /api/webhooks": ("create", "webhook", "name", None, "new"),
    "PUT /api/webhooks/{id}": ("update", "webhook", "name", "orders", "other"),
    "PATCH /api/webhooks/{id}": ("update", "webhook", "name", "orders", "other"),
    "DELETE /api/webhooks/{id}": ("delete", "webhook", "name", "orders", None),
    "POST /api/runs/{id}/feedback": ("feedback", "run", "score", None, 1),
    "POST /api/providers": ("create", "provider", "name", None, "gemini"),
    "PUT /api/providers/{id}": ("update", "provider", "label", "", "other"),
    "PATCH /api/providers/{id}": ("update", "provider", "label", "", "other"),
    "DELETE /api/providers/{id}": ("delete", "provider", "name", "house", None),
    "POST /api/users": ("create", "user", "role", None, "editor"),
    "PUT /api/users/{id}": ("update", "user", "role", "viewer", "editor"),
    "PATCH /api/users/{id}": ("update", "user", "role", "viewer", "editor"),
    "DELETE /api/users/{id}": ("delete", "user", "username", "somebody", None),
    "POST /api/workspaces": ("create", "workspace", "name", None, "New"),
    "PUT /api/workspaces/{id}": ("update", "workspace", "name", "Default", "Other"),
    "PATCH /api/workspaces/{id}": ("update", "workspace", "name", "Default", "Other"),
    "DELETE /api/workspaces/{id}": ("delete", "workspace", "name", "Spare", None),
    "POST /api/tokens": ("create", "token", "role", None, "viewer"),
    "DELETE /api/tokens/{id}": ("delete", "token", "name", "spare", None),
    "POST /api/environments": ("create", "environment", "name", None, "new"),
    "PUT /api/environments/{id}": ("update", "environment", "description", "", "other"),
    "PATCH /api/environments/{id}": ("update", "environment", "description", "", "other"),
    "DELETE /api/environments/{id}": ("delete", "environment", "name", "spare", None),
}
#: A run is in the run log; publishing what is live already, as this body would, changes nothing.
NO_TRACE = {
    "POST /api/playground/run",
    "POST /api/agents/{id}/run",
    "POST /api/workflows/{id}/run",
}
WRITING = [one for one in ENDPOINTS if one.method != "GET" and not one.private and str(one) not in {"POST /api/logout"}]


@pytest.mark.parametrize("endpoint", WRITING, ids=str)
def test_a_change_leaves_one_entry_with_its_actor_and_the_old_and_the_new(endpoint: Endpoint, admin: APIClient) -> None:
    world.make_all()
    before = set(AuditEntry.objects.values_list("pk", flat=True))
    answer = endpoint.call(admin, headers={"X-Request-ID": "mine"})
    assert answer.status_code == endpoint.status
    new = AuditEntry.objects.exclude(pk__in=before)
    if str(endpoint) in NO_TRACE or str(endpoint) == "POST /api/prompts/publish":
        assert not new
        return
    (entry,) = new
    if str(endpoint) == "POST /api/login":  # a token was shown: nothing changed
        assert (entry.action, entry.actor_kind, entry.changes) == ("login", "static", {})
        return
    action, resource, field, old, now = TRACES[str(endpoint)]
    assert (entry.action, entry.resource, entry.actor, entry.request_id) == (action, resource, "admin-0", "mine")
    assert entry.changes[field] == {"old": old, "new": now}
    assert all(change.keys() == {"old", "new"} for change in entry.changes.values())
    assert PASSWORD not in str(entry.changes)
    about = answer.json()["data"]["id"] if "id" in answer.json().get("data", {}) else endpoint.id
    of_another = {"rollout": world.PROMPT, "publish": world.WORKFLOW, "snapshot": world.PROMPT}
    about = of_another.get(action, of_another.get(resource, about))
    assert entry.resource_id == about
    listed = admin.get("/api/audit", {"resource_id": entry.resource_id}).json()["data"][0]
    assert listed.keys() == {
        "id",
        "action",
        "resource",
        "resource_id",
        "key",
        "summary",
        "actor",
        "actor_kind",
        "actor_id",
        "workspace_id",
        "changes",
        "request_id",
        "created_at",
    }
    assert (listed["action"], listed["changes"]) == (action, entry.changes)
    belongs = {"user": None, "provider": None, "workspace": entry.resource_id}
    assert listed["workspace_id"] == belongs.get(resource, "default")


def test_a_publish_is_told_with_the_version_before_it_and_its_note(admin: APIClient) -> None:
    world.make_all()
    admin.patch(f"/api/prompts/{world.PROMPT}", {"content": "third"})
    admin.post("/api/prompts/publish", {"id": world.PROMPT, "note": "warmer"})
    (entry,) = admin.get("/api/audit", {"action": "publish", "actor": "admin-0"}).json()["data"]
    assert (entry["key"], entry["summary"]) == (world.KEY, "Published greeting v3 in prod")
    assert entry["changes"] == {
        "live_version": {"old": "v2", "new": "v3"},
        "note": {"old": None, "new": "warmer"},
    }


@pytest.mark.parametrize("endpoint", [one for one in WRITING if one.method in {"PUT", "PATCH"}], ids=str)
def test_a_change_that_changes_nothing_leaves_no_entry(endpoint: Endpoint, admin: APIClient) -> None:
    world.make_all()
    assert endpoint.call(admin).status_code == 200
    before = AuditEntry.objects.count()
    for body in (endpoint.body, {}):
        assert endpoint.call(admin, body).status_code == 200
    assert AuditEntry.objects.count() == before


def test_the_log_can_not_be_written_to(static: APIClient) -> None:
    world.make_all()
    id_ = static.get("/api/audit").json()["data"][0]["id"]
    for method in ("post", "put", "patch", "delete"):
        assert getattr(static, method)("/api/audit", {}).status_code == 405
        assert getattr(static, method)(f"/api/audit/{id_}", {}).status_code == 404


def test_the_log_is_filtered_by_each_of_its_fields_and_by_all_together(admin: APIClient, static: APIClient) -> None:
    world.make_all()
    admin.put("/api/workspaces/default", {"name": "One"})
    static.put("/api/workspaces/default", {"name": "Two"})
    entries = static.get("/api/audit").json()["data"]
    for name in ("action", "resource", "actor", "key", "resource_id"):
        for value in {entry[name] for entry in entries}:
            found = static.get("/api/audit", {name: value}).json()
            assert found["data"] == [entry for entry in entries if entry[name] == value], (name, value)
    everything = {"action": "update", "resource": "workspace", "actor": "admin-0", "workspace": "default"}
    (found,) = static.get("/api/audit", everything).json()["data"]
    assert found["changes"] == {"name": {"old": "Default", "new": "One"}}
    assert static.get("/api/audit", {"action": "no such action"}).json() == {"data": [], "total": 0}


@pytest.mark.parametrize(
    ("query", "hours"),
    [
        ({"since": "2026-03-01T13:00:00Z"}, [2, 1]),
        ({"until": "2026-03-01T13:00:00Z"}, [0]),
        ({"since": "2026-03-01T13:00:00Z", "until": "2026-03-01T14:00:00Z"}, [1]),
        ({"since": "2026-03-01T14:00:00+01:00"}, [2, 1]),
        ({"since": "2026-03-01T13:00:00.000001Z"}, [2]),
        ({"since": "2026-03-01t13:00:00z"}, [2, 1]),
        ({"since": "2026-03-01T14:00:01Z"}, []),
        ({"since": "2026-03-02T00:00:00Z", "until": "2026-03-01T00:00:00Z"}, []),
    ],
    ids=str,
)
def test_since_is_included_and_until_is_not(query: dict[str, str], hours: list[int], static: APIClient) -> None:
    for hour in range(3):
        with time_machine.travel(NOW + timedelta(hours=hour), tick=False):
            static.put("/api/workspaces/default", {"name": f"Name {hour}"})
    found = static.get("/api/audit", {"resource": "workspace", "action": "update", **query}).json()
    assert [entry["changes"]["name"]["new"] for entry in found["data"]] == [f"Name {hour}" for hour in hours]
    assert found["total"] == len(hours)
