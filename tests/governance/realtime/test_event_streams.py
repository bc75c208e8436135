"""Answers that are streams of server-sent events, from a real server: when they begin and end, and what they cost."""

import contextlib
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.agents.runtime.test_streaming import events_of
from tests.faults.tools.support import data, installation
from tests.governance.realtime import test_realtime as endings
from tests.governance.realtime.test_realtime import PASSWORD, Room, eventually
from tests.governance.realtime.test_realtime_bounds import cpu
from tests.servers import Server

SOON = 5.0  # seconds that the contract gives the server to close what is no longer allowed


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with installation(tmp_path_factory) as server:
        yield server


@pytest.fixture
def room(server: Server) -> Room:
    return Room(server)


class Reading:
    """A stream that is read on a thread of its own, until it ends."""

    def __init__(self, client: httpx.Client, method: str, path: str, **body: Any) -> None:
        self.text = ""
        self.began: float | None = None
        self.status: int | None = None
        self.ended: float | None = None
        self._arguments = (client, method, path, body)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        client, method, path, body = self._arguments
        extra: dict[str, Any] = {"json": body} if method == "POST" else {}
        with contextlib.suppress(httpx.TransportError), client.stream(method, path, timeout=60, **extra) as answer:
            self.status, self.began = answer.status_code, time.monotonic()
            for text in answer.iter_text():
                self.text += text
        self.ended = time.monotonic()

    def has_begun(self) -> bool:
        return bool(self.text)

    def end(self, timeout: float) -> tuple[str, dict[str, Any]]:
        """The last event; an assertion fails when it has not ended in time."""
        self._thread.join(timeout)
        assert self.ended is not None, f"still open, with {self.text[-500:]!r}"
        return events_of(self.text)[-1]


STALLED = {"provider": "mock", "model": "mock-stall"}


def playground(room: Room, client: httpx.Client) -> Reading:
    return Reading(client, "POST", "/api/playground/run", content="x", stream=True, workspace_id=room.id, **STALLED)


def variants(room: Room, client: httpx.Client) -> Reading:
    both = [STALLED, {"provider": "mock"}]
    return Reading(client, "POST", "/api/playground/run", content="x", stream=True, workspace_id=room.id, variants=both)


def agent(room: Room, client: httpx.Client) -> Reading:
    body = {"key": f"k{uuid.uuid4().hex[:6]}", "prompt": "x", "workspace_id": room.id, **STALLED}
    made = data(room.client.post("/api/agents", json=body))
    return Reading(client, "POST", f"/api/agents/{made['id']}/run", stream=True)


def waiting_run(room: Room) -> str:
    """A workflow's run that waits for an approval."""
    body = {"key": f"w{uuid.uuid4().hex[:6]}", "steps": [{"id": "ok", "type": "approval"}], "workspace_id": room.id}
    workflow = data(room.client.post("/api/workflows", json=body))
    run: str = room.client.post(f"/api/workflows/{workflow['id']}/run", json={"background": True}).json()["run_id"]
    eventually(lambda: data(room.client.get(f"/api/workflows/runs/{run}"))["status"], "waiting")
    return run


def workflow(room: Room, client: httpx.Client) -> Reading:
    return Reading(client, "GET", f"/api/workflows/runs/{waiting_run(room)}/events")


Kind = Callable[[Room, httpx.Client], Reading]
KINDS: list[Kind] = [playground, variants, agent, workflow]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "ending",
    [
        endings.revoking_a_token,
        endings.deleting_the_user,
        endings.a_new_password,
        endings.shutting_the_user_out,
        endings.logging_out,
        endings.expiry,
        endings.demotion,
        endings.losing_the_workspace,
    ],
    ids=lambda ending: ending.__name__.replace("_", " "),
)
def test_what_ends_a_permission_ends_its_streams_within_five_seconds_with_an_error(
    room: Room, kind: Kind, ending: endings.Ending
) -> None:
    secret, end = ending(room)
    with room.server.client(secret) as client:
        reading = kind(room, client)
        eventually(reading.has_begun, True)
        answer = end()
        assert answer.is_success, answer.text
        name, error = reading.end(SOON)
        assert (name, error["code"]) == ("error", "unauthorized")
        assert "credential" in error["error"]
    if kind is not workflow:
        run = data(room.client.get("/api/runs", params={"workspace": room.id, "model": "mock-stall"}))[0]
        assert (run["status"], run["error"]) == ("error", error["error"])


def test_who_is_revoked_takes_nobody_else_along(room: Room) -> None:
    token, secret = room.token()
    run = waiting_run(room)
    path = f"/api/workflows/runs/{run}/events"
    with room.server.client(secret) as revoked, room.server.client() as stays:
        gone, here = Reading(revoked, "GET", path), Reading(stays, "GET", path)
        eventually(lambda: gone.has_begun() and here.has_begun(), True)
        room.client.delete(f"/api/tokens/{token}")
        assert gone.end(SOON)[0] == "error"
        assert here.ended is None
        assert room.client.post(f"/api/workflows/runs/{run}/approve").is_success
        name, row = here.end(SOON)
        assert (name, row["status"]) == ("end", "succeeded")


def logged_in(room: Room) -> tuple[str, httpx.Client]:
    """A user in the back office: their id and their browser."""
    name = f"user-{uuid.uuid4().hex[:8]}"
    body = {"username": name, "password": PASSWORD, "role": "editor", "workspaces": [room.id]}
    user: str = data(room.client.post("/api/users", json=body))["id"]
    browser = httpx.Client(base_url=room.server.url)
    browser.get("/admin/login/")
    form = {"username": name, "password": PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    assert browser.post("/admin/login/?next=/admin/", data=form).status_code == 302
    browser.headers["X-CSRFToken"] = browser.cookies["csrftoken"]
    return user, browser


def page_of_the_playground(room: Room, browser: httpx.Client) -> Reading:
    return Reading(browser, "POST", "/admin/playground/run/", content="x", variables={}, variants=[STALLED])


def page_of_an_agent(room: Room, browser: httpx.Client) -> Reading:
    body = {"key": f"k{uuid.uuid4().hex[:6]}", "prompt": "x", "workspace_id": room.id, **STALLED}
    made = data(room.client.post("/api/agents", json=body))
    return Reading(browser, "POST", f"/admin/agents/agent/{made['id']}/try/", variables={})


@pytest.mark.parametrize("kind", [page_of_the_playground, page_of_an_agent], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("ending", ["logout", "password", "deleted", "shut out", "demoted"])
def test_streams_of_the_back_office_end_with_the_session(room: Room, kind: Kind, ending: str) -> None:
    user, browser = logged_in(room)
    with contextlib.closing(browser):
        reading = kind(room, browser)
        eventually(reading.has_begun, True)
        path = f"/api/users/{user}"
        if ending == "logout":
            assert browser.post("/admin/logout/").is_success
        elif ending == "deleted":
            assert room.client.delete(path).is_success
        else:
            change = {
                "password": {"password": "another-horse-battery"},
                "shut out": {"is_active": False},
                "demoted": {"role": "viewer"},
            }
            assert room.client.put(path, json=change[ending]).is_success
        name, error = reading.end(SOON)
        assert (name, error["code"]) == ("error", "unauthorized")


# --- when they begin ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [playground, variants, agent], ids=lambda kind: kind.__name__)
def test_a_stream_whose_first_token_takes_long_has_its_headers_and_a_comment_within_two_seconds(
    room: Room, kind: Kind
) -> None:
    _, secret = room.token()
    with room.server.client() as warm:
        assert warm.post("/api/playground/run", json={"content": "x", "provider": "mock"}).is_success
    with room.server.client(secret) as client:
        began = time.monotonic()
        reading = kind(room, client)
        eventually(reading.has_begun, True)
        assert reading.status == 200
        assert reading.began is not None
        assert reading.began - began < 2
        time.sleep(11)
        assert len(re.findall(r"^:", reading.text, re.MULTILINE)) >= 1 if kind is variants else 2


# --- what they cost -----------------------------------------------------------------------------------------------


def test_a_hundred_streams_of_runs_at_rest_cost_next_to_nothing_and_each_hears_of_its_end_at_once(room: Room) -> None:
    runs = [waiting_run(room) for _ in range(10)]
    with room.server.client() as client:
        client = httpx.Client(
            base_url=client.base_url, headers=client.headers, limits=httpx.Limits(max_connections=200), timeout=60
        )
        readings = [Reading(client, "GET", f"/api/workflows/runs/{runs[n % 10]}/events") for n in range(100)]
        eventually(lambda: all(reading.has_begun() for reading in readings), True, timeout=30)
        time.sleep(2)
        before, began = cpu(room.server), time.monotonic()
        time.sleep(6)
        assert (cpu(room.server) - before) / (time.monotonic() - began) < 0.12
        for run in runs:
            assert room.client.post(f"/api/workflows/runs/{run}/approve").is_success
        for reading in readings:
            name, row = reading.end(SOON)
            assert (name, row["status"]) == ("end", "succeeded")
            assert [name for name, _ in events_of(reading.text)].count("end") == 1
        client.close()


def test_who_joins_a_run_late_is_told_all_of_it_once(room: Room) -> None:
    shout = [{"id": f"s{n}", "type": "transform", "op": "upper"} for n in range(5)]
    body = {"key": "late", "steps": [*shout, {"id": "ok", "type": "approval"}], "workspace_id": room.id}
    workflow = data(room.client.post("/api/workflows", json=body))
    run = room.client.post(f"/api/workflows/{workflow['id']}/run", json={"background": True}).json()["run_id"]
    path = f"/api/workflows/runs/{run}/events"
    with room.server.client() as client:
        first = Reading(client, "GET", path)
        eventually(lambda: '"ok"' in first.text, True)
        second = Reading(client, "GET", path)
        eventually(lambda: '"ok"' in second.text, True)
        assert room.client.post(f"/api/workflows/runs/{run}/approve").is_success
        for reading in (first, second):
            assert reading.end(SOON)[0] == "end"
            events = events_of(reading.text)
            steps = [json.dumps(step) for name, step in events if name == "step"]
            assert len(steps) == len(set(steps)), "told twice"
            ended = [step["id"] for name, step in events if name == "step" and step["ended_at"]]
            assert ended == [*(f"s{n}" for n in range(5)), "ok"]
