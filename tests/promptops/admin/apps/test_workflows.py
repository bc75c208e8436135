"""The pages of workflows and agents without a browser: who may do what there, and what their scripts are answered."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse

from agents.models import Agent
from agents.services import create_agent
from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.audit.models import AuditEntry
from governance.tenancy.models import Environment, Workspace
from tests.promptops.admin.browser import Browser, Page, url
from tests.promptops.admin.conftest import World
from tests.promptops.admin.world import HOSTILE
from workflows.engine import segments
from workflows.models import RunState, Schedule, Workflow, WorkflowRun
from workflows.runs import execution
from workflows.services import create_workflow, publish

Browse = Callable[..., Browser]
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous")
APPROVAL = {"id": "ok", "type": "approval", "message": HOSTILE}


def flow(workspace: Workspace, *steps: dict[str, Any], **fields: Any) -> Workflow:
    return create_workflow(actor=SYSTEM, workspace=workspace, key="flow", steps=list(steps), **fields)


def ask(browser: Browser, name: str, body: Any, *args: Any) -> Any:
    return browser.client.post(reverse(name, args=args), json.dumps(body), content_type="application/json")


def parked(workspace: Workspace) -> WorkflowRun:
    """A run that waits for approval."""
    render = {"type": "render", "template": "{{input}}", "name": "take"}
    workflow = flow(workspace, render, APPROVAL)
    answer = execution.run(actor=SYSTEM, workflow=workflow, variables={"input": HOSTILE}, background=True)
    run = WorkflowRun.objects.get(pk=answer.body["run_id"])
    segments.work(run.pk, run.segment)
    run.refresh_from_db()
    assert run.status == RunState.WAITING
    return run


def act(browser: Browser, run: WorkflowRun, what: str, **fields: Any) -> Page:
    return browser.post(url(run, what), fields, follow=True)


def test_what_the_form_is_told_is_what_a_save_would_say_with_secrets_kept(workspace: Workspace, browse: Browse) -> None:
    http = {"type": "http", "url": "https://a.example/x", "secret_headers": {"X-Key": "swordfish-swordfish"}}
    workflow = flow(workspace, http)
    browser = browse(Role.EDITOR)
    assert "swordfish-swordfish" not in browser.change_page(workflow).text
    shown = json.loads(browser.change_page(workflow).form["steps"][0])
    check = "admin:workflows_workflow_check"
    assert ask(browser, check, {"id": str(workflow.pk), "steps": shown}).json()["problems"] == {}
    stranger = ask(browser, check, {"steps": shown}).json()["problems"]["steps"]["0"]["secret_headers"]
    assert "not stored here" in stranger["X-Key"][0]
    bad = [{"type": "map", "steps": [{"type": "render"}]}, {"type": "render", "template": "{{steps.no.output}}"}]
    problems = ask(browser, check, {"steps": bad}).json()["problems"]["steps"]
    assert problems["0"]["steps"]["0"]["template"] == ["This field is required."]
    assert "there is no step no" in problems["1"]["template"][0]
    assert ask(browser, check, [1]).status_code == 400


def test_a_definition_is_turned_into_yaml_and_back_and_what_is_no_yaml_is_told(browse: Browse) -> None:
    browser, convert = browse(Role.EDITOR), "admin:workflows_workflow_convert"
    given = {"inputs": {}, "steps": [{"type": "render", "template": "a\nb: {{c}}"}], "outputs": {}}
    yaml = ask(browser, convert, {"definition": given}).json()["yaml"]
    assert ask(browser, convert, {"yaml": yaml}).json()["definition"] == {"steps": given["steps"]}
    assert "not valid YAML" in ask(browser, convert, {"yaml": "a: ["}).json()["problem"]
    assert "anchors" in ask(browser, convert, {"yaml": "a: &x 1"}).json()["problem"]


def test_who_only_looks_may_ask_nothing_of_the_forms_and_decide_nothing(workspace: Workspace, browse: Browse) -> None:
    run, viewer = parked(workspace), browse(Role.VIEWER)
    for name in ("workflows_workflow_check", "workflows_workflow_convert", "agents_agent_check"):
        assert ask(viewer, f"admin:{name}", {}).status_code == 403
    assert viewer.open("/admin/workflows/workflow/import/").status == 403
    assert viewer.change_page(run).status == 200
    for what in ("cancel", "resume", "decide"):
        assert act(viewer, run, what, verdict="approve").status == 403
    run.refresh_from_db()
    assert run.status == RunState.WAITING


def test_an_editor_decides_cancels_and_resumes_by_the_services_which_write_the_audit_log(
    workspace: Workspace, browse: Browse
) -> None:
    run, editor = parked(workspace), browse(Role.EDITOR)
    page = editor.change_page(run)
    assert HOSTILE not in page.text
    assert act(editor, run, "resume").messages == [
        "this run is waiting: cancel it first, if it is to go on from somewhere else"
    ]
    assert act(editor, run, "decide", verdict="approve", comment=HOSTILE, step="ok").messages == [
        "Approved: the run goes on."
    ]
    assert "waits for no decision" in act(editor, run, "decide", verdict="reject", step="ok").messages[0]
    run.refresh_from_db()
    segments.work(run.pk, run.segment)
    run.refresh_from_db()
    assert run.status == RunState.SUCCEEDED
    assert "has succeeded" in act(editor, run, "resume").messages[0]
    act(editor, run, "resume", **{"from": "take"})
    assert act(editor, run, "cancel").messages == ["The run is cancelled."]
    done = list(
        AuditEntry.objects.filter(resource="workflow_run").order_by("created_at", "id").values_list("action", flat=True)
    )
    assert done == ["approve", "resume", "cancel"]
    assert HOSTILE not in editor.change_page(run).text


def test_what_another_workspace_holds_is_not_found_by_the_pages_of_its_runs_and_agents(
    workspace: Workspace, hidden: World, browse: Browse
) -> None:
    editor = browse(Role.EDITOR)
    workflow, agent = hidden[Workflow], hidden[Agent]
    run = WorkflowRun.objects.get(
        pk=execution.run(actor=SYSTEM, workflow=workflow, variables={}, background=True).body["run_id"]
    )
    for what in ("cancel", "resume", "decide", "live"):
        assert editor.open(url(run, what)).status == 404
    for what in ("run", "versions", "export"):
        assert editor.open(url(workflow, what)).status == 302
    assert ask(editor, "admin:agents_agent_try", {}, agent.pk).status_code == 404
    settings = editor.add_page(Workflow).response.context["builder"]["words"]
    assert "xyzzy" not in json.dumps(settings) + editor.add_page(Agent).text


def test_a_run_is_started_from_a_form_with_a_field_for_each_input_in_its_own_type(
    workspace: Workspace, browse: Browse
) -> None:
    inputs = {
        "topic": {"type": "string", "required": True},
        "count": {"type": "integer", "default": 2},
        "deep": {"type": "boolean"},
        "list": {"type": "array"},
    }
    workflow = flow(workspace, {"type": "render", "template": "{{topic}} {{audience}}"}, inputs=inputs)
    viewer = browse(Role.VIEWER)
    page = viewer.operation(workflow, "run")
    assert 'name="variable-audience"' in page.text
    refused = page.send(mode="wait")
    assert refused.response.context["form"].errors == {"variable-topic": ["required"]}
    wrong = page.send(mode="wait", **{"variable-topic": "x", "variable-list": '{"a": 1}'})
    assert wrong.response.context["form"].errors == {"variable-list": ["expected an array"]}
    given = {"variable-topic": "rain", "variable-deep": "false", "variable-list": "[1]", "others": '{"more": 1}'}
    assert page.send(mode="wait", **given).status == 302
    run = WorkflowRun.objects.get()
    assert run.variables == {"topic": "rain", "deep": False, "list": [1], "more": 1, "count": 2}
    assert (run.status, run.output) == (RunState.SUCCEEDED, "rain {{audience}}")


def test_a_run_that_fails_leads_to_its_page_and_the_page_tells_where(workspace: Workspace, browse: Browse) -> None:
    workflow = flow(workspace, {"type": "transform", "op": "json_parse", "name": "read"})
    publish(actor=SYSTEM, workflow=workflow)
    viewer = browse(Role.VIEWER)
    done = viewer.operation(workflow, "run").send(mode="wait", version="v1", **{"variable-input": HOSTILE})
    page = viewer.open(done.response.url)
    assert "It failed." in page.text
    assert HOSTILE not in page.text
    assert 'class="failed"' in page.text


def test_the_live_part_of_a_run_is_sent_once_for_each_change(workspace: Workspace, browse: Browse) -> None:
    run, viewer = parked(workspace), browse(Role.VIEWER)
    first = viewer.open(url(run, "live"))
    tag = first.response.content.decode().split('data-tag="')[1].split('"')[0]
    assert viewer.client.get(url(run, "live"), {"seen": tag}).status_code == 204
    act(browse(Role.ADMIN), run, "cancel")
    assert "cancelled" in viewer.open(url(run, "live"), seen=tag).text


def test_a_schedules_next_times_are_told_in_its_own_place_and_half_a_word_is_no_error(browse: Browse) -> None:
    viewer, ticks = browse(Role.VIEWER), reverse("admin:workflows_schedule_ticks")
    told = viewer.client.get(ticks, {"cron": "30 7 * * 1", "timezone": "Asia/Tokyo"}).json()["ticks"]
    assert len(told) == len(set(told)) == 5
    assert all(moment.startswith("Mon ") and moment.endswith(" 07:30 JST") for moment in told)
    for cron, zone in (("30 7 * *", "UTC"), ("61 * * * *", "UTC"), ("* * * * *", "Nowhere/At_all")):
        assert viewer.client.get(ticks, {"cron": cron, "timezone": zone}).json()["problem"]
    assert Schedule.objects.count() == 0


def test_trying_an_agent_whose_tool_is_gone_is_told_as_an_error_of_the_try(
    workspace: Workspace, browse: Browse
) -> None:
    prod = Environment.objects.get(workspace=workspace, name="prod")
    tools = [{"type": "agent", "key": "gone"}]
    agent = create_agent(actor=SYSTEM, environment=prod, key="boss", prompt="x", tools=tools)
    answer = ask(browse(Role.VIEWER), "admin:agents_agent_try", {"stream": True}, agent.pk)
    text = b"".join(answer).decode()
    assert text.startswith("event: error\ndata: ")
    assert "no agent gone" in text
