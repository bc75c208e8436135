"""What tests with real server processes share: servers on the suite's database, streams, and how often to repeat."""

import contextlib
import functools
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.servers import TOKEN, Server

LONG = os.environ.get("PROMPTOPS_FAULTS") == "long"
Frame = dict[str, Any]


def times(short: int, long: int) -> int:
    """How often to repeat: `short` in everyday runs, `long` when PROMPTOPS_FAULTS=long asks for certainty."""
    return long if LONG else short


@functools.cache
def _migrated(folder: Path) -> str:
    """A database with all tables in it, to be copied: the file, or on PostgreSQL the name."""
    server = Server(folder)
    address = os.environ.get("DATABASE_URL")
    if address is None:
        server.manage("migrate", "--verbosity", "0")
        return str(folder / "promptops.sqlite3")
    name = f"faults_{uuid.uuid4().hex[:12]}"
    _on_postgres("CREATE DATABASE {}", name)
    server.environment["DATABASE_URL"] = _address(name)
    server.manage("migrate", "--verbosity", "0")
    return name


def _on_postgres(statement: LiteralString, *names: str) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(SQL(statement).format(*map(Identifier, names)))


def _address(name: str) -> str:
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


@contextlib.contextmanager
def installation(factory: pytest.TempPathFactory, **variables: str) -> Iterator[Server]:
    """A server that is up, on a database of its own, of the kind that the suite runs on."""
    folder, migrated = factory.mktemp("server"), _migrated(factory.getbasetemp() / "migrated")
    if "DATABASE_URL" not in os.environ:
        shutil.copy(migrated, folder)
        server = Server(folder, port=None, **variables)
    else:
        name = f"faults_{uuid.uuid4().hex[:12]}"
        _on_postgres("CREATE DATABASE {} TEMPLATE {}", name, migrated)
        server = Server(folder, port=None, **{"DATABASE_URL": _address(name), **variables})
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
