"""A request is freed with its answer. The garbage collector, which stops the whole process, has nothing to do."""

import gc
import io
from collections.abc import Iterator

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from pytest_django import Settings

from promptops.server.handler import Handler
from tests.servers import TOKEN

REQUESTS = 20
#: What the serializers and forms of a request still leave; it was 70 to 100 with request, view and answer.
AT_MOST = 30


@pytest.fixture
def collector() -> Iterator[None]:
    """The collector runs when it is asked to, and not before."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def open_connection(db: None) -> Iterator[None]:
    """The end of a request leaves the test's connection open, as with Django's test client."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/prompts?q=a", b"", 200),
        ("GET", "/api/prompts/00000000-0000-4000-8000-000000000000", b"", 404),
        ("POST", "/api/login", b'{"username": "ada", "password": "wrong-password"}', 401),
    ],
)
def test_what_belongs_to_a_request_is_no_garbage_when_it_is_answered(
    open_connection: None, settings: Settings, collector: None, method: str, path: str, body: bytes, status: int
) -> None:
    settings.PROMPTOPS_TOKEN = TOKEN
    handler = Handler()

    def answer() -> int:
        bare, _, query = path.partition("?")
        headers = {"host": "localhost", "authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        scope = {
            "type": "http",
            "method": method,
            "path": bare,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        response = handler._respond(scope, io.BytesIO(body))
        response.close()
        return response.status_code

    assert answer() == status
    gc.collect()
    for _ in range(REQUESTS):
        answer()
    assert gc.collect() <= AT_MOST * REQUESTS
