"""Secrets in a type of step that nothing else in the product knows of: its file alone declares them."""

import dataclasses
from typing import Any

import pytest
from rest_framework.test import APIClient

from governance.api.serializers import ApiSerializer
from governance.audit.models import AuditEntry
from tests.workflows.conftest import MakeWorkflow, Place
from workflows.definition import schema
from workflows.language.structure import Step
from workflows.models import Workflow, WorkflowVersion
from workflows.steps import STEP_TYPES
from workflows.steps.base import Context, Outcome, StepSerializer, StepType
from workflows.steps.fields.plain import ChoiceField
from workflows.steps.fields.secret import SecretField

TOKEN, KEY = "token-0123456789-abcd", "key-0123456789-wxyz"


class TargetSerializer(ApiSerializer):
    place = ChoiceField(["here", "there"])
    key = SecretField(required=False)


class NotifyStep(StepSerializer):
    token = SecretField(required=False, help_text="What it logs in with.")
    targets = TargetSerializer(many=True, required=False)


seen: list[str] = []


async def run(step: Step, context: Context) -> Outcome:
    seen.append(context.reveal("token", step["token"], destination="notify"))
    return Outcome(output="done")


@pytest.fixture(autouse=True)
def _notify(monkeypatch: pytest.MonkeyPatch) -> None:
    notify = StepType(name="notify", summary="Notify somebody.", fields=NotifyStep, run=run)
    monkeypatch.setitem(STEP_TYPES, "notify", notify)
    monkeypatch.setitem(STEP_TYPES, "alert", dataclasses.replace(notify, name="alert"))
    seen.clear()


def notify(**fields: Any) -> dict[str, Any]:
    return {"type": "notify", "token": TOKEN, "targets": [{"place": "here"}, {"place": "there", "key": KEY}], **fields}


def save(client: APIClient, workflow: dict[str, Any], *steps: Any) -> Any:
    return client.put(f"/api/workflows/{workflow['id']}", {"steps": list(steps)})


def test_a_secret_of_any_type_of_step_is_used_by_its_run_and_shown_to_nobody(
    editor: APIClient, admin: APIClient, make_workflow: MakeWorkflow
) -> None:
    workflow = make_workflow({"type": "map", "input": "`[1]`", "steps": [notify()]})
    answer = editor.post(f"/api/workflows/{workflow['id']}/run", {"variables": {}})
    assert (answer.status_code, seen) == (200, [TOKEN])
    assert editor.post("/api/workflows/publish", {"id": workflow["id"]}).status_code == 200
    paths = ("", f"/{workflow['id']}", f"/{workflow['id']}/versions", f"/{workflow['id']}/export")
    texts = [answer.content, *(editor.get(f"/api/workflows{path}").content for path in paths)]
    texts.append(admin.get("/api/audit").content)
    texts.append(
        repr([*Workflow.objects.values(), *WorkflowVersion.objects.values(), *AuditEntry.objects.values()]).encode()
    )
    assert not [text for text in texts if TOKEN.encode() in text or KEY.encode() in text]
    assert not [text for text in texts[:-1] if b'"box"' in text]


def test_a_secret_is_shown_as_a_mask_where_it_stands_and_nothing_else_is(make_workflow: MakeWorkflow) -> None:
    [shown] = make_workflow(notify())["steps"]
    assert shown["token"].keys() == {"kept", "hint"}
    assert shown["token"]["hint"] == "…abcd"
    assert shown["targets"][0] == {"place": "here"}
    assert (shown["targets"][1]["place"], shown["targets"][1]["key"]["hint"]) == ("there", "…wxyz")


def test_a_mask_that_is_sent_back_keeps_its_secret(editor: APIClient, make_workflow: MakeWorkflow) -> None:
    workflow = make_workflow(notify())
    stored = Workflow.objects.get().steps[0]
    kept = save(editor, workflow, {"type": "render", "template": "x"}, workflow["steps"][0])
    assert kept.status_code == 200
    after = Workflow.objects.get().steps[1]
    assert (after["token"], after["targets"]) == (stored["token"], stored["targets"])


def test_a_secret_of_one_type_of_step_is_not_kept_for_another(
    editor: APIClient, make_workflow: MakeWorkflow, place: Place
) -> None:
    workflow = make_workflow(notify())
    shown = workflow["steps"][0]
    moved = save(editor, workflow, {**shown, "type": "alert"})
    sentence = "this secret is for another type of step: send its value again"
    assert moved.json()["fields"]["steps"]["0"] == {"token": [sentence], "targets": {"1": {"key": [sentence]}}}
    call = {"type": "http", "url": place.url, "secret_headers": {"X": shown["token"]}}
    assert save(editor, workflow, call).json()["fields"]["steps"]["0"] == {
        "secret_headers": {"X": ["this secret is for another host: send its value again"]}
    }


def test_a_mask_of_another_workflow_is_refused(editor: APIClient, make_workflow: MakeWorkflow) -> None:
    [shown] = make_workflow(notify())["steps"]
    foreign = editor.post("/api/workflows", {"key": "other", "steps": [shown]})
    assert foreign.json()["fields"]["steps"]["0"]["token"] == ["this secret is not stored here: send its value"]


@pytest.mark.parametrize("value", ["", "é", "a\n", "x" * 4001, 5, None, {"kept": 5}, {}])
def test_what_is_no_secret_is_refused(editor: APIClient, value: Any) -> None:
    answer = editor.post("/api/workflows", {"key": "flow", "steps": [notify(token=value)]})
    assert answer.status_code == 400
    assert list(answer.json()["fields"]["steps"]["0"]) == ["token"]


def test_the_schema_has_the_secret_as_a_text_or_a_mask() -> None:
    described = schema.components()["WorkflowStepNotify"]["properties"]["token"]
    assert described["description"] == "What it logs in with."
    assert [one["type"] for one in described["oneOf"]] == ["string", "object"]


def test_a_header_name_that_only_looks_like_ascii_is_refused(editor: APIClient, place: Place) -> None:
    """The Kelvin sign becomes a k in lower case."""
    call = {"type": "http", "url": place.url, "secret_headers": {"X-\u212aey": "0123456789"}}
    answer = editor.post("/api/workflows", {"key": "flow", "steps": [call]})
    assert answer.json()["fields"]["steps"]["0"]["secret_headers"] == {"X-\u212aey": ["expected the name of a header"]}
