"""Real servers, and clients of both kinds that are closed at the end."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from promptops_client import PromptOps

from tests.sdk.support import AnyClient, Kind, OnLoop, Operator
from tests.servers import TOKEN, Server, running

Make = Callable[..., AnyClient]


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(installation: Server) -> Server:
    """It runs, whatever an earlier test did to it."""
    if installation.process is None:
        installation.start()
    return installation


@pytest.fixture
def operator(server: Server) -> Iterator[Operator]:
    operator = Operator(server)
    with operator.http:
        yield operator


@pytest.fixture
def key() -> str:
    """A key that no other test uses: they share a server."""
    return f"prompt-{uuid.uuid4().hex[:8]}"


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture
def make(kind: Kind, tmp_path: Path) -> Iterator[Make]:
    """Make a client of `prod` with the static token, unless told otherwise; its copy on disk is the test's own."""
    made: list[AnyClient] = []

    def make(url: str, token: str = TOKEN, **options: Any) -> AnyClient:
        options = {"env": "prod", "cache_dir": tmp_path / "copies", "poll_interval": 0.5, **options}
        client = PromptOps(url, token, **options) if kind == "sync" else OnLoop(url, token, **options)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()
