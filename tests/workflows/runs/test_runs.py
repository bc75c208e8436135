"""Runs in the background, as the API has them. Legs are done here by hand, as a worker's thread would."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from governance.audit.models import AuditEntry
from governance.identity import tokens
from governance.identity.models import Token, User
from governance.runs import log
from governance.runs.models import Run, RunStatus, RunTally
from governance.tenancy.models import Workspace
from tests.conftest import api
from workflows.engine import segments, supervisor, transitions
from workflows.models import RunState, StepAttempt, WorkflowRun

Make = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.django_db


def model(id_: str = "ask", **fields: Any) -> dict[str, Any]:
    return {"id": id_, "type": "model", "provider": "mock", **fields}


APPROVAL = {"id": "ok", "type": "approval"}
SHOUT = {"id": "shout", "type": "transform", "op": "upper"}


def start(client: APIClient, workflow: dict[str, Any], key: str | None = None, **body: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(f"/api/workflows/{workflow['id']}/run", {"background": True, **body}, headers=headers)


def started(client: APIClient, workflow: dict[str, Any], **body: Any) -> str:
    answer = start(client, workflow, **body)
    assert answer.status_code == 202, answer.json()
    assert answer.json()["status"] == "queued"
    run: str = answer.json()["run_id"]
    return run


def work_off() -> int:
    """Do what is queued, until nothing is."""
    count = 0
    while (queued := WorkflowRun.objects.filter(status=RunState.QUEUED).first()) is not None:
        segments.work(queued.pk, queued.segment)
        count += 1
    return count


def get(client: APIClient, run: str) -> dict[str, Any]:
    answer = client.get(f"/api/workflows/runs/{run}")
    assert answer.status_code == 200, answer.json()
    data: dict[str, Any] = answer.json()["data"]
    return data


def post(client: APIClient, run: str, what: str, **body: Any) -> Any:
    return client.post(f"/api/workflows/runs/{run}/{what}", body)


def test_a_background_run_answers_202_and_then_has_its_output_and_an_entry_for_each_attempt(
    viewer: APIClient, make_workflow: Make
) -> None:
    run = started(viewer, make_workflow(model(), SHOUT), variables={"input": "hello"})
    assert get(viewer, run)["status"] == "queued"
    assert work_off() == 1
    done = get(viewer, run)
    assert (done["status"], done["trigger"], done["error"]) == ("succeeded", "api", "")
    assert done["output"] == done["steps"][0]["output"].upper()
    ask, shout = done["steps"]
    assert [(step["id"], step["status"], step["attempt"]) for step in (ask, shout)] == [
        ("ask", "succeeded", 1),
        ("shout", "succeeded", 1),
    ]
    assert ask["input"] == "hello"
    assert ask["prompt_tokens"] > 0
    assert ask["started_at"] <= ask["ended_at"] <= shout["started_at"] <= done["ended_at"]
    logged = Run.objects.get(pk=run)
    assert (logged.status, logged.source, logged.provider) == (RunStatus.OK, "workflow", "mock")
    assert logged.prompt_tokens == ask["prompt_tokens"]


def test_a_run_keeps_the_definition_that_it_started_with(
    editor: APIClient, viewer: APIClient, make_workflow: Make
) -> None:
    workflow = make_workflow(SHOUT)
    run = started(viewer, workflow, variables={"input": "a"})
    editor.put(f"/api/workflows/{workflow['id']}", {"steps": [{"type": "transform", "op": "lower"}]})
    work_off()
    assert get(viewer, run)["output"] == "A"


def test_a_short_run_that_is_waited_for_leaves_the_same_trace(viewer: APIClient, make_workflow: Make) -> None:
    workflow = make_workflow(model(), SHOUT)
    answer = start(viewer, workflow, background=False, variables={"input": "x"})
    assert answer.status_code == 200
    kept = get(viewer, answer.json()["run_id"])
    assert kept["status"] == "succeeded"
    assert kept["output"] == answer.json()["output"]
    assert [step["output"] for step in kept["steps"]] == [step["output"] for step in answer.json()["steps"]]


def test_a_run_that_is_waited_for_and_comes_to_an_approval_answers_202_and_goes_on_when_it_is_given(
    viewer: APIClient, editor: APIClient, make_workflow: Make
) -> None:
    answer = start(viewer, make_workflow(model(), APPROVAL, SHOUT), background=False, variables={"input": "x"})
    assert (answer.status_code, answer.json()["status"]) == (202, "waiting")
    run = answer.json()["run_id"]
    assert get(viewer, run)["waits_for"] == "ok"
    assert post(viewer, run, "approve").status_code == 403
    said = post(editor, run, "approve", comment="fine")
    assert (said.status_code, said.json()["data"]["status"]) == (200, "queued")
    work_off()
    done = get(viewer, run)
    assert done["status"] == "succeeded"
    assert [step["status"] for step in done["steps"]] == ["succeeded"] * 3
    assert done["steps"][1]["decision"]["comment"] == "fine"
    assert post(editor, run, "approve").status_code == 409
    assert AuditEntry.objects.get(action="approve", resource_id=run).changes["comment"]["new"] == "fine"


def test_a_rejected_run_fails_and_can_be_resumed_to_be_asked_again(editor: APIClient, make_workflow: Make) -> None:
    run = started(editor, make_workflow(model(), APPROVAL, SHOUT), variables={"input": "x"})
    work_off()
    assert post(editor, run, "reject", comment="no").status_code == 200
    work_off()
    failed = get(editor, run)
    assert failed["status"] == "failed"
    assert "no" in failed["error"]
    assert post(editor, run, "resume").status_code == 200
    work_off()
    assert get(editor, run)["status"] == "waiting"
    post(editor, run, "approve")
    work_off()
    done = get(editor, run)
    assert done["status"] == "succeeded"
    assert len([step for step in done["steps"] if step["id"] == "ask"]) == 1  # what was done before is kept


def test_a_run_resumed_from_a_step_makes_that_one_and_all_after_it_again(
    editor: APIClient, make_workflow: Make
) -> None:
    run = started(editor, make_workflow(model("a"), model("b"), model("c")), variables={"input": "x"})
    work_off()
    assert post(editor, run, "resume").status_code == 409  # it has succeeded
    assert post(editor, run, "resume", **{"from": "nowhere"}).json()["fields"].keys() == {"from"}
    before = RunTally.objects.get(grain="day", source="workflow").ok
    assert post(editor, run, "resume", **{"from": "b"}).json()["data"]["status"] == "queued"
    work_off()
    done = get(editor, run)
    assert done["status"] == "succeeded"
    made = [(step["path"], step["attempt"], step["superseded"]) for step in done["steps"]]
    assert made == [("a", 1, False), ("b", 1, True), ("c", 1, True), ("b", 2, False), ("c", 2, False)]
    assert RunTally.objects.get(grain="day", source="workflow").ok == before  # it counts once


def test_a_cancelled_run_does_no_more_and_its_worker_writes_nothing(editor: APIClient, make_workflow: Make) -> None:
    run = started(editor, make_workflow(model(), SHOUT))
    row = WorkflowRun.objects.get(pk=run)
    claimed = transitions.lease(row.pk, row.segment)
    assert claimed is not None
    assert post(editor, run, "cancel").json()["data"]["status"] == "cancelled"
    segments.go_on(claimed)
    assert get(editor, run)["steps"] == []
    assert Run.objects.get(pk=run).status == RunStatus.ERROR
    assert post(editor, run, "cancel").status_code == 409
    assert AuditEntry.objects.filter(action="cancel", resource_id=run).count() == 1


def test_a_process_that_was_taken_for_dead_writes_nothing_when_it_comes_back(
    viewer: APIClient, make_workflow: Make
) -> None:
    run = started(viewer, make_workflow(model(), SHOUT), variables={"input": "x"})
    row = WorkflowRun.objects.get(pk=run)
    asleep = transitions.lease(row.pk, row.segment)
    assert asleep is not None
    transitions.recover(WorkflowRun.objects.get(pk=run), crashed=True)
    assert transitions.lease(row.pk, row.segment) is None  # this leg is over
    work_off()
    before = get(viewer, run)
    assert before["status"] == "succeeded"
    segments.go_on(asleep)
    assert get(viewer, run) == before


def test_the_same_idempotency_key_gives_the_same_run_and_another_body_is_refused(
    viewer: APIClient, editor: APIClient, make_workflow: Make
) -> None:
    workflow = make_workflow(model(), SHOUT)
    first = start(viewer, workflow, "k", variables={"input": "x"})
    again = start(viewer, workflow, "k", variables={"input": "x"})
    assert (again.status_code, again.json()["run_id"]) == (202, first.json()["run_id"])
    assert start(viewer, workflow, "k", variables={"input": "y"}).status_code == 409
    assert start(editor, workflow, "k", variables={"input": "y"}).status_code == 202  # everybody has keys of their own
    work_off()
    done = start(viewer, workflow, "k", variables={"input": "x"})
    assert (done.status_code, done.json()["run_id"]) == (200, first.json()["run_id"])
    assert done.json()["output"] == get(viewer, first.json()["run_id"])["output"]


def test_a_run_that_was_waited_for_is_not_made_again_under_its_key(viewer: APIClient, make_workflow: Make) -> None:
    workflow = make_workflow(model(), SHOUT)
    answers = [start(viewer, workflow, "k", background=False, variables={"input": "x"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert WorkflowRun.objects.count() == 1


def test_a_run_does_nothing_once_who_started_it_is_gone(
    login: Callable[..., APIClient], make_user: Callable[..., User], make_workflow: Make, editor: APIClient
) -> None:
    somebody = make_user("viewer", username="somebody")
    run = started(login(user=somebody), make_workflow(model()))
    somebody.delete()
    work_off()
    failed = get(editor, run)
    assert failed["status"] == "failed"
    assert "somebody" in failed["error"]
    assert failed["steps"] == []


def test_a_run_does_nothing_once_its_token_is_revoked(
    workspace: Workspace, make_workflow: Make, editor: APIClient
) -> None:
    from governance.access.actors import SYSTEM

    token, secret = tokens.create_token(actor=SYSTEM, workspace=workspace, name="bot", role="viewer", env=None)
    run = started(api(secret), make_workflow(model()))
    Token.objects.filter(pk=token.pk).delete()
    work_off()
    assert get(editor, run)["status"] == "failed"


def test_nobody_sees_or_steers_a_run_of_another_workspace(
    login: Callable[..., APIClient], editor: APIClient, make_workflow: Make, other_workspace: Workspace
) -> None:
    run = started(editor, make_workflow(model()))
    stranger = login("editor", workspaces=[other_workspace.pk])
    assert stranger.get("/api/workflows/runs").json()["total"] == 0
    assert stranger.get(f"/api/workflows/runs/{run}").status_code == 404
    assert stranger.get(f"/api/workflows/runs/{run}/events").status_code == 404
    for what in ("cancel", "resume", "approve", "reject"):
        assert post(stranger, run, what).status_code == 404, what


def test_runs_are_listed_newest_first_and_filtered(viewer: APIClient, make_workflow: Make) -> None:
    workflow = make_workflow(model())
    first, second = started(viewer, workflow), started(viewer, workflow)
    segments.work(WorkflowRun.objects.get(pk=first).pk, 1)
    listed = viewer.get("/api/workflows/runs", {"workflow": workflow["id"]}).json()
    assert [row["id"] for row in listed["data"]] == [second, first]
    done = viewer.get("/api/workflows/runs", {"status": "succeeded"}).json()
    assert [row["id"] for row in done["data"]] == [first]
    assert viewer.get("/api/workflows/runs", {"status": "odd"}).status_code == 400


def test_no_sweep_closes_a_run_that_will_go_on(viewer: APIClient, make_workflow: Make) -> None:
    run = started(viewer, make_workflow(model()))
    Run.objects.filter(pk=run).update(created_at=timezone.now() - timedelta(days=2))
    sweep = log.Sweep()
    sweep()
    sweep()
    assert Run.objects.get(pk=run).status == RunStatus.RUNNING
    work_off()
    assert Run.objects.get(pk=run).status == RunStatus.OK


def test_texts_are_forgotten_when_their_time_is_over_and_the_run_stays(editor: APIClient, make_workflow: Make) -> None:
    run = started(editor, make_workflow(model(), SHOUT), variables={"input": "secret words"})
    work_off()
    row = WorkflowRun.objects.get(pk=run)
    assert row.forget_at is not None
    assert timedelta(hours=23) < row.forget_at - timezone.now() <= timedelta(hours=24)
    WorkflowRun.objects.update(forget_at=timezone.now())
    supervisor.tidy()
    left = get(editor, run)
    assert (left["status"], left["output"], left["variables"]) == ("succeeded", None, None)
    assert [(step["status"], step["input"], step["output"]) for step in left["steps"]] == [
        ("succeeded", None, None)
    ] * 2
    assert post(editor, run, "resume", **{"from": "ask"}).status_code == 409


def test_a_workspace_that_keeps_texts_keeps_those_of_runs_as_long(
    viewer: APIClient, make_workflow: Make, workspace: Workspace
) -> None:
    Workspace.objects.filter(pk=workspace.pk).update(keep_content=True, content_days=5)
    run = started(viewer, make_workflow(model()))
    work_off()
    forget_at = WorkflowRun.objects.get(pk=run).forget_at
    assert forget_at is not None
    assert timedelta(days=4) < forget_at - timezone.now() <= timedelta(days=5)


def test_a_run_whose_processes_die_again_and_again_on_one_step_is_given_up(
    viewer: APIClient, make_workflow: Make
) -> None:
    run = started(viewer, make_workflow(model()))
    for _ in range(segments.MAX_CRASHES):
        row = WorkflowRun.objects.get(pk=run)
        assert transitions.lease(row.pk, row.segment) is not None
        transitions.recover(WorkflowRun.objects.get(pk=run), crashed=True)
    work_off()
    assert "given up" in get(viewer, run)["error"]


def test_a_run_that_is_not_over_in_time_is_given_up(viewer: APIClient, make_workflow: Make) -> None:
    run = started(viewer, make_workflow(APPROVAL))
    work_off()
    WorkflowRun.objects.update(deadline=timezone.now())
    supervisor.give_up_overdue()
    assert get(viewer, run)["status"] == "failed"
    assert "given up" in get(viewer, run)["error"]


def test_what_a_step_made_reads_back_just_as_it_was(viewer: APIClient, make_workflow: Make) -> None:
    odd = '{"b": 1.50, "a": ["\\u0000", "\\ud800", 1e400]}'
    run = WorkflowRun.objects.get(pk=started(viewer, make_workflow(model())))
    value: Any = {"b": 1.5, "a": ["\x00", "\ud800", "é"], "text": odd}
    now = timezone.now()
    StepAttempt.objects.create(
        run=run, path="p", step_id="p", name="p", type="x", number=1, output=value, started_at=now, changed_at=now
    )
    found = StepAttempt.objects.get(path="p").output
    assert found == value
    assert list(found) == ["b", "a", "text"]


@pytest.mark.django_db(transaction=True)
def test_a_run_that_takes_longer_than_its_request_may_goes_on_in_the_background_with_what_it_did(
    viewer: APIClient, make_workflow: Make, settings: Any
) -> None:
    settings.PROMPTOPS_WORKFLOW_DEADLINE = 0.5
    pause = {"id": "pause", "type": "wait", "seconds": 1.5}
    answer = start(viewer, make_workflow(model(), pause, SHOUT), background=False, variables={"input": "x"})
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    run = answer.json()["run_id"]
    assert [step["status"] for step in get(viewer, run)["steps"]] == ["succeeded", "waiting"]
    deadline = time.monotonic() + 20
    while (done := get(viewer, run))["status"] == "running" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert done["status"] == "succeeded"
    assert [step["status"] for step in done["steps"]] == ["succeeded"] * 3
    assert done["output"] == done["steps"][0]["output"].upper()
