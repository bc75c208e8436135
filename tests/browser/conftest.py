"""A real server, and people at it with a real browser.

A page that writes an error to its console, throws, or breaks the Content-Security-Policy fails its test, whatever else
the test looks at. Tests speak to the server over HTTP alone: playwright keeps an event loop running in this thread,
where Django would refuse to touch a database.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.support import SWITCHES, Person, Watch
from tests.faults.tools.support import installation
from tests.servers import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None:
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip(reason="browser tests need a Chromium: apt-get install chromium"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One installation for all of a worker's browser tests; each test makes things of names that are its own."""
    with installation(tmp_path_factory, PROMPTOPS_LOGIN_FAILURES="100") as server:
        yield server


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    # Not for the whole session: playwright's event loop would be in the way of other rooms' tests.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def cookies() -> dict[str, Any]:
    """The cookies of those who have logged in on this server, by their names."""
    return {}


@pytest.fixture
def watch() -> Iterator[Watch]:
    """What went wrong on the test's pages; anything at all fails the test."""
    watch = Watch()
    yield watch
    assert watch.problems == []


@pytest.fixture
def sit_down(server: Server, chromium: Browser, watch: Watch, cookies: dict[str, Any]) -> Iterator[Callable[..., Page]]:
    """A page of somebody who is logged in: of that role, or of that person. `options` are the browser context's."""
    contexts: list[BrowserContext] = []

    def sit_down(who: str | Person = "admin", **options: Any) -> Page:
        person = who if isinstance(who, Person) else Person.of_role(server, who)
        if person.name not in cookies:
            cookies[person.name] = person.log_in(server)
        context = chromium.new_context(base_url=server.url, **options)
        context.add_cookies(cookies[person.name])
        context.set_default_timeout(10_000)
        contexts.append(context)
        return watch.over(context.new_page())

    yield sit_down
    for context in contexts:
        context.close()


@pytest.fixture
def stranger(server: Server, chromium: Browser, watch: Watch) -> Iterator[Page]:
    """A page of somebody who is not logged in."""
    context = chromium.new_context(base_url=server.url)
    context.set_default_timeout(10_000)
    yield watch.over(context.new_page())
    context.close()


@pytest.fixture
def page(sit_down: Callable[..., Page]) -> Page:
    """A page of an admin."""
    return sit_down("admin")
