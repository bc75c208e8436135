"""The run log (contract, section 2): what is kept of a run, its texts, what people thought of it, and how it ends."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.core import processes
from governance.core.models import ServerProcess
from governance.runs import log
from governance.runs.models import Run, RunContent, RunStatus, RunTally
from governance.tenancy.models import Workspace

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def opened(**known: Any) -> log.OpenRun:
    return log.start(actor=SYSTEM, **{"workspace_id": "default", "source": "agent", **known})


def finish(run: log.OpenRun, **known: Any) -> None:
    log.finish(run, **{"provider": "mock", "model": "m", "prompt_tokens": 3, "output_tokens": 5, **known})


def entry(client: APIClient, run: log.OpenRun) -> dict[str, Any]:
    row: dict[str, Any] = client.get(f"/api/runs/{run.id}").json()["data"]
    return row


def test_an_entry_has_the_contracts_fields_and_is_found_by_its_id(static: APIClient) -> None:
    run = opened(ref_key="helper", provider="mock")
    finish(run)
    [listed] = static.get("/api/runs").json()["data"]
    assert listed.keys() >= {
        *("id", "source", "ref_key", "provider", "model", "prompt_tokens", "output_tokens", "latency_ms"),
        *("status", "error", "created_at"),
    }
    assert entry(static, run) == {**listed, "prompt": None, "output": None, "feedback": []}


def test_a_run_of_the_playground_is_in_the_log_with_who_ran_it(viewer: APIClient) -> None:
    done = viewer.post("/api/playground/run", {"content": "Hi", "provider": "mock"}).json()
    [listed] = viewer.get("/api/runs").json()["data"]
    assert (listed["id"], listed["source"], listed["status"], listed["actor"]) == (
        done["run_id"],
        "playground",
        "ok",
        "viewer-0",
    )
    stats = viewer.get("/api/runs/stats").json()
    assert (stats["total"], stats["ok"], stats["prompt_tokens"]) == (1, 1, done["result"]["prompt_tokens"])


def test_a_run_is_closed_once_and_counted_once(static: APIClient) -> None:
    run = opened()
    log.fail(run, "first")
    finish(run)
    log.fail(run, "third")
    assert (entry(static, run)["status"], entry(static, run)["error"]) == ("error", "first")
    assert static.get("/api/runs/stats").json()["total"] == 1


# --- texts ---


@pytest.fixture
def keeping(admin: APIClient, workspace: Workspace) -> Workspace:
    """A workspace that keeps the texts of its runs for a week."""
    changed = admin.patch(f"/api/workspaces/{workspace.pk}", {"keep_content": True, "content_days": 7})
    assert changed.status_code == 200, changed.json()
    return workspace


def test_texts_are_kept_only_where_the_workspace_asks_for_it(
    viewer: APIClient, admin: APIClient, workspace: Workspace
) -> None:
    body = {"content": "Hi {{name}}", "variables": {"name": "Ada"}}
    silent = viewer.post("/api/playground/run", body).json()["run_id"]
    admin.patch(f"/api/workspaces/{workspace.pk}", {"keep_content": True})
    kept = viewer.post("/api/playground/run", body).json()["run_id"]
    failed = viewer.post("/api/playground/run", {**body, "model": "mock-malformed"}).json()["run_id"]
    texts = {}
    for run_id in (silent, kept, failed):
        row = viewer.get(f"/api/runs/{run_id}").json()["data"]
        texts[run_id] = (row["prompt"], row["output"])
    assert texts == {
        silent: (None, None),
        kept: ("Hi Ada", "mock completion for: Hi Ada"),
        failed: ("Hi Ada", ""),
    }
    assert all("prompt" not in row and "output" not in row for row in viewer.get("/api/runs").json()["data"])


def test_a_token_of_one_environment_reads_no_texts_of_another(keeping: Workspace, static: APIClient) -> None:
    made = {}
    for env in ("dev", "prod", ""):
        made[env] = opened(environment=env)
        finish(made[env], prompt=f"text of {env}", output="x")
    token = static.post("/api/tokens", {"name": "t", "role": "admin", "env": "dev"}).json()["data"]["token"]
    bound = APIClient(headers={"Authorization": f"Bearer {token}"})
    assert entry(bound, made["dev"])["prompt"] == "text of dev"
    for env in ("prod", ""):
        assert bound.get(f"/api/runs/{made[env].id}").status_code == 404, env


def test_texts_are_forgotten_when_their_days_are_over_and_the_run_stays(keeping: Workspace, static: APIClient) -> None:
    with time_machine.travel(NOW, tick=False):
        run = opened()
        finish(run, prompt="secret", output="too")
    with time_machine.travel(NOW + timedelta(days=6, hours=23), tick=False):
        assert log.forget_content() == 0
    with time_machine.travel(NOW + timedelta(days=7, seconds=1), tick=False):
        assert log.forget_content() == 1
    assert (RunContent.objects.count(), entry(static, run)["prompt"], entry(static, run)["status"]) == (0, None, "ok")


@pytest.mark.parametrize("days", [0, 366, -1, "7", 1.5, True, None])
def test_days_that_are_none_are_refused(admin: APIClient, workspace: Workspace, days: Any) -> None:
    refused = admin.patch(f"/api/workspaces/{workspace.pk}", {"content_days": days})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["content_days"])


# --- feedback ---


def test_feedback_is_one_of_each_person_and_the_later_word_counts(viewer: APIClient, editor: APIClient) -> None:
    run = opened()
    finish(run)
    for client, score, comment in ((viewer, -1, "useless"), (editor, 0.5, ""), (viewer, 1, "I was wrong")):
        said = client.post(f"/api/runs/{run.id}/feedback", {"score": score, "comment": comment})
        assert (said.status_code, said.json()["data"]["score"]) == (200, score)
    words = {row["actor"]: (row["score"], row["comment"]) for row in entry(viewer, run)["feedback"]}
    assert sorted(words.values()) == [(0.5, ""), (1, "I was wrong")]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "score"),
        ({"score": 1.01}, "score"),
        ({"score": "1"}, "score"),
        ({"score": True}, "score"),
        ({"score": 0, "comment": "x" * 2001}, "comment"),
        ({"score": 0, "stars": 5}, "stars"),
    ],
)
def test_feedback_that_is_none_is_refused(viewer: APIClient, body: dict[str, Any], field: str) -> None:
    run = opened()
    refused = viewer.post(f"/api/runs/{run.id}/feedback", body)
    assert (refused.status_code, field in refused.json()["fields"]) == (400, True)


def test_nobody_rates_a_run_that_they_cannot_see(viewer: APIClient, other_workspace: Workspace) -> None:
    run = opened(workspace_id=other_workspace.pk)
    for run_id in (run.id, uuid.uuid4()):
        assert viewer.post(f"/api/runs/{run_id}/feedback", {"score": 1}).status_code == 404


# --- runs whose process died ---


@pytest.fixture
def alive(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> ServerProcess:
    """A server process that says that it lives, in which runs are started."""
    now = timezone.now()
    server = ServerProcess.objects.create(host="here", pid=1, started_at=now, seen_at=now)
    monkeypatch.setattr(processes, "current", server.pk)
    return server


def test_a_run_whose_process_is_gone_is_closed_as_interrupted_at_the_second_look(
    alive: ServerProcess, static: APIClient
) -> None:
    run, over, sweep = opened(), opened(), log.Sweep()
    finish(over)
    sweep()
    sweep()
    assert entry(static, run)["status"] == "running"
    alive.delete()
    sweep()
    assert entry(static, run)["status"] == "running", "a process that is away for a moment may come back"
    sweep()
    ended = entry(static, run)
    assert (ended["status"], "the server process that ran it ended" in ended["error"]) == ("interrupted", True)
    assert entry(static, over)["status"] == "ok"
    stats = static.get("/api/runs/stats").json()
    assert {name: stats[name] for name in ("total", "ok", "error", "running")} == {
        "total": 2,
        "ok": 1,
        "error": 1,
        "running": 0,
    }
    finish(run)
    assert entry(static, run)["status"] == "interrupted", "who was given up does not come back"


def test_a_process_that_comes_back_keeps_its_runs(alive: ServerProcess, static: APIClient) -> None:
    run, sweep = opened(), log.Sweep()
    identity, now = alive.pk, timezone.now()
    alive.delete()
    sweep()
    back = ServerProcess.objects.create(pk=identity, host="here", pid=1, started_at=now, seen_at=now)
    sweep()
    back.delete()
    sweep()
    assert entry(static, run)["status"] == "running"


def test_a_run_that_no_process_answers_for_is_given_up_after_hours(static: APIClient) -> None:
    with time_machine.travel(NOW, tick=False):
        run = opened()
    sweep = log.Sweep()
    for hours, status in ((5.9, "running"), (6.1, "interrupted")):
        with time_machine.travel(NOW + timedelta(hours=hours), tick=False):
            sweep()
            sweep()
        assert entry(static, run)["status"] == status


def test_many_interrupted_runs_are_closed_and_counted(static: APIClient) -> None:
    rows = Run.objects.bulk_create(
        Run(workspace_id="default", source="agent", actor="a", process_id=uuid.uuid4()) for _ in range(1203)
    )
    assert log.interrupt({row.pk for row in rows}) == 1203
    assert set(Run.objects.values_list("status", flat=True)) == {RunStatus.INTERRUPTED}
    assert RunTally.objects.get(grain="month").interrupted == 1203
