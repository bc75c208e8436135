from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.agents.conftest import _asked_once, _cheap_passwords, _places, upstream

__all__ = ["_asked_once", "_cheap_passwords", "_places", "upstream"]


@pytest.fixture
def make_workflow(editor: APIClient) -> Callable[..., dict[str, Any]]:
    """Create a workflow of these steps over the API."""

    def make(*steps: dict[str, Any], key: str = "flow", **fields: Any) -> dict[str, Any]:
        answer = editor.post("/api/workflows", {"key": key, "steps": list(steps), **fields})
        assert answer.status_code == 201, answer.json()
        workflow: dict[str, Any] = answer.json()["data"]
        return workflow

    return make
