"""Whoever asks whether the server lives is answered at once, whatever the server is busy with or waits for."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.faults.tools.support import installation
from tests.servers import TOKEN, Server, running

PROBES = ("/livez", "/readyz", "/health")
STALLED = {"content": "Hi", "model": "mock-stall"}


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with room for few runs, for one host name."""
    limits = {"PROMPTOPS_THREADS": "2", "PROMPTOPS_MAX_RUNS": "6", "PROMPTOPS_MAX_RUNS_PER_TOKEN": "4"}
    with installation(tmp_path_factory, PROMPTOPS_ALLOWED_HOSTS="promptops.example", **limits) as server:
        yield server


def held(server: Server) -> float:
    text = httpx.get(f"{server.url}/metrics", headers={**OURS, "Authorization": f"Bearer {TOKEN}"}, timeout=5).text
    return float(next(line for line in text.splitlines() if line.startswith("promptops_runs_waited_for ")).split()[1])


OURS = {"Host": "promptops.example"}


def test_runs_that_wait_are_capped_and_hold_up_nothing_else(small: Server) -> None:
    def client(token: str) -> httpx.Client:
        return httpx.Client(base_url=small.url, headers={**OURS, "Authorization": f"Bearer {token}"}, timeout=120)

    with client(TOKEN) as root, ThreadPoolExecutor(20) as pool:
        root.post("/api/prompts", json={"key": "greeting", "content": "Hi", "env": "prod"})
        root.post("/api/prompts", json={"key": "metrics", "content": "Hi", "env": "prod"})
        steps = [{"type": "model", "model": "mock-stall"}]
        flow = root.post("/api/workflows", json={"key": "flow", "steps": steps}).json()["data"]["id"]
        agent = root.post("/api/agents", json={"key": "a", "prompt": "Hi", "model": "mock-stall"}).json()["data"]["id"]
        names = {"username": "ada", "password": "correct-horse-battery"}
        assert root.post("/api/users", json={**names, "role": "viewer"}).status_code == 201
        tokens = [root.post("/api/login", json=names).json()["token"] for _ in range(2)]
        ada, again = client(tokens[0]), client(tokens[1])

        # One of each kind fills what one user may hold; a further session of the user gets no more.
        kinds: list[Callable[[], Any]] = [
            lambda: ada.post("/api/playground/run", json=STALLED),
            lambda: again.post(f"/api/agents/{agent}/run", json={}),
            lambda: ada.post(f"/api/workflows/{flow}/run", json={}),
            lambda: again.post("/api/playground/run", json={**STALLED, "stream": True}),
        ]
        waiting = [pool.submit(kind) for kind in kinds]
        until(lambda: held(small) == 4)
        for kind in kinds:
            refused = kind()
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
            assert refused.json()["code"] == "too_many_runs"
            assert refused.json()["error"].startswith("at most 4 runs of one credential")
        # Another credential gets what is left of the whole, and variants count for as many as they are.
        waiting.append(pool.submit(lambda: root.post("/api/playground/run", json=STALLED)))
        until(lambda: held(small) == 5)
        several = root.post("/api/playground/run", json={**STALLED, "variants": [{}, {}]})
        assert (several.status_code, several.json()["code"]) == (429, "too_many_runs")
        waiting.append(pool.submit(lambda: root.post("/api/playground/run", json=STALLED)))
        until(lambda: held(small) == 6)
        assert root.post("/api/playground/run", json=STALLED).json()["error"].startswith("at most 6 runs can be")

        with httpx.Client(
            base_url=small.url
        ) as probe:  # by the machine's own address, though one name alone is allowed
            for path in PROBES * 3:
                assert took(partial(probe.get, path), 200) < 1
        assert took(lambda: root.get("/api/sdk/prompts/greeting?env=prod&workspace=default&version=v1"), 404) < 2
        assert took(lambda: root.get("/api/sdk/prompts/metrics?env=prod"), 200) < 2
        assert took(lambda: root.get("/admin/login/"), 200) < 2
        assert took(lambda: root.post("/api/login", json={"token": TOKEN}), 200) < 2
        assert took(lambda: root.post(f"/api/workflows/{flow}/run", json={"background": True}), 202) < 2
        assert not wait(waiting, timeout=0).done

        small.kill()
        wait(waiting)


def test_places_are_free_again_when_runs_end_and_when_their_clients_go(small: Server) -> None:
    with httpx.Client(base_url=small.url, headers={**OURS, "Authorization": f"Bearer {TOKEN}"}, timeout=30) as client:
        for _ in range(3):
            for body in ({"content": "Hi"}, {"content": "Hi", "stream": True}, {"content": "Hi", "model": "mock-fail"}):
                client.post("/api/playground/run", json=body)
            refused = client.post("/api/playground/run", json={"content": "Hi", "provider": "nope"})
            assert refused.status_code == 400
        for _ in range(3):
            slow = {"content": "a " * 2000, "model": "mock-slow", "stream": True}
            with client.stream("POST", "/api/playground/run", json=slow) as stream:
                next(stream.iter_bytes())
        until(lambda: held(small) == 0)


def test_probes_are_for_reading_and_say_what_they_always_said(small: Server) -> None:
    for path in PROBES:
        answer = httpx.get(small.url + path, headers={"Host": "10.0.0.1", "X-Request-ID": "mine-1"})
        assert (answer.status_code, answer.headers["X-Request-ID"]) == (200, "mine-1")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert (httpx.head(small.url + path).status_code, httpx.head(small.url + path).content) == (200, b"")
        refused = httpx.post(small.url + path, content=b"x" * 1000)
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
        assert refused.json()["code"] == "method_not_allowed"
    assert httpx.get(f"{small.url}/livez").json() == {"status": "ok"}
    assert set(httpx.get(f"{small.url}/health").json()) == {"status", "version"}
    ready = httpx.get(f"{small.url}/readyz").json()
    assert ready == {"status": "ok", "checks": {"database": "ok", "redis": "not configured", "workflows": "ok"}}


def test_without_a_database_it_is_alive_but_not_ready(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        (tmp_path / "promptops.sqlite3").write_bytes(b"this is no database")
        for name in ("promptops.sqlite3-wal", "promptops.sqlite3-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
        ready = httpx.get(f"{server.url}/readyz")
        assert (ready.json()["checks"]["database"], ready.headers["Retry-After"]) == ("down", "1")
        assert [httpx.get(server.url + path).status_code for path in ("/livez", "/health")] == [200, 200]
        figures = httpx.get(f"{server.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert (figures.status_code, "promptops_database_up 0.0" in figures.text) == (200, True)


@pytest.mark.skipif("DATABASE_URL" not in os.environ, reason="a server that hangs is PostgreSQL's")
def test_with_a_database_that_says_nothing_probes_wait_a_moment_together_and_no_more(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with installation(tmp_path_factory) as server:
        with psycopg.connect(server.environment["DATABASE_URL"], autocommit=True) as connection:
            query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            backends = [row[0] for row in connection.execute(query)]
        try:
            for pid in backends:
                os.kill(pid, signal.SIGSTOP)
            with ThreadPoolExecutor(20) as pool, httpx.Client(base_url=server.url, timeout=10) as probe:
                until(lambda: probe.get("/readyz").status_code == 503)  # what was found before is good for a moment
                time.sleep(1.5)  # and so is this
                began = time.monotonic()
                asked = [pool.submit(probe.get, "/readyz") for _ in range(20)]
                assert took(lambda: probe.get("/livez"), 200) < 1
                assert {future.result().status_code for future in asked} == {503}
                assert time.monotonic() - began < 6
            assert took(lambda: httpx.get(f"{server.url}/readyz"), 503) < 1.5  # nobody waits a second time
        finally:
            for pid in backends:
                os.kill(pid, signal.SIGCONT)
        until(lambda: httpx.get(f"{server.url}/readyz").status_code == 200)


def took(ask: Callable[[], httpx.Response], status: int) -> float:
    began = time.monotonic()
    answer = ask()
    assert answer.status_code == status, answer.text
    return time.monotonic() - began


def until(done: Callable[[], bool], *, within: float = 20) -> None:
    deadline = time.monotonic() + within
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)
