from collections.abc import Iterator

import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from agents.runtime import streaming
from tests.agents.upstream import Upstream


@pytest.fixture(autouse=True)
def _asked_once(settings: Settings) -> None:
    """A provider is asked once; tests of repetitions say how often."""
    settings.PROMPTOPS_PROVIDER_RETRIES = 0


@pytest.fixture(scope="session")
def _places() -> Iterator[tuple[HTTPServer, HTTPServer]]:
    with HTTPServer(host="127.0.0.1", threaded=True) as one, HTTPServer(host="127.0.0.1", threaded=True) as two:
        yield one, two


@pytest.fixture
def upstream(_places: tuple[HTTPServer, HTTPServer], monkeypatch: pytest.MonkeyPatch) -> Upstream:
    """A model provider on a real socket, where every provider but the mock is to be found; it answers `Fine.`"""
    place = Upstream(_places[0])
    for name in ("OPENAI", "CLAUDE", "OLLAMA", "GEMINI"):
        monkeypatch.setenv(f"PROMPTOPS_{name}_BASE_URL", place.base_url)
    return place


@pytest.fixture
def canary(_places: tuple[HTTPServer, HTTPServer]) -> Iterator[Upstream]:
    """A place that must not be called."""
    place = Upstream(_places[1])
    yield place
    assert place.requests == []


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails at once is told by its status however busy the machine is that runs the tests."""
    monkeypatch.setattr(streaming, "FIRST_EVENT_WITHIN", 60.0)
