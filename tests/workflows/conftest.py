import re
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from rest_framework.test import APIClient
from werkzeug import Request, Response

from tests.agents.conftest import _asked_once, _places, upstream

__all__ = ["_asked_once", "_places", "upstream"]

MakeWorkflow = Callable[..., dict[str, Any]]


@pytest.fixture
def make_workflow(editor: APIClient) -> MakeWorkflow:
    """Create a workflow of these steps over the API."""

    def make(*steps: dict[str, Any], key: str = "flow", **fields: Any) -> dict[str, Any]:
        answer = editor.post("/api/workflows", {"key": key, "steps": list(steps), **fields})
        assert answer.status_code == 201, answer.json()
        workflow: dict[str, Any] = answer.json()["data"]
        return workflow

    return make


class Place:
    """A service on a real socket. `requests` holds what arrived; `handler` answers."""

    def __init__(self, server: HTTPServer) -> None:
        self.requests: list[Request] = []
        self.handler: Callable[[Request], Response] = lambda request: Response(
            '{"n": 1, "items": [{"name": "a"}, {"name": "b"}]}', content_type="application/json"
        )
        self.url = f"http://{server.host}:{server.port}"
        self.name = f"{server.host}:{server.port}"
        server.clear()
        server.expect_request(re.compile(".*")).respond_with_handler(self._handle)

    def _handle(self, request: Request) -> Response:
        request.get_data()
        self.requests.append(request)
        return self.handler(request)


@pytest.fixture
def place(_places: tuple[HTTPServer, HTTPServer], settings: Settings) -> Place:
    """A service that workflows may call."""
    there = Place(_places[1])
    settings.PROMPTOPS_OUTBOUND_ALLOW = [there.name]
    return there
