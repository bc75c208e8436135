"""What all lists have in common: the envelope, the order, pages, and a cost that doesn't grow with the rows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.clients.models import Connection
from governance.core.models import ServerProcess
from governance.identity import tokens
from governance.identity.models import User
from governance.runs import log
from governance.tenancy.models import Environment, Membership, Workspace
from prompts.services import create_prompt, publish, set_rollout, update_prompt
from tests.conftest import api
from tests.contract import world
from tests.contract.endpoints import Endpoint
from tests.contract.refusals.test_bad_addresses import LISTS

NOW = datetime(2099, 3, 1, 12, tzinfo=UTC)  # after all that migrations made
Grow = Callable[[int], None]


def bodies(number: int) -> dict[str, dict[str, Any]]:
    """A new row, by the name of its list."""
    key = f"key-{number}"
    return {
        "prompts": {"key": key, "env": "prod", "tags": ["a", key], "content": "x"},
        "agents": {"key": key, "prompt": "x", "env": "dev"},
        "workflows": {"key": key, "steps": world.STEPS},
        "providers": {"name": key, "base_url": "https://a.example/v1", "default_model": "m"},
        "tokens": {"name": key, "role": "viewer", "env": "prod"},
        "environments": {"name": key},
        "workspaces": {"name": key},
        "schedules": {"name": key, "workflow_id": world.WORKFLOW, "cron": "0 3 * * *"},
        "webhooks": {"name": key, "workflow_id": world.WORKFLOW},
    }


def grow(client: APIClient, endpoint: Endpoint, number: int) -> None:
    """One row more in that list, with all that may hang on it."""
    name, key = endpoint.route.rpartition("/")[2], f"key-{number}"
    if name == "audit":
        name = "workspaces"  # any change will do
    if name in bodies(number):
        made = client.post(f"/api/{name}", bodies(number)[name]).json()["data"]
        if name == "prompts":
            client.post("/api/prompts/publish", {"id": made["id"]})
    elif endpoint.route == "/api/workflows/{id}/versions":
        steps = [{"name": key, "type": "transform", "op": "upper"}]
        client.patch(f"/api/workflows/{world.WORKFLOW}", {"steps": steps})
        client.post("/api/workflows/publish", {"id": world.WORKFLOW})
    elif name == "versions":
        client.patch(f"/api/prompts/{world.PROMPT}", {"content": key})
        client.post("/api/prompts/publish", {"id": world.PROMPT})
    elif name == "users":
        Membership.objects.create(user=User.objects.create(username=key, password="!"), workspace_id="default")
    elif name == "runs":
        log.start(actor=SYSTEM, workspace_id="default", source="playground", ref_key=key)
    else:
        assert name == "clients"
        process = ServerProcess.objects.create(host=key, pid=1, started_at=timezone.now(), seen_at=timezone.now())
        Connection.objects.create(
            process=process, workspace_id="default", client_type=key, actor="ada", connected_at=timezone.now()
        )


def queries(client: APIClient, path: str, query: dict[str, str] | None = None, status: int = 200) -> int:
    """How many queries the answer costs."""
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path, query).status_code == status
    return len(captured)


@pytest.mark.parametrize("endpoint", LISTS, ids=str)
def test_a_list_costs_as_many_queries_for_three_rows_as_for_one(endpoint: Endpoint, static: APIClient) -> None:
    world.make_all()
    user = User.objects.create(username="admin", role=Role.ADMIN, password="!")
    clients = [static, api(tokens.open_session(user=user)[1])]
    before = [client.get(endpoint.path).json()["total"] for client in clients]
    costs = [queries(client, endpoint.path) for client in clients]
    for number in range(3):
        grow(static, endpoint, number)
    assert [client.get(endpoint.path).json()["total"] for client in clients] >= [total + 3 for total in before]
    assert [queries(client, endpoint.path) for client in clients] == costs
    assert max(costs) <= 5


@pytest.mark.parametrize("endpoint", LISTS, ids=str)
def test_a_list_is_newest_first_in_the_envelope(endpoint: Endpoint, static: APIClient) -> None:
    moment = "connected_at" if endpoint.route.endswith("/clients") else "created_at"
    with time_machine.travel(NOW, tick=False) as clock:
        world.make_all()
        for number in range(4):
            clock.move_to(NOW + timedelta(seconds=number + 1))
            grow(static, endpoint, number)
        answer = static.get(endpoint.path)
    body = answer.json()
    assert body.keys() == {"data", "total"}
    assert body["total"] == len(body["data"])
    times = [row[moment] for row in body["data"]]
    assert times == sorted(times, reverse=True)
    assert times[:4] == [f"2099-03-01T12:00:0{second}Z" for second in (4, 3, 2, 1)]


@pytest.mark.parametrize("endpoint", LISTS, ids=str)
def test_pages_hold_each_row_once_and_in_order_also_when_all_are_of_one_moment(
    endpoint: Endpoint, static: APIClient
) -> None:
    with time_machine.travel(NOW, tick=False):
        world.make_all()
        for number in range(5):
            grow(static, endpoint, number)
        whole = static.get(endpoint.path).json()["data"]
        for size in (1, 2, 3):
            pages: list[Any] = []
            for offset in range(0, len(whole), size):
                page = static.get(endpoint.path, {"limit": size, "offset": offset}).json()
                assert page["total"] == len(whole)
                pages += page["data"]
            assert pages == whole


@pytest.mark.parametrize(
    ("query", "counted"),
    [
        ({}, False),
        ({"limit": "4"}, False),
        ({"limit": "2", "offset": "2"}, False),
        ({"limit": "2"}, True),
        ({"limit": "3"}, True),
        ({"offset": "3"}, True),
        ({"limit": "0"}, True),
    ],
    ids=str,
)
def test_the_rows_are_counted_by_a_query_only_where_the_page_does_not_show_how_many_there_are(
    query: dict[str, str], counted: bool, static: APIClient
) -> None:
    for number in range(3):
        static.post("/api/environments", {"name": f"env-{number}"})
    Environment.objects.exclude(name__startswith="env-").delete()
    with CaptureQueriesContext(connection) as captured:
        answer = static.get("/api/environments", query).json()
    assert answer["total"] == 3
    assert any("COUNT(" in one["sql"] for one in captured) is counted


# --- what an application fetches ---


@pytest.fixture
def callers(static: APIClient, workspace: Workspace) -> dict[str, APIClient]:
    user = User.objects.create(username="ada", role=Role.VIEWER, password="!")
    Membership.objects.create(user=user, workspace=workspace)
    return {
        "the static token": static,
        "a session": api(tokens.open_session(user=user)[1]),
        "an API token": api(tokens.create_token(actor=SYSTEM, workspace=workspace, name="a", role=Role.VIEWER)[1]),
        "an API token for prod": api(
            tokens.create_token(actor=SYSTEM, workspace=workspace, name="b", role=Role.VIEWER, env="prod")[1]
        ),
    }


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 200),
        ({"unit": "ada"}, 200),
        ({"version": "v1"}, 200),
        ({"version": "v9"}, 404),
        ({"env": "dev"}, 404),
        ({"workspace": "default", "env": "prod"}, 200),
    ],
    ids=str,
)
@pytest.mark.parametrize("rollout", [True, False], ids=["under a rollout", "without"])
def test_a_fetch_costs_the_look_at_its_token_and_one_query_more(
    query: dict[str, str], status: int, rollout: bool, callers: dict[str, APIClient], static: APIClient
) -> None:
    world.make()
    if not rollout:
        static.delete(f"/api/prompts/{world.PROMPT}/rollout")
    costs = {name: queries(client, f"/api/sdk/prompts/{world.KEY}", query, status) for name, client in callers.items()}
    assert costs == {name: 1 if name == "the static token" else 2 for name in callers}


def test_a_fetch_of_an_environment_costs_one_query_more_than_that_for_any_number_of_prompts(
    callers: dict[str, APIClient], environment: Callable[[str], Environment]
) -> None:
    for number in range(3):
        prompt = create_prompt(actor=SYSTEM, environment=environment("prod"), key=f"key-{number}", content="a")
        publish(actor=SYSTEM, prompt=prompt, version="v1")
        update_prompt(actor=SYSTEM, prompt=prompt, content="b")
        publish(actor=SYSTEM, prompt=prompt, version="v2")
        variants = {"variant_a": "v1", "variant_b": "v2", "weight_a": 50}
        set_rollout(actor=SYSTEM, prompt=prompt, values=variants)
        costs = {name: queries(client, "/api/sdk/prompts") for name, client in callers.items()}
        assert costs == {name: 2 if name == "the static token" else 3 for name in callers}
