"""What a run remembers when it goes on elsewhere, and that every run ends, whatever breaks in it."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient
from werkzeug import Request, Response

from agents.transport import bridge
from governance.runs import slots
from governance.runs.models import Run
from tests.workflows.conftest import MakeWorkflow, Place
from tests.workflows.runs.test_runs import APPROVAL, SHOUT, get, model, post, start, started, work_off
from workflows.engine import durable_journal, segments, supervisor, transitions
from workflows.engine.leases import local
from workflows.language.structure import Step
from workflows.models import RunState, StepAttempt, WorkflowRun
from workflows.runs import execution
from workflows.steps import STEP_TYPES, Context, Outcome
from workflows.steps.base import StepFailedError

pytestmark = pytest.mark.django_db


def nothing_is_open() -> bool:
    return not Run.objects.filter(status="running").exists() and not WorkflowRun.objects.filter(
        status__in=(RunState.QUEUED, RunState.RUNNING)
    )


# --- a request's run that goes on in the background -------------------------------------------------------------


def test_a_wait_that_a_request_began_is_over_when_it_was_to_be(viewer: APIClient, make_workflow: MakeWorkflow) -> None:
    answer = start(viewer, make_workflow({"id": "pause", "type": "wait", "seconds": 11}, SHOUT), background=False)
    assert (answer.status_code, answer.json()["status"]) == (202, "waiting")
    row = WorkflowRun.objects.get()
    assert row.due_at is not None
    assert StepAttempt.objects.get(path="pause").due_at == row.due_at
    # The moment comes: the step must not ask for 11 seconds more.
    over = timezone.now() - timedelta(seconds=1)
    StepAttempt.objects.update(due_at=over)
    WorkflowRun.objects.update(due_at=over)
    transitions.wake_due()
    work_off()
    assert get(viewer, str(row.pk))["status"] == "succeeded"


def test_an_approval_that_a_request_asked_for_times_out_when_it_was_to(
    editor: APIClient, make_workflow: MakeWorkflow
) -> None:
    answer = start(editor, make_workflow({**APPROVAL, "timeout": 60}), background=False)
    asked = StepAttempt.objects.get(path="ok").due_at
    assert asked is not None
    WorkflowRun.objects.update(due_at=timezone.now())
    transitions.wake_due()
    work_off()  # woken before its time, it waits for the same moment
    assert WorkflowRun.objects.get().due_at == StepAttempt.objects.get(path="ok").due_at == asked
    StepAttempt.objects.update(due_at=timezone.now())
    WorkflowRun.objects.update(due_at=timezone.now())
    transitions.wake_due()
    work_off()
    assert "nobody approved within 60 seconds" in get(editor, answer.json()["run_id"])["error"]


def test_a_sub_workflow_that_a_request_began_stays_the_version_that_it_was(
    editor: APIClient, make_workflow: MakeWorkflow
) -> None:
    inner = make_workflow(APPROVAL, {"type": "render", "template": "first"}, key="inner")
    outer = make_workflow({"id": "call", "type": "workflow", "workflow_key": "inner"}, key="outer")
    run = start(editor, outer, background=False).json()["run_id"]
    changed = {"steps": [APPROVAL, {"type": "render", "template": "second"}]}
    assert editor.put(f"/api/workflows/{inner['id']}", changed).status_code == 200
    assert post(editor, run, "approve").status_code == 200
    work_off()
    assert get(editor, run)["output"] == "first"


@pytest.mark.django_db(transaction=True)
def test_what_a_slow_request_memorised_is_in_its_rows_when_it_is_left_to_the_background(
    viewer: APIClient, make_workflow: MakeWorkflow, settings: Settings
) -> None:
    settings.PROMPTOPS_WORKFLOW_DEADLINE = 0.3
    make_workflow({"id": "nap", "type": "wait", "seconds": 2}, key="inner")
    outer = make_workflow({"id": "call", "type": "workflow", "workflow_key": "inner"}, key="outer")
    answer = start(viewer, outer, background=False)
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    call, nap = StepAttempt.objects.order_by("id")
    assert call.memo is not None
    assert call.memo["value"]["definition"]["steps"][0]["id"] == "nap"
    assert nap.due_at is not None
    until_over(viewer, answer.json()["run_id"])


def test_a_run_whose_work_can_not_begin_fails_with_its_request_and_is_not_done_behind_its_back(
    viewer: APIClient, make_workflow: MakeWorkflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(*args: Any) -> None:
        raise RuntimeError("can't start new thread")

    workflow = make_workflow(SHOUT)
    monkeypatch.setattr(bridge, "Working", no_thread)
    answer = start(viewer, workflow, background=False)
    row = WorkflowRun.objects.get()
    assert (answer.status_code, answer.json()["run_id"]) == (502, str(row.pk))
    assert (row.status, row.owner) == (RunState.FAILED, None)
    assert nothing_is_open()
    assert (slots.taken(), local.all()) == (0, [])


@pytest.mark.django_db(transaction=True)
def test_a_request_goes_on_waiting_when_there_is_no_thread_to_leave_its_run_to(
    viewer: APIClient, make_workflow: MakeWorkflow, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    settings.PROMPTOPS_WORKFLOW_DEADLINE = 0.2
    workflow = make_workflow({"type": "wait", "seconds": 0.6}, SHOUT)
    bridge.loop()
    monkeypatch.setattr(execution.threading, "Thread", NoThread)  # type: ignore[attr-defined]
    answer = start(viewer, workflow, background=False, variables={"input": "x"})
    assert (answer.status_code, answer.json().get("output")) == (200, "X")
    assert (slots.taken(), local.all()) == (0, [])


@pytest.mark.django_db(transaction=True)
def test_a_run_that_can_not_be_closed_when_the_database_is_back_is_no_more_taken_for_one_under_way(
    viewer: APIClient, make_workflow: MakeWorkflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: list[Exception] = [OperationalError("the server closed the connection"), IntegrityError("a fault")]

    def end(*args: Any, **kwargs: Any) -> None:
        raise problems.pop(0)

    workflow = make_workflow(SHOUT)
    monkeypatch.setattr(transitions, "end", end)
    assert start(viewer, workflow, background=False).status_code == 503
    assert len(local.all()) == 1
    until(lambda: not local.all())
    assert (local.all(), problems) == ([], [])


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def until_over(client: APIClient, run: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while (found := get(client, run))["ended_at"] is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


# --- every run ends ---------------------------------------------------------------------------------------------


def circular(step: Step, context: Context) -> Outcome:
    inside: dict[str, Any] = {}
    context.names["steps"]["loop"] = inside  # what later steps see, and the run's output at the end
    inside["again"] = inside
    return Outcome(output="x", trace={"missing": inside})


def raising(step: Step, context: Context) -> Outcome:
    raise KeyError("gone")


def constrained(step: Step, context: Context) -> Outcome:
    raise IntegrityError("a constraint held")


def not_json(step: Step, context: Context) -> Outcome:
    return Outcome(output={"a", "b"})


def uncountable(step: Step, context: Context) -> Outcome:
    return Outcome(output="x", trace={"provider": "mock", "prompt_tokens": "many"})


BREAKS: dict[str, Callable[[Step, Context], Outcome]] = {
    "it raises": raising,
    "a constraint of the database holds": constrained,
    "its output is no JSON": not_json,
    "its trace holds itself": circular,
    "what it used can't be added up": uncountable,
}


@pytest.fixture(params=BREAKS)
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The type `render` has a fault that nobody thought of, for the template `break`."""
    real = STEP_TYPES["render"]

    async def run(step: Step, context: Context) -> Outcome:
        return BREAKS[request.param](step, context) if step["template"] == "break" else await real.run(step, context)

    monkeypatch.setitem(STEP_TYPES, "render", replace(real, run=run))


BREAKING = {"id": "bad", "type": "render", "template": "break"}


@pytest.mark.parametrize("key", [None, "k"], ids=["without a key", "with a key"])
@pytest.mark.usefixtures("broken")
def test_a_request_whose_step_breaks_within_is_answered_502_with_its_steps_and_the_run_is_over(
    viewer: APIClient, make_workflow: MakeWorkflow, key: str | None
) -> None:
    workflow = make_workflow(SHOUT, BREAKING)
    answer = start(viewer, workflow, key, background=False, variables={"input": "x"})
    assert len({row.pk for row in WorkflowRun.objects.all()}) == 1
    body = answer.json()
    assert (answer.status_code, body["code"]) == (502, "internal")
    assert "internal error" in body["error"]
    assert [step["name"] for step in body["steps"]] == ["transform-1", "render-2"]
    assert body["steps"][0]["output"] == "X"
    ended = get(viewer, body["run_id"])
    assert (ended["status"], ended["error"][-len(body["error"]) :]) == ("failed", body["error"])
    assert nothing_is_open()
    if key is not None:
        again = start(viewer, workflow, key, background=False, variables={"input": "x"}).json()
        assert (again["run_id"], again["code"]) == (body["run_id"], "internal")


@pytest.mark.usefixtures("broken")
def test_a_background_run_whose_step_breaks_within_fails_and_is_not_taken_up_again(
    viewer: APIClient, make_workflow: MakeWorkflow
) -> None:
    run = started(viewer, make_workflow(SHOUT, BREAKING), variables={"input": "x"})
    assert work_off() == 1
    ended = get(viewer, run)
    assert ended["status"] == "failed"
    assert "internal error" in ended["error"]
    assert ended["steps"][0]["output"] == "X"
    assert nothing_is_open()


def test_what_a_step_broke_within_is_no_other_run_of_the_same_person(
    viewer: APIClient, make_workflow: MakeWorkflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = make_workflow({"id": "bad", "type": "render", "template": "fine"})
    before = start(viewer, workflow, background=False).json()
    real = STEP_TYPES["render"]

    async def run(step: Step, context: Context) -> Outcome:
        return constrained(step, context)

    monkeypatch.setitem(STEP_TYPES, "render", replace(real, run=run))
    after = start(viewer, workflow, background=False)
    assert (after.status_code, after.json()["code"]) == (502, "internal")
    assert after.json()["run_id"] != before["run_id"]


def test_a_run_that_waits_behind_what_can_not_be_kept_fails_at_once(
    viewer: APIClient, make_workflow: MakeWorkflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(step: Step, context: Context) -> Outcome:
        return circular(step, context)

    monkeypatch.setitem(STEP_TYPES, "render", replace(STEP_TYPES["render"], run=run))
    workflow = make_workflow(BREAKING, APPROVAL)
    answer = start(viewer, workflow, background=False)
    assert (answer.status_code, answer.json()["code"]) == (502, "internal")
    assert get(viewer, answer.json()["run_id"])["status"] == "failed"
    assert nothing_is_open()


@pytest.mark.django_db(transaction=True)
def test_a_run_that_ends_while_the_database_is_away_is_closed_when_it_is_back(
    viewer: APIClient, make_workflow: MakeWorkflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(step: Step, context: Context) -> Outcome:
        raise OperationalError("the server closed the connection")

    monkeypatch.setitem(STEP_TYPES, "render", replace(STEP_TYPES["render"], run=run))
    answer = start(viewer, make_workflow(BREAKING), background=False)
    assert answer.status_code == 503
    assert Run.objects.get().status == "running"
    deadline = time.monotonic() + 20
    while not nothing_is_open() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert Run.objects.get().status == "error"
    assert WorkflowRun.objects.get().status == "failed"


@pytest.mark.parametrize(
    ("fields", "status", "attempts"),
    [
        ({}, 502, None),
        ({"retry": {"max": 2, "backoff": 0}}, 502, 3),
        ({"on_error": "continue"}, 200, None),
        ({"on_error": {"goto": "mend"}}, 200, None),
    ],
    ids=["it fails", "it is done again", "it goes on", "it goes elsewhere"],
)
def test_a_value_that_is_too_large_for_a_step_is_an_error_of_that_step(
    viewer: APIClient,
    make_workflow: MakeWorkflow,
    place: Place,
    fields: dict[str, Any],
    status: int,
    attempts: int | None,
) -> None:
    place.handler = lambda request: Response('"' + "x" * 600_000 + '"', content_type="application/json")
    steps = [{"id": f"part{number}", "type": "http", "url": f"{place.url}/{number}"} for number in (1, 2)]
    whole = {"id": "whole", "type": "http", "method": "POST", "url": place.url, "json": {"all": "{{steps}}"}, **fields}
    mend = {"id": "mend", "type": "render", "template": "{{steps.whole.error}}"}
    answer = start(viewer, make_workflow(*steps, whole, mend), background=False)
    assert answer.status_code == status, answer.json()
    said = answer.json()["error" if status == 502 else "output"]
    assert said == "a value can't be filled in: it has over 1048576 characters"
    assert answer.json().get("code") == ("step_failed" if status == 502 else None)
    assert answer.json()["steps"][2].get("attempts") == attempts


@pytest.mark.parametrize("background", [False, True], ids=["a request's run", "a background run"])
def test_a_step_whose_path_would_be_too_long_for_its_column_fails_the_run_on_every_database(
    viewer: APIClient, make_workflow: MakeWorkflow, background: bool
) -> None:

    def nested(letter: str, step: dict[str, Any]) -> dict[str, Any]:
        for level in "12":
            step = {"id": level.rjust(100, letter), "type": "map", "input": "`[1]`", "steps": [step]}
        return step

    make_workflow(nested("i", SHOUT), key="inner")
    steps = [nested("o", {"id": "w" * 100, "type": "workflow", "workflow_key": "inner"})]
    workflow = make_workflow(*steps, key="outer")
    answer = start(viewer, workflow, background=background)
    work_off()
    ended = get(viewer, answer.json()["run_id"])
    assert ended["status"] == "failed"
    assert ended["error"].endswith("have at most 500 characters, not 513")
    assert background or (answer.status_code, answer.json()["code"]) == (502, "run_limit")
    assert nothing_is_open()


def test_an_error_in_words_that_no_column_takes_is_told_without_them(
    viewer: APIClient, make_workflow: MakeWorkflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(step: Step, context: Context) -> Outcome:
        raise StepFailedError("it said \x00 and \ud800")

    monkeypatch.setitem(STEP_TYPES, "render", replace(STEP_TYPES["render"], run=run))
    workflow = make_workflow({"id": "bad", "type": "render", "template": "x"})
    failed = start(viewer, workflow, background=False)
    assert (failed.status_code, failed.json()["error"]) == (502, "it said � and �")
    later = started(viewer, workflow)
    work_off()
    assert get(viewer, later)["error"] == "bad: it said � and �".replace("bad", "render-1")


def test_a_cost_that_no_column_takes_is_not_known(
    viewer: APIClient, make_workflow: MakeWorkflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(step: Step, context: Context) -> Outcome:
        return Outcome(output="x", trace={"prompt_tokens": 1, "cost_usd": 1e30})

    monkeypatch.setitem(STEP_TYPES, "render", replace(STEP_TYPES["render"], run=run))
    answer = start(viewer, make_workflow({"id": "dear", "type": "render", "template": "x"}), background=False)
    assert answer.status_code == 200
    assert get(viewer, answer.json()["run_id"])["steps"][0]["cost_usd"] is None


def test_a_run_that_is_lost_again_and_again_without_getting_on_is_given_up(
    viewer: APIClient, make_workflow: MakeWorkflow
) -> None:
    me, run = uuid.uuid4(), started(viewer, make_workflow(model()))
    for _ in range(segments.MAX_CRASHES):
        row = WorkflowRun.objects.get(pk=run)
        assert transitions.lease(row.pk, row.segment) is not None
        long_ago = timezone.now() - timedelta(minutes=5)
        WorkflowRun.objects.update(owner=me, changed_at=long_ago)  # this process has it, and does not work on it
        supervisor.recover(me)
    work_off()
    assert "given up" in get(viewer, run)["error"]


# --- resuming inside of steps that hold others ------------------------------------------------------------------


def made(place: Place) -> list[str]:
    """The addresses that were called, in their order."""
    return [request.path for request in place.requests]


def calls(place: Place, name: str, of: str = "x") -> dict[str, Any]:
    return {"id": name, "type": "http", "url": f"{place.url}/{name}/{of}"}


def mapped(place: Place) -> list[dict[str, Any]]:
    steps = [calls(place, "one", "{{item}}"), calls(place, "two", "{{item}}")]
    return [
        {"id": "all", "type": "map", "input": "`[0, 1, 2]`", "concurrency": 1, "steps": steps},
        calls(place, "last"),
    ]


def test_a_run_resumed_inside_a_finished_map_makes_that_step_again_and_all_that_began_after_it(
    editor: APIClient, make_workflow: MakeWorkflow, place: Place
) -> None:
    run = started(editor, make_workflow(*mapped(place)))
    work_off()
    assert get(editor, run)["status"] == "succeeded"
    place.requests.clear()
    assert post(editor, run, "resume", **{"from": "all[1]/two"}).status_code == 200
    work_off()
    done = get(editor, run)
    assert (done["status"], made(place)) == ("succeeded", ["/two/1", "/one/2", "/two/2", "/last/x"])
    whole = [step for step in done["steps"] if step["path"] == "all"]
    assert [(step["status"], step["attempt"], len(step["output"])) for step in whole] == [("succeeded", 1, 3)]
    place.requests.clear()
    assert post(editor, run, "resume", **{"from": "all"}).status_code == 200
    work_off()
    assert len(made(place)) == 7
    assert get(editor, run)["status"] == "succeeded"


def test_a_run_resumed_in_a_finished_sub_workflow_goes_on_with_the_version_that_it_was(
    editor: APIClient, make_workflow: MakeWorkflow, place: Place
) -> None:
    inner = make_workflow(calls(place, "old"), calls(place, "next"), key="inner")
    run = started(editor, make_workflow({"id": "call", "type": "workflow", "workflow_key": "inner"}, key="outer"))
    work_off()
    place.requests.clear()
    editor.put(f"/api/workflows/{inner['id']}", {"steps": [calls(place, "old"), calls(place, "new")]})
    assert post(editor, run, "resume", **{"from": "call/next"}).status_code == 200
    work_off()
    assert get(editor, run)["status"] == "succeeded"
    assert [path.split("/")[1] for path in made(place)] == ["next"]


def test_a_run_that_failed_in_a_sub_workflow_goes_on_with_the_version_that_it_was(
    editor: APIClient, make_workflow: MakeWorkflow, place: Place
) -> None:
    answers = [200, 503, 200]
    place.handler = lambda request: Response("{}", answers.pop(0), content_type="application/json")
    inner = make_workflow(calls(place, "old"), calls(place, "next"), key="inner")
    call = {"id": "call", "type": "workflow", "workflow_key": "inner"}
    run = started(editor, make_workflow({"id": "all", "type": "map", "input": "`[0]`", "steps": [call]}, key="outer"))
    work_off()
    assert get(editor, run)["status"] == "failed"
    place.requests.clear()
    editor.put(f"/api/workflows/{inner['id']}", {"steps": [calls(place, "old"), calls(place, "new")]})
    assert post(editor, run, "resume").status_code == 200
    work_off()
    done = get(editor, run)
    assert (done["status"], made(place)) == ("succeeded", ["/next/x"])
    assert [step["status"] for step in done["steps"] if not step["superseded"]] == ["succeeded"] * 4


@pytest.mark.django_db(transaction=True)
def test_work_that_can_not_be_recorded_ends_with_the_calls_that_it_has_open_and_its_place_among_runs(
    viewer: APIClient, make_workflow: MakeWorkflow, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, away = durable_journal._write, list[bool]()

    def write_later(*args: Any) -> None:
        if away:
            raise OperationalError("the server closed the connection")
        write(*args)

    def fail_beside_a_call(request: Request) -> Response:
        if request.path.endswith("/1"):
            until(lambda: Run.objects.filter(source="model", status="running").exists())
            away.append(True)
            connection.close()
        return Response("{}", content_type="application/json")

    place.handler = fail_beside_a_call
    monkeypatch.setattr(durable_journal, "_write", write_later)
    monkeypatch.setattr(durable_journal, "PATIENCE", (0.1,))
    steps = [calls(place, "one", "{{item}}"), model(model="mock-stall")]
    workflow = make_workflow({"id": "all", "type": "map", "input": "`[0, 1]`", "concurrency": 2, "steps": steps})
    answer = start(viewer, workflow, background=False)
    assert answer.status_code == 503
    away.clear()
    until(lambda: not slots.taken() and nothing_is_open())
    assert slots.taken() == 0
    assert set(Run.objects.values_list("source", "status")) == {("workflow", "error"), ("model", "error")}
    assert WorkflowRun.objects.get().status == "failed"
    assert local.all() == []


@pytest.mark.django_db(transaction=True)
def test_steps_whose_commit_was_not_heard_of_are_not_written_twice(
    viewer: APIClient, make_workflow: MakeWorkflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, lost = durable_journal._write, list[int]()

    def lose_the_answer(*args: Any) -> None:
        write(*args)
        if not lost:
            lost.append(1)
            raise OperationalError("the server closed the connection")

    monkeypatch.setattr(durable_journal, "_write", lose_the_answer)
    monkeypatch.setattr(durable_journal, "PATIENCE", (0.1, 0.1))
    answer = start(viewer, make_workflow(SHOUT), background=False, variables={"input": "x"})
    assert (answer.status_code, answer.json().get("output"), lost) == (200, "X", [1])
    assert [(row.number, row.status) for row in StepAttempt.objects.all()] == [(1, "succeeded")]


@pytest.mark.django_db(transaction=True)
def test_a_run_that_breaks_outside_of_its_steps_ends_and_its_segment_logs_it_once(
    viewer: APIClient, make_workflow: MakeWorkflow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(*args: Any) -> None:
        raise ValueError("a fault that nobody thought of")

    monkeypatch.setattr(durable_journal, "_write", break_down)
    answer = start(viewer, make_workflow(SHOUT), background=False, variables={"input": "x"})
    assert (answer.status_code, answer.json()["code"], nothing_is_open()) == (502, "internal", True)
    assert [record.module for record in caplog.records].count("segments") == 1


# --- the row of a run that is waited for -------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_waited_for_is_there_with_its_steps_while_it_goes_on(
    viewer: APIClient, make_workflow: MakeWorkflow, place: Place
) -> None:
    seen: list[tuple[str, list[tuple[str, str]]]] = []

    def look(request: Request) -> Response:
        attempts = list(StepAttempt.objects.order_by("id").values_list("path", "status"))
        seen.append((WorkflowRun.objects.get().status, attempts))
        connection.close()
        return Response("{}", content_type="application/json")

    place.handler = look
    answer = start(viewer, make_workflow(calls(place, "one"), calls(place, "two")), background=False)
    assert answer.status_code == 200, answer.json()
    assert seen == [
        ("running", [("one", "running")]),
        ("running", [("one", "succeeded"), ("two", "running")]),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_waited_for_and_whose_process_dies_goes_on_with_the_step_that_was_under_way(
    viewer: APIClient, make_workflow: MakeWorkflow, place: Place
) -> None:
    dead = uuid.uuid4()

    def die(request: Request) -> Response:
        if request.path == "/two/x" and len(made(place)) == 2:
            WorkflowRun.objects.update(owner=dead)
            with seen_from_elsewhere():
                supervisor.recover(uuid.uuid4())
            connection.close()
        return Response("{}", content_type="application/json")

    place.handler = die
    answer = start(viewer, make_workflow(calls(place, "one"), calls(place, "two")), background=False)
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    work_off()
    done = get(viewer, answer.json()["run_id"])
    assert [(step["path"], step["status"]) for step in done["steps"]] == [
        ("one", "succeeded"),
        ("two", "interrupted"),
        ("two", "succeeded"),
    ]
    assert made(place) == ["/one/x", "/two/x", "/two/x"]


@contextmanager
def seen_from_elsewhere() -> Iterator[None]:
    """As if seen from another process, which executes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "all", list)
        yield


def test_an_end_and_the_next_beginning_are_one_transaction(viewer: APIClient, make_workflow: MakeWorkflow) -> None:
    started(viewer, make_workflow(*(SHOUT | {"id": f"s{number}"} for number in range(4))), variables={"input": "x"})
    with CaptureQueriesContext(connection) as captured:
        work_off()
    begun = [query["sql"] for query in captured.captured_queries if query["sql"].startswith("SAVEPOINT")]
    assert len(begun) <= 1 + 4 + 1 + 1  # the lease, four beginnings, the end, and in it that of the log
