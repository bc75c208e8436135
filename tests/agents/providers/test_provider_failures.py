"""A provider that fails: the answer, the run log and the logs all tell, and none of them tells the key."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient
from werkzeug import Response

from tests.agents.upstream import Upstream

KEY = "sk-server-0123456789-abcdefghijklmnop"


@pytest.fixture(autouse=True)
def _with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def run(client: APIClient, **body: Any) -> Any:
    wishes = {"content": "Hi {{name}}", "variables": {"name": "Ada"}, "provider": "openai", "model": "m-1"}
    return client.post("/api/playground/run", {**wishes, **body})


def said(message: str, status: int) -> Response:
    body = json.dumps({"error": {"message": message, "type": "t", "code": "c"}})
    return Response(body, status=status, content_type="application/json")


def as_json(text: str, status: int = 200) -> Response:
    return Response(text, status=status, content_type="application/json")


FAILURES: dict[str, tuple[Any, str]] = {
    "401 that repeats the key": (
        said(f"Incorrect API key provided: {KEY}.", 401),
        "OpenAI answered 401: Incorrect API",
    ),
    "403": (said("Your region is not supported", 403), "OpenAI answered 403: Your region is not supported"),
    "404 of the model": (said("The model `m-1` does not exist", 404), "OpenAI answered 404: The model `m-1`"),
    "429": (said("Rate limit reached", 429), "OpenAI answered 429: Rate limit reached"),
    "500 in HTML": (Response("<h1>Oops</h1>", 500, content_type="text/html"), "OpenAI answered 500"),
    "503 without a body": (Response(b"", 503), "OpenAI answered 503"),
    "error that is a string": (as_json('{"error": "no"}', 400), "OpenAI answered 400"),
    "error that is a list": (as_json("[1]", 418), "OpenAI answered 418"),
    "a long error with the key at its cut": (said("x" * 470 + KEY, 400), "OpenAI answered 400: xxx"),
    "an error that no database can store": (said("bad \x00 byte \ud800 and\nlines", 400), "OpenAI answered 400: bad"),
    "JSON that is none": (as_json('{"choices": ['), "OpenAI answered in a way that can't be read"),
    "JSON that is nested beyond reading": (as_json("[" * 100_000), "OpenAI answered in a way that can't be read"),
    "bytes that are no UTF-8": (Response(b"\xff\xfe{", content_type="application/json"), "OpenAI answered"),
    "an encoding that was not asked for": (
        Response(b"not gzip", content_type="application/json", headers={"Content-Encoding": "gzip"}),
        "OpenAI",
    ),
    "an empty body": (as_json(""), "OpenAI answered"),
    "a page": (Response("<p>Welcome</p>", content_type="text/html"), "OpenAI answered without a completion"),
    "null": (as_json("null"), "OpenAI answered without a completion"),
    "a list": (as_json("[]"), "OpenAI answered without a completion"),
    "an error in an answer with status 200": (as_json('{"error": {"message": "no"}}'), "without a completion"),
    "no choices": (Upstream.completion(choices=[]), "OpenAI answered without a completion"),
    "choices that are none": (Upstream.completion(choices={"a": 1}), "OpenAI answered without a completion"),
    "a choice that is a string": (Upstream.completion(choices=["x"]), "OpenAI answered without a completion"),
    "a choice without a message": (Upstream.completion(choices=[{}]), "OpenAI answered without a completion"),
    "content that is no text": (Upstream.completion(["part", {"text": "x"}]), "OpenAI answered without a completion"),
}


def check(client: APIClient, answer: Any, status: int, words: str, caplog: pytest.LogCaptureFixture) -> None:
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, "provider_failed" if status == 502 else "provider_timeout")
    assert words in body["error"]
    assert body["rendered"] == "Hi Ada"
    logged = client.get(f"/api/runs/{body['run_id']}").json()["data"]
    assert {name: logged[name] for name in ("status", "error", "provider", "model", "source")} == {
        "status": "error",
        "error": body["error"],
        "provider": "openai",
        "model": "m-1",
        "source": "playground",
    }
    assert logged["latency_ms"] is not None
    for place in (answer.content.decode(), json.dumps(logged), caplog.text):
        assert KEY[:10] not in place
    assert len(body["error"]) < 600
    assert "\n" not in body["error"]


@pytest.mark.parametrize("name", FAILURES)
def test_a_provider_that_answers_with_a_failure_is_502_and_a_failed_run_that_says_why(
    viewer: APIClient, upstream: Upstream, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level(logging.DEBUG)
    answered, words = FAILURES[name]
    upstream.answers(answered)
    check(viewer, run(viewer), 502, words, caplog)
    assert len(upstream.requests) == 1, "it is asked once"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(
    viewer: APIClient, upstream: Upstream, canary: Upstream, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    upstream.answers(Response(status=status, headers={"Location": f"{canary.base_url}/chat/completions"}))
    check(viewer, run(viewer), 502, f"OpenAI answered {status}", caplog)


def test_a_place_where_nobody_listens_is_502(
    viewer: APIClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PROMPTOPS_OPENAI_BASE_URL", f"http://127.0.0.1:{probe.getsockname()[1]}/v1")
        check(viewer, run(viewer), 502, "OpenAI could not be reached: ", caplog)


@pytest.mark.parametrize(
    "url", ["localhost:1/v1", "ftp://127.0.0.1/v1", "http://", "http://[::1/v1", "http://a b/", "/"]
)
def test_an_address_that_the_operator_got_wrong_is_502(
    viewer: APIClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    monkeypatch.setenv("PROMPTOPS_OPENAI_BASE_URL", url)
    check(viewer, run(viewer), 502, "OpenAI: its address can't be read", caplog)


class Rude:
    """A TCP server that says `first` and then hangs up, or, with `every`, says that again and again."""

    def __init__(self, first: bytes, every: bytes = b"", pause: float = 0.05) -> None:
        self.first, self.every, self.pause = first, every, pause
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        try:
            connection, _ = self.listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(self.first)
                while self.every and not self.stopped.wait(self.pause):
                    connection.sendall(self.every)
        except OSError:
            pass

    def stop(self) -> None:
        self.stopped.set()
        self.listener.close()
        self.thread.join(timeout=5)


@pytest.fixture
def rude(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made: list[Rude] = []

    def make(first: bytes, every: bytes = b"") -> None:
        made.append(Rude(first, every))
        monkeypatch.setenv("PROMPTOPS_OPENAI_BASE_URL", made[-1].base_url)

    yield make
    for server in made:
        server.stop()


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
        b"SSH-2.0-OpenSSH\r\n",
    ],
    ids=["at once", "in the headers", "in the body", "in another language"],
)
def test_a_connection_that_breaks_is_502(
    viewer: APIClient, rude: Any, caplog: pytest.LogCaptureFixture, first: bytes
) -> None:
    rude(first)
    answer = run(viewer)
    check(viewer, answer, 502, "OpenAI could not be reached: ", caplog)
    assert not answer.json()["error"].endswith(": ")


@pytest.mark.parametrize(
    ("first", "every"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n", b"X-More: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n", b" "),
    ],
    ids=["headers", "body"],
)
def test_a_provider_that_sends_a_little_for_ever_is_504_after_the_time_in_all(
    viewer: APIClient, rude: Any, caplog: pytest.LogCaptureFixture, settings: Settings, first: bytes, every: bytes
) -> None:
    settings.PROMPTOPS_PROVIDER_TIMEOUT = 0.4
    rude(first, every)
    started = time.monotonic()
    answer = run(viewer)
    assert 0.4 <= time.monotonic() - started < 5
    check(viewer, answer, 504, "OpenAI did not answer within 0.4 seconds", caplog)


def test_a_provider_that_hangs_is_504_and_its_run_took_as_long(
    viewer: APIClient, upstream: Upstream, caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    run(viewer, provider="mock")  # what is slow the first time is not to be measured
    settings.PROMPTOPS_PROVIDER_TIMEOUT = 0.3
    released = threading.Event()

    def hang(request: Any) -> Response:
        released.wait(10)
        return Response(status=200)

    upstream.answers(hang)
    try:
        answer = run(viewer)
    finally:
        released.set()
    check(viewer, answer, 504, "OpenAI did not answer within 0.3 seconds", caplog)
    assert 300 <= viewer.get(f"/api/runs/{answer.json()['run_id']}").json()["data"]["latency_ms"] < 5000
