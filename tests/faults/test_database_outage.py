"""The database goes away and comes back: a clear answer meanwhile, and nobody has to help."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest
from django.db import connection
from promptops_client import PromptOps

from tests.faults.tools.support import create, data, listening
from tests.postgres import launch
from tests.servers import TOKEN, Server, running

#: It has a PostgreSQL of its own, to stop: once is enough.
pytestmark = pytest.mark.skipif(connection.vendor == "sqlite", reason="it runs with the suite on PostgreSQL")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Any]:
    """A PostgreSQL of its own, which may be stopped."""
    server = launch(tmp_path)
    yield server
    server.start()  # so that its own cleanup finds it as it left it


@pytest.fixture
def server(tmp_path: Path, database: Any) -> Iterator[Server]:
    with running(tmp_path, DATABASE_URL=database.get_uri()) as started:
        yield started


def until_status(client: httpx.Client, path: str, status: int, within: float) -> httpx.Response:
    deadline = time.monotonic() + within
    while (answer := client.get(path)).status_code != status:
        assert time.monotonic() < deadline, (answer.status_code, answer.text)
        time.sleep(0.1)
    return answer


def test_while_postgresql_is_down_requests_get_503_and_sdks_serve_on_and_all_recover_by_themselves(
    server: Server, database: Any, tmp_path: Path
) -> None:
    with server.client() as client:
        prompt = create(client, "greeting", content="before")["id"]
        data(client.post("/api/prompts/publish", json={"id": prompt}))
        sdk = PromptOps(base_url=server.url, api_key=TOKEN, env="prod", cache_dir=str(tmp_path / "sdk"))
        with sdk, listening(server, namespace="prod") as stream:
            assert sdk.get_prompt("greeting").content == "before"
            Application(client).until("/greeting?env=prod", by_lane)  # what has not been asked for is not in memory
            database.stop()
            for path in ("/api/prompts", "/readyz"):
                answer = until_status(client, path, 503, within=10)
                assert int(answer.headers["Retry-After"]) >= 1
            refused = client.post("/api/prompts/publish", json={"id": prompt})
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            assert client.get("/livez").status_code == 200
            assert client.get("/api/sdk/prompts/greeting?env=prod").json()["content"] == "before"
            assert sdk.get_prompt("greeting").content == "before"

            database.start()
            until_status(client, "/readyz", 200, within=20)
            data(client.put(f"/api/prompts/{prompt}", json={"content": "after"}))
            data(client.post("/api/prompts/publish", json={"id": prompt}))
            while stream.next(20)["type"] != "prompt.published":
                pass
            deadline = time.monotonic() + 10
            while sdk.get_prompt("greeting").content != "after":
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert client.get("/api/sdk/prompts/greeting?env=prod").json()["content"] == "after"


class Application(NamedTuple):
    """Fetches as an application makes them, each timed."""

    client: httpx.Client

    def fetch(self, place: str, **headers: str) -> httpx.Response:
        return self.client.get(f"/api/sdk/prompts{place}", headers=headers)

    def until(self, place: str, wanted: Callable[[httpx.Response], bool], within: float = 10.0) -> httpx.Response:
        deadline = time.monotonic() + within
        while not wanted(answer := self.fetch(place)):
            assert time.monotonic() < deadline, (answer.status_code, answer.headers, answer.text)
            time.sleep(0.02)
        return answer


def by_lane(answer: httpx.Response) -> bool:
    return "x-frame-options" not in answer.headers


def stale(answer: httpx.Response) -> bool:
    return answer.status_code == 200 and "x-promptops-stale" in answer.headers


def fresh(answer: httpx.Response) -> bool:
    return answer.status_code == 200 and "x-promptops-stale" not in answer.headers


@contextlib.contextmanager
def stopped(database: Any) -> Iterator[None]:
    """Every connection breaks, and new ones are refused."""
    database.stop()
    try:
        yield
    finally:
        database.start()


@contextlib.contextmanager
def frozen(database: Any) -> Iterator[None]:
    """Connections stay, and are never answered: as behind a network that drops everything."""
    parent = database.get_pid()
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    processes = [parent, *map(int, children)]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


@pytest.mark.parametrize("outage", [stopped, frozen])
def test_while_postgresql_is_away_what_is_known_is_served_at_once_and_marked_and_the_rest_is_503(
    server: Server, database: Any, outage: Any
) -> None:
    with server.client() as operator:
        ids = {key: create(operator, key, content=f"of {key}")["id"] for key in ("greeting", "support/reply")}
        made = data(operator.post("/api/tokens", json={"name": "app", "role": "viewer", "env": "prod"}))
        expiry = datetime.now(UTC) + timedelta(seconds=12)
        short = {"name": "short", "role": "viewer", "expires_at": expiry.isoformat().replace("+00:00", "Z")}
        short_lived = data(operator.post("/api/tokens", json=short))["token"]
        operator.post("/api/users", json={"username": "ada", "password": "correct-horse-battery"}).raise_for_status()
        login = operator.post("/api/login", json={"username": "ada", "password": "correct-horse-battery"})
        session = login.json()["token"]
        unseen = data(operator.post("/api/tokens", json={"name": "unseen", "role": "viewer"}))["token"]
        operator.put(f"/api/prompts/{ids['greeting']}", json={"content": "newer"})
        published = operator.post("/api/prompts/publish", json={"id": ids["greeting"]})
        revision = int(published.headers["X-PromptOps-Revision"])
    with (
        server.client(made["token"]) as one,
        server.client(short_lived) as two,
        server.client(unseen) as three,
        server.client(session) as person,
    ):
        app, brief, stranger = Application(one), Application(two), Application(three)
        for client in (app, brief):
            client.until("/greeting", by_lane)
        app.until("/greeting?version=v1", by_lane)
        Application(person).until("/greeting", by_lane)
        known = ("/greeting", "/greeting?version=v1", "/support/reply", "/support%2Freply", "")
        expected = {place: app.fetch(place) for place in known}
        assert expected["/greeting"].json()["content"] == "newer"
        began = time.monotonic()
        with outage(database):
            app.until("/greeting", stale)
            took = []
            for _ in range(200):
                for place, before in expected.items():
                    started = time.monotonic()
                    answer = app.fetch(place)
                    took.append(time.monotonic() - started)
                    assert (stale(answer), answer.content) == (True, before.content), place
                    assert answer.headers["x-promptops-revision"] == before.headers["x-promptops-revision"]
                    assert 0 <= int(answer.headers["x-promptops-stale"]) <= time.monotonic() - began + 2
            took.sort()
            assert took[-1] < 2
            assert took[len(took) * 99 // 100] < 0.5  # a busy machine may hold up one of 800
            assert took[len(took) // 2] < 0.02
            unchanged = app.fetch("/greeting", **{"If-None-Match": expected["/greeting"].headers["etag"]})
            assert (unchanged.status_code, "x-promptops-stale" in unchanged.headers) == (304, True)
            assert stale(app.fetch(f"/greeting?min_revision={revision}"))
            with server.client() as static:
                assert stale(Application(static).fetch("/greeting?env=prod"))
            assert stale(Application(person).fetch("/greeting?env=prod"))
            # What is not known is not refused, and not waited for: nobody can say.
            with server.client("nobody") as nobody:
                unknown = [
                    *(app.fetch(f"/greeting{query}") for query in ("?version=v2", f"?min_revision={revision + 1}")),
                    *(app.fetch(place) for place in ("/not-there", "/greeting?env=dev", "?env=test")),
                    stranger.fetch("/greeting"),
                    Application(nobody).fetch("/greeting"),
                ]
            for answer in unknown:
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), answer.url
                assert int(answer.headers["retry-after"]) >= 1
                assert answer.json()["request_id"] == answer.headers["x-request-id"]
                assert answer.elapsed < timedelta(seconds=1)
            time.sleep(max(0.0, (expiry - datetime.now(UTC)).total_seconds() + 0.1))
            assert (
                brief.fetch("/greeting").status_code == 503
            )  # it has expired, and no database can say that it has not
        app.until("/greeting", fresh, within=30)
        brief.until("/greeting", lambda answer: answer.status_code == 401, within=60)
        stranger.until("/greeting?env=prod", fresh, within=60)


@pytest.mark.parametrize(("seconds", "served"), [("0", False), ("2", True)])
def test_what_is_known_is_served_for_so_long_and_no_longer(
    tmp_path: Path, database: Any, seconds: str, served: bool
) -> None:
    variables = {"DATABASE_URL": database.get_uri(), "PROMPTOPS_SERVE_STALE_SECONDS": seconds}
    with running(tmp_path, **variables) as server, server.client() as client:
        create(client, "greeting", content="known")
        app = Application(client)
        app.until("/greeting?env=prod", by_lane)
        with stopped(database):
            if served:
                app.until("/greeting?env=prod", stale)
            refused = app.until("/greeting?env=prod", lambda answer: answer.status_code == 503)
            assert refused.headers["retry-after"] == "1"
        app.until("/greeting?env=prod", fresh, within=30)


def test_a_connection_that_breaks_while_the_database_is_there_makes_nothing_stale(
    server: Server, database: Any
) -> None:
    with server.client() as client, psycopg.connect(database.get_uri(), autocommit=True) as other:
        create(client, "greeting", content="known")
        app = Application(client)
        app.until("/greeting?env=prod", by_lane)
        for _ in range(4):
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
            for _ in range(50):
                assert "x-promptops-stale" not in app.fetch("/greeting?env=prod").headers
                time.sleep(0.02)
