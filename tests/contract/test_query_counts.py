"""What an answer costs does not depend on how much there is."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.identity import tokens, users
from governance.runs import log
from governance.tenancy import environments, workspaces
from governance.tenancy.models import DEFAULT_WORKSPACE, Environment, Workspace
from tests.conftest import PASSWORD, api

STEPS = [{"type": "transform", "op": "upper"}]


def queries(client: APIClient, path: str, **query: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(path, query)
    assert answer.status_code == 200, answer.content
    return len(captured)


def one_more(path: str, admin: APIClient, workspace: Workspace, number: int) -> None:
    """Add a row to the list at `path`."""
    key = f"number-{number}"
    if path == "/api/prompts":
        body = {"key": key, "tags": ["a", "b"], "env": "prod"}
        prompt = admin.post(path, body).json()["data"]
        assert admin.post("/api/prompts/publish", {"id": prompt["id"]}).status_code == 200
    elif path == "/api/agents":
        assert admin.post(path, {"key": key, "prompt": "x"}).status_code == 201
    elif path == "/api/workflows":
        assert admin.post(path, {"key": key, "steps": STEPS}).status_code == 201
    elif path == "/api/users":
        users.create_user(actor=SYSTEM, username=key, password=PASSWORD)
    elif path == "/api/providers":
        body = {"name": key, "base_url": "https://a.example/v1", "default_model": "m"}
        assert admin.post(path, body).status_code == 201
    elif path == "/api/tokens":
        tokens.create_token(actor=SYSTEM, workspace=workspace, name=key, role=Role.VIEWER)
    elif path == "/api/workspaces":
        workspaces.create_workspace(actor=SYSTEM, name=key)
    elif path == "/api/environments":
        environments.create_environment(actor=SYSTEM, workspace=workspace, name=key)
    elif path == "/api/runs":
        log.start(actor=SYSTEM, workspace_id=DEFAULT_WORKSPACE, source="playground")
    elif path == "/api/audit":
        workspaces.update_workspace(actor=SYSTEM, workspace=workspace, name=key)
    elif path == "/api/sdk/prompts":
        one_more("/api/prompts", admin, workspace, number)
    else:
        raise AssertionError(path)


@pytest.mark.parametrize(
    "path",
    [
        "/api/prompts",
        "/api/agents",
        "/api/workflows",
        "/api/users",
        "/api/providers",
        "/api/tokens",
        "/api/workspaces",
        "/api/environments",
        "/api/runs",
        "/api/audit",
        "/api/sdk/prompts",
    ],
)
def test_a_list_costs_the_same_at_one_and_at_three_rows(admin: APIClient, workspace: Workspace, path: str) -> None:
    one_more(path, admin, workspace, 1)
    at_one = queries(admin, path)
    one_more(path, admin, workspace, 2)
    one_more(path, admin, workspace, 3)
    assert queries(admin, path) == at_one <= 5


def test_the_versions_of_a_prompt_cost_the_same_at_one_and_at_three(
    editor: APIClient, make_prompt: Callable[..., dict[str, Any]]
) -> None:
    prompt = make_prompt(publish=True)
    path = f"/api/prompts/{prompt['id']}/versions"
    at_one = queries(editor, path)
    for number in range(2):
        editor.patch(f"/api/prompts/{prompt['id']}", {"content": f"text {number}"})
        editor.post("/api/prompts/publish", {"id": prompt["id"]})
    assert editor.get(path).json()["total"] == 3
    assert queries(editor, path) == at_one


@pytest.mark.parametrize("place", ["plain", "rolled?unit=ada", "plain?version=v1", "rolled?version=v2"])
@pytest.mark.parametrize("credential", ["static", "session", "api", "bound"])
def test_a_fetch_through_django_costs_at_most_two_queries(
    editor: APIClient,
    static: APIClient,
    environment: Callable[[str], Environment],
    make_prompt: Callable[..., dict[str, Any]],
    credential: str,
    place: str,
) -> None:
    make_prompt("plain", publish=True)
    rolled = make_prompt("rolled", publish=True)
    editor.patch(f"/api/prompts/{rolled['id']}", {"content": "two"})
    editor.post("/api/prompts/publish", {"id": rolled["id"]})
    rollout = {"variant_a": "v1", "variant_b": "v2", "weight_a": 50}
    assert editor.put(f"/api/prompts/{rolled['id']}/rollout", rollout).status_code == 200
    env = {"api": None, "bound": "prod"}.get(credential)
    _, secret = tokens.create_token(
        actor=SYSTEM, workspace=environment("prod").workspace, name="app", role=Role.VIEWER, env=env
    )
    client = {"static": static, "session": editor}.get(credential) or api(secret)
    assert queries(client, f"/api/sdk/prompts/{place}") <= (1 if credential == "static" else 2)
