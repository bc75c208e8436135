"""Agents inside something else that works on the loop of model calls (agents.runtime.embedded)."""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from rest_framework.test import APIClient

from agents.providers import registry
from agents.runtime.embedded import run_agent
from agents.runtime.toolbox import MAX_DEPTH, ToolFailedError
from agents.transport import bridge
from governance.access.actors import Actor
from governance.access.roles import Role
from governance.core.errors import ConflictError, InvalidInputError, ProviderError
from governance.identity.models import User
from governance.runs.models import Run
from governance.tenancy.models import Environment
from tests.faults.tools.support import installation

MakeAgent = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _warm() -> None:
    registry.warm_up()


@pytest.fixture
def actor(make_user: Callable[..., User]) -> Actor:
    return Actor.of_user(make_user(Role.VIEWER))


@pytest.fixture
def make_agent(editor: APIClient) -> MakeAgent:
    def make(key: str = "helper", **fields: Any) -> dict[str, Any]:
        answer = editor.post("/api/agents", {"key": key, "prompt": "Help {{name}}", **fields})
        assert answer.status_code == 201, answer.json()
        agent: dict[str, Any] = answer.json()["data"]
        return agent

    return make


def test_an_agent_runs_as_a_part_of_another_run(actor: Actor, make_agent: MakeAgent) -> None:
    make_agent()
    above = uuid.uuid4()

    async def step() -> dict[str, Any]:
        return await run_agent(
            actor=actor, workspace_id="default", key="helper", variables={"name": "Ada"}, parent_id=above, depth=1
        )

    answer = bridge.run(step)
    assert (answer["rendered"], answer["result"]["output"]) == ("Help Ada", "mock completion for: Help Ada")
    row = Run.objects.get()
    assert (str(row.pk), row.parent_id, row.status, row.actor) == (answer["run_id"], above, "ok", actor.name)


def test_what_can_not_be_run_is_an_error_of_its_kind(
    actor: Actor, make_agent: MakeAgent, environment: Callable[[str], Environment]
) -> None:
    make_agent()
    make_agent("broken", model="mock-fail")
    there: dict[str, Any] = {"actor": actor, "workspace_id": "default", "variables": {}}

    def run(**wishes: Any) -> Any:
        return bridge.run(lambda: run_agent(**{**there, "key": "helper", **wishes}))

    for missing in ({"key": "nobody"}, {"env": "dev"}, {"workspace_id": "elsewhere"}):
        with pytest.raises(ConflictError, match="there is no agent"):
            run(**missing)
    outsider = Actor(name="x", role=Role.ADMIN, kind="api", workspace_id="elsewhere")
    with pytest.raises(ConflictError):
        run(actor=outsider)
    with pytest.raises(InvalidInputError):
        run(strict=True)
    with pytest.raises(ToolFailedError):
        run(depth=MAX_DEPTH)
    assert Run.objects.count() == 0
    with pytest.raises(ProviderError) as failed:
        run(key="broken")
    assert failed.value.extra["run_id"] == str(Run.objects.get().pk)
    assert run(env="prod")["missing"] == ["name"]


def test_a_step_that_is_cancelled_closes_the_agents_run_and_those_below_it(actor: Actor, make_agent: MakeAgent) -> None:
    make_agent("slow", prompt="word " * 200, model="mock-slow")
    make_agent("boss", prompt="@call slow", model="mock-script", tools=[{"type": "agent", "key": "slow"}])

    async def step() -> str:
        going = asyncio.ensure_future(
            run_agent(actor=actor, workspace_id="default", key="boss", variables={}, session_id="chat")
        )
        await asyncio.sleep(0.5)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        return "cancelled"

    assert bridge.run(step) == "cancelled"
    rows = {row.ref_key: (row.status, row.error) for row in Run.objects.all()}
    assert rows == dict.fromkeys(("boss", "slow"), ("error", "it was stopped before the end"))


def test_what_a_flow_brings_to_its_callers_is_done_where_it_is_taken() -> None:
    async def source() -> Any:
        for _ in range(2):
            yield await bridge.on_caller(threading.current_thread)

    flow = bridge.Flow(source)
    assert [flow.take(), flow.take()] == [threading.current_thread()] * 2
    with pytest.raises(bridge.EndedError):
        flow.take()


def test_what_a_closed_flow_still_has_to_do_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()

    async def source() -> Any:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await bridge.on_caller(done.set)

    flow = bridge.Flow(source)
    assert flow.take() == 1
    flow.close()
    assert done.wait(5)


def test_who_hangs_up_stops_the_agent_and_the_agents_below_it_and_frees_the_session(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with installation(tmp_path_factory) as server, server.client() as client:
        slow = {"key": "slow", "prompt": "word " * 400, "model": "mock-slow"}
        boss = {"key": "boss", "prompt": "{{x}}", "model": "mock-script", "tools": [{"type": "agent", "key": "slow"}]}
        client.post("/api/agents", json=slow)
        agent = client.post("/api/agents", json=boss).json()["data"]
        path = f"/api/agents/{agent['id']}/run"
        client.post(path, json={"variables": {"x": "@answer hi"}, "session_id": "chat"})
        body = {"variables": {"x": "@call slow"}, "session_id": "chat", "stream": True}
        with client.stream("POST", path, json=body) as answer:
            texts = answer.iter_text()  # kept: when it goes, so does the connection
            assert next(texts).startswith("event: tool_call")
            assert client.post(path, json={"session_id": "chat"}).status_code == 409
            deadline = time.monotonic() + 10
            while "slow" not in {row["ref_key"] for row in runs_at(client, "running")}:
                assert time.monotonic() < deadline, "the agent below did not start"
                time.sleep(0.05)
        deadline = time.monotonic() + 10
        while runs_at(client, "running"):
            assert time.monotonic() < deadline, "runs go on after the client went away"
            time.sleep(0.1)
        errors = {row["ref_key"]: row["error"] for row in runs_at(client, "error")}
        assert errors == {"boss": "the client went away before the end", "slow": "it was stopped before the end"}
        freed = client.post(path, json={"variables": {"x": "@answer again"}, "session_id": "chat"})
        assert freed.status_code == 200
        assert client.get(f"/api/agents/{agent['id']}/sessions/chat").json()["data"]["turns"] == 2


def runs_at(client: httpx.Client, status: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.get("/api/runs", params={"status": status}).json()["data"]
    return rows
