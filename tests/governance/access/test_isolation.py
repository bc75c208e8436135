"""What is in another workspace is not there: not in lists, not by filters, not to write to (contract, section 2).

That its rows are not found by their ids is in tests/contract/refusals/test_bad_addresses.py.
"""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.identity import tokens
from governance.tenancy.models import Workspace
from tests.conftest import api
from tests.contract import world
from tests.contract.endpoints import Endpoint
from tests.contract.refusals.test_bad_addresses import LISTS

Callers = dict[str, APIClient]
UNSCOPED = {"/api/users", "/api/providers", "/api/prompts/{id}/versions", "/api/workflows/{id}/versions"}
#: Lists of what belongs to a workspace. Users and providers belong to none.
SCOPED = [endpoint for endpoint in LISTS if endpoint.route not in UNSCOPED]
#: Of these those that can be asked for one workspace's rows.
BY_WORKSPACE = [endpoint for endpoint in SCOPED if endpoint.route != "/api/workspaces"]


@pytest.fixture
def other(other_workspace: Workspace) -> str:
    """A workspace with one of everything in it; `default` is empty."""
    world.make(other_workspace.pk, known_ids=False)
    return other_workspace.pk


@pytest.fixture
def outsiders(login: Callable[..., APIClient], workspace: Workspace, other: str) -> Callers:
    """Everybody who sees `default` alone."""
    api_tokens = {
        f"API token of role {role} for {env or 'all environments'}": api(
            tokens.create_token(actor=SYSTEM, workspace=workspace, name="app", role=role, env=env)[1]
        )
        for role in (Role.VIEWER, Role.ADMIN)
        for env in (None, "prod")
    }
    return {"editor": login(Role.EDITOR), **api_tokens}


@pytest.mark.parametrize("endpoint", SCOPED, ids=str)
def test_a_list_holds_nothing_of_a_workspace_that_one_cannot_see(
    endpoint: Endpoint, outsiders: Callers, other: str, static: APIClient
) -> None:
    assert other in static.get(endpoint.path).content.decode()  # an admin sees it
    for name, client in outsiders.items():
        answer = client.get(endpoint.path)
        assert other not in answer.content.decode(), name
        assert answer.status_code == 200 or endpoint.beyond or endpoint.least == Role.ADMIN, name


@pytest.mark.parametrize("endpoint", BY_WORKSPACE, ids=str)
def test_a_list_is_empty_for_who_asks_for_a_workspace_that_they_cannot_see(
    endpoint: Endpoint, outsiders: Callers, other: str, static: APIClient
) -> None:
    assert static.get(endpoint.path, {"workspace": other}).json()["total"] > 0
    for name, client in outsiders.items():
        answer = client.get(endpoint.path, {"workspace": other})
        assert answer.status_code == 403 or answer.json() == {"data": [], "total": 0}, name


def test_statistics_count_nothing_of_it(outsiders: Callers, other: str, static: APIClient) -> None:
    assert static.get("/api/runs/stats").json()["total"] == 3
    for name, client in outsiders.items():
        stats = client.get("/api/runs/stats", {"workspace": other}).json()
        assert (stats["total"], stats["prompt_tokens"], stats["by_provider"]) == (0, 0, []), name
        assert client.get("/api/runs/stats").json()["total"] == 0, name


def test_applications_are_served_nothing_of_it(outsiders: Callers, other: str, static: APIClient) -> None:
    for query in ({"workspace": other}, {"workspace": other, "version": "v1"}, {}):
        assert static.get(f"/api/sdk/prompts/{world.KEY}", query).status_code == (200 if query else 404)
        for name, client in outsiders.items():
            assert client.get(f"/api/sdk/prompts/{world.KEY}", query).status_code == 404, name
    for name, client in outsiders.items():
        assert client.get("/api/sdk/prompts", {"workspace": other}).status_code == 404, name


def test_nothing_can_be_made_in_it_and_the_answer_is_that_for_one_that_is_not_there(
    outsiders: Callers, other: str
) -> None:
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/api/prompts", {"key": "a"}),
        ("/api/agents", {"key": "a", "prompt": "x"}),
        ("/api/workflows", {"key": "a", "steps": world.STEPS}),
        ("/api/environments", {"name": "a"}),
        ("/api/tokens", {"name": "a", "role": "viewer"}),
        ("/api/playground/run", {"content": "x"}),
    ]
    for name, client in outsiders.items():
        for path, body in bodies:
            there, nowhere = (client.post(path, {**body, "workspace_id": id_}) for id_ in (other, world.NOWHERE))
            assert there.status_code == nowhere.status_code in {400, 403}, (name, path)
            assert there.json()["error"] == nowhere.json()["error"], (name, path)


def test_a_key_of_it_is_free_here(outsiders: Callers, other: str) -> None:
    client = outsiders["editor"]
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/api/prompts", {"key": world.KEY, "env": "prod"}),
        ("/api/agents", {"key": "helper", "prompt": "x"}),
        ("/api/workflows", {"key": "pipeline", "steps": world.STEPS}),
    ]
    for path, body in bodies:
        assert client.post(path, body).status_code == 201, path


def test_an_agent_and_a_workflow_are_served_the_prompts_of_their_own_workspace(outsiders: Callers, other: str) -> None:
    client = outsiders["editor"]
    agent = client.post("/api/agents", {"key": "a", "prompt_key": world.KEY}).json()["data"]
    steps = [{"type": "prompt", "prompt_key": world.KEY}]
    workflow = client.post("/api/workflows", {"key": "a", "steps": steps}).json()["data"]
    assert client.post(f"/api/agents/{agent['id']}/run", {}).status_code == 409
    assert client.post(f"/api/workflows/{workflow['id']}/run", {}).status_code >= 400


def test_what_concerns_the_whole_installation_is_for_those_who_see_it_all(
    outsiders: Callers, static: APIClient, make_user: Any
) -> None:
    make_user(username="ada")
    assert static.get("/api/audit", {"resource": "user", "key": "ada"}).json()["total"] == 1
    for name, client in outsiders.items():
        assert client.get("/api/audit", {"resource": "user"}).json().get("total", 0) == 0, name


def test_the_audit_log_is_not_for_tokens_of_one_environment(static: APIClient, workspace: Workspace) -> None:
    """Its entries hold the texts of prompts, and do not tell of which environment."""
    _, secret = tokens.create_token(actor=SYSTEM, workspace=workspace, name="app", role=Role.ADMIN, env="prod")
    answer = api(secret).get("/api/audit")
    assert (answer.status_code, answer.json()["error"]) == (
        403,
        "forbidden: this token is bound to one environment",
    )
