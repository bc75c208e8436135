"""The database goes away and comes back: a clear answer meanwhile, and nobody has to help."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connection
from promptops_client import PromptOps

from tests.faults.support import create, data, listening
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
            database.stop()
            for path in ("/api/prompts", "/readyz", "/api/sdk/prompts/greeting?env=prod"):
                answer = until_status(client, path, 503, within=10)
                assert int(answer.headers["Retry-After"]) >= 1
            refused = client.post("/api/prompts/publish", json={"id": prompt})
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            assert client.get("/livez").status_code == 200
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
