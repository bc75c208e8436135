"""What becomes of odd answers for callers, run log, sessions and a conversation's next turn, over a real socket."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient
from werkzeug import Request, Response

from governance.runs.models import Run
from governance.tenancy.models import Workspace
from tests.agents.providers.test_answers import called, piece, sse, whole
from tests.agents.runtime.test_streaming import events_of
from tests.agents.upstream import Upstream

pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous")

MakeAgent = Callable[..., dict[str, Any]]
ECHO = {"type": "agent", "key": "echo", "name": "look"}


@pytest.fixture
def make_agent(editor: APIClient) -> MakeAgent:
    def make(key: str = "boss", **fields: Any) -> dict[str, Any]:
        answer = editor.post("/api/agents", {"key": key, "prompt": "Go", "provider": "ollama", **fields})
        assert answer.status_code == 201, answer.json()
        agent: dict[str, Any] = answer.json()["data"]
        return agent

    return make


def play(client: APIClient, **body: Any) -> Any:
    return client.post("/api/playground/run", {"content": "Hi", "provider": "ollama", **body})


def run(client: APIClient, agent: dict[str, Any], **body: Any) -> Any:
    return client.post(f"/api/agents/{agent['id']}/run", body)


def events(*pieces: Any) -> Response:
    return Response(sse(*pieces), content_type="text/event-stream")


def logged(client: APIClient, run_id: str) -> Any:
    return client.get(f"/api/runs/{run_id}").json()["data"]


PASSING = [
    {"error": {"code": 429, "message": "slow down"}},
    {"error": {"code": "502", "message": "bad gateway"}},
    {"error": {"type": "overloaded_error", "message": "overloaded"}},
    [{"error": {"status": "RESOURCE_EXHAUSTED", "message": "quota"}}],
    {"object": "error", "message": "dead", "code": 500},
]


@pytest.mark.parametrize("said", PASSING)
@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_with_status_200_that_passes_is_asked_again_and_answered_when_it_has_passed(
    viewer: APIClient, upstream: Upstream, settings: Settings, said: Any, stream: bool
) -> None:
    settings.PROMPTOPS_PROVIDER_RETRIES = 1
    first = events(said) if stream else said
    upstream.answers(first, events(piece("stop", content="Fine.")) if stream else upstream.completion())
    answer = play(viewer, stream=stream)
    assert answer.status_code == 200, answer.json()
    text = b"".join(answer).decode() if stream else answer.content.decode()
    assert (len(upstream.requests), "Fine." in text) == (2, True)


@pytest.mark.parametrize("said", [{"error": {"code": 400, "message": "no such thing"}}, {"detail": "no such thing"}])
def test_a_failure_with_status_200_that_stays_is_asked_once_and_told(
    viewer: APIClient, upstream: Upstream, settings: Settings, said: Any
) -> None:
    settings.PROMPTOPS_PROVIDER_RETRIES = 2
    upstream.answers(said)
    for stream in (False, True):
        answer = play(viewer, stream=stream)
        assert (answer.status_code, "no such thing" in answer.json()["error"]) == (502, True)
        assert logged(viewer, answer.json()["run_id"])["error"] == answer.json()["error"]
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_wish_for_a_tool_that_nobody_offered_is_no_empty_answer(
    viewer: APIClient, upstream: Upstream, stream: bool
) -> None:
    wish = [called("look", "{}", index=0, id="a")]
    upstream.answers(
        events(piece("tool_calls", tool_calls=wish)) if stream else whole("tool_calls", content=None, tool_calls=wish)
    )
    answer = play(viewer, stream=stream)
    error = answer.json() if answer.status_code != 200 else events_of(b"".join(answer).decode())[-1][1]
    assert (error["code"], "offered none" in error["error"]) == ("provider_failed", True)
    kept = logged(viewer, error["run_id"])
    assert (kept["status"], kept["prompt_tokens"]) == ("error", 1)


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_beside_half_of_an_answer_is_asked_once_and_keeps_the_half(
    viewer: APIClient, upstream: Upstream, settings: Settings, stream: bool
) -> None:
    settings.PROMPTOPS_PROVIDER_RETRIES = 2
    crashed = {"error": {"code": 502, "message": "crashed"}}
    half = {**piece("error", content="Half"), **crashed} if stream else {**whole("error", content="Half"), **crashed}
    upstream.answers(events(half) if stream else half)
    answer = play(viewer, stream=stream)
    error = events_of(b"".join(answer).decode())[-1][1] if stream else answer.json()
    assert (error["code"], error["output"], "crashed" in error["error"]) == ("provider_failed", "Half", True)
    assert len(upstream.requests) == 1, "what was said was paid for"


@pytest.mark.parametrize(
    "end",
    [
        "",
        'event: error\ndata: {"message": "crashed"}\n\n',
        {"object": "error", "message": "crashed"},
        {"error": {"code": 502, "message": "crashed"}, **piece("error", content="")},
        {"detail": "crashed"},
    ],
)
def test_half_of_an_answer_is_an_error_that_keeps_the_half_in_the_answer_and_in_the_run_log(
    viewer: APIClient, upstream: Upstream, end: Any
) -> None:
    Workspace.objects.update(keep_content=True)
    upstream.answers(events(piece(content="Transfer "), piece(content="the sum of "), end))
    *deltas, (name, error) = events_of(b"".join(play(viewer, stream=True)).decode())
    assert ("".join(data["text"] for _, data in deltas), name) == ("Transfer the sum of ", "error")
    assert (error["code"], error["output"]) == ("provider_failed", "Transfer the sum of ")
    assert "half of an answer" in error["error"]
    assert ("crashed" in error["error"]) is bool(end)
    kept = logged(viewer, error["run_id"])
    assert (kept["status"], kept["output"], kept["error"]) == ("error", "Transfer the sum of ", error["error"])
    assert (kept["output_tokens"], kept["tokens_estimated"]) == (5, True), "half of it was paid for"


def test_a_connection_that_breaks_or_hangs_in_the_middle_leaves_the_half_too(
    viewer: APIClient, upstream: Upstream, settings: Settings
) -> None:
    settings.PROMPTOPS_PROVIDER_TIMEOUT = 1.0

    def cut(request: Request) -> Response:
        body = sse(piece(content="Half"))
        return Response(body, content_type="text/event-stream", headers={"Content-Length": str(len(body) + 100)})

    upstream.answers(cut)
    _, (name, error) = events_of(b"".join(play(viewer, stream=True)).decode())
    assert (name, error["output"]) == ("error", "Half")


def test_a_refusal_is_told_as_one_and_no_json_is_asked_for_again(
    viewer: APIClient, make_agent: MakeAgent, upstream: Upstream
) -> None:
    upstream.answers(whole(content=None, refusal="I can't help with that."))
    result = play(viewer).json()["result"]
    assert (result["output"], result["refusal"], result["finish_reason"]) == (
        *["I can't help with that."] * 2,
        "refusal",
    )
    answer = run(viewer, make_agent(output="json", output_schema={"type": "object"}))
    assert (answer.status_code, answer.json()["code"]) == (502, "bad_output")
    assert "the model refused to answer" in answer.json()["error"]
    assert answer.json()["output"] == "I can't help with that."
    assert len(upstream.requests) == 2


def test_json_that_is_cut_off_by_the_limit_of_tokens_is_told_so_and_not_asked_for_again(
    viewer: APIClient, make_agent: MakeAgent, upstream: Upstream
) -> None:
    upstream.answers(whole("length", content='{"city": "Ro'))
    answer = run(viewer, make_agent(output="json", output_schema={"type": "object"}))
    assert "cut off at the limit of its tokens (length)" in answer.json()["error"]
    assert (answer.json()["output"], len(upstream.requests)) == ('{"city": "Ro', 1)


@pytest.mark.parametrize(
    "said", ['<think>A city, {maybe}</think>\n{"city": "Rome"}', 'Here:\n~~~json\n{"city": "Rome"}\n~~~\nFine?']
)
def test_an_agent_finds_its_json_where_a_step_finds_it(
    viewer: APIClient, make_agent: MakeAgent, upstream: Upstream, said: str
) -> None:
    schema = {"type": "object", "required": ["city"]}
    upstream.answers(whole(content=said))
    result = run(viewer, make_agent(output="json", output_schema=schema)).json()["result"]
    assert (result["parsed"], len(upstream.requests)) == ({"city": "Rome"}, 1)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "reasoning_details"])
@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_goes_back_with_the_outcome_of_tools_under_its_name_and_not_to_who_does_not_know_it(
    viewer: APIClient, make_agent: MakeAgent, upstream: Upstream, name: str, stream: bool
) -> None:
    thought: Any = "hm" if name != "reasoning_details" else [{"type": "reasoning.text", "text": "hm", "index": 0}]
    make_agent("echo", prompt="Echo", provider="mock", model="mock-1")
    wish = called("look", "{}", id="a")
    asked = {name: thought, "content": None, "tool_calls": [wish]}
    last = events(piece("stop", content="Rome")) if stream else whole(content="Rome")
    upstream.answers(events(piece(**asked), piece("tool_calls")) if stream else whole("tool_calls", **asked), last)
    answer = run(viewer, make_agent(tools=[ECHO]), stream=stream)
    b"".join(answer) if stream else None
    assert upstream.bodies[1]["messages"][1] == {"role": "assistant", **asked}


def test_a_history_holds_arguments_that_are_json_and_no_message_without_words(
    viewer: APIClient, make_agent: MakeAgent, upstream: Upstream
) -> None:
    make_agent("echo", prompt="Echo", provider="mock", model="mock-1")
    wishes = [called("look", text, id=text) for text in ('{"city": "Ro', '["Rome"]', "", '"{\\"a\\": 1}"', '{"a": 1}')]
    upstream.answers(whole("tool_calls", content=" ", tool_calls=wishes), whole(content="Rome"))
    assert run(viewer, make_agent(tools=[ECHO])).json()["result"]["output"] == "Rome"
    _, asked, *outcomes = upstream.bodies[1]["messages"]
    assert asked["content"] is None
    assert [json.loads(one["function"]["arguments"]) for one in asked["tool_calls"]] == [{}, {}, {}, {"a": 1}, {"a": 1}]
    assert '{"city": "Ro' in outcomes[0]["content"], "the model is told what it said"
    assert all(one["content"].strip() for one in outcomes)


def test_an_empty_answer_leaves_a_session_usable_and_an_empty_one_that_was_to_be_json_is_asked_for_again(
    viewer: APIClient, make_agent: MakeAgent, upstream: Upstream
) -> None:
    agent = make_agent()
    upstream.answers(whole(content=" "), whole(content="Fine."))
    assert run(viewer, agent, session_id="s").json()["result"]["output"] == " "
    assert run(viewer, agent, session_id="s").json()["result"]["output"] == "Fine."
    in_json = make_agent("json", output="json", output_schema={"type": "object"})
    upstream.answers(whole(content=""), whole(content="{}"))
    assert run(viewer, in_json).json()["result"]["parsed"] == {}
    for body in upstream.bodies:
        assert all(message["content"].strip() for message in body["messages"])
    roles = [message["role"] for message in upstream.bodies[1]["messages"]]
    assert roles == ["user", "assistant", "user"], "some templates take no other order"


def test_what_a_provider_does_not_know_is_not_sent_and_refused_in_a_request(
    admin: APIClient, viewer: APIClient, make_agent: MakeAgent, upstream: Upstream, settings: Settings
) -> None:
    settings.PROMPTOPS_OUTBOUND_ALLOW = [upstream.place]
    lacks = ["stream_options", "temperature", "response_format", "reasoning_content"]
    fields = {"name": "ours", "base_url": upstream.base_url, "default_model": "m", "unsupported": lacks}
    made = admin.post("/api/providers", fields)
    assert (made.status_code, made.json()["data"]["unsupported"]) == (201, lacks)
    upstream.answers(events(piece("stop", content="Fine.")))
    b"".join(play(viewer, provider="ours", stream=True))
    upstream.answers(whole(content="{}"))
    agent = make_agent(
        provider="ours", output="json", output_schema={"type": "object"}, config={"temperature": 1, "top_p": 1}
    )
    result = run(viewer, agent).json()["result"]
    assert result["unsent"] == ["temperature"]
    assert not {"stream_options", "temperature", "response_format"} & {*upstream.bodies[0], *upstream.bodies[1]}
    refused = play(viewer, provider="ours", config={"temperature": 1})
    assert (refused.status_code, "does not know temperature" in refused.json()["error"]) == (400, True)
    strange = admin.patch(f"/api/providers/{made.json()['data']['id']}", {"unsupported": ["nonsense"]})
    assert (strange.status_code, "nonsense" in strange.json()["error"]) == (400, True)
    assert Run.objects.count() == 2
