"""HTTP endpoints as tools: what is sent, through which guard, and where their secrets are."""

import json
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient
from werkzeug import Request, Response

from agents.models import Agent
from governance.audit.models import AuditEntry
from governance.core import ciphertext
from governance.runs.models import Run
from tests.agents.upstream import Upstream

MakeAgent = Callable[..., dict[str, Any]]
SECRET = "Bearer tool-secret-0123456789"


class Place:
    """A server that keeps what it is asked, and answers what it is told to."""

    def __init__(self, server: HTTPServer) -> None:
        self.address = f"http://{server.host}:{server.port}"
        self.name = f"{server.host}:{server.port}"
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Response] = lambda request: Response('{"found": 1}')
        server.expect_request(re.compile(".*")).respond_with_handler(self._handle)

    def _handle(self, request: Request) -> Response:
        request.get_data()
        self.requests.append(request)
        return self.answer(request)


@pytest.fixture
def place(httpserver: HTTPServer, settings: Settings) -> Place:
    """A place that the operator allows."""
    found = Place(httpserver)
    settings.PROMPTOPS_OUTBOUND_ALLOW = [found.name]
    return found


@pytest.fixture
def make_agent(editor: APIClient, place: Place) -> MakeAgent:
    def make(key: str = "caller", *, model: str = "mock-script", **tool: Any) -> dict[str, Any]:
        described = {"type": "http", "name": "look", "url": f"{place.address}/words", **tool}
        body = {"key": key, "prompt": "{{input}}", "model": model, "tools": [described]}
        answer = editor.post("/api/agents", body)
        assert answer.status_code == 201, answer.json()
        agent: dict[str, Any] = answer.json()["data"]
        return agent

    return make


def call(client: APIClient, agent: dict[str, Any], arguments: str = "{}") -> dict[str, Any]:
    """Run the agent so that it calls its tool once; returns the call as the trace has it."""
    answer = client.post(f"/api/agents/{agent['id']}/run", {"variables": {"input": f"@call look {arguments}"}})
    assert answer.status_code == 200, answer.json()
    [called] = answer.json()["turns"][0]["tools"]
    found: dict[str, Any] = called
    return found


def object_of(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


TEXT = {"type": "string"}


def test_arguments_go_into_the_path_and_the_query(viewer: APIClient, make_agent: MakeAgent, place: Place) -> None:
    parameters = object_of("word", word=TEXT, tag={"type": "array"}, deep={"type": "object"}, sure={"type": "boolean"})
    agent = make_agent(url=f"{place.address}/words/{{word}}/all?v=1&x=", parameters=parameters)
    arguments = {"word": "ä/b?c#d", "tag": ["a", "b&c"], "deep": {"a": 1}, "sure": True}
    called = call(viewer, agent, json.dumps(arguments))
    assert (called["output"], called["type"]) == ('{"found": 1}', "http")
    [request] = place.requests
    assert (request.method, request.environ["REQUEST_URI"].partition("?")[0]) == (
        "GET",
        "/words/%C3%A4%2Fb%3Fc%23d/all",
    )
    assert list(request.args.items(multi=True)) == [
        ("v", "1"),
        ("x", ""),
        ("tag", "a"),
        ("tag", "b&c"),
        ("deep", '{"a":1}'),
        ("sure", "true"),
    ]
    sent = {name.lower() for name, _ in request.headers}
    assert sent - {"connection"} == {"host", "accept", "accept-encoding", "user-agent"}


def test_an_answer_is_read_by_the_charset_that_it_names(viewer: APIClient, make_agent: MakeAgent, place: Place) -> None:
    place.answer = lambda request: Response("Grüße".encode("latin-1"), content_type="text/plain; charset=iso-8859-1")
    assert call(viewer, make_agent())["output"] == "Grüße"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_method_with_a_body_sends_the_arguments_as_json(
    viewer: APIClient, make_agent: MakeAgent, place: Place, method: str
) -> None:
    agent = make_agent(method=method, url=f"{place.address}/w/{{word}}", parameters=object_of("word", word=TEXT))
    call(viewer, agent, '{"word": "a", "other": [1, null]}')
    [request] = place.requests
    assert (request.method, request.path, request.get_json()) == (method, "/w/a", {"other": [1, None]})


def test_a_call_is_a_run_of_its_own_below_the_agents(viewer: APIClient, make_agent: MakeAgent, place: Place) -> None:
    called = call(viewer, make_agent())
    place.answer = lambda request: Response("nothing here", 404)
    failed = call(viewer, make_agent("second"))
    rows = [viewer.get(f"/api/runs/{one['run_id']}").json()["data"] for one in (called, failed)]
    assert [(row["source"], row["ref_key"], row["status"]) for row in rows] == [
        ("tool", "look", "ok"),
        ("tool", "look", "error"),
    ]
    assert (failed["error"], rows[1]["error"]) == ("it answered 404: nothing here", "it answered 404")
    assert {str(Run.objects.get(pk=row["parent_id"]).source) for row in rows} == {"agent"}


@pytest.mark.parametrize("part", ["..", ".", ""])
def test_an_argument_cannot_walk_up_the_path(viewer: APIClient, make_agent: MakeAgent, place: Place, part: str) -> None:
    agent = make_agent(url=f"{place.address}/words/{{word}}/all", parameters=object_of("word", word=TEXT))
    assert "can't be a part of a path" in call(viewer, agent, json.dumps({"word": part}))["error"]
    assert place.requests == []


def test_an_address_is_guarded_when_it_is_saved_and_again_when_it_is_called(
    editor: APIClient, viewer: APIClient, make_agent: MakeAgent, place: Place, settings: Settings
) -> None:
    agent = make_agent()
    settings.PROMPTOPS_OUTBOUND_ALLOW = []
    assert "not called" in call(viewer, agent)["error"]
    for url in (
        place.address,
        "https://127.0.0.1/x",
        "https://[::ffff:169.254.169.254]/latest",
        "https://user@host.example/",
        "https://{where}.example/x",
        "https://host.example:{port}/x",
        "ftp://host.example/x",
        "host.example",
        "",
    ):
        tool = {"type": "http", "name": "look", "url": url, "parameters": object_of("where", "port", where=TEXT)}
        refused = editor.patch(f"/api/agents/{agent['id']}", {"tools": [tool]})
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["tools"]), url
    assert place.requests == []


def test_a_redirect_is_not_followed(viewer: APIClient, make_agent: MakeAgent, place: Place, canary: Upstream) -> None:
    place.answer = lambda request: Response("", 302, headers={"Location": canary.base_url})
    called = call(viewer, make_agent(headers={"Authorization": SECRET}))
    assert called["output"] == ""
    assert len(place.requests) == 1


def test_an_answer_without_end_is_read_to_the_limit_and_the_model_is_told_a_part_of_a_long_one(
    viewer: APIClient, make_agent: MakeAgent, place: Place, settings: Settings
) -> None:
    agent = make_agent(model="mock-script")
    place.answer = lambda request: Response("x" * 100_000)
    answer = viewer.post(f"/api/agents/{agent['id']}/run", {"variables": {"input": "@call look {}"}}).json()
    assert "80000 more characters were cut off" in answer["result"]["output"]
    assert len(answer["turns"][0]["tools"][0]["output"]) == 2_000
    settings.PROMPTOPS_MAX_ANSWER_BYTES = 50_000
    assert "over 50000 bytes" in call(viewer, agent)["error"]


def test_a_place_that_hangs_is_given_up_and_hears_nothing_more(
    viewer: APIClient, make_agent: MakeAgent, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.tools.http.TIMEOUT", 0.3)
    going = threading.Event()
    place.answer = lambda request: Response("late" if going.wait(5) else "")
    called = call(viewer, make_agent())
    going.set()
    assert called["error"] == "it did not answer within 0.3 seconds"


def test_a_header_is_sent_as_it_was_given_and_kept_encrypted_and_shown_as_a_hint(
    editor: APIClient, viewer: APIClient, make_agent: MakeAgent, place: Place
) -> None:
    agent = make_agent(headers={"Authorization": SECRET, "accept": "text/plain"})
    assert agent["tools"][0]["headers"] == {"Authorization": "…6789", "accept": "…"}
    place.answer = lambda request: Response(f"you sent {request.headers['Authorization']}")
    called = call(viewer, agent)
    [request] = place.requests
    assert (request.headers["Authorization"], request.headers.getlist("accept")) == (SECRET, ["text/plain"])
    assert called["output"] == "you sent [Authorization]", "not even the model is told"
    stored = Agent.objects.get().tools[0]["headers"]["Authorization"]
    assert ciphertext.decrypt(stored["box"]) == SECRET
    for shown in (str(Agent.objects.values()), str(list(AuditEntry.objects.values())), str(list(Run.objects.values()))):
        assert "tool-secret" not in shown
    assert "tool-secret" not in editor.get(f"/api/agents/{agent['id']}").content.decode()


def test_a_hint_that_is_sent_back_keeps_the_secret_as_long_as_the_place_is_the_same(
    editor: APIClient, viewer: APIClient, make_agent: MakeAgent, place: Place, settings: Settings
) -> None:
    agent = make_agent(headers={"Authorization": SECRET})
    path = f"/api/agents/{agent['id']}"
    entries = AuditEntry.objects.count()
    assert editor.put(path, agent).json()["data"] == agent
    assert AuditEntry.objects.count() == entries, "nothing was changed"
    [tool] = agent["tools"]
    moved = editor.patch(path, {"tools": [{**tool, "url": f"{place.address}/elsewhere"}]})
    assert moved.status_code == 200
    call(viewer, agent)
    assert place.requests[-1].headers["Authorization"] == SECRET
    settings.PROMPTOPS_OUTBOUND_ALLOW = [place.name, "other.example:80"]
    for tools in (
        [{**tool, "url": "https://other.example/words"}],
        [{**tool, "url": "http://other.example/words"}],
        [{**tool, "name": "another"}],
        [{**tool, "headers": {"X-Other": "…6789"}}],
        [{**tool, "headers": {"Authorization": "…0000"}}],
    ):
        refused = editor.patch(path, {"tools": tools})
        assert (refused.status_code, "again" in refused.json()["error"]) == (400, True), tools
    assert editor.patch(path, {"tools": [{**tool, "headers": {}}]}).json()["data"]["tools"][0]["headers"] == {}


@pytest.mark.parametrize(
    "tool",
    [
        {"name": None},
        {"name": "a b"},
        {"method": "TRACE"},
        {"headers": []},
        {"headers": {"a b": "x"}},
        {"headers": {"Host": "x"}},
        {"headers": {"X-A": "a\nb"}},
        {"headers": {"X-A": ""}},
        {"headers": {"X-A": 5}},
        {"parameters": {"type": "string"}},
        {"parameters": {"type": "thing"}},
        {"parameters": {"$ref": "https://example.com/x"}},
        {"url": "https://host.example/{word}"},
        {"url": "https://host.example/#a"},
        {"timeout": 5},
    ],
    ids=str,
)
def test_a_tool_that_could_not_be_called_is_refused_when_it_is_saved(editor: APIClient, tool: dict[str, Any]) -> None:
    whole = {"type": "http", "name": "look", "url": "https://host.example/x", **tool}
    refused = editor.post("/api/agents", {"key": "a", "prompt": "x", "tools": [whole]})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["tools"]), refused.json()


def test_nothing_of_the_servers_surroundings_reaches_a_tool(
    viewer: APIClient, make_agent: MakeAgent, place: Place, canary: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, f"http://{canary.place}")
    call(viewer, make_agent())
    assert "sk-of-openai" not in str(place.requests[0].headers)
