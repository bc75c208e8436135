"""What tests with real server processes share: servers on the suite's database, streams, and how often to repeat."""

import contextlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.servers import TOKEN, Server, database_address, migrated, migrated_on_postgres, on_postgres

LONG = os.environ.get("PROMPTOPS_FAULTS") == "long"
Frame = dict[str, Any]


def times(short: int, long: int) -> int:
    """How often to repeat: `short` in everyday runs, `long` when PROMPTOPS_FAULTS=long asks for certainty."""
    return long if LONG else short


@contextlib.contextmanager
def installation(factory: pytest.TempPathFactory, **variables: str) -> Iterator[Server]:
    """A server that is up, on a database of its own, of the kind that the suite runs on."""
    folder = factory.mktemp("server")
    if "DATABASE_URL" not in os.environ:
        shutil.copy(migrated(), folder)
        server = Server(folder, port=None, **variables)
    else:
        name = f"faults_{uuid.uuid4().hex[:12]}"
        on_postgres("CREATE DATABASE {} TEMPLATE {}", name, migrated_on_postgres())
        server = Server(folder, port=None, **{"DATABASE_URL": database_address(name), **variables})
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def another(first: Server) -> Iterator[Server]:
    """One more server process of the same installation."""
    second = Server(first.log.parent)
    second.environment |= first.environment
    second.start()
    try:
        yield second
    finally:
        second.kill()


class Stream:
    """A client of the event stream that notes what it got."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def next(self, timeout: float = 20.0) -> Frame:
        frame: Frame = json.loads(self.connection.recv(timeout=timeout))
        return frame

    def until(self, revision: int, timeout: float = 20.0) -> list[Frame]:
        """The frames that follow, heartbeats left out, up to the change with that revision."""
        deadline = time.monotonic() + timeout
        seen: list[Frame] = []
        while not (seen and seen[-1]["revision"] >= revision and "key" in seen[-1]):
            frame = self.next(max(0.1, deadline - time.monotonic()))
            if frame["type"] != "heartbeat":
                seen.append(frame)
        return seen

    def close_code(self, timeout: float) -> int | None:
        """The code that the server closes with; None when it did not within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        try:
            while True:
                self.next(max(0.01, deadline - time.monotonic()))
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006
        except TimeoutError:
            return None


@contextlib.contextmanager
def listening(server: Server, token: str = TOKEN, **query: str | int) -> Iterator[Stream]:
    with connect(server.stream_url(token, **query), max_size=None, ping_interval=None) as connection:
        yield Stream(connection)


def data(answer: httpx.Response) -> Any:
    """What is in the answer's envelope, once it is known to be a success."""
    assert answer.is_success, (answer.status_code, answer.text)
    return answer.json()["data"]


def create(client: httpx.Client, key: str, **fields: Any) -> dict[str, Any]:
    prompt: dict[str, Any] = data(client.post("/api/prompts", json={"key": key, "env": "prod", **fields}))
    return prompt


def everything(client: httpx.Client, path: str, **query: str) -> list[dict[str, Any]]:
    """All pages of a list."""
    rows: list[dict[str, Any]] = []
    while page := data(client.get(path, params={**query, "limit": 200, "offset": len(rows)})):
        rows += page
    return rows


@dataclass(frozen=True)
class History:
    """All that a prompt left behind: its row, its versions and audit entries (oldest first), and its changes."""

    prompt: dict[str, Any]
    versions: list[dict[str, Any]]
    audit: list[dict[str, Any]]
    frames: list[Frame]

    @property
    def contents(self) -> dict[str, str]:
        return {version["version"]: version["content"] for version in self.versions}

    def of(self, type_: str) -> list[Frame]:
        return [frame for frame in self.frames if frame["type"] == type_]

    def check(self) -> None:
        """Version, live pointer, audit entry and change of each publish are all there, or none of them is."""
        labels = [version["version"] for version in self.versions]
        assert len(set(labels)) == len(labels)
        assert [frame["version"] for frame in self.of("prompt.published")] == labels
        moves = [entry["changes"]["live_version"] for entry in self.audit if entry["action"] == "publish"]
        assert [(move["old"], move["new"]) for move in moves] == list(zip([None, *labels], labels, strict=False))
        assert [version["version"] for version in self.versions if version["live"]] == labels[-1:]
        assert self.prompt["live_version"] == (labels[-1] if labels else None)
        saved = [entry["changes"]["content"]["new"] for entry in self.audit if "content" in entry["changes"]]
        assert self.prompt["content"] == saved[-1]
        assert len(self.of("prompt.updated")) == sum(entry["action"] == "update" for entry in self.audit)
        served = [frame["document"]["content"] for frame in self.of("prompt.published")]
        assert served == [version["content"] for version in self.versions]


def replay(server: Server, since: int = 0) -> list[Frame]:
    """Every change of prod after `since`, which have no gap."""
    with listening(server, namespace="prod", since=since, drafts=1) as stream:
        hello = stream.next()
        assert hello["resumed"], hello
        frames = stream.until(hello["revision"]) if hello["revision"] > since else []
    assert [frame["revision"] for frame in frames] == list(range(since + 1, hello["revision"] + 1))
    return frames


def history(server: Server, prompt: str, since: int = 0) -> History:
    """What is there of a prompt that was created after revision `since` of prod."""
    with server.client() as client:
        return History(
            data(client.get(f"/api/prompts/{prompt}")),
            everything(client, f"/api/prompts/{prompt}/versions")[::-1],
            everything(client, "/api/audit", resource_id=prompt)[::-1],
            [frame for frame in replay(server, since) if frame["id"] == prompt],
        )
