"""Providers that are busy, slow or endless: what is tried again, and how long, and how much of it is read."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient
from werkzeug import Request, Response

from tests.agents.upstream import Upstream


def run(client: APIClient, **body: Any) -> Any:
    return client.post("/api/playground/run", {"content": "Hi", "provider": "ollama", **body})


@pytest.fixture(autouse=True)
def _twice_again(_asked_once: None, settings: Settings) -> None:
    settings.PROMPTOPS_PROVIDER_RETRIES = 2


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous")
def test_a_busy_provider_is_asked_again_and_the_run_goes_well(
    viewer: APIClient, upstream: Upstream, status: int, stream: bool
) -> None:
    whole = Response('data: {"choices": [{"delta": {"content": "Fine."}, "finish_reason": "stop"}]}\n\n')
    upstream.answers(Response("busy", status), whole if stream else upstream.completion())
    answer: Any = run(viewer, stream=stream)
    assert (answer.status_code, b"Fine." in b"".join(answer)) == (200, True)
    assert len(upstream.requests) == 2


def test_a_provider_that_stays_busy_is_asked_as_often_as_is_set_and_its_wish_to_wait_is_passed_on(
    viewer: APIClient, upstream: Upstream
) -> None:
    upstream.answers(Response("busy", 429, headers={"Retry-After": "1"}))
    started = time.monotonic()
    answer = run(viewer)
    assert (answer.status_code, answer.headers["Retry-After"], len(upstream.requests)) == (502, "1", 3)
    assert time.monotonic() - started >= 2, "it waits for as long as it is asked to"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_asking_again_cannot_mend_is_asked_once(viewer: APIClient, upstream: Upstream, status: int) -> None:
    upstream.answers(Response("no", status))
    assert (run(viewer).status_code, len(upstream.requests)) == (502, 1)


def test_a_provider_that_is_busy_until_the_time_is_over_is_named_as_that(
    viewer: APIClient, upstream: Upstream, settings: Settings
) -> None:
    settings.PROMPTOPS_PROVIDER_TIMEOUT = 0.5
    upstream.answers(Response("busy", 429, headers={"Retry-After": "30"}))
    answer = run(viewer)
    assert (answer.status_code, "answered 429, and again" in answer.json()["error"]) == (502, True), answer.json()


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_end_is_read_to_the_limit_and_no_further(
    viewer: APIClient, upstream: Upstream, settings: Settings, stream: bool
) -> None:
    settings.PROMPTOPS_MAX_ANSWER_BYTES = 1_000_000
    sent, stopped = [0], threading.Event()

    def endless(request: Request) -> Response:
        def gigabyte() -> Iterator[bytes]:
            try:
                for _ in range(16_384):
                    yield b" " * 65_536
                    sent[0] += 65_536
            finally:
                stopped.set()

        return Response(gigabyte(), content_type="application/json")

    upstream.answers(endless)
    answer = run(viewer, stream=stream)
    assert (answer.status_code, "over 1000000 bytes" in answer.json()["error"]) == (502, True), answer.json()
    assert stopped.wait(5)
    assert sent[0] < 50_000_000, "what the sockets' buffers hold, and not a gigabyte"
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("model", "status", "words"),
    [
        ("mock-fail", 502, "answered 500"),
        ("mock-unauthorized", 502, "answered 401"),
        ("mock-rate-limit", 502, "answered 429"),
        ("mock-malformed", 502, "can't be read"),
        ("mock-stall", 504, "did not answer within"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_mock_can_be_told_to_misbehave_by_its_models_name(
    viewer: APIClient, settings: Settings, model: str, status: int, words: str, stream: bool
) -> None:
    settings.PROMPTOPS_PROVIDER_RETRIES = 0
    if model == "mock-stall":
        settings.PROMPTOPS_PROVIDER_TIMEOUT = 0.3
    answer = run(viewer, provider="mock", model=model, stream=stream)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.json()
    assert viewer.get(f"/api/runs/{answer.json()['run_id']}").json()["data"]["status"] == "error"
