"""Retries, timeouts, what happens after an error, what a run may use, and being stopped."""

import asyncio
import socket
import threading
import time
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient
from werkzeug import Request, Response

from agents.transport import bridge
from governance.access.actors import SYSTEM
from governance.runs.models import Run
from governance.tenancy.models import Workspace
from tests.workflows.conftest import MakeWorkflow, Place
from tests.workflows.test_workflows import render, run
from workflows.definition import parsing
from workflows.engine import interpreter
from workflows.engine.interpreter import Result, interpret
from workflows.models import Workflow
from workflows.services import create_workflow
from workflows.steps import RunContext
from workflows.steps.journal import Decision, Done, MemoryJournal, Parked


def http(place: Place, **fields: Any) -> dict[str, Any]:
    return {"type": "http", "url": f"{place.url}/x", **fields}


def failing(place: Place, times: int, status: int = 503) -> None:
    left = [status] * times
    place.handler = lambda request: Response("{}", left.pop() if left else 200, content_type="application/json")


@pytest.mark.parametrize(
    ("retry", "failures", "requests", "status"),
    [
        ({"max": 3, "backoff": 0}, 2, 3, 200),
        ({"max": 3, "backoff": 0}, 9, 4, 502),
        ({"max": 3, "backoff": 0, "on": ["http_failed"]}, 2, 3, 200),
        ({"max": 3, "backoff": 0, "on": ["step_timeout"]}, 2, 1, 502),
    ],
)
def test_a_step_that_fails_is_done_again_as_often_as_its_retry_says(
    viewer: APIClient,
    make_workflow: MakeWorkflow,
    place: Place,
    retry: dict[str, Any],
    failures: int,
    requests: int,
    status: int,
) -> None:
    failing(place, failures)
    answer = run(viewer, make_workflow(http(place, retry=retry)))
    assert (answer.status_code, len(place.requests)) == (status, requests)
    assert answer.json()["steps"][0].get("attempts", 1) == requests


def test_pauses_between_attempts_grow_and_a_server_may_ask_for_longer_ones(
    viewer: APIClient, make_workflow: MakeWorkflow, place: Place
) -> None:
    failing(place, 2)
    workflow = make_workflow(http(place, retry={"max": 2, "backoff": 0.4}))
    started = time.monotonic()
    assert run(viewer, workflow).status_code == 200
    assert 0.55 <= time.monotonic() - started <= 2.5  # 0.2 to 0.4, then 0.4 to 0.8
    answers = [Response("{}", 429, {"Retry-After": "1"}), Response("{}", content_type="application/json")]
    place.handler = lambda request: answers.pop(0)
    started = time.monotonic()
    assert run(viewer, workflow).status_code == 200
    assert time.monotonic() - started >= 1


def test_bad_input_is_not_tried_again(viewer: APIClient, make_workflow: MakeWorkflow) -> None:
    workflow = make_workflow({**render("{{x}}"), "retry": {"max": 5, "backoff": 10}})
    started = time.monotonic()
    assert run(viewer, workflow, strict=True).status_code == 400
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("kind", ["model", "http", "map", "wait"])
def test_a_timeout_is_honoured_to_within_a_second(
    viewer: APIClient, make_workflow: MakeWorkflow, place: Place, kind: str
) -> None:
    def slow(request: Request) -> Response:
        time.sleep(2)
        return Response("late")

    place.handler = slow
    fields: dict[str, dict[str, Any]] = {
        "model": {"model": "mock-stall"},
        "http": {"url": place.url},
        "map": {"input": "`[1, 2]`", "steps": [{"type": "model", "model": "mock-stall"}]},
        "wait": {"seconds": 5},
    }
    run(viewer, make_workflow({"type": "model"}, key="warm"))
    workflow = make_workflow({"name": "hang", "type": kind, "timeout": 0.3, **fields[kind]})
    started = time.monotonic()
    failed = run(viewer, workflow)
    assert (failed.status_code, failed.json()["code"]) == (504, "step_timeout")
    assert 0.3 <= time.monotonic() - started < 1.3
    assert not Run.objects.filter(status="running").exists()


def test_after_an_error_a_run_goes_on_where_the_step_says(viewer: APIClient, make_workflow: MakeWorkflow) -> None:
    broken = {"id": "broken", "type": "transform", "op": "json_parse"}
    go_on = make_workflow({**broken, "on_error": "continue"}, render("{{input}}|{{steps.broken.error}}"), key="go-on")
    body = run(viewer, go_on, variables={"input": "{"}).json()
    assert body["output"].startswith("{|the input is not valid JSON")
    assert (body["steps"][0]["output"], body["steps"][0]["error"]) == (None, body["output"][2:])
    jump = make_workflow(
        {**broken, "on_error": {"goto": "mend"}}, render("not here"), {"id": "mend", **render("mended {{input}}")}
    )
    body = run(viewer, jump, variables={"input": "{"}).json()
    assert ([step["name"] for step in body["steps"]], body["output"]) == (["transform-1", "render-3"], "mended {")
    assert run(viewer, jump, variables={"input": "1"}).json()["output"] == "mended not here"


def test_a_run_executes_so_many_steps_and_keeps_so_much(
    viewer: APIClient, make_workflow: MakeWorkflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = make_workflow({"type": "map", "steps": [render("{{input}}")], "on_error": "continue"}, key="many")
    monkeypatch.setattr(interpreter, "MAX_EXECUTED", 50)
    failed = run(viewer, many, variables={"input": list(range(100))})
    assert (failed.status_code, failed.json()["code"]) == (502, "run_limit")
    monkeypatch.setattr(interpreter, "MAX_OUTPUT", 1000)
    failed = run(viewer, many, variables={"input": ["x" * 300] * 4})
    assert (failed.status_code, failed.json()["code"]) == (502, "run_limit")


def test_an_output_that_is_too_large_fails_its_step(viewer: APIClient, make_workflow: MakeWorkflow) -> None:
    twice = make_workflow({"type": "extract", "path": "[input, input]"})
    failed = run(viewer, twice, variables={"input": "x" * 600_000})
    assert (failed.status_code, failed.json()["code"]) == (502, "step_failed")
    assert failed.json()["error"] == "its output can't be kept: it has over 1048576 characters"
    assert run(viewer, twice, variables={"input": "x" * 500_000}).status_code == 200


# --- the interpreter by itself ----------------------------------------------------------------------------------


def flow_of(workspace: Workspace, *steps: dict[str, Any]) -> Workflow:
    return create_workflow(actor=SYSTEM, workspace=workspace, key="flow", steps=list(steps))


def context_of(workflow: Workflow, **variables: Any) -> RunContext:
    return RunContext(
        actor=SYSTEM,
        workspace_id=workflow.workspace_id,
        run_id=workflow.pk,
        workflow_id=workflow.pk,
        workflow_key=workflow.key,
        variables=variables,
    )


class Approving(MemoryJournal):
    """A journal in which somebody said something."""

    said: Decision | None = None

    async def decision(self, path: str) -> Decision | None:
        return self.said


def again(journal: MemoryJournal, workflow: Workflow, **variables: Any) -> Result:
    loaded = parsing.load(workflow.definition)
    return bridge.run(interpret, loaded, context_of(workflow, **variables), journal)


@pytest.mark.parametrize(("approved", "end"), [(True, "x!"), (False, None)])
def test_an_approval_parks_the_run_which_goes_on_when_somebody_decided_and_nothing_is_done_twice(
    workspace: Workspace, place: Place, approved: bool, end: str | None
) -> None:
    workflow = flow_of(workspace, http(place), {"id": "ask", "type": "approval"}, render("x!"))
    journal = Approving()
    for _ in range(3):
        with pytest.raises(Parked) as parked:
            again(journal, workflow)
        assert (parked.value.path, parked.value.reason, len(place.requests)) == ("ask", "approval", 1)
    journal.said = Decision(approved=approved, by="ada", comment="since")
    result = again(journal, workflow)
    assert (result.output, len(place.requests)) == (end, 1)
    assert [(entry.path, entry.number) for entry in journal.entries][:2] == [("step_1", 1), ("ask", 1)]
    assert approved or (result.error and result.error.message == "ada rejected it: since")


def test_a_map_goes_on_with_the_items_that_were_not_done(workspace: Workspace, place: Place) -> None:
    inner = [http(place), {"type": "approval", "when": {"path": "index", "op": "eq", "value": 1}}]
    workflow = flow_of(workspace, {"id": "all", "type": "map", "steps": inner})
    journal = Approving()
    with pytest.raises(Parked) as parked:
        again(journal, workflow, input=[0, 1, 2])
    assert (parked.value.path, len(place.requests)) == ("all[1]/step_2", 3)
    journal.said = Decision(approved=True, by="ada")
    assert again(journal, workflow, input=[0, 1, 2]).error is None
    assert len(place.requests) == 3
    paths = sorted(entry.path for entry in journal.entries)
    assert paths == ["all", *(f"all[{n}]/step_{step}" for n in range(3) for step in (1, 2))]


def test_an_approval_that_nobody_gives_in_time_fails(workspace: Workspace) -> None:
    workflow = flow_of(workspace, {"type": "approval", "timeout": 0.2})
    journal = MemoryJournal()
    with pytest.raises(Parked):
        again(journal, workflow)
    time.sleep(0.25)
    result = again(journal, workflow)
    assert result.error is not None
    assert result.error.code == "step_timeout"


def test_what_a_sub_workflow_was_stays_what_it_is_in_a_later_life(workspace: Workspace) -> None:
    inner = create_workflow(
        actor=SYSTEM, workspace=workspace, key="inner", steps=[{"type": "approval"}, render("first")]
    )
    outer = flow_of(workspace, {"id": "call", "type": "workflow", "workflow_key": "inner"})
    journal = Approving()
    with pytest.raises(Parked):
        again(journal, outer)
    Workflow.objects.filter(pk=inner.pk).update(steps=[{"name": "x", **render("second")}])
    journal.said = Decision(approved=True, by="ada")
    assert again(journal, outer).output == "first"


class Silent:
    """A service that takes a request and never answers. `closed` is set when the caller hangs up."""

    def __init__(self) -> None:
        self.asked, self.closed = threading.Event(), threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.name = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            while connection.recv(65536):
                self.asked.set()
            self.closed.set()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["http", "model"])
def test_a_run_that_is_stopped_closes_the_connection_of_its_step_and_the_run_of_its_call(
    workspace: Workspace, settings: Settings, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    silent = Silent()
    settings.PROMPTOPS_OUTBOUND_ALLOW = [silent.name]
    monkeypatch.setenv("PROMPTOPS_OLLAMA_BASE_URL", f"http://{silent.name}/v1")
    steps = {"http": {"url": f"http://{silent.name}/"}, "model": {"provider": "ollama"}}
    workflow = flow_of(workspace, {"type": kind, **steps[kind]})

    async def stop() -> None:
        loaded = parsing.load(workflow.definition)
        task = asyncio.ensure_future(interpret(loaded, context_of(workflow), MemoryJournal()))
        assert await asyncio.to_thread(silent.asked.wait, 10)
        task.cancel()
        await asyncio.wait({task}, timeout=2)
        assert task.cancelled()

    bridge.run(stop)
    assert silent.closed.wait(2)
    assert [row.status for row in Run.objects.filter(source="model")] == (["error"] if kind == "model" else [])


async def test_a_journal_that_recalls_a_step_keeps_it_from_being_done() -> None:
    journal = MemoryJournal()
    await journal.skip("a", parsing.load({"steps": [{"name": "a", "type": "render", "template": "x"}]}).steps[0])
    assert await journal.recall("a") == Done(skipped=True)
    assert await journal.memoize("a", 1) == await journal.memoize("a", 2) == 1
