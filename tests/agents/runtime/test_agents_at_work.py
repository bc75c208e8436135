"""Agents that call tools and answer in JSON, and what bounds them (contract, section 7)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from agents.models import Agent
from governance.runs.models import Run
from governance.tenancy.models import Workspace
from tests.agents.runtime.test_streaming import END, chunk, events_of, sse
from tests.agents.upstream import Upstream

MakeAgent = Callable[..., dict[str, Any]]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}


@pytest.fixture
def make_agent(editor: APIClient) -> MakeAgent:
    def make(key: str = "boss", **fields: Any) -> dict[str, Any]:
        answer = editor.post("/api/agents", {"key": key, "prompt": "{{input}}", "model": "mock-script", **fields})
        assert answer.status_code == 201, answer.json()
        agent: dict[str, Any] = answer.json()["data"]
        return agent

    return make


def run(client: APIClient, agent: dict[str, Any], text: str = "", **body: Any) -> Any:
    return client.post(f"/api/agents/{agent['id']}/run", {"variables": {"input": text}, **body})


def logged(client: APIClient, run_id: str) -> dict[str, Any]:
    row: dict[str, Any] = client.get(f"/api/runs/{run_id}").json()["data"]
    return row


def test_an_agent_calls_another_as_a_tool_and_the_model_is_told_what_that_one_answered(
    viewer: APIClient, make_agent: MakeAgent
) -> None:
    make_agent("weather.v2", prompt="The weather of {{city}}", model="mock-1", description="Knows the weather.")
    boss = make_agent(tools=[{"type": "agent", "key": "weather.v2"}])
    answer = run(viewer, boss, '@call weather_v2 {"city": "Oslo"}')
    assert answer.status_code == 200, answer.json()
    body = answer.json()
    assert body["result"]["output"].endswith("mock completion for: The weather of Oslo")
    first, second = body["turns"]
    [called] = first["tools"]
    assert {name: called[name] for name in ("name", "type", "arguments", "output")} == {
        "name": "weather_v2",
        "type": "agent",
        "arguments": '{"city": "Oslo"}',
        "output": "mock completion for: The weather of Oslo",
    }
    assert (second["tools"], second["finish_reason"], first["finish_reason"]) == ([], "stop", "tool_calls")
    row, child = logged(viewer, body["run_id"]), logged(viewer, called["run_id"])
    assert (child["parent_id"], child["ref_key"], child["status"]) == (row["id"], "weather.v2", "ok")
    for name in ("prompt_tokens", "output_tokens"):
        assert body["result"][name] == row[name] == first[name] + second[name], "the child's own are in its own run"


def test_the_model_is_offered_each_tool_by_its_name_with_a_schema_of_what_it_takes(
    viewer: APIClient, make_agent: MakeAgent, upstream: Upstream
) -> None:
    make_agent("helper", prompt="{{topic}} for {{who.name}}", description="Helps.")
    boss = make_agent(provider="ollama", model="m", tools=[{"type": "agent", "key": "helper", "name": "ask"}])
    assert run(viewer, boss, "Hi").status_code == 200
    [sent] = upstream.bodies
    assert sent["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "ask",
                "description": "Helps.",
                "parameters": {
                    "type": "object",
                    "properties": {"topic": {"type": "string"}, "who.name": {"type": "string"}},
                    "required": ["topic", "who.name"],
                    "additionalProperties": False,
                },
            },
        }
    ]


def test_a_provider_is_told_of_each_call_and_its_outcome_as_its_format_has_it(
    viewer: APIClient, make_agent: MakeAgent, upstream: Upstream
) -> None:
    make_agent("helper", prompt="Help with {{topic}}", model="mock-1")
    boss = make_agent(provider="ollama", model="m", tools=[{"type": "agent", "key": "helper"}])
    wishes = [
        {"id": "c1", "type": "function", "function": {"name": "helper", "arguments": '{"topic": "a"}'}},
        {"id": "c2", "type": "function", "function": {"name": "helper", "arguments": '{"subject": "b"}'}},
        {"id": "c3", "type": "function", "function": {"name": "nobody", "arguments": "{"}},
        {"id": None, "type": "function", "function": {"name": "helper", "arguments": "{"}},
    ]
    message = {"role": "assistant", "content": None, "tool_calls": wishes}
    asking = upstream.completion(choices=[{"index": 0, "finish_reason": "tool_calls", "message": message}])
    upstream.answers(asking, upstream.completion("Done."))
    answer = run(viewer, boss, "Go")
    assert (answer.status_code, answer.json()["result"]["output"]) == (200, "Done."), answer.json()
    told = upstream.bodies[1]["messages"]
    broken = {"id": "c3", "type": "function", "function": {"name": "nobody", "arguments": "{}"}}
    well_formed = [*wishes[:2], broken]
    assert told[:2] == [
        {"role": "user", "content": "Go"},
        {**message, "tool_calls": [*well_formed, told[1]["tool_calls"][3]]},
    ]
    assert [(one["role"], one["tool_call_id"]) for one in told[2:]] == [
        ("tool", told[1]["tool_calls"][number]["id"]) for number in range(4)
    ]
    texts = [one["content"] for one in told[2:]]
    assert texts[0] == "mock completion for: Help with a"
    assert texts[1].startswith("error: the arguments are not what the tool takes: ")
    assert texts[2] == "error: there is no tool nobody"
    assert texts[3].startswith("error: the arguments are not JSON: ")
    assert Run.objects.filter(ref_key="helper").count() == 1, "what is not understood is not run"


def test_tools_of_one_turn_work_at_the_same_time(viewer: APIClient, make_agent: MakeAgent) -> None:
    make_agent("slow", prompt="{{a}} " * 20, model="mock-slow")
    boss = make_agent(tools=[{"type": "agent", "key": "slow"}])
    body = run(viewer, boss, " ".join('@call slow {"a": "x"}' for _ in range(4))).json()
    each = [called["latency_ms"] for called in body["turns"][0]["tools"]]
    assert len(each) == 4
    assert all(one > 900 for one in each)
    assert body["result"]["latency_ms"] < sum(each) / 2


def test_a_tool_that_fails_is_told_to_the_model_and_the_agent_goes_on(viewer: APIClient, make_agent: MakeAgent) -> None:
    make_agent("broken", prompt="x", model="mock-fail")
    boss = make_agent(tools=[{"type": "agent", "key": "broken"}])
    body = run(viewer, boss, "@call broken\n@answer I did without.").json()
    assert body["result"]["output"] == "I did without."
    [called] = body["turns"][0]["tools"]
    assert "answered 500" in called["error"]
    assert called["output"] == f"error: {called['error']}"
    assert logged(viewer, called["run_id"])["status"] == "error"
    assert logged(viewer, body["run_id"])["status"] == "ok"


def test_agents_that_call_each_other_for_ever_are_stopped_at_a_depth(viewer: APIClient, make_agent: MakeAgent) -> None:
    script = "@call boss"
    boss = make_agent(prompt=script, tools=[{"type": "agent", "key": "boss"}])
    body = run(viewer, boss).json()
    assert Run.objects.count() == 4
    assert "deep at most" in body["result"]["output"]
    chain = {str(row.parent_id): str(row.pk) for row in Run.objects.all()}
    assert [chain["None"]] == [body["run_id"]]
    assert len(chain) == 4, "each is the child of the one before it"


def test_a_tool_that_is_not_there_for_this_agent_is_a_conflict_that_names_it(
    viewer: APIClient, admin: APIClient, make_agent: MakeAgent, other_workspace: Workspace
) -> None:
    admin.post("/api/agents", {"key": "theirs", "prompt": "x", "workspace_id": other_workspace.pk})
    make_agent("of-dev", env="dev")
    for key in ("theirs", "of-dev", "nobody"):
        answer = run(viewer, make_agent(f"with-{key}", tools=[{"type": "agent", "key": key}]))
        assert (answer.status_code, key in answer.json()["error"]) == (409, True)
    assert Run.objects.count() == 0


def test_an_agent_is_stopped_after_its_turns_and_its_run_says_what_it_used(
    viewer: APIClient, make_agent: MakeAgent
) -> None:
    make_agent("helper", prompt="x", model="mock-1")
    boss = make_agent(max_turns=2, tools=[{"type": "agent", "key": "helper"}])
    answer = run(viewer, boss, "@call helper\n@call helper\n@answer never")
    body = answer.json()
    assert (answer.status_code, body["code"], len(body["turns"])) == (502, "limit_reached", 2)
    assert body["error"].startswith("max_turns: ")
    row = logged(viewer, body["run_id"])
    assert row["status"] == "error"
    assert row["prompt_tokens"] == sum(turn["prompt_tokens"] for turn in body["turns"]) > 0


def test_the_tokens_of_the_agents_below_count_towards_the_limit(viewer: APIClient, make_agent: MakeAgent) -> None:
    make_agent("talker", prompt="word " * 400, model="mock-1")
    boss = make_agent(max_tokens=500, tools=[{"type": "agent", "key": "talker"}])
    body = run(viewer, boss, "@call talker\n@answer never").json()
    assert (body["code"], len(body["turns"])) == ("limit_reached", 1)
    assert body["error"].startswith("max_tokens: ")


def test_a_limit_of_cost_holds_where_the_price_is_known(
    viewer: APIClient, make_agent: MakeAgent, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-server")
    make_agent("helper", prompt="x", model="mock-1")
    wish = {"id": "c", "type": "function", "function": {"name": "helper", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [wish]}
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
    upstream.answers(
        upstream.completion(choices=[{"message": message}], model="gpt-4o-mini", usage=usage), upstream.completion()
    )
    tools = [{"type": "agent", "key": "helper"}]
    boss = make_agent(provider="openai", model="gpt-4o-mini", max_cost_usd=0.1, tools=tools)
    body = run(viewer, boss).json()
    assert (body["code"], len(upstream.requests)) == ("limit_reached", 1)
    assert logged(viewer, body["run_id"])["cost_usd"] == body["turns"][0]["cost_usd"] == 0.15


def test_json_is_checked_by_its_schema_and_comes_parsed_too(viewer: APIClient, make_agent: MakeAgent) -> None:
    agent = make_agent(output="json", output_schema=SCHEMA)
    body = run(viewer, agent, '@answer ```json\n@answer {"city": "Oslo", "degrees": 3}').json()
    assert body["result"]["parsed"] == {"city": "Oslo", "degrees": 3}
    assert [turn.get("problem", "")[:16] for turn in body["turns"]] == ["this is not vali", ""]
    any_json = make_agent("any", output="json")
    assert run(viewer, any_json, "@answer [1, null]").json()["result"]["parsed"] == [1, None]


def test_json_that_stays_wrong_is_mended_twice_and_then_a_failure_that_says_what_is_wrong(
    viewer: APIClient, make_agent: MakeAgent
) -> None:
    agent = make_agent(output="json", output_schema=SCHEMA)
    answer = run(viewer, agent, "\n".join(['@answer {"city": 5}'] * 4))
    body = answer.json()
    assert (answer.status_code, body["code"], len(body["turns"])) == (502, "bad_output", 3)
    assert "degrees" in body["error"]
    assert "parsed" not in body


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous")
def test_the_mock_answers_in_json_and_calls_tools_by_itself_so_that_agents_can_be_tried_offline(
    viewer: APIClient, make_agent: MakeAgent, streamed: bool
) -> None:
    make_agent("helper", prompt="Help with {{topic}}", model="mock-1")
    schema = {**SCHEMA, "properties": {**SCHEMA["properties"], "city": {"$ref": "#/$defs/name"}}}  # type: ignore[dict-item]
    schema["$defs"] = {"name": {"type": "string", "maxLength": 15}}
    tools = [{"type": "agent", "key": "helper"}]
    agent = make_agent(model="mock-tools", output="json", output_schema=schema, tools=tools)
    answer: Any = run(viewer, agent, "Hi", stream=streamed)
    assert answer.status_code == 200
    body = events_of(b"".join(answer).decode())[-1][1] if streamed else answer.json()
    assert body["result"]["parsed"] == {"city": "mock completion", "degrees": 1}
    assert [called["name"] for called in body["turns"][0]["tools"]] == ["helper"]


def test_a_provider_is_asked_for_the_schema_in_its_own_way_where_it_can_be(
    viewer: APIClient, make_agent: MakeAgent, upstream: Upstream
) -> None:
    upstream.answers(upstream.completion('{"city": "Oslo", "degrees": 3}'))
    plain = make_agent("plain", provider="ollama", output="json", output_schema=SCHEMA)
    own = make_agent(
        "own", provider="ollama", output="json", output_schema=SCHEMA, config={"response_format": {"type": "text"}}
    )
    for agent in (plain, own):
        assert run(viewer, agent, "Hi").status_code == 200
    first, second = upstream.bodies
    assert first["response_format"]["json_schema"]["schema"] == SCHEMA
    assert second["response_format"] == {"type": "text"}
    system, user = first["messages"]
    told = json.loads(system["content"].partition("JSON Schema:\n")[2])
    assert (system["role"], told, user["content"]) == ("system", SCHEMA, "Hi")


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous")
def test_a_stream_tells_of_turns_and_tools_and_ends_with_the_answer_of_a_run_that_is_not_streamed(
    viewer: APIClient, make_agent: MakeAgent
) -> None:
    make_agent("helper", prompt="x {{a}}", model="mock-1")
    boss = make_agent(tools=[{"type": "agent", "key": "helper"}])
    script = '@call helper {"a": "1"}\n@answer Fine now.'
    answer: Any = run(viewer, boss, script, stream=True)
    assert answer.status_code == 200
    events = events_of(b"".join(answer).decode())
    assert [name for name, _ in events] == ["tool_call", "tool_result", "turn", "delta", "delta", "result"]
    call, told, turn, *deltas, (_, result) = events
    assert call[1] == {"turn": 1, "id": "call_0", "name": "helper", "arguments": '{"a": "1"}'}
    assert (told[1]["output"], told[1]["id"], turn[1]) == ("mock completion for: x 1", "call_0", {"turn": 2})
    assert "".join(data["text"] for _, data in deltas) == "Fine now." == result["result"]["output"]
    plain = run(viewer, boss, script).json()
    assert result.keys() == plain.keys()
    assert [turn["tools"][0]["output"] for turn in (result["turns"][0], plain["turns"][0])] == [told[1]["output"]] * 2
    rows = Run.objects.filter(pk=result["run_id"]) | Run.objects.filter(parent_id=result["run_id"])
    assert [row.status for row in rows] == ["ok", "ok"]


def test_an_agent_that_takes_too_long_in_all_times_out(
    viewer: APIClient, make_agent: MakeAgent, settings: Settings
) -> None:
    settings.PROMPTOPS_AGENT_TIMEOUT = 0.4
    make_agent("slow", prompt="word " * 100, model="mock-slow")
    boss = make_agent(tools=[{"type": "agent", "key": "slow"}])
    answer = run(viewer, boss, "@call slow")
    assert (answer.status_code, "within 0.4 seconds" in answer.json()["error"]) == (504, True)
    assert {row.status for row in Run.objects.all()} == {"error"}
    assert Run.objects.get(ref_key="slow").error == "it was stopped before the end"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"output": "xml"}, "output"),
        ({"output_schema": {"type": "object"}}, "output_schema"),
        ({"output": "json", "output_schema": {"type": "thing"}}, "output_schema"),
        ({"output": "json", "output_schema": {"$ref": "https://example.com/schema"}}, "output_schema"),
        ({"output": "json", "output_schema": {"$ref": "#/nowhere"}}, "output_schema"),
        ({"output": "json", "output_schema": {"allOf": [True], "$ref": "#/allOf/\xb2"}}, "output_schema"),
        ({"output": "json", "output_schema": {"pattern": "("}}, "output_schema"),
        ({"output": "json", "output_schema": {"description": "x" * 40_000}}, "output_schema"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "agent"}]}, "tools"),
        ({"tools": [{"type": "magic"}]}, "tools"),
        ({"tools": ["agent"]}, "tools"),
        ({"tools": [{"type": "agent", "key": "a", "name": "a b"}]}, "tools"),
        ({"tools": [{"type": "agent", "key": "a.b"}, {"type": "agent", "key": "a:b"}]}, "tools"),
        ({"tools": [{"type": "agent", "key": str(number)} for number in range(33)]}, "tools"),
        ({"max_turns": 0}, "max_turns"),
        ({"max_turns": True}, "max_turns"),
        ({"max_turns": None}, "max_turns"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_cost_usd": -1}, "max_cost_usd"),
    ],
    ids=lambda value: repr(value)[:70],
)
def test_an_agent_that_could_not_work_is_refused_when_it_is_saved(
    editor: APIClient, make_agent: MakeAgent, fields: dict[str, Any], named: str
) -> None:
    path = f"/api/agents/{make_agent()['id']}"
    for refused in (editor.post("/api/agents", {"key": "other", "prompt": "x", **fields}), editor.patch(path, fields)):
        assert (refused.status_code, list(refused.json()["fields"])) == (400, [named]), refused.json()
    assert Agent.objects.count() == 1


def test_schemas_that_could_take_for_ever_are_refused_or_given_up(
    editor: APIClient, viewer: APIClient, make_agent: MakeAgent
) -> None:
    doubling = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
    schema = {"$defs": {**doubling, "a40": {"type": "integer"}}, "$ref": "#/$defs/a0"}
    refused = editor.post("/api/agents", {"key": "other", "prompt": "x", "output": "json", "output_schema": schema})
    assert (refused.status_code, "too many subschemas" in refused.json()["error"]) == (400, True)
    agent = make_agent(output="json", output_schema={"type": "string", "pattern": "^(?=(a+)+$)(a|a)*$"})
    answer = run(viewer, agent, "\n".join([f'@answer "{"a" * 60}b"'] * 3))
    assert (answer.status_code, answer.json()["code"]) == (502, "bad_output")
    assert answer.json()["turns"][0]["latency_ms"] < 5_000


def test_an_agent_without_tools_or_schema_answers_as_before(viewer: APIClient, make_agent: MakeAgent) -> None:
    body = run(viewer, make_agent(model="mock-1"), "Hi").json()
    assert body.keys() == {"rendered", "missing", "unused", "result", "run_id"}
    assert "parsed" not in body["result"]


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous")
def test_calls_of_tools_come_in_pieces_too_and_what_a_provider_wants_to_hear_again_it_hears(
    viewer: APIClient, make_agent: MakeAgent, upstream: Upstream
) -> None:
    make_agent("helper", prompt="Help with {{topic}}", model="mock-1")
    boss = make_agent(provider="ollama", model="m", tools=[{"type": "agent", "key": "helper"}])

    def pieces(*calls: dict[str, Any]) -> dict[str, Any]:
        return chunk(choices=[{"index": 0, "delta": {"tool_calls": list(calls)}, "finish_reason": None}])

    signed = {"google": {"thought_signature": "abc"}}
    upstream.answers(
        sse(
            chunk("Let me see."),
            pieces({"index": 0, "id": "c0", "function": {"name": "helper", "arguments": ""}, "extra_content": signed}),
            pieces({"index": 1, "id": "c1", "function": {"name": "helper", "arguments": '{"topic"'}}),
            pieces({"index": 0, "function": {"arguments": '{"topic": "a"}'}}, {"index": 1, "function": None}),
            pieces({"index": 1, "function": {"arguments": ': "b"}'}}),
            pieces({"index": 0, "id": "c2", "function": {"name": "helper", "arguments": '{"topic": "c"}'}}),
            *END,
        ),
        sse(chunk("Done."), *END),
    )
    answer: Any = run(viewer, boss, "Go", stream=True)
    events = events_of(b"".join(answer).decode())
    told = sorted(data["output"] for name, data in events if name == "tool_result")
    assert told == [f"mock completion for: Help with {topic}" for topic in "abc"]
    asked = upstream.bodies[1]["messages"][1]
    assert asked["content"] == "Let me see."
    assert [(one["id"], one.get("extra_content")) for one in asked["tool_calls"]] == [
        ("c0", signed),
        ("c1", None),
        ("c2", None),
    ]
    assert events[-1][1]["result"]["prompt_tokens"] == 22
