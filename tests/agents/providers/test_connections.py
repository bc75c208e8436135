"""While a provider thinks, nobody waits for it but the one who asked: no database connection, no event loop."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from django.db import connections
from rest_framework.test import APIClient
from werkzeug import Request, Response

from governance.runs.models import Run
from tests.agents.upstream import Upstream
from tests.faults.tools.support import installation
from tests.servers import Server

THINKS = 2.0  # seconds: much longer than it takes to begin twenty runs, also where much else goes on


@pytest.fixture
def thoughtful(upstream: Upstream) -> Upstream:
    """A provider that takes its time."""
    usual = upstream.handler

    def think(request: Request) -> Response:
        time.sleep(THINKS)
        return usual(request)

    upstream.answers(think)
    return upstream


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "begin",
    [
        lambda client: client.post("/api/playground/run", {"content": "x", "provider": "ollama"}),
        lambda client: client.post(f"/api/agents/{made(client, 'agents', prompt='x', provider='ollama')}/run", {}),
        lambda client: client.post(
            f"/api/workflows/{made(client, 'workflows', steps=[{'type': 'model', 'provider': 'ollama'}] * 2)}/run", {}
        ),
        lambda client: client.post(f"/api/agents/{with_a_tool(client)}/run", {}),
    ],
    ids=["playground", "agent", "workflow", "agent with a tool"],
)
def test_a_call_holds_no_database_connection_while_the_provider_is_at_work(
    static: APIClient, upstream: Upstream, begin: Callable[[APIClient], Any]
) -> None:
    """A pool's connection is given back, so that a few connections serve any number of runs that wait.

    SQLite has no pool and the thread keeps its connection: there it holds no transaction.
    """
    held: list[bool] = []
    ours, usual = connections["default"], upstream.handler

    def look(request: Request) -> Response:
        held.append(ours.in_atomic_block if ours.vendor == "sqlite" else ours.connection is not None)
        return usual(request)

    upstream.answers(look)
    assert begin(static).status_code == 200
    assert held in ([False], [False, False])
    assert set(Run.objects.values_list("status", flat=True)) == {"ok"}


def with_a_tool(client: APIClient) -> str:
    """An agent that has another one called, which asks the provider."""
    made(client, "agents", key="below", prompt="x", provider="ollama")
    return made(client, "agents", prompt="@call below", model="mock-script", tools=[{"type": "agent", "key": "below"}])


def made(client: APIClient, kind: str, **fields: Any) -> str:
    answer = client.post(f"/api/{kind}", {"key": "k", **fields})
    assert answer.status_code == 201, answer.json()
    identity: str = answer.json()["data"]["id"]
    return identity


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, thoughtful: Upstream) -> Iterator[Server]:
    """A real server. On PostgreSQL it has two database connections in all."""
    variables = {"PROMPTOPS_OPENAI_BASE_URL": thoughtful.base_url, "OPENAI_API_KEY": "sk-x", "PROMPTOPS_DB_POOL": "2"}
    with installation(tmp_path_factory, **variables) as running:
        yield running


def test_twenty_runs_at_once_take_about_as_long_as_one_and_the_server_answers_others_meanwhile(
    server: Server, thoughtful: Upstream
) -> None:
    body = {"content": "x", "provider": "openai"}
    with server.client() as client:
        assert client.post("/api/playground/run", json=body).status_code == 200  # loads what is loaded once

        def run(number: int) -> int:
            return client.post("/api/playground/run", json={**body, "content": str(number)}).status_code

        with ThreadPoolExecutor(20) as pool:
            started = time.monotonic()
            runs = [pool.submit(run, number) for number in range(20)]
            looks = []
            while not all(future.done() for future in runs):
                before = time.monotonic()
                assert httpx.get(f"{server.url}/livez", timeout=5).status_code == 200
                looks.append(time.monotonic() - before)
                time.sleep(0.02)
            took = time.monotonic() - started
        assert [future.result() for future in runs] == [200] * 20
        assert THINKS <= took < 0.7 * 20 * THINKS, f"twenty runs took {took:.1f} s"
        assert len(looks) >= 5
        assert sorted(looks)[len(looks) // 2] < THINKS, f"/livez took {sorted(looks)}"
        stats = client.get("/api/runs/stats").json()
        assert (stats["ok"], stats["running"], stats["total"]) == (21, 0, 21)
    assert len(thoughtful.requests) == 21


def test_agents_that_call_agents_need_no_more_connections_than_there_are_and_all_their_runs_are_closed(
    server: Server, thoughtful: Upstream
) -> None:
    below = {"key": "below", "prompt": "x", "provider": "openai"}
    boss = {"key": "boss", "prompt": "@call below @call below\n@answer Done.", "model": "mock-script"}
    with server.client() as client:
        assert client.post("/api/agents", json=below).status_code == 201
        made = client.post("/api/agents", json={**boss, "tools": [{"type": "agent", "key": "below"}]}).json()["data"]

        def run(number: int) -> Any:
            body = {"session_id": f"chat-{number}", "stream": number % 2 == 0}
            return client.post(f"/api/agents/{made['id']}/run", json=body).text

        with ThreadPoolExecutor(16) as pool:
            started = time.monotonic()
            answers = list(pool.map(run, range(16)))
            took = time.monotonic() - started
        assert all("Done." in answer for answer in answers), answers
        stats = client.get("/api/runs/stats").json()
        assert (stats["ok"], stats["running"], stats["total"]) == (48, 0, 48)
        assert took < 0.7 * 32 * THINKS, f"sixteen agents took {took:.1f} s"
