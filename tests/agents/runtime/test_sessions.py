"""Conversations: kept on the server, one's own, and as they were after a turn that failed (contract, section 7)."""

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from agents.models import Agent, AgentMessage, AgentSession
from agents.runtime import sessions
from governance.access.actors import SYSTEM
from governance.access.roles import Role
from governance.audit.models import AuditEntry
from governance.clients.connections import PeriodicTask
from governance.core import registry
from governance.identity import tokens
from governance.runs.models import Run
from governance.tenancy.models import Workspace
from tests.agents.runtime.test_streaming import events_of
from tests.agents.upstream import Upstream
from tests.conftest import api
from tests.faults.tools.support import installation

MakeAgent = Callable[..., dict[str, Any]]


@pytest.fixture
def make_agent(editor: APIClient) -> MakeAgent:
    def make(key: str = "friend", **fields: Any) -> dict[str, Any]:
        answer = editor.post("/api/agents", {"key": key, "prompt": "{{say}}", **fields})
        assert answer.status_code == 201, answer.json()
        agent: dict[str, Any] = answer.json()["data"]
        return agent

    return make


def say(client: APIClient, agent: dict[str, Any], text: str, **body: Any) -> Any:
    return client.post(f"/api/agents/{agent['id']}/run", {"variables": {"say": text}, **body})


def session_of(client: APIClient, agent: dict[str, Any], session_id: str) -> Any:
    return client.get(f"/api/agents/{agent['id']}/sessions/{session_id}")


def test_what_was_said_is_told_to_the_model_at_the_next_turn(
    viewer: APIClient, make_agent: MakeAgent, upstream: Upstream
) -> None:
    agent = make_agent(provider="ollama")
    first = say(viewer, agent, "I am Ada.", session_id="chat-1").json()
    assert first["session_id"] == "chat-1"
    say(viewer, agent, "Who am I?", session_id="chat-1")
    say(viewer, agent, "Hello", session_id="chat-2")
    say(viewer, agent, "Hello")
    assert [body["messages"] for body in upstream.bodies[1:]] == [
        [
            {"role": "user", "content": "I am Ada."},
            {"role": "assistant", "content": "Fine."},
            {"role": "user", "content": "Who am I?"},
        ],
        [{"role": "user", "content": "Hello"}],
        [{"role": "user", "content": "Hello"}],
    ]
    kept = session_of(viewer, agent, "chat-1").json()["data"]
    assert (kept["turns"], [one["content"] for one in kept["messages"]]) == (
        2,
        ["I am Ada.", "Fine.", "Who am I?", "Fine."],
    )
    assert kept["messages"][0]["run_id"] == first["run_id"]


def test_the_server_names_a_session_for_who_asks_for_a_new_one(viewer: APIClient, make_agent: MakeAgent) -> None:
    agent = make_agent()
    named = say(viewer, agent, "a", session=True).json()["session_id"]
    assert say(viewer, agent, "b", session=True).json()["session_id"] != named
    assert "mock completion for: a" in say(viewer, agent, "c", session_id=named).json()["result"]["output"]
    listed = viewer.get(f"/api/agents/{agent['id']}/sessions").json()
    assert (listed["total"], listed["data"][0]["session_id"], listed["data"][0]["turns"]) == (2, named, 2)
    assert "session_id" not in say(viewer, agent, "d").json()


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous")
def test_a_turn_may_be_streamed(viewer: APIClient, make_agent: MakeAgent) -> None:
    agent = make_agent()
    say(viewer, agent, "I am Ada.", session_id="chat")
    answer: Any = say(viewer, agent, "Who am I?", session_id="chat", stream=True)
    *_, (name, result) = events_of(b"".join(answer).decode())
    assert (name, result["session_id"]) == ("result", "chat")
    assert "I am Ada." in result["result"]["output"]
    assert session_of(viewer, agent, "chat").json()["data"]["turns"] == 2


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous")
def test_a_turn_that_fails_leaves_the_session_as_it_was(
    viewer: APIClient, make_agent: MakeAgent, streamed: bool
) -> None:
    agent = make_agent()
    assert say(viewer, agent, "x", session_id="new", model="mock-fail", stream=streamed).status_code == 502
    assert (session_of(viewer, agent, "new").status_code, AgentSession.objects.count()) == (404, 0)
    say(viewer, agent, "one", session_id="chat")
    before = session_of(viewer, agent, "chat").json()["data"]["messages"]
    assert say(viewer, agent, "two", session_id="chat", model="mock-fail", stream=streamed).status_code == 502
    assert session_of(viewer, agent, "chat").json()["data"]["messages"] == before
    assert "two" not in say(viewer, agent, "three", session_id="chat").json()["result"]["output"]


def test_a_session_is_of_who_began_it_and_of_its_agent(
    viewer: APIClient, editor: APIClient, static: APIClient, make_agent: MakeAgent, workspace: Workspace
) -> None:
    agent, other = make_agent(), make_agent("other")
    say(viewer, agent, "my secret", session_id="chat")
    say(editor, agent, "hello", session_id="chat")
    applications = [
        api(tokens.create_token(actor=SYSTEM, workspace=workspace, name=name, role=Role.ADMIN)[1])
        for name in ("app", "app", "another")
    ]
    for client in (editor, static, *applications):
        assert "my secret" not in say(client, agent, "what did I say?", session_id="chat").content.decode()
        assert "my secret" not in session_of(client, agent, "chat").content.decode()
    assert "my secret" not in say(viewer, other, "what did I say?", session_id="chat").content.decode()
    turns = AgentSession.objects.filter(agent_id=agent["id"], owner__startswith="token:").values_list(
        "turns", flat=True
    )
    assert list(turns) == [1, 1, 1], "a token of the same name is another actor"
    path = f"/api/agents/{agent['id']}/sessions"
    assert [editor.get(path).json()["total"], static.get(path).json()["total"]] == [1, 1]
    assert static.delete(f"{path}/nobody").status_code == 404


def test_a_session_is_deleted_with_a_trace_and_without_its_texts_in_it(
    viewer: APIClient, editor: APIClient, make_agent: MakeAgent
) -> None:
    agent = make_agent()
    say(viewer, agent, "my secret", session_id="chat")
    path = f"/api/agents/{agent['id']}/sessions/chat"
    assert editor.delete(path).status_code == 404
    assert viewer.delete(path).json() == {"ok": True}
    assert [viewer.get(path).status_code, viewer.delete(path).status_code] == [404, 404]
    assert AgentMessage.objects.count() == 0
    entry = AuditEntry.objects.get(resource="agent_session")
    assert (entry.action, entry.changes["session_id"]["old"]) == ("delete", "chat")
    assert "my secret" not in str(entry.changes)
    say(viewer, agent, "again", session_id="chat")
    editor.delete(f"/api/agents/{agent['id']}")
    assert AgentSession.objects.count() == 0


def test_of_a_long_session_the_last_turns_are_remembered(
    viewer: APIClient, make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_MESSAGES", 4)
    agent = make_agent(model="mock-script")
    for text in "abc":
        say(viewer, agent, f"@answer {text}", session_id="chat")
    kept = session_of(viewer, agent, "chat").json()["data"]
    assert (kept["turns"], [one["content"] for one in kept["messages"]]) == (3, ["@answer b", "b", "@answer c", "c"])
    monkeypatch.setattr(sessions, "MAX_CHARACTERS", 30)
    say(viewer, agent, "@answer " + "d" * 40, session_id="chat")
    kept = session_of(viewer, agent, "chat").json()["data"]
    assert [one["role"] for one in kept["messages"]] == ["user", "assistant"], "the last turn stays, however long"


def test_a_session_that_nobody_used_for_long_is_forgotten_by_the_periodic_tasks(
    viewer: APIClient, make_agent: MakeAgent, settings: Settings
) -> None:
    agent = make_agent()
    for name in ("old", "young"):
        say(viewer, agent, "x", session_id=name)
    long_ago = timezone.now() - timedelta(days=settings.PROMPTOPS_AGENT_SESSION_DAYS, hours=1)
    AgentSession.objects.filter(session_id="old").update(used_at=long_ago)
    for task in registry.entries(PeriodicTask):
        task.run()
    assert [row.session_id for row in AgentSession.objects.all()] == ["young"]
    assert AgentMessage.objects.count() == 2


def test_a_turn_whose_process_died_holds_its_session_for_a_while_and_not_for_ever(
    viewer: APIClient, make_agent: MakeAgent
) -> None:
    agent = make_agent()
    say(viewer, agent, "one", session_id="chat")
    row = AgentSession.objects.get()
    lost = sessions.Turn(id=uuid.uuid4(), pk=row.pk, session_id="chat", history=[])
    AgentSession.objects.filter(pk=row.pk).update(turn=lost.id, turn_until=timezone.now() + timedelta(seconds=5))
    refused = say(viewer, agent, "two", session_id="chat")
    assert (refused.status_code, Run.objects.count()) == (409, 1)
    AgentSession.objects.filter(pk=row.pk).update(turn_until=timezone.now() - timedelta(seconds=5))
    assert say(viewer, agent, "three", session_id="chat").status_code == 200
    sessions.remember(lost, question="late", answer="late", run_id=row.pk)
    assert "late" not in session_of(viewer, agent, "chat").content.decode()


@pytest.mark.parametrize("body", [{"session_id": "a b"}, {"session_id": ""}, {"session_id": 5}, {"session": "yes"}])
def test_a_session_id_is_a_key(viewer: APIClient, make_agent: MakeAgent, body: dict[str, Any]) -> None:
    refused = say(viewer, make_agent(), "x", **body)
    assert (refused.status_code, list(refused.json()["fields"])) == (400, list(body))


def test_of_two_turns_at_once_one_is_refused_and_the_session_holds_the_other(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with installation(tmp_path_factory) as server, server.client() as client:
        agent = client.post("/api/agents", json={"key": "a", "prompt": "{{say}} " * 10}).json()["data"]
        statuses: list[int] = []

        def turn(number: int) -> None:
            body = {"variables": {"say": f"turn-{number}"}, "session_id": "chat", "model": "mock-slow"}
            statuses.append(client.post(f"/api/agents/{agent['id']}/run", json=body).status_code)

        threads = [threading.Thread(target=turn, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200, 409, 409, 409]
        kept = client.get(f"/api/agents/{agent['id']}/sessions/chat").json()["data"]
        assert (kept["turns"], len(kept["messages"])) == (1, 2)
        assert client.post(f"/api/agents/{agent['id']}/run", json={"session_id": "chat"}).status_code == 200


def test_a_list_of_sessions_costs_the_same_at_one_and_at_three(
    viewer: APIClient, make_agent: MakeAgent, django_assert_num_queries: Any
) -> None:
    agent = make_agent()
    for number in range(3):
        say(viewer, agent, "x", session_id=f"chat-{number}")
        with django_assert_num_queries(3):
            assert viewer.get(f"/api/agents/{agent['id']}/sessions").json()["total"] == number + 1
    assert Agent.objects.count() == 1
