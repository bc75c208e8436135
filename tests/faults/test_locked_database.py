"""A SQLite database that is locked for good, as by another program that hangs: what is known is served meanwhile."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from django.db import connection

from tests.faults.tools.support import create
from tests.servers import Server, running

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="it is about SQLite's locks")

#: Where SQLite's locks on its shared memory are (walIndex.c, WALINDEX_LOCK_OFFSET): nobody reads who can't have one.
LOCKS_AT, LOCKS = 120, 8


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    with (folder / "promptops.sqlite3-shm").open("r+b") as shared:
        fcntl.lockf(shared, fcntl.LOCK_EX, LOCKS, LOCKS_AT)
        yield


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path) as started:
        yield started


def until(client: httpx.Client, wanted: bool, within: float) -> httpx.Response:
    """The first fetch that is marked as stale, or is not."""
    deadline = time.monotonic() + within
    while ("x-promptops-stale" in (answer := client.get("/api/sdk/prompts/greeting?env=prod")).headers) is not wanted:
        assert time.monotonic() < deadline, (answer.status_code, answer.text)
        time.sleep(0.02)
    return answer


def test_while_sqlite_is_locked_what_is_known_is_served_at_once_and_marked(server: Server, tmp_path: Path) -> None:
    with server.client() as client:
        create(client, "greeting", content="known")
        deadline = time.monotonic() + 10
        while "x-frame-options" in client.get("/api/sdk/prompts/greeting?env=prod").headers:
            assert time.monotonic() < deadline
        with locked(tmp_path):
            assert until(client, True, within=5).json()["content"] == "known"
            took = []
            for _ in range(300):
                started = time.monotonic()
                answer = client.get("/api/sdk/prompts/greeting?env=prod")
                took.append(time.monotonic() - started)
                assert (answer.json()["content"], "x-promptops-stale" in answer.headers) == ("known", True)
            assert max(took) < 3  # who waits for the lock waits five seconds
            assert client.get("/api/sdk/prompts/other?env=prod").status_code == 503
        assert until(client, False, within=30).json()["content"] == "known"
        create(client, "later", content="x")
        assert client.get("/api/sdk/prompts/later?env=prod").status_code == 200
