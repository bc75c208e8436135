"""What the first clients send, and what they may rely on (contract, section 8)."""

import time
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings
from rest_framework.test import APIClient

from governance.audit.models import AuditEntry
from governance.runs.models import Run
from tests.agents.upstream import Upstream
from tests.workflows.conftest import MakeWorkflow
from tests.workflows.runs.test_runs import get, work_off
from tests.workflows.test_workflows import render, run
from workflows.engine import transitions
from workflows.models import StepAttempt, WorkflowRun

pytestmark = pytest.mark.django_db
SPARE = {"template": "", "provider": "mock", "model": "", "op": "upper"}
OWN = [
    {"type": "render", "template": "Hi {{name}}"},
    {"type": "model", "provider": "mock"},
    {"type": "transform", "op": "lower"},
]
KEY = "sk-of-somebody-0123456789"


def test_spare_fields_of_other_types_are_dropped_when_they_are_empty_or_as_forms_begin(
    editor: APIClient, make_workflow: MakeWorkflow
) -> None:
    made = make_workflow(*({**SPARE, **step} for step in OWN))
    assert [{name: step[name] for name in step if name not in ("name", "config")} for step in made["steps"]] == [
        OWN[0],
        {**OWN[1], "model": ""},
        OWN[2],
    ]
    assert run(editor, made, variables={"name": "Bo"}).status_code == 200
    spares: list[dict[str, Any]] = [
        {"op": "lower"},
        {"template": "{{x}}"},
        {"provider": "openai"},
        {"model": "x"},
        {"op": []},
    ]
    for spare in spares:
        [step] = [step for step in OWN if not spare.keys() & step.keys()][:1]
        refused = editor.post("/api/workflows", {"key": "x", "steps": [{**step, **spare}]})
        if spare != {"model": "x"} or step["type"] != "model":
            assert (refused.status_code, list(refused.json()["fields"]["steps"]["0"])) == (400, list(spare))


def test_a_workflow_is_saved_without_steps_and_running_it_is_refused(editor: APIClient, viewer: APIClient) -> None:
    bodies: list[tuple[str, dict[str, Any]]] = [("left-out", {}), ("empty", {"steps": []})]
    for key, body in bodies:
        made = editor.post("/api/workflows", {"key": key, **body})
        assert (made.status_code, made.json()["data"]["steps"]) == (201, [])
        for more in ({}, {"background": True}):
            refused = run(viewer, made.json()["data"], **more)
            assert (refused.status_code, list(refused.json()["fields"])) == (400, ["steps"])
    assert WorkflowRun.objects.count() == 0
    document = editor.get(f"/api/workflows/{made.json()['data']['id']}/export", {"format": "json"}).json()
    assert editor.post("/api/workflows/import", document).status_code == 200
    calling = editor.post("/api/workflows", {"key": "c", "steps": [{"type": "workflow", "workflow_key": "empty"}]})
    assert "nothing to run" in run(viewer, calling.json()["data"]).json()["error"]


def model(provider: str = "openai") -> dict[str, Any]:
    return {"id": "ask", "type": "model", "provider": provider, "model": "m"}


def everything_stored() -> str:
    """All texts of all tables."""
    texts = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # our own tables
            texts += [str(row) for row in cursor.fetchall()]
    return "\n".join(texts)


def test_a_runs_own_key_and_address_are_for_its_model_steps_and_are_kept_nowhere(
    viewer: APIClient,
    make_workflow: MakeWorkflow,
    upstream: Upstream,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    settings.PROMPTOPS_OUTBOUND_ALLOW = [upstream.base_url.split("/")[2]]
    inner = make_workflow(model(), key="inner")
    flow = make_workflow(model(), {"type": "workflow", "workflow_key": inner["key"]})
    for key in ("", "again"):
        answer = run(
            viewer,
            flow,
            variables={"input": "hi"},
            api_key=KEY,
            base_url=upstream.base_url,
            **({"unit": key} if key else {}),
        )
        assert answer.status_code == 200, answer.json()
    assert {request.headers["Authorization"] for request in upstream.requests} == {f"Bearer {KEY}"}
    assert len(upstream.requests) == 4
    assert KEY not in everything_stored() + answer.content.decode() + caplog.text
    assert Run.objects.exists()
    assert not AuditEntry.objects.filter(summary__contains=KEY).exists()


def test_an_empty_key_and_address_count_as_not_given_and_others_are_checked(
    viewer: APIClient, make_workflow: MakeWorkflow
) -> None:
    flow = make_workflow(render("hi"), {"type": "model", "provider": "mock"})
    assert run(viewer, flow, api_key="", base_url="").status_code == 200
    assert run(viewer, flow, api_key="", base_url="", background=True).status_code == 202
    for field, more in (
        ("base_url", {"base_url": "https://elsewhere.example/v1"}),
        ("api_key", {"api_key": "white space"}),
        ("api_key", {"api_key": KEY, "background": True}),
        ("base_url", {"base_url": "https://elsewhere.example/v1", "background": True}),
    ):
        refused = run(viewer, flow, **more)
        assert (refused.status_code, list(refused.json()["fields"])) == (400, [field])


@pytest.mark.parametrize("step", [{"type": "approval"}, {"type": "wait", "seconds": 60}])
def test_a_run_with_a_key_of_its_own_is_not_put_aside(
    viewer: APIClient, make_workflow: MakeWorkflow, step: dict[str, Any]
) -> None:
    failed = run(viewer, make_workflow(step), api_key=KEY)
    assert (failed.status_code, "can't be put aside" in failed.json()["error"]) == (502, True)


@pytest.mark.django_db(transaction=True)
def test_a_run_with_a_key_of_its_own_goes_on_in_its_process_and_in_no_other(
    viewer: APIClient, make_workflow: MakeWorkflow, settings: Settings
) -> None:
    settings.PROMPTOPS_WORKFLOW_DEADLINE = 0.2
    flow = make_workflow({"type": "wait", "seconds": 1}, {"type": "model", "provider": "mock"})
    answer = run(viewer, flow, variables={"input": "hi"}, api_key=KEY)
    assert answer.status_code == 202, answer.json()
    assert KEY not in everything_stored()
    end = time.monotonic() + 20
    while get(viewer, answer.json()["run_id"])["status"] == "running" and time.monotonic() < end:
        time.sleep(0.1)
    assert get(viewer, answer.json()["run_id"])["status"] == "succeeded"
    # Another process takes it up, as if this one had died.
    row = WorkflowRun.objects.get(pk=answer.json()["run_id"])
    StepAttempt.objects.filter(run=row, step_id="step_2").delete()
    transitions.resume(row)
    work_off()
    ended = get(viewer, str(row.pk))
    assert (ended["status"], "start it anew" in ended["error"]) == ("failed", True)


@pytest.mark.parametrize("label", ["draft", "live", "latest"])
def test_a_word_of_the_api_is_no_label_of_a_workflow(
    editor: APIClient, make_workflow: MakeWorkflow, label: str
) -> None:
    flow = make_workflow(render("hi"))
    for refused in (
        editor.post("/api/workflows/publish", {"id": flow["id"], "version": label}),
        editor.patch(f"/api/workflows/{flow['id']}", {"version": label}),
        editor.post("/api/workflows", {"key": "x", "steps": [], "version": label}),
    ):
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["version"])
