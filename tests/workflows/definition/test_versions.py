"""Workflows are published as prompts are; and they go out and come in as documents."""

import json
import time
from typing import Any

import pytest
import yaml
from rest_framework.test import APIClient
from werkzeug import Response

from governance.audit.models import AuditEntry
from governance.tenancy.models import Workspace
from tests.workflows.conftest import MakeWorkflow, Place
from tests.workflows.test_workflows import render, run
from workflows.models import Workflow, WorkflowVersion


def publish(client: APIClient, workflow: dict[str, Any], **body: Any) -> Any:
    return client.post("/api/workflows/publish", {"id": workflow["id"], **body})


def fetch(client: APIClient, workflow: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = client.get(f"/api/workflows/{workflow['id']}").json()["data"]
    return row


def edit(client: APIClient, workflow: dict[str, Any], **fields: Any) -> Any:
    return client.patch(f"/api/workflows/{workflow['id']}", fields)


def test_a_run_takes_the_draft_until_the_first_publish_and_the_live_version_from_then_on(
    editor: APIClient, make_workflow: MakeWorkflow
) -> None:
    workflow = make_workflow(render("one"))
    assert (workflow["status"], workflow["live_version"]) == ("draft", None)
    assert run(editor, workflow).json()["output"] == "one"
    version = publish(editor, workflow, note="first").json()["data"]
    assert (version["version"], version["live"], version["note"]) == ("v1", True, "first")
    assert (fetch(editor, workflow)["status"], fetch(editor, workflow)["live_version"]) == ("published", "v1")
    assert publish(editor, workflow).json()["data"]["id"] == version["id"]
    edit(editor, workflow, steps=[render("two")])
    assert fetch(editor, workflow)["status"] == "modified"
    said = {label: run(editor, workflow, version=label).json().get("output") for label in ("draft", "live", "v1", "v9")}
    assert said == {"draft": "two", "live": "one", "v1": "one", "v9": None}
    answer = run(editor, workflow)
    assert answer.json()["output"] == "one"
    assert editor.get(f"/api/runs/{answer.json()['run_id']}").json()["data"]["version"] == "v1"
    assert publish(editor, workflow, version="v1").status_code == 409
    assert publish(editor, workflow).json()["data"]["version"] == "v2"
    assert run(editor, workflow).json()["output"] == "two"


def test_a_rollback_makes_a_version_live_and_the_draft_equal_to_it_and_removes_none(
    editor: APIClient, make_workflow: MakeWorkflow
) -> None:
    inputs = {"name": {"type": "string", "required": True}}
    workflow = make_workflow(render("one"), inputs=inputs, outputs={"said": "<{{input}}>"})
    publish(editor, workflow)
    edit(editor, workflow, steps=[render("two")], inputs={}, outputs={})
    publish(editor, workflow)
    back = editor.post("/api/workflows/rollback", {"id": workflow["id"], "version": "v1"}).json()["data"]
    assert (back["live_version"], back["status"], back["inputs"]) == ("v1", "published", workflow["inputs"])
    assert run(editor, workflow, variables={"name": "x"}).json()["outputs"] == {"said": "<one>"}
    versions = editor.get(f"/api/workflows/{workflow['id']}/versions").json()
    assert [(row["version"], row["live"]) for row in versions["data"]] == [("v2", False), ("v1", True)]
    missing = editor.post("/api/workflows/rollback", {"id": workflow["id"], "version": "v7"})
    assert (missing.status_code, missing.json()["error"]) == (404, "version not found")
    actions = AuditEntry.objects.filter(resource="workflow").order_by("created_at").values_list("action", flat=True)
    assert list(actions) == ["create", "publish", "update", "publish", "rollback"]
    editor.delete(f"/api/workflows/{workflow['id']}")
    assert not WorkflowVersion.objects.exists()


def test_publishing_heeds_who_one_is_and_what_one_saw(
    viewer: APIClient, editor: APIClient, make_workflow: MakeWorkflow
) -> None:
    workflow = make_workflow(render("one"))
    assert publish(viewer, workflow).status_code == 403
    etag = editor.get(f"/api/workflows/{workflow['id']}").headers["ETag"]
    edit(editor, workflow, name="x")
    stale = editor.post("/api/workflows/publish", {"id": workflow["id"]}, headers={"If-Match": etag})
    assert stale.status_code == 412


# --- inputs and outputs -----------------------------------------------------------------------------------------


def test_inputs_have_types_and_defaults_and_what_lacks_or_does_not_fit_is_400(
    viewer: APIClient, make_workflow: MakeWorkflow
) -> None:
    workflow = make_workflow(
        render("{{name}} {{inputs.n}} {{more}}"),
        inputs={"name": {"type": "string", "required": True}, "n": {"type": "integer", "default": 3}},
    )
    assert run(viewer, workflow, variables={"name": "a", "more": True}).json()["output"] == "a 3 true"
    for variables, fields in (
        ({}, {"name": ["required"]}),
        ({"name": 5}, {"name": ["expected a string"]}),
        ({"name": "a", "n": 1.5}, {"n": ["expected an integer"]}),
        ({"name": "a", "n": True}, {"n": ["expected an integer"]}),
    ):
        refused = run(viewer, workflow, variables=variables)
        assert (refused.status_code, refused.json()["fields"]) == (400, {"variables": fields})
    assert viewer.get("/api/runs").json()["total"] == 1


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"inputs": []}, "inputs: "),
        ({"inputs": {"a b": {}}}, "inputs.a b: "),
        ({"inputs": {"steps": {}}}, "inputs.steps: "),
        ({"inputs": {"a": {"type": "text"}}}, "inputs.a: type: "),
        ({"inputs": {"a": {"type": "string", "default": 1}}}, "inputs.a: default: "),
        ({"inputs": {"a": {"default": 1, "required": True}}}, "inputs.a: default: "),
        ({"outputs": {"a": "text"}}, "outputs.a: "),
        ({"outputs": {"a": "{{steps.x.output}}"}}, "outputs.a: steps.x.output: there is no step x"),
        ({"outputs": {"a": {"path": "steps.x"}}}, "outputs.a: path: steps.x: there is no step x"),
        ({"outputs": {"a": {"path": "a["}}}, "outputs.a: path: expected a JMESPath expression"),
        ({"outputs": {"a": 5}}, "outputs.a: "),
    ],
)
def test_inputs_and_outputs_that_could_not_work_are_refused_by_their_names(
    editor: APIClient, fields: dict[str, Any], where: str
) -> None:
    refused = editor.post("/api/workflows", {"key": "x", "steps": [render("x")], **fields})
    body = refused.json()
    assert (refused.status_code, list(body["fields"])) == (400, list(fields))
    assert body["error"].startswith(where), body["error"]


# --- documents --------------------------------------------------------------------------------------------------

DOCUMENT = """\
key: flow
name: Ünïcode
steps:
- type: http
  id: call
  url: https://api.example/{{name}}
  retry: {max: 2, on: [http_failed]}
  secret_headers:
    Authorization: Bearer 0123456789-secret
- name: "2026-01-31"
  type: render
  template: |
    on: {{steps.call.output}}

    yes
outputs:
  n:
    path: steps.call.status
inputs:
  text: {default: "0123456789"}
  number: {default: "1e5"}
  time: {default: 12:30}
  word: {default: yes}
"""


def test_a_workflow_goes_out_as_yaml_or_json_and_comes_back_as_it_was(editor: APIClient) -> None:
    made = editor.generic("POST", "/api/workflows/import", DOCUMENT, "text/yaml")
    assert made.status_code == 201, made.json()
    workflow = made.json()["data"]
    assert workflow["steps"][0]["retry"] == {"max": 2, "on": ["http_failed"]}
    assert (workflow["steps"][1]["name"], workflow["name"]) == ("2026-01-31", "Ünïcode")
    assert [declared["default"] for declared in workflow["inputs"].values()] == ["0123456789", "1e5", "12:30", "yes"]
    path = f"/api/workflows/{workflow['id']}/export"
    answer = editor.get(path)
    assert answer.headers["Content-Type"] == "text/yaml; charset=utf-8"
    text = answer.content.decode()
    assert "template: |" in text
    exported = editor.get(path, headers={"Accept": "application/json"}).json()
    assert exported == editor.get(path, {"format": "json"}).json() == yaml.safe_load(text)
    for body, kind in ((text, "application/yaml"), (json.dumps(exported), "application/json")):
        again = editor.generic("POST", "/api/workflows/import", body, kind)
        assert (again.status_code, again.json()["data"]) == (200, workflow)
    changed = editor.generic(
        "POST", "/api/workflows/import", "key: flow\nsteps: [{type: wait, seconds: 1}]", "text/yaml"
    )
    assert (changed.status_code, changed.json()["data"]["outputs"]) == (200, {})
    assert editor.get(path, {"version": "v9"}).status_code == 404
    assert editor.get(path, {"format": "xml"}).status_code == 400


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("key: [", "not valid YAML"),
        ("a: &x 1\nb: *x", "no YAML anchors and aliases"),
        ("a: !!python/object/apply:os.system ['true']", "no YAML tags"),
        ("a: 1\na: 2", "the name 'a' is there twice"),
        ("1: 2", "expected a text as a name"),
        ("- a", "expected a JSON object"),
        ("a: " + "[" * 100 + "]" * 100, "nested deeper than 64"),
        ("a: 1e999", "the number 1e999 is out of range"),
        ("a: " + "9" * 5000, "the number 99999999999999999999… is out of range"),
        ('a: "\\0"', "NUL"),
        ("a: 1\n---\nb: 2", "a second YAML document"),
        ("[" * 100_000, "nested deeper than 64"),
        ("- " * 100_000, "nested deeper than 64"),
        ("kye: flow", "kye: unknown field"),
    ],
)
def test_a_document_that_is_no_plain_yaml_is_refused(editor: APIClient, text: str, words: str) -> None:
    refused = editor.generic("POST", "/api/workflows/import", text, "text/yaml")
    assert (refused.status_code, words in refused.json()["error"]) == (400, True), refused.json()


#: Each as large as a body may be.
LARGE = {
    "the same name again at the end": "".join(f"k{n}: 1\n" for n in range(9_999)) + "k9998: 2\n",
    "items": "a: [" + "1, " * 330_000 + "1]",
    "pairs": "[" + "a: b, " * 160_000 + "]",
    "documents": "---\n" * 250_000,
    "digits": "a: " + "1" * 1_000_000,
    "lines": "a: x\n" + " x\n" * 330_000,
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_large_document_is_read_or_refused_in_time(editor: APIClient, kind: str) -> None:
    started = time.thread_time()
    refused = editor.generic("POST", "/api/workflows/import", LARGE[kind], "text/yaml")
    assert (refused.status_code, time.thread_time() - started < 2) == (400, True)


def test_a_document_over_the_limit_is_refused(editor: APIClient) -> None:
    assert editor.generic("POST", "/api/workflows/import", " " * 1_100_000, "text/yaml").status_code == 413


# --- secrets ----------------------------------------------------------------------------------------------------

SECRET = "Bearer 0123456789-secret"


def call(place: Place, **fields: Any) -> dict[str, Any]:
    return {"type": "http", "url": f"{place.url}/x", "secret_headers": {"Authorization": SECRET}, **fields}


def test_a_secret_is_sent_and_shown_to_nobody(
    editor: APIClient, admin: APIClient, make_workflow: MakeWorkflow, place: Place
) -> None:
    workflow = make_workflow({"type": "map", "input": "`[1]`", "steps": [call(place)]})
    place.handler = lambda request: _echo(request)
    body = run(editor, workflow)
    assert place.requests[0].headers["Authorization"] == SECRET
    publish(editor, workflow)
    edit(editor, workflow, steps=[call(place)])
    seen = [
        body.content,
        *(
            editor.get(path).content
            for path in (
                "/api/workflows",
                f"/api/workflows/{workflow['id']}",
                f"/api/workflows/{workflow['id']}/versions",
                f"/api/workflows/{workflow['id']}/export",
            )
        ),
        admin.get("/api/audit").content,
        repr([*Workflow.objects.values(), *WorkflowVersion.objects.values(), *AuditEntry.objects.values()]).encode(),
    ]
    assert not [text for text in seen if b"0123456789-secret" in text]


def test_a_secret_that_is_sent_back_as_it_was_shown_stays_but_not_for_another_host(
    editor: APIClient, make_workflow: MakeWorkflow, place: Place
) -> None:
    workflow = make_workflow(render("x"), call(place, name="call"))
    shown = workflow["steps"][1]
    kept = edit(editor, workflow, steps=[{**shown, "url": f"{place.url}/elsewhere"}, render("y")])
    assert kept.status_code == 200
    assert run(editor, workflow).status_code == 200
    assert place.requests[0].headers["Authorization"] == SECRET
    moved = edit(editor, workflow, steps=[{**shown, "url": "https://evil.example/"}])
    assert moved.json()["fields"]["steps"]["0"]["secret_headers"] == {
        "Authorization": ["this secret is for another host: send its value again"]
    }
    foreign = editor.post("/api/workflows", {"key": "other", "steps": [shown]})
    assert foreign.json()["error"].endswith("this secret is not stored here: send its value")


def _echo(request: Any) -> Any:

    return Response(json.dumps(dict(request.headers)), content_type="application/json")


def test_another_workspaces_workflow_can_be_neither_published_nor_exported(
    editor: APIClient, admin: APIClient, other_workspace: Workspace
) -> None:
    hidden = {"key": "x", "steps": [render("x")], "workspace_id": other_workspace.pk}
    row = admin.post("/api/workflows/import", hidden).json()["data"]
    assert publish(editor, row).status_code == 404
    for name in ("export", "versions"):
        assert editor.get(f"/api/workflows/{row['id']}/{name}").status_code == 404
