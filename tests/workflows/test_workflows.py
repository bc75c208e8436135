"""Workflows: kept, and run step by step (contract, section 8)."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient
from werkzeug import Request, Response

from governance.access.actors import SYSTEM
from governance.audit.models import AuditEntry
from governance.changes.models import Change
from governance.tenancy.models import Workspace
from prompts.rollouts import pick
from tests.agents.upstream import Upstream
from tests.workflows.conftest import MakeWorkflow
from workflows import services
from workflows.models import Workflow
from workflows.steps import STEP_TYPES

MakePrompt = Callable[..., dict[str, Any]]
SHOUT = [
    {"name": "greet", "type": "render", "template": "Hello {{name}}"},
    {"name": "ask", "type": "model", "provider": "mock", "model": "m-1"},
    {"name": "shout", "type": "transform", "op": "upper"},
]


def run(client: APIClient, workflow: dict[str, Any], **body: Any) -> Any:
    return client.post(f"/api/workflows/{workflow['id']}/run", body)


def logged(client: APIClient, answer: Any) -> dict[str, Any]:
    row: dict[str, Any] = client.get(f"/api/runs/{answer.json()['run_id']}").json()["data"]
    return row


def render(template: str) -> dict[str, str]:
    return {"type": "render", "template": template}


def test_render_model_and_transform_run_in_order_and_the_trace_has_each(
    viewer: APIClient, make_workflow: MakeWorkflow
) -> None:
    answer = run(viewer, make_workflow(*SHOUT), variables={"name": "Ada"})
    assert answer.status_code == 200, answer.json()
    body = answer.json()
    assert body["output"] == "MOCK COMPLETION FOR: HELLO ADA"
    assert body["steps"][1].pop("latency_ms") >= 0
    assert body["steps"] == [
        {"name": "greet", "type": "render", "output": "Hello Ada", "missing": []},
        {
            "name": "ask",
            "type": "model",
            "output": "mock completion for: Hello Ada",
            "provider": "mock",
            "model": "m-1",
            "prompt_tokens": 2,
            "output_tokens": 7,
            "cached_tokens": None,
            "tokens_estimated": False,
            "cost_usd": None,
            "finish_reason": "stop",
        },
        {"name": "shout", "type": "transform", "output": "MOCK COMPLETION FOR: HELLO ADA", "op": "upper"},
    ]
    row = logged(viewer, answer)
    assert {name: row[name] for name in ("source", "ref_key", "status", "provider", "model", "error")} == {
        "source": "workflow",
        "ref_key": "flow",
        "status": "ok",
        "provider": "mock",
        "model": "m-1",
        "error": "",
    }
    assert (row["prompt_tokens"], row["output_tokens"], row["ref_id"] is not None) == (2, 7, True)


@pytest.mark.parametrize(
    ("op", "text", "expected"),
    [
        ("upper", " straße", " STRASSE"),
        ("lower", "ÀB İ", "àb i̇"),
        ("trim", " \n a b \t", "a b"),
        ("title", "two words", "Two Words"),
        ("capitalize", "two Words", "Two words"),
    ],
)
def test_a_transform_changes_the_text_that_it_is_given(
    viewer: APIClient, make_workflow: MakeWorkflow, op: str, text: str, expected: str
) -> None:
    workflow = make_workflow({"type": "transform", "op": op})
    assert run(viewer, workflow, variables={"input": text}).json()["output"] == expected


@pytest.mark.parametrize(
    ("given", "first"),
    [({}, ""), ({"input": "text"}, "text"), ({"input": {"a": [1, None]}}, '{"a":[1,null]}'), ({"input": None}, "null")],
)
def test_each_steps_output_is_the_next_ones_input_and_the_first_ones_is_the_variable_of_that_name(
    viewer: APIClient, make_workflow: MakeWorkflow, given: dict[str, Any], first: str
) -> None:
    workflow = make_workflow(render("<{{input}}|{{x}}>"), render("[{{ input }}|{{x}}]"), render("{{input}}{{input}}"))
    body = run(viewer, workflow, variables={**given, "x": "{{input}}"}).json()
    one = f"<{first}|{{{{input}}}}>"
    two = f"[{one}|{{{{input}}}}]"
    assert [step["output"] for step in body["steps"]] == [one, two, two + two]
    assert body["output"] == two + two


def test_a_prompt_step_is_filled_as_an_application_would_be_served_it_by_unit(
    editor: APIClient, make_prompt: MakePrompt, make_workflow: MakeWorkflow
) -> None:
    prompt = make_prompt(content="one {{input}} {{nobody}}", publish=True)
    editor.patch(f"/api/prompts/{prompt['id']}", {"content": "two {{input}}"})
    workflow = make_workflow({"type": "prompt", "prompt_key": "greeting"})
    served = run(editor, workflow, variables={"input": "x"}).json()
    assert served["steps"] == [
        {
            "name": "prompt-1",
            "type": "prompt",
            "output": "one x {{nobody}}",
            "missing": ["nobody"],
            "prompt_key": "greeting",
            "version": "v1",
        }
    ]
    editor.post("/api/prompts/publish", {"id": prompt["id"]})
    path = f"/api/prompts/{prompt['id']}/rollout"
    rollout = editor.put(path, {"variant_a": "v2", "variant_b": "v1", "weight_a": 50}).json()["data"]
    for unit in map(str, range(8)):
        variant = pick(seed=rollout["seed"], weight_a=50, unit=unit)
        [step] = run(editor, workflow, unit=unit).json()["steps"]
        assert (step["variant"], step["version"]) == (variant, {"A": "v2", "B": "v1"}[variant])


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        ({}, "steps: "),
        ("render", "steps: "),
        (None, "steps: "),
        ([render("x")] * 51, "steps: "),
        (["render"], "steps[0]: "),
        ([None], "steps[0]: "),
        ([{}], "steps[0]: type"),
        ([{"type": "shell", "command": "ls"}], "steps[0]: type"),
        ([{"type": ["render"]}], "steps[0]: type"),
        ([{"type": "Render", "template": "x"}], "steps[0]: type"),
        ([render("x"), {"type": "render"}], "steps[1]: template"),
        ([render("x"), {"name": "second", "type": "render"}], "steps[1] (second): template"),
        ([{**render("x"), "template": 5}], "steps[0]: template"),
        ([{**render("x"), "tempalte": "y"}], "steps[0]: tempalte"),
        ([{"type": "model", "provider": "nobody"}], "steps[0]: provider"),
        ([{"type": "model", "config": [1]}], "steps[0]: config"),
        ([{"type": "model", "api_key": "sk-x"}], "steps[0]: api_key"),
        ([{"type": "model", "base_url": "http://x"}], "steps[0]: base_url"),
        ([{"type": "transform"}], "steps[0]: op"),
        ([{"type": "transform", "op": "shout"}], "steps[0]: op"),
        ([{"type": "transform", "op": ["upper"]}], "steps[0]: op"),
        ([{"type": "prompt"}], "steps[0]: prompt_key"),
        ([{"type": "prompt", "prompt_key": "a b"}], "steps[0]: prompt_key"),
        ([{**render("x"), "name": ""}], "steps[0]: name"),
        ([{**render("x"), "name": 7}], "steps[0]: name"),
        ([{**render("x"), "name": "n" * 201}], "steps[0] (nnn"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_steps_that_could_not_run_are_refused_when_they_are_saved_and_the_step_is_named(
    editor: APIClient, make_workflow: MakeWorkflow, steps: Any, named: str
) -> None:
    kept = make_workflow(*SHOUT, key="kept")
    for refused in (
        editor.post("/api/workflows", {"key": "flow", "steps": steps}),
        editor.patch(f"/api/workflows/{kept['id']}", {"steps": steps}),
    ):
        body = refused.json()
        assert (refused.status_code, list(body["fields"])) == (400, ["steps"])
        assert body["error"].startswith(named), body["error"]
    assert [workflow.steps for workflow in Workflow.objects.all()] == [SHOUT_KEPT]


SHOUT_KEPT = [SHOUT[0], {**SHOUT[1], "config": {}}, SHOUT[2]]


def test_every_faulty_step_is_named_by_its_place(editor: APIClient) -> None:
    steps = [{"type": "render"}, render("x"), {"type": "transform", "op": "x"}, 5]
    fields = editor.post("/api/workflows", {"key": "flow", "steps": steps}).json()["fields"]
    assert {place: list(problem) for place, problem in fields["steps"].items()} == {
        "0": ["template"],
        "2": ["op"],
        "3": ["step"],
    }


def test_a_workflow_that_is_fetched_can_be_sent_back_and_steps_without_a_name_are_given_one(
    editor: APIClient, make_workflow: MakeWorkflow
) -> None:
    steps: list[dict[str, Any]] = [{"type": name, **LEAST[name]} for name in STEP_TYPES]
    workflow = make_workflow(*steps)
    assert [step["name"] for step in workflow["steps"]] == [f"{name}-{n + 1}" for n, name in enumerate(STEP_TYPES)]
    answer = editor.put(f"/api/workflows/{workflow['id']}", workflow)
    assert (answer.status_code, answer.json()["data"]) == (200, workflow)
    assert AuditEntry.objects.filter(resource="workflow").count() == 1


#: The fields that each type of step must have.
LEAST: dict[str, dict[str, Any]] = {
    "render": {"template": ""},
    "prompt": {"prompt_key": "greeting"},
    "model": {},
    "transform": {"op": "trim"},
    "agent": {"agent_key": "helper"},
    "extract": {"path": "input"},
    "condition": {"branches": []},
    "map": {"steps": [{"type": "render", "template": ""}]},
    "http": {"url": "https://api.example/"},
    "workflow": {"workflow_key": "other"},
    "approval": {},
    "wait": {"seconds": 0},
    "validate": {"schema": {}},
}


def test_a_step_whose_provider_fails_ends_the_run_with_502_the_trace_so_far_and_a_failed_run(
    viewer: APIClient, make_workflow: MakeWorkflow, upstream: Upstream
) -> None:
    upstream.answers(upstream.completion("first"), Response("slow down", 429))
    model = {"type": "model", "provider": "ollama", "model": "m-1"}
    workflow = make_workflow(
        render("{{input}}!"), model, {"name": "again", **model}, {"type": "transform", "op": "upper"}
    )
    failed = run(viewer, workflow, variables={"input": "x"})
    body = failed.json()
    assert (failed.status_code, body["code"]) == (502, "provider_failed")
    assert body["error"].startswith("Ollama answered 429")
    assert [(step["name"], step["output"]) for step in body["steps"]] == [
        ("render-1", "x!"),
        ("model-2", "first"),
        ("again", None),
    ]
    assert body["steps"][2]["error"] == body["error"]
    row = logged(viewer, failed)
    assert {name: row[name] for name in ("status", "error", "provider", "prompt_tokens", "output_tokens")} == {
        "status": "error",
        "error": f"again: {body['error']}",
        "provider": "ollama",
        "prompt_tokens": 11,
        "output_tokens": 7,
    }
    assert len(upstream.requests) == 2


def test_a_step_whose_provider_hangs_is_504(
    viewer: APIClient, make_workflow: MakeWorkflow, upstream: Upstream, settings: Settings
) -> None:
    run(viewer, make_workflow({"type": "model"}, key="warm"))
    settings.PROMPTOPS_PROVIDER_TIMEOUT = 0.2

    def late(request: Request) -> Response:
        time.sleep(0.6)
        return Response("late")

    upstream.answers(late)
    failed = run(viewer, make_workflow({"type": "model", "provider": "ollama"}))
    assert (failed.status_code, [step["output"] for step in failed.json()["steps"]]) == (504, [None])
    assert logged(viewer, failed)["status"] == "error"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"type": "prompt", "prompt_key": "absent"}, "no prompt absent is served in prod"),
        ({"type": "prompt", "prompt_key": "absent", "env": "staging"}, "no prompt absent is served in staging"),
        ({"type": "model", "provider": "openai"}, "there is no key for OpenAI: set OPENAI_API_KEY on the server"),
    ],
)
def test_a_step_that_lacks_something_on_the_server_is_502_since_the_input_is_not_at_fault(
    viewer: APIClient, make_workflow: MakeWorkflow, upstream: Upstream, step: dict[str, Any], words: str
) -> None:
    failed = run(viewer, make_workflow(render("x"), step))
    body = failed.json()
    assert (failed.status_code, body["code"], body["error"]) == (502, "step_failed", words)
    assert [entry["output"] for entry in body["steps"]] == ["x", None]
    assert (logged(viewer, failed)["status"], upstream.requests) == ("error", [])


def test_with_strict_a_variable_without_a_value_is_400_with_the_trace_and_a_failed_run(
    viewer: APIClient, make_workflow: MakeWorkflow
) -> None:
    workflow = make_workflow(render("{{a}}"), render("{{input}} {{b}} {{c}}"))
    assert run(viewer, workflow, variables={"a": 1}).json()["steps"][1]["missing"] == ["b", "c"]
    failed = run(viewer, workflow, variables={"a": 1}, strict=True)
    body = failed.json()
    assert (failed.status_code, body["fields"]) == (400, {"variables": ["b", "c"]})
    assert [entry["output"] for entry in body["steps"]] == ["1", None]
    row = logged(viewer, failed)
    assert (row["status"], row["error"]) == ("error", f"render-2: {body['error']}")


def test_a_text_that_doubles_with_each_step_is_stopped(viewer: APIClient, make_workflow: MakeWorkflow) -> None:
    workflow = make_workflow(*[render("{{input}}{{input}}")] * 50)
    failed = run(viewer, workflow, variables={"input": "x"})
    assert (failed.status_code, list(failed.json()["fields"])) == (400, ["variables"])
    assert 15 < len(failed.json()["steps"]) < 25


@pytest.mark.parametrize(
    "body",
    [{"variables": []}, {"variables": "x"}, {"strict": 1}, {"unit": 5}, {"api_key": 5}, {"provider": "mock"}],
)
def test_a_run_of_what_cannot_be_read_is_refused_before_it_begins(
    viewer: APIClient, make_workflow: MakeWorkflow, body: dict[str, Any]
) -> None:
    refused = run(viewer, make_workflow(render("x")), **body)
    assert (refused.status_code, list(refused.json()["fields"])) == (400, list(body))
    assert viewer.get("/api/runs").json()["total"] == 0


def test_a_workflow_is_read_changed_field_by_field_and_deleted(editor: APIClient, make_workflow: MakeWorkflow) -> None:
    workflow = make_workflow(*SHOUT, name="A")
    path = f"/api/workflows/{workflow['id']}"
    for change in (
        {"name": "B"},
        {"description": "d"},
        {"steps": [{"name": "s", **render("{{input}}")}]},
        {"key": "k"},
    ):
        before = editor.get(path).json()["data"]
        after = editor.patch(path, change).json()["data"]
        assert after == {**before, **change, "updated_at": after["updated_at"]}
    assert [row["id"] for row in editor.get("/api/workflows", {"q": "K"}).json()["data"]] == [workflow["id"]]
    etag = editor.get(path).headers["ETag"]
    editor.patch(path, {"name": "C"})
    assert editor.delete(path, headers={"If-Match": etag}).status_code == 412
    assert editor.delete(path).json() == {"ok": True}
    assert editor.get(path).status_code == 404
    actions = AuditEntry.objects.filter(resource="workflow").order_by("created_at").values_list("action", flat=True)
    assert list(actions) == ["create", *["update"] * 5, "delete"]
    assert Change.objects.count() == 0, "workflows move no revision"


def test_a_key_is_taken_in_one_workspace_and_free_in_another(
    editor: APIClient, admin: APIClient, make_workflow: MakeWorkflow, other_workspace: Workspace
) -> None:
    make_workflow(*SHOUT)
    second = make_workflow(*SHOUT, key="second")
    assert editor.post("/api/workflows", {"key": "flow", "steps": SHOUT}).status_code == 409
    assert editor.patch(f"/api/workflows/{second['id']}", {"key": "flow"}).status_code == 409
    there = {"key": "flow", "steps": SHOUT, "workspace_id": other_workspace.pk}
    assert admin.post("/api/workflows", there).status_code == 201


def test_a_viewer_runs_workflows_and_may_not_write_them_and_sees_none_of_another_workspace(
    viewer: APIClient, admin: APIClient, make_workflow: MakeWorkflow, other_workspace: Workspace
) -> None:
    workflow = make_workflow(*SHOUT)
    path = f"/api/workflows/{workflow['id']}"
    assert run(viewer, workflow).status_code == 200
    for refused in (
        viewer.post("/api/workflows", {"key": "x", "steps": SHOUT}),
        viewer.patch(path, {"name": "x"}),
        viewer.delete(path),
    ):
        assert (refused.status_code, refused.json()["error"]) == (403, "forbidden: requires editor role")
    there = {"key": "x", "steps": SHOUT, "workspace_id": other_workspace.pk}
    hidden = admin.post("/api/workflows", there).json()["data"]
    for absent in (hidden, {"id": str(uuid.uuid4())}):
        assert viewer.get(f"/api/workflows/{absent['id']}").status_code == 404
        assert run(viewer, absent).status_code == 404
    assert [row["key"] for row in viewer.get("/api/workflows").json()["data"]] == ["flow"]


def test_a_prompt_step_takes_prompts_of_the_workflows_own_workspace_alone(
    admin: APIClient, make_prompt: MakePrompt, other_workspace: Workspace
) -> None:
    make_prompt(content="of default")
    steps = [{"type": "prompt", "prompt_key": "greeting"}]
    made = admin.post("/api/workflows", {"key": "flow", "steps": steps, "workspace_id": other_workspace.pk})
    assert run(admin, made.json()["data"]).status_code == 502
    theirs = {"key": "greeting", "env": "prod", "content": "of other", "workspace_id": other_workspace.pk}
    admin.post("/api/prompts", theirs)
    assert run(admin, made.json()["data"]).json()["output"] == "of other"
    here = admin.post("/api/workflows", {"key": "flow", "steps": steps})
    assert run(admin, here.json()["data"]).json()["output"] == "of default"


def test_when_the_audit_entry_cannot_be_written_nothing_happened_to_the_workflow(
    make_workflow: MakeWorkflow, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = Workflow.objects.get(pk=make_workflow(*SHOUT)["id"])
    before = list(Workflow.objects.values())

    def fail(self: Any, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr(AuditEntry, "save", fail)
    for write in (
        lambda: services.create_workflow(actor=SYSTEM, workspace=workspace, key="other", steps=SHOUT),
        lambda: services.update_workflow(actor=SYSTEM, workflow=workflow, steps=SHOUT[:1]),
        lambda: services.delete_workflow(actor=SYSTEM, workflow=workflow),
    ):
        with pytest.raises(RuntimeError, match="disk full"):
            write()
        assert list(Workflow.objects.values()) == before
