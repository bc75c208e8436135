"""The states of a run: which may follow which, who is told, and that rows of earlier releases go on."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from governance.runs.models import Run
from tests.workflows.conftest import MakeWorkflow
from tests.workflows.runs.test_runs import APPROVAL, SHOUT, get, start, started, work_off
from workflows.engine import transitions, wakeups
from workflows.engine.leases import LeaseLostError
from workflows.engine.transitions import ALLOWED, Outcome
from workflows.models import AttemptState, RunState, StepAttempt, WorkflowRun

pytestmark = pytest.mark.django_db

DONE = Outcome(status=RunState.SUCCEEDED, output="x")

#: The transitions of one run, and the state that each leads to.
WAYS: dict[str, tuple[RunState, Callable[[WorkflowRun], object]]] = {
    "lease": (RunState.RUNNING, lambda run: transitions.lease(run.pk, run.segment)),
    "park": (RunState.WAITING, lambda run: transitions.park(run, path="ok", until=None, worked_ms=1)),
    "release": (RunState.QUEUED, lambda run: transitions.release(run, worked_ms=1)),
    "end": (RunState.SUCCEEDED, lambda run: transitions.end(run, DONE, worked_ms=1)),
    "cancel": (RunState.CANCELLED, lambda run: transitions.cancel(run, by="ada")),
    "give up": (RunState.FAILED, lambda run: transitions.give_up(run.pk)),
    "resume": (RunState.QUEUED, transitions.resume),
    "wake after a decision": (RunState.QUEUED, transitions.wake_decided),
    "recover": (RunState.QUEUED, transitions.recover),
}
#: Those that a run in a state may take; every other leaves it as it is.
TAKEN = {
    RunState.QUEUED: {"lease", "cancel", "give up", "recover"},
    RunState.RUNNING: {"park", "release", "end", "cancel", "give up", "recover"},
    RunState.WAITING: {"wake after a decision", "cancel", "give up"},
    RunState.SUCCEEDED: {"resume"},
    RunState.FAILED: {"resume"},
    RunState.CANCELLED: {"resume"},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("state", list(RunState))
def test_a_run_takes_the_transitions_of_its_state_and_no_other(
    viewer: APIClient, make_workflow: MakeWorkflow, state: RunState, way: str
) -> None:
    run = started(viewer, make_workflow(SHOUT))
    WorkflowRun.objects.update(status=state, fencing_token=1)
    row = WorkflowRun.objects.get(pk=run)
    leads_to, take = WAYS[way]
    try:
        take(row)
    except LeaseLostError:
        pass
    after = WorkflowRun.objects.get(pk=run)
    if way in TAKEN[state]:
        assert after.status == leads_to
        assert state in ALLOWED[leads_to]
    else:
        assert (after.status, after.segment) == (state, row.segment)


@pytest.mark.django_db(transaction=True)
def test_who_waits_is_woken_when_a_transition_is_committed_and_told_its_state(
    viewer: APIClient, make_workflow: MakeWorkflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[RunState] = []
    changed: list[uuid.UUID] = []
    monkeypatch.setattr(wakeups, "state_listeners", [states.append])
    monkeypatch.setattr(wakeups, "listeners", [changed.append])
    run = started(viewer, make_workflow(SHOUT, APPROVAL), variables={"input": "x"})
    assert states == ["queued"]
    work_off()
    assert states == ["queued", "running", "waiting"]
    assert set(changed) == {uuid.UUID(run)}
    assert len(changed) == 3 + 2  # each transition, and a batch of the journal for the beginning of each step


# --- rows that an earlier release wrote --------------------------------------------------------------------------


def execute(sql: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def test_a_run_that_an_earlier_release_left_running_goes_on_with_what_it_memorised(
    editor: APIClient, make_workflow: MakeWorkflow
) -> None:
    inner = make_workflow({"type": "render", "template": "first"}, key="inner")
    run = started(editor, make_workflow({"id": "call", "type": "workflow", "workflow_key": "inner"}, key="outer"))
    memo = {"id": inner["id"], "version": "draft", "definition": {"steps": inner["steps"]}}
    now = timezone.now()
    StepAttempt.objects.create(
        run_id=uuid.UUID(run),
        path="call",
        step_id="call",
        name="call",
        type="workflow",
        number=1,
        status=AttemptState.RUNNING,
        started_at=now,
        changed_at=now,
    )
    execute("UPDATE workflows_stepattempt SET kept = %s", json.dumps({"value": memo}))
    execute("UPDATE workflows_workflowrun SET status = 'running', leg = 3, claim = 2, deaths = 1, dispatched = true")
    editor.put(f"/api/workflows/{inner['id']}", {"steps": [{"type": "render", "template": "second"}]})
    transitions.recover(WorkflowRun.objects.get(), crashed=True)
    work_off()
    assert get(editor, run)["output"] == "first"
    row = WorkflowRun.objects.get()
    assert (row.segment, row.fencing_token, row.crash_count) == (4, 3, 0)


def test_a_run_that_an_earlier_release_left_waiting_or_queued_goes_on(
    editor: APIClient, make_workflow: MakeWorkflow
) -> None:
    workflow = make_workflow(APPROVAL, SHOUT)
    run = start(editor, workflow, background=False, variables={"input": "x"}).json()["run_id"]
    # It counted the next segment when the run was put aside, and again when it was woken.
    execute("UPDATE workflows_workflowrun SET leg = leg + 1, waits_for = 'ok'")
    assert editor.post(f"/api/workflows/runs/{run}/approve", {}).status_code == 200
    execute("UPDATE workflows_workflowrun SET waits_for = 'ok'")  # one that was queued while it was on its way there
    work_off()
    done = get(editor, run)
    assert (done["status"], done["output"], done["waits_for"]) == ("succeeded", "X", "")


@pytest.mark.parametrize("tokens", ["many", 2**31 - 1], ids=["no number", "more than a column holds"])
@pytest.mark.parametrize("way", ["cancel", "give up"])
def test_what_models_say_of_their_tokens_keeps_no_run_from_ending(
    viewer: APIClient, make_workflow: MakeWorkflow, tokens: Any, way: str
) -> None:
    run = started(viewer, make_workflow(APPROVAL))
    work_off()
    for number in (1, 2):
        attempt = StepAttempt.objects.get(run_id=uuid.UUID(run), path="ok")
        attempt.pk, attempt.path = None, f"asked{number}"
        attempt.trace = {"provider": "mock", "model": "m", "prompt_tokens": tokens, "output_tokens": 2}
        attempt.save(force_insert=True)
    state, take = WAYS[way]
    take(WorkflowRun.objects.get(pk=run))
    assert WorkflowRun.objects.get(pk=run).status == state
    logged = Run.objects.get(pk=run)
    assert (logged.prompt_tokens, logged.output_tokens) == (None, 4)
