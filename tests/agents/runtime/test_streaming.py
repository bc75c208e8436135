"""Runs as server-sent events: the output as it comes, then one result (contract, section 7)."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from rest_framework.test import APIClient
from werkzeug import Request, Response

from governance.runs.models import Run
from tests.agents.upstream import Upstream
from tests.faults.tools.support import installation
from tests.servers import Server

Event = tuple[str, dict[str, Any]]


def chunk(text: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text} if text is not None else {}, "finish_reason": None}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-told", "choices": [choice], **more}


END: list[dict[str, Any]] = [
    chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]),
    chunk(
        choices=[], usage={"prompt_tokens": 11, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4}}
    ),
]


def sse(*chunks: Any, end: str = "data: [DONE]\n\n") -> Response:
    text = "".join(f"data: {each if isinstance(each, str) else json.dumps(each)}\n\n" for each in chunks) + end
    return Response(text, content_type="text/event-stream")


def events_of(text: str) -> list[Event]:
    """The events of a stream, comments aside."""
    events = []
    for block in text.split("\n\n"):
        if block and not block.startswith(":"):
            name, data = block.split("\n")
            events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


def stream(client: APIClient, path: str = "/api/playground/run", **body: Any) -> list[Event]:
    answer: Any = client.post(path, {"provider": "ollama", "content": "Hi", **body, "stream": True})
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
    return events_of(b"".join(answer).decode())


pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous")


def test_the_output_comes_piece_by_piece_and_the_result_is_the_answer_of_a_run_that_is_not_streamed(
    viewer: APIClient, upstream: Upstream
) -> None:
    upstream.answers(sse(chunk("Fi"), chunk("ne "), chunk("\U0001f600."), *END))
    *deltas, (name, result) = stream(viewer, content="Hi {{a}}", variables={"a": "Ada", "b": 1})
    assert deltas == [("delta", {"text": text}) for text in ("Fi", "ne ", "\U0001f600.")]
    upstream.answers(upstream.completion("Fine \U0001f600."))
    plain = viewer.post("/api/playground/run", {"provider": "ollama", "content": "Hi Ada"}).json()
    assert (name, result.keys(), result["result"].keys()) == ("result", plain.keys(), plain["result"].keys())
    assert {**result["result"], "latency_ms": 0} == {
        "provider": "ollama",
        "model": "m-told",
        "output": "Fine \U0001f600.",
        "prompt_tokens": 11,
        "output_tokens": 7,
        "cached_tokens": 4,
        "tokens_estimated": False,
        "cost_usd": None,
        "latency_ms": 0,
        "finish_reason": "stop",
    }
    logged = viewer.get(f"/api/runs/{result['run_id']}").json()["data"]
    assert (logged["status"], logged["output_tokens"], logged["model"]) == ("ok", 7, "m-told")
    assert upstream.bodies[0]["stream_options"] == {"include_usage": True}


def test_tokens_are_estimated_when_the_provider_does_not_count_in_a_stream(
    viewer: APIClient, upstream: Upstream
) -> None:
    upstream.answers(sse(chunk("x" * 40), END[0]))
    result = stream(viewer, content="y" * 9)[-1][1]["result"]
    assert (result["prompt_tokens"], result["output_tokens"], result["tokens_estimated"]) == (3, 10, True)


@pytest.mark.parametrize("name", ["mock", "openai", "claude", "ollama", "gemini"])
def test_every_provider_streams(
    viewer: APIClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for variable in ("OPENAI", "ANTHROPIC", "GEMINI"):
        monkeypatch.setenv(f"{variable}_API_KEY", "sk-x")
    upstream.answers(sse(chunk("mock "), chunk("completion for: Hi"), *END))
    events = stream(viewer, provider=name)
    assert "".join(data["text"] for kind, data in events if kind == "delta") == "mock completion for: Hi"
    assert events[-1][1]["result"]["output"] == "mock completion for: Hi"


FAILURES_AT_ONCE: dict[str, tuple[Any, int, str]] = {
    "401": (Response('{"error": {"message": "no"}}', 401), 502, "Ollama answered 401"),
    "429": (Response("{}", 429, headers={"Retry-After": "7"}), 502, "Ollama answered 429"),
    "500": (Response("oops", 500), 502, "Ollama answered 500"),
    "no events": (Response("{}", content_type="application/json"), 502, "Ollama answered without a completion"),
    "malformed JSON": (sse('{"choices": ['), 502, "Ollama answered in a way that can't be read"),
    "an error as its first event": (sse({"error": {"message": "overloaded"}}), 502, "Ollama broke off: overloaded"),
    "an event that is no chunk": (sse("[1]"), 502, "Ollama answered"),
}


@pytest.mark.parametrize("name", FAILURES_AT_ONCE)
def test_a_stream_that_fails_before_its_first_piece_is_answered_like_a_run_that_is_not_streamed(
    viewer: APIClient, upstream: Upstream, name: str
) -> None:
    answered, status, words = FAILURES_AT_ONCE[name]
    upstream.answers(answered)
    answer = viewer.post("/api/playground/run", {"content": "Hi", "provider": "ollama", "stream": True})
    assert (answer.status_code, answer.json()["code"]) == (status, "provider_failed"), answer.json()
    assert words in answer.json()["error"]
    assert answer.headers.get("Retry-After") == ("7" if name == "429" else None)
    logged = viewer.get(f"/api/runs/{answer.json()['run_id']}").json()["data"]
    assert (logged["status"], logged["error"]) == ("error", answer.json()["error"])


@pytest.mark.parametrize(
    ("answered", "words"),
    [
        (sse(chunk("Ha"), {"error": {"message": "overloaded"}}), "broke off: overloaded"),
        (sse(chunk("Ha"), "{"), "can't be read"),
    ],
    ids=["an error", "malformed JSON"],
)
def test_a_stream_that_fails_later_ends_with_an_error_event_and_a_failed_run(
    viewer: APIClient, upstream: Upstream, answered: Response, words: str
) -> None:
    upstream.answers(answered)
    (first, piece), (name, error) = stream(viewer)
    assert (first, piece, name, error["code"]) == ("delta", {"text": "Ha"}, "error", "provider_failed")
    assert words in error["error"]
    logged = viewer.get(f"/api/runs/{error['run_id']}").json()["data"]
    assert (logged["status"], logged["error"]) == ("error", error["error"])


def test_an_agent_streams_too(editor: APIClient, upstream: Upstream) -> None:
    made = editor.post("/api/agents", {"key": "k", "prompt": "Hi", "provider": "ollama"}).json()["data"]
    upstream.answers(sse(chunk("Fine."), *END))
    answer: Any = editor.post(f"/api/agents/{made['id']}/run", {"stream": True})
    events = events_of(b"".join(answer).decode())
    assert [name for name, _ in events] == ["delta", "result"]


def test_variants_stream_side_by_side_and_one_that_fails_disturbs_no_other(
    viewer: APIClient, upstream: Upstream
) -> None:
    upstream.answers(Response("oops", 500))
    variants = [{"provider": "mock"}, {"provider": "ollama"}, {"provider": "mock", "model": "mock-slow"}]
    events = stream(viewer, content="a b", variants=variants)
    ended = {data["variant"]: data for name, data in events if name == "variant"}
    for number in (0, 2):
        pieces = [data["text"] for name, data in events if name == "delta" and data["variant"] == number]
        assert "".join(pieces) == ended[number]["result"]["output"] == "mock completion for: a b"
    assert (ended[1]["code"], "Ollama answered 500" in ended[1]["error"]) == ("provider_failed", True)
    name, last = events[-1]
    assert (name, len(last["variants"])) == ("result", 3)
    assert [{"variant": number, **answer} for number, answer in enumerate(last["variants"])] == [
        ended[number] for number in range(3)
    ]
    assert sorted(Run.objects.values_list("status", flat=True)) == ["error", "ok", "ok"]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Server]:
    with installation(tmp_path_factory, PROMPTOPS_OLLAMA_BASE_URL=upstream.base_url) as running:
        yield running


def test_a_real_server_sends_each_piece_when_it_is_made_and_stops_the_provider_when_the_client_goes(
    server: Server, upstream: Upstream
) -> None:
    gone, released = threading.Event(), threading.Event()

    def slow(request: Request) -> Response:
        def pieces() -> Iterator[str]:
            try:
                yield f"data: {json.dumps(chunk('one '))}\n\n"
                for _ in range(200):
                    if released.wait(0.05):
                        break
                    yield f"data: {json.dumps(chunk('more '))}\n\n"
            finally:
                gone.set()

        return Response(pieces(), content_type="text/event-stream")

    upstream.answers(slow)
    body = {"content": "Hi", "provider": "ollama", "stream": True}
    try:
        with server.client() as client:
            with client.stream("POST", "/api/playground/run", json=body) as answer:
                started = time.monotonic()
                texts = answer.iter_text()
                first = next(text for text in texts if events_of(text))  # comments may come before
                assert events_of(first)[0] == ("delta", {"text": "one "})
                assert time.monotonic() - started < 5, "the first piece waits for no other"
            assert gone.wait(5), "the provider's connection is closed"
            deadline = time.monotonic() + 5
            while (run := httpx_data(client, "/api/runs")[0])["status"] == "running" and time.monotonic() < deadline:
                time.sleep(0.05)
            assert (run["status"], run["error"]) == ("error", "the client went away before the end")
    finally:
        released.set()


def httpx_data(client: httpx.Client, path: str) -> Any:
    return client.get(path).json()["data"]
