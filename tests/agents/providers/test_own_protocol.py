"""A provider whose API is not OpenAI's: one class and one entry in the registry, and everything runs on it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient
from werkzeug import Request, Response

from agents.providers.protocol import Completion, ModelCall, Provider
from agents.transport import calls, outbound
from governance.core import registry
from governance.core.errors import ProviderError, ProviderTimeoutError
from governance.runs.usage import TokenUsage
from tests.agents.runtime.test_streaming import stream

KEY = "parrot-key-0123456789"


class ParrotClient:
    """Its API: `{"dialogue": [[who, words], ...], "heat"}` in, and out a JSON object a line: `{"word"}`, `{"over"}`."""

    supports = frozenset({"temperature"})

    def warm_up(self) -> None:
        calls.warm_up()

    async def complete(self, call: ModelCall) -> Completion:
        *_, completion = [item async for item in self.stream(call)]
        assert isinstance(completion, Completion)
        return completion

    async def stream(self, call: ModelCall) -> AsyncIterator[str | Completion]:
        words: list[str] = []
        try:
            async with asyncio.timeout(call.timeout):
                transport = calls.connection(await outbound.admit(call.base_url, is_vouched=call.is_vouched))
                request = calls.send(
                    "POST",
                    f"{call.base_url}/squawk",
                    transport=transport,
                    headers={"X-Parrot-Key": call.api_key or ""},
                    content=json.dumps(self._body(call)).encode(),
                )
                async with request as answer:
                    if answer.status != 200:
                        raise ProviderError(f"{call.provider.label} answered {answer.status}")
                    async for line in self._lines(answer.body):
                        if "word" in line:
                            words.append(line["word"])
                            yield line["word"]
                        else:
                            yield self._completion(call, "".join(words), line["over"])
        except TimeoutError:
            raise ProviderTimeoutError(f"{call.provider.label} did not answer in time") from None
        except calls.UnansweredError as error:
            raise ProviderError(f"{call.provider.label}: {error.message}") from None

    @staticmethod
    def _body(call: ModelCall) -> dict[str, Any]:
        dialogue = [[message.role, message.content] for message in call.conversation]
        heat = {"heat": call.parameters["temperature"]} if "temperature" in call.parameters else {}
        return {"bird": call.model, "dialogue": dialogue, **heat}

    @staticmethod
    async def _lines(body: AsyncIterator[bytes]) -> AsyncIterator[Mapping[str, Any]]:
        rest = b""
        async for piece in body:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield json.loads(line)

    @staticmethod
    def _completion(call: ModelCall, output: str, over: Mapping[str, Any]) -> Completion:
        usage = TokenUsage(prompt_tokens=over["heard"], output_tokens=over["said"])
        return Completion(output=output, model=call.model, finish_reason=over["because"], usage=usage)


class Parrots:
    """The provider's server: it says `words`, and keeps what it was sent."""

    def __init__(self, server: HTTPServer) -> None:
        self.words = ["Pretty ", "Polly."]
        self.status = 200
        self.bodies: list[Any] = []
        self.keys: list[str | None] = []
        server.expect_request("/v0/squawk", method="POST").respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        self.bodies.append(json.loads(request.get_data()))
        self.keys.append(request.headers.get("X-Parrot-Key"))
        over = {"heard": 5, "said": len(self.words), "because": "tired"}
        lines = [*({"word": word} for word in self.words), {"over": over}]
        return Response("".join(f"{json.dumps(line)}\n" for line in lines), status=self.status)


@pytest.fixture
def parrots(monkeypatch: pytest.MonkeyPatch) -> Iterator[Parrots]:
    monkeypatch.setenv("PARROT_API_KEY", KEY)
    with HTTPServer(host="127.0.0.1", threaded=True) as server:
        entry = Provider(
            name="parrot",
            label="Parrot",
            client=ParrotClient(),
            base_url=f"http://127.0.0.1:{server.port}/v0",
            default_model="grey",
            key_variable="PARROT_API_KEY",
            needs_key=True,
        )
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))  # put back when the test is over
        registry.register(entry)
        yield Parrots(server)


def play(client: APIClient, **body: Any) -> Any:
    return client.post("/api/playground/run", {"content": "Hi {{name}}", "provider": "parrot", **body})


def test_the_playground_runs_on_it_with_its_key_its_parameters_and_its_count_of_tokens(
    viewer: APIClient, parrots: Parrots
) -> None:
    answer = play(viewer, variables={"name": "Ada"}, config={"temperature": 0.5}).json()
    shown = ("provider", "model", "output", "prompt_tokens", "output_tokens", "cost_usd", "finish_reason")
    assert [answer["result"][name] for name in shown] == ["parrot", "grey", "Pretty Polly.", 5, 2, None, "tired"]
    assert parrots.bodies == [{"bird": "grey", "dialogue": [["user", "Hi Ada"]], "heat": 0.5}]
    assert parrots.keys == [KEY]
    logged = viewer.get(f"/api/runs/{answer['run_id']}").json()["data"]
    assert [logged[name] for name in ("provider", "model", "status", "output_tokens")] == ["parrot", "grey", "ok", 2]


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous")
def test_its_output_is_streamed_as_it_comes(viewer: APIClient, parrots: Parrots) -> None:
    events = stream(viewer, provider="parrot")
    assert [name for name, _ in events] == ["delta", "delta", "result"]
    assert [data["text"] for name, data in events if name == "delta"] == ["Pretty ", "Polly."]
    assert events[-1][1]["result"]["output"] == "Pretty Polly."


def test_an_agent_on_it_remembers_a_conversation_and_is_asked_to_correct_its_json(
    editor: APIClient, parrots: Parrots
) -> None:
    agent = {"key": "polly", "prompt": "{{x}}", "provider": "parrot", "output": "json", "config": {"seed": 1}}
    made = editor.post("/api/agents", agent).json()["data"]
    parrots.words = ['{"ok": ', "true}"]
    first = editor.post(f"/api/agents/{made['id']}/run", {"variables": {"x": "one"}, "session_id": "s"}).json()
    assert (first["result"]["parsed"], first["result"]["unsent"]) == ({"ok": True}, ["seed"])
    parrots.words = ["Pretty."]
    failed = editor.post(f"/api/agents/{made['id']}/run", {"variables": {"x": "two"}, "session_id": "s"}).json()
    assert (failed["code"], len(failed["turns"])) == ("bad_output", 3)
    roles = [role for role, _ in parrots.bodies[-1]["dialogue"]]
    assert roles == ["system", "user", "assistant", "user", *["assistant", "user"] * 2]


def test_a_step_of_a_workflow_runs_on_it(editor: APIClient, parrots: Parrots) -> None:
    steps = [{"name": "ask", "type": "model", "provider": "parrot", "prompt": "Hello {{input}}"}]
    made = editor.post("/api/workflows", {"key": "w", "steps": steps}).json()["data"]
    answer = editor.post(f"/api/workflows/{made['id']}/run", {"variables": {"input": "Ada"}}).json()
    assert answer["output"] == "Pretty Polly."
    assert parrots.bodies[-1]["dialogue"] == [["user", "Hello Ada"]]


def test_what_its_api_does_not_have_is_refused_before_it_is_called(editor: APIClient, parrots: Parrots) -> None:
    refused = play(editor, config={"seed": 1})
    assert (refused.status_code, refused.json()["fields"]) == (400, {"config": ["Parrot does not know seed"]})
    tools = [{"type": "agent", "key": "other"}]
    agent = {"key": "with-tools", "prompt": "x", "provider": "parrot", "tools": tools}
    made = editor.post("/api/agents", agent).json()["data"]
    run = editor.post(f"/api/agents/{made['id']}/run", {})
    assert (run.status_code, run.json()["error"]) == (409, "Parrot can't call tools, and this agent has some")
    assert parrots.bodies == []


def test_its_failure_is_502_and_a_failed_run(viewer: APIClient, parrots: Parrots) -> None:
    parrots.status = 503
    answer = play(viewer)
    assert (answer.status_code, answer.json()["error"]) == (502, "Parrot answered 503")
    assert viewer.get(f"/api/runs/{answer.json()['run_id']}").json()["data"]["status"] == "error"


def test_it_is_listed_with_the_others_and_an_admin_gives_it_an_address_and_a_key(
    admin: APIClient, parrots: Parrots
) -> None:
    details = admin.get("/api/playground/providers").json()["details"]
    assert [one for one in details if one["name"] == "parrot"] == [
        {"name": "parrot", "label": "Parrot", "default_model": "grey", "needs_key": True, "configured": True}
    ]
    stored = admin.post("/api/providers", {"name": "parrot", "default_model": "macaw", "api_key": "stored-parrot-key"})
    assert stored.status_code == 201
    assert play(admin).json()["result"]["model"] == "macaw"
    assert parrots.keys == ["stored-parrot-key"]
