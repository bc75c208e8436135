"""Agents that have workflows as tools, and workflows that have agents as steps."""

import json
from typing import Any

from rest_framework.test import APIClient

from tests.workflows.conftest import MakeWorkflow
from tests.workflows.test_workflows import render, run


def make_agent(client: APIClient, key: str = "boss", **fields: Any) -> dict[str, Any]:
    answer = client.post("/api/agents", {"key": key, "prompt": "{{input}}", "model": "mock-script", **fields})
    assert answer.status_code == 201, answer.json()
    agent: dict[str, Any] = answer.json()["data"]
    return agent


def ask(client: APIClient, agent: dict[str, Any], text: str) -> dict[str, Any]:
    answer = client.post(f"/api/agents/{agent['id']}/run", {"variables": {"input": text}})
    assert answer.status_code == 200, answer.json()
    [called] = answer.json()["turns"][0]["tools"]
    return {"parent": answer.json()["run_id"], **called}


def test_an_agent_calls_a_workflow_whose_inputs_are_the_tools_arguments(
    editor: APIClient, make_workflow: MakeWorkflow
) -> None:
    inputs = {"name": {"type": "string", "required": True}, "times": {"type": "integer", "default": 2}}
    made = make_workflow(render("Hello {{name}}"), {"type": "model"}, key="greet", inputs=inputs)
    assert made["status"] == "draft"
    boss = make_agent(editor, tools=[{"type": "workflow", "key": "greet"}])
    called = ask(editor, boss, '@call greet {"name": "Ada"}')
    assert (called["type"], called["output"]) == ("workflow", "mock completion for: Hello Ada")
    row = editor.get(f"/api/runs/{called['run_id']}").json()["data"]
    assert (row["source"], row["parent_id"], row["status"], row["output_tokens"]) == (
        "workflow",
        called["parent"],
        "ok",
        7,
    )
    [child] = editor.get("/api/runs", {"parent_id": row["id"]}).json()["data"]
    assert child["source"] == "model"


def test_a_workflow_that_fails_or_waits_is_told_to_the_model(editor: APIClient, make_workflow: MakeWorkflow) -> None:
    make_workflow({"type": "transform", "op": "json_parse"}, key="parse")
    make_workflow({"type": "approval"}, key="hold")
    boss = make_agent(editor, tools=[{"type": "workflow", "key": "parse"}, {"type": "workflow", "key": "hold"}])
    for key, words in (("parse", "not valid JSON"), ("hold", "a workflow that waits is no tool")):
        called = ask(editor, boss, f"@call {key} {json.dumps({'input': 'x'})}")
        assert words in called["error"]
        assert editor.get(f"/api/runs/{called['run_id']}").json()["data"]["status"] == "error"


def test_agents_and_workflows_that_call_each_other_for_ever_are_stopped(
    editor: APIClient, make_workflow: MakeWorkflow
) -> None:
    made = make_workflow({"type": "agent", "agent_key": "boss"}, key="circle")
    make_agent(editor, prompt='@call circle {"input": "x"}', tools=[{"type": "workflow", "key": "circle"}])
    assert run(editor, made).status_code in {200, 502}
